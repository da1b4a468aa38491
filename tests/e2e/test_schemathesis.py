"""The HTTP interface of the running program against its own description, with requests that nobody thought of."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.contract.web import KEY
from tests.e2e import program
from tests.e2e.pullers import Agent, Pull, pulling

EXAMPLES = 40
TASKS = 300
WITHIN_S = 240
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "ignored_auth",
)


@pytest.fixture(name="agent")
def _agent(tmp_path: Path) -> Iterator[Agent]:
    """An agent with work in every state; webhooks are on."""
    forge = {"kind": "forgejo", "url": "http://127.0.0.1:1", "webhook_secret_env": "HOOK_SECRET"}
    with pulling(tmp_path, forge=forge) as pull:
        pull.env["HOOK_SECRET"] = KEY
        agent = pull.agent("bot", slots=2 * TASKS)
        work(pull, agent)
        yield agent


def work(pull: Pull, agent: Agent) -> None:
    """A task that the agent has, one that is done, one of another kind, and enough that nobody waits for work."""
    pull.task("done")
    pull.start()
    assert agent.gets()["task"] == "done"
    assert agent.status("done", 1, "completed", summary="Done.").status == 200
    pull.task("fix-login")
    assert agent.gets()["task"] == "fix-login"
    pull.fleet.task("by-itself", "true", desired="hold")
    for number in range(TASKS):
        pull.task(f"waits-{number}")


def tried(agent: Agent, *words: str) -> set[tuple[str, str, int]]:
    """Have the interface tried; nothing may be found. What was answered."""
    report = agent.pull.fleet.folder / "report.har"
    url = f"{agent.pull.url}/openapi.json"
    command = [
        str(Path(sys.executable).parent / "schemathesis"), "--config-file", os.devnull, "run", url,
        "--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES),
        "--seed", "1", "--generation-database", "none", "--no-color", "--max-failures", "10", "--workers", "2",
        "--request-timeout", "60", "--suppress-health-check", "all", "--warnings", "off",
        "--report", "har", "--report-har-path", str(report), *words,
    ]  # fmt: skip
    env = program.environment(agent.pull.fleet.folder / "tester")
    done = subprocess.run(
        command, cwd=agent.pull.fleet.folder, env=env, capture_output=True, check=False, timeout=WITHIN_S
    )
    assert done.returncode == 0, done.stdout.decode()[-8000:] + done.stderr.decode()
    return answers(report)


def answers(report: Path) -> set[tuple[str, str, int]]:
    """Which kinds of answers there were: method, the last word of the path, status."""
    return {
        (one["request"]["method"], urlsplit(one["request"]["url"]).path.rpartition("/")[2], one["response"]["status"])
        for one in json.loads(report.read_text())["log"]["entries"]
    }


def test_with_a_token_every_answer_is_as_described(agent: Agent) -> None:
    seen = tried(agent, "-H", f"Authorization: Bearer {agent.token}")
    for word, statuses in {
        "dequeue": {200, 401, 415, 422},
        "heartbeat": {200, 401, 409, 415, 422},
        "status": {200, 401, 409, 415, 422},
        "forgejo": {401, 415},
    }.items():
        assert statuses <= {status for method, name, status in seen if (method, name) == ("POST", word)}, word
    assert {("GET", "tasks", 200), ("GET", "tasks", 304), ("GET", "tasks", 422), ("GET", "fix-login", 200)} <= seen


def test_without_a_token_every_answer_is_as_described_and_nothing_is_written(agent: Agent) -> None:
    before = agent.pull.tip()
    seen = tried(agent)
    assert {status for method, _, status in seen if method == "POST"} <= {401, 405, 415, 429}
    assert agent.pull.tip() == before
