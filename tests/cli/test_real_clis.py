"""The real CLIs, run offline by the command lines of their adapters, and judged from what they really print."""

import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.core import output, report, versions
from reconciler.core.output import Events
from reconciler.core.report import Resumed
from reconciler.core.script import argv
from reconciler.core.terms import Failure, Outcome, Permissions
from reconciler.core.verdict import Result
from tests.cli import offline
from tests.contract import captures

pytestmark = pytest.mark.cli
NOW = datetime(2026, 11, 22, tzinfo=UTC)
RUN_S = 120
PROFILES = {"codex": Permissions.WORKSPACE, "claude-code": Permissions.WORKSPACE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """One CLI with a workspace, a home and a model of its own."""

    name: str
    folder: Path
    commands: Path
    port: int

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    def run(self, prompt: str, *, scenario: str = "edit", resumed: Resumed | None = None) -> Result:
        """One run, as the run protocol does it: prompt on stdin, output into files, a clean environment."""
        adapter = captures.adapter(self.name)
        template = adapter.resume if resumed and adapter.resume else adapter.run
        values = {
            "model": "claude-sonnet-4-5",
            "workspace": str(self.workspace),
            "run_dir": str(self.folder),
            "session": resumed.session if resumed else None,
            "new_session": str(uuid.uuid4()),
            "max_turns": None,
        }
        words = argv.fill(template, values, adapter.permissions[PROFILES[self.name]])
        env = offline.environment(self.folder / "home", self.commands, self.port, scenario) | dict(adapter.env)
        stdout, stderr = self.folder / "stdout", self.folder / "stderr"
        with stdout.open("wb") as out, stderr.open("wb") as err:
            ended = subprocess.run(
                words,
                input=prompt.encode(),
                stdout=out,
                stderr=err,
                env=env,
                cwd=self.workspace,
                timeout=RUN_S,
                check=False,
                start_new_session=True,
            )
        raw = captures.read(adapter, stdout.read_bytes(), stderr=stderr.read_bytes(), exit_code=ended.returncode)
        events = Events(adapter.output.format)
        events.feed(stdout.read_bytes())
        assert report.look(adapter, events.read(ended=False)).finished
        assert output.tail(stderr.read_bytes()) == raw.stderr_tail
        return report.judge(adapter, raw, stop=None, resumed=resumed, now=NOW)


@pytest.fixture(params=sorted(PROFILES))
def bench(request: pytest.FixtureRequest, tmp_path: Path, commands: Path) -> Iterator[Bench]:
    (tmp_path / "workspace").mkdir()
    subprocess.run(["git", "init", "-q", str(tmp_path / "workspace")], check=True)
    with offline.model(tmp_path, tmp_path / "workspace") as model:
        yield Bench(name=request.param, folder=tmp_path, commands=commands, port=model.port)


def test_a_first_run_does_its_work_and_a_resumed_one_goes_on(bench: Bench) -> None:
    first = bench.run("# Say hello\n\n## Goal\n\nWrite hello.txt.\n")
    assert (first.outcome, first.summary) == (Outcome.SUCCEEDED, "MOCK-FINAL: wrote the file as asked.")
    assert first.warnings == ()
    assert (bench.workspace / "hello.txt").read_text() == "hello from mock\n"
    assert first.session
    assert first.input_tokens
    before = Resumed(
        session=first.session,
        input_tokens=first.input_tokens,
        output_tokens=first.output_tokens or 0,
        cost_usd=first.cost_usd or 0.0,
    )
    second = bench.run("## Review to address\n\nOnce more.\n", resumed=before)
    assert second.outcome is Outcome.SUCCEEDED
    assert second.session == first.session
    assert second.input_tokens == first.input_tokens
    assert (second.cost_usd is None) is (first.cost_usd is None)


@pytest.mark.parametrize(
    ("scenario", "failure"), [("http401", Failure.AUTH), ("http500", Failure.PROVIDER), ("http429", Failure.PROVIDER)]
)
def test_an_error_of_the_model_has_its_class(bench: Bench, scenario: str, failure: Failure) -> None:
    result = bench.run("Write hello.txt.", scenario=scenario)
    assert (result.outcome, result.failure) == (Outcome.FAILED, failure)


def test_an_answer_with_every_awkward_character_is_read_exactly(bench: Bench) -> None:
    summary = bench.run("Say it.", scenario="unicode").summary
    assert summary
    assert summary.startswith(
        'MOCK-UNICODE: line one\nline "two" \\ backslash\n{"type":"result","is_error":true}\nU+2028[\u2028]'
    )


def test_a_session_that_is_gone_has_its_class(bench: Bench) -> None:
    gone = Resumed(session="00000000-0000-4000-8000-000000000000")
    adapter = captures.adapter(bench.name)
    values = {"model": None, "workspace": str(bench.workspace), "session": gone.session, "max_turns": None}
    words = argv.fill(adapter.resume or (), values, adapter.permissions[PROFILES[bench.name]])
    env = offline.environment(bench.folder / "home", bench.commands, bench.port, "edit") | dict(adapter.env)
    ended = subprocess.run(
        words, input=b"Go on.", capture_output=True, env=env, cwd=bench.workspace, timeout=RUN_S, check=False
    )
    raw = captures.read(adapter, ended.stdout, stderr=ended.stderr, exit_code=ended.returncode)
    assert report.judge(adapter, raw, stop=None, resumed=gone, now=NOW).failure is Failure.SESSION


def test_the_version_is_found_and_new_enough(bench: Bench) -> None:
    asked = captures.adapter(bench.name).version
    assert asked
    assert asked.minimum
    env = offline.environment(bench.folder / "home", bench.commands, bench.port, "edit")
    said = subprocess.run(asked.run, capture_output=True, env=env, timeout=RUN_S, check=True).stdout.decode()
    version = versions.extract(asked.pattern, said)
    assert version
    assert versions.at_least(version, asked.minimum)
