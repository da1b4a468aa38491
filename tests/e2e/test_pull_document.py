"""`docs/pull-agent.md` word for word: its files, its commands and its client work as they stand there."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import program
from tests.e2e.fleets import PROJECT
from tests.e2e.pullers import Agent, Pull, pulling
from tests.waiting import until

DOCUMENT = PROJECT / "docs" / "pull-agent.md"
BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
PERSON = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_EMAIL": "a@b",
}
LINES = 25
CHECK = 'read -r first && test "$first" = "# Mend the login" && cat >/dev/null && printf "Names are trimmed.\\n\\377"'
WAITS = 'echo $$ >>"$PIDS"; exec sleep 300'
CHANGES = {"run_id", "lease_expires_at", "prompt"}
"""What differs from run to run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The blocks of the document: files by path, commands with the answers that it promises, and the client."""

    files: dict[str, str]
    commands: list[tuple[str, dict[str, Any] | None]]
    client: str


def read() -> Document:
    """The document as it is."""
    blocks = [(found["kind"], found["text"]) for found in BLOCK.finditer(DOCUMENT.read_text(encoding="utf-8"))]
    files = {text.split("\n", 1)[0].removeprefix("# "): text for kind, text in blocks if kind == "yaml"}
    commands: list[tuple[str, dict[str, Any] | None]] = []
    for (kind, text), (after, answer) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if kind == "sh":
            commands.append((text, json.loads(answer) if after == "json" else None))
    (client,) = (text for kind, text in blocks if kind == "python")
    return Document(files=files, commands=commands, client=client)


@pytest.fixture(name="curl")
def _curl() -> str:
    found = shutil.which("curl")
    if found is None:
        assert "CI" not in os.environ, "curl is missing"
        pytest.skip("curl is missing")
    return found


@pytest.fixture(name="pull")
def _pull(tmp_path: Path) -> Iterator[Pull]:
    """The fleet of the document, before any of its commands."""
    with pulling(tmp_path) as pull:
        for path, text in read().files.items():
            pull.fleet.write(path, text)
        pull.start()
        yield pull


def typed(pull: Pull, text: str) -> str:
    """Type commands into a shell in the fleet's folder; what they print."""
    env = program.environment(pull.fleet.folder / "home", {"URL": pull.url, **PERSON})
    done = subprocess.run(
        ["sh", "-eu", "-c", text], cwd=pull.fleet.root, env=env, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, (text, done.stdout, done.stderr)
    return done.stdout.decode()


def connected(pull: Pull) -> str:
    """Do what the document says to connect the agent; its token."""
    for text, answer in read().commands:
        if "curl" not in text:
            assert answer is None
            assert typed(pull, text) == ""
    return (pull.fleet.root / "bot.token").read_text().strip()


def test_the_commands_do_what_the_document_shows(pull: Pull, curl: str) -> None:
    assert curl
    answers = 0
    for text, promised in read().commands:
        said = typed(pull, text)
        if promised is None:
            continue
        answered = json.loads(said)
        assert answered.keys() == promised.keys()
        assert {key: answered[key] for key in answered.keys() - CHANGES} == {
            key: promised[key] for key in promised.keys() - CHANGES
        }
        answers += 1
    assert answers == 4
    assert pull.fleet.phase("fix-login") == "completed"
    assert pull.fleet.last_run("fix-login")["summary"] == "Names are trimmed before they are looked up."
    assert (pull.fleet.root / "bot.curl").stat().st_mode & 0o77 == 0
    assert (pull.fleet.root / "bot.token").stat().st_mode & 0o77 == 0


@contextlib.contextmanager
def client(pull: Pull, token: str, script: str) -> Iterator[subprocess.Popen[bytes]]:
    """The document's client at work, with a script for a command, until the block ends."""
    folder = pull.fleet.folder / "agent"
    folder.mkdir(exist_ok=True)
    (folder / "pull_agent.py").write_text(read().client)
    env = program.environment(folder / "home", {"URL": pull.url, "TOKEN": token, "PIDS": str(folder / "pids")})
    with (folder / "said").open("ab") as sink:
        process = subprocess.Popen(
            [sys.executable, "pull_agent.py", "sh", "-c", script],
            cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
        assert process.poll() is None, (folder / "said").read_text()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert "Traceback" not in (folder / "said").read_text()


def pids(pull: Pull) -> list[int]:
    """The commands that wait, or did."""
    noted = pull.fleet.folder / "agent" / "pids"
    return [int(line) for line in noted.read_text().splitlines()] if noted.exists() else []


def test_the_client_has_no_more_lines_than_it_says() -> None:
    lines = [line for line in read().client.splitlines() if line.strip()]
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= 120
    assert {name.partition(".")[0] for name in lines[0].removeprefix("import ").split(", ")} <= sys.stdlib_module_names


def test_the_client_does_one_task_after_the_other(pull: Pull) -> None:
    token = connected(pull)
    pull.task("second", title="Mend the login")
    pull.task("fails", title="Something else", max_attempts=1)
    with client(pull, token, CHECK):
        for task_id, phase in (("fix-login", "completed"), ("second", "completed"), ("fails", "failed")):
            pull.until_phase(task_id, phase)
    assert pull.fleet.last_run("fix-login")["summary"] == "Names are trimmed.\n\ufffd"
    assert [len(pull.outcomes(task_id)) for task_id in ("fix-login", "second", "fails")] == [1, 1, 1]


def test_the_client_stops_the_command_when_the_task_is_cancelled(pull: Pull) -> None:
    token = connected(pull)
    with client(pull, token, WAITS):
        until(lambda: pids(pull))
        text = (pull.fleet.root / "state" / "tasks" / "fix-login.yaml").read_text()
        pull.fleet.write("state/tasks/fix-login.yaml", f"{text}desired: cancel\n")
        pull.until_phase("fix-login", "cancelled")
        until(lambda: not Path(f"/proc/{pids(pull)[0]}").exists())
        pull.task("second")
        until(lambda: len(pids(pull)) == 2)


def test_the_client_killed_at_work_gets_the_same_run_again(pull: Pull) -> None:
    token = connected(pull)
    with client(pull, token, WAITS):
        until(lambda: pids(pull))
    with client(pull, token, CHECK):
        pull.until_phase("fix-login", "completed")
    assert pull.outcomes("fix-login") == [("bot", "succeeded")]


def test_the_client_killed_after_it_told_the_end_goes_on_to_the_next_task(pull: Pull) -> None:
    token = connected(pull)
    with client(pull, token, WAITS):
        until(lambda: pids(pull))
    assert Agent(pull=pull, name="bot", token=token).status("fix-login", 1, "completed").status == 200
    pull.task("second")
    with client(pull, token, WAITS):
        until(lambda: len(pids(pull)) == 2)
    assert pull.outcomes("fix-login") == [("bot", "succeeded")]
    assert pull.outcomes("second") == [("bot", None)]


def test_the_client_waits_for_a_reconciler_that_is_away(pull: Pull) -> None:
    token = connected(pull)
    port = pull.port
    with client(pull, token, WAITS):
        until(lambda: pids(pull))
        pull.kill()
        pull.start(port=port)
        os.kill(pids(pull)[0], signal.SIGTERM)
        until(lambda: pull.fleet.last_run("fix-login").get("outcome") == "failed", seconds=30)


def test_the_client_ends_with_the_reason_when_it_has_no_access(pull: Pull) -> None:
    folder = pull.fleet.folder / "agent"
    with contextlib.suppress(AssertionError), client(pull, "wrong", CHECK) as process:
        assert process.wait(20) == 1
    assert "no token, or one that nobody has" in (folder / "said").read_text()
