"""Logs of many tasks at once: whole lines behind the name of their task, in turns, nothing lost, little in memory."""

import tracemalloc
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.commands.screen import Screen
from reconciler.commands.tails import PORTION, Chosen, Tails, colour
from reconciler.core import printable
from reconciler.core.mask import Blot
from reconciler.core.observed import ObservedTask, Run
from reconciler.core.terms import Failure, Kind, Outcome, Phase
from reconciler.repo import logs
from reconciler.repo.fleet import Fleet
from reconciler.repo.logs import Copy

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


def live(epoch: int = 1, *before: Run) -> ObservedTask:
    run = Run(epoch=epoch, run_id=f"x.x.{epoch}", host="here", adapter="a", kind=Kind.IMPLEMENT, assigned_at=NOW)
    return ObservedTask(phase=Phase.RUNNING, epoch=epoch, runs=(*before, run))


def ended(seen: ObservedTask, outcome: Outcome = Outcome.SUCCEEDED, failure: Failure | None = None) -> ObservedTask:
    run = replace(seen.runs[-1], finished_at=NOW, outcome=outcome, failure=failure)
    phase = Phase.COMPLETED if outcome is Outcome.SUCCEEDED else Phase.CREATED
    return replace(seen, phase=phase, runs=(*seen.runs[:-1], run))


@dataclass(kw_only=True)
class Stage:
    fleet: Fleet
    capture: pytest.CaptureFixture[bytes]
    notes: list[str] = field(default_factory=list)

    def printed(self, task_id: str, text: bytes, epoch: int = 1, stream: str = "stdout") -> None:
        offset = logs.size(self.fleet, task_id, epoch, stream)
        logs.append(self.fleet, Copy(task_id=task_id, epoch=epoch, stream=stream), offset, text, Blot(()))

    def following(self, *ids: str, patterns: tuple[str, ...] = (), past: bool = False) -> Tails:
        return Tails(self.fleet, Screen({}), Chosen(ids=ids, patterns=patterns), past=past)

    def shown(self) -> list[str]:
        out, error = self.capture.readouterr()
        self.notes += [line for line in error.decode().splitlines() if line[0] in "+-"]
        return out.decode().splitlines()


@pytest.fixture
def stage(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Stage:
    return Stage(fleet=Fleet(root=tmp_path, top=tmp_path, common=tmp_path), capture=capfdbinary)


def test_only_whole_lines_are_printed_each_behind_its_task(stage: Stage) -> None:
    tails = stage.following("fix", "longer-name")
    tails.look({"fix": live(), "longer-name": live()})
    stage.printed("fix", b"one\ntw")
    stage.printed("longer-name", b"begun\n")
    assert tails.go_on()
    assert stage.shown() == ["fix         | one", "longer-name | begun"]
    stage.printed("fix", b"o\n\nthr")
    assert tails.go_on()
    assert not tails.go_on()
    assert stage.shown() == ["fix         | two", "fix         | "]
    tails.finish()
    assert stage.shown() == ["fix         | thr"]


def test_a_secret_that_comes_in_two_pieces_is_not_shown_in_part(stage: Stage) -> None:
    tails, blot = stage.following("fix", "other"), Blot(("sesame-open",))
    tails.look({"fix": live(), "other": live()})
    copy = Copy(task_id="fix", epoch=1, stream="stdout")
    logs.append(stage.fleet, copy, 0, b"key: sesame", blot)
    assert tails.go_on()
    logs.append(stage.fleet, copy, len("key: sesame"), b"-open\n", blot)
    assert tails.go_on()
    assert stage.shown() == ["fix   | key: ***********"]


def test_a_run_is_printed_to_its_end_before_the_next_one_and_it_is_over_when_the_tasks_are(stage: Stage) -> None:
    tails = stage.following("fix")
    first = live()
    tails.look({"fix": first})
    stage.printed("fix", b"first\n")
    failed = ended(first, Outcome.FAILED, Failure.AGENT_ERROR)
    stage.printed("fix", b"last words")
    second = live(2, *failed.runs)
    stage.printed("fix", b"second\n", epoch=2)
    tails.look({"fix": second})
    while tails.go_on():
        assert not tails.over()
    assert stage.shown() == ["fix | first", "fix | last words", "fix | second"]
    tails.look({"fix": ended(second)})
    while tails.go_on():
        continue
    assert tails.over()
    stage.shown()
    assert stage.notes == [
        "+ fix: run 1 on here", "- fix: run 1 failed (agent_error)", "+ fix: run 2 on here", "- fix: run 2 succeeded",
    ]  # fmt: skip


def test_a_pattern_shows_what_runs_and_what_begins_also_where_it_was_quick(stage: Stage) -> None:
    tails = stage.following(patterns=("fix-*",))
    over = ended(live())
    for name in ("fix-old", "fix-now", "fix-late", "other"):
        stage.printed(name, f"{name}\n".encode())
    tails.look({"fix-old": over, "fix-now": live(), "other": live()})
    while tails.go_on():
        continue
    tails.look({"fix-old": over, "fix-now": live(), "other": live(), "fix-late": over})
    while tails.go_on():
        continue
    assert [line.split("| ")[1] for line in stage.shown()] == ["fix-now", "fix-late"]
    assert not tails.over()
    past = stage.following(patterns=("fix-*",), past=True)
    past.look({"fix-old": over, "fix-now": live()})
    past.print_all()
    assert [line.split("| ")[1] for line in stage.shown()] == ["fix-now", "fix-old"]


def test_lines_of_a_megabyte_and_long_logs_take_turns_and_little_memory(stage: Stage) -> None:
    tails = stage.following("big", "small")
    tails.look({"big": live(), "small": live()})
    line = b"x" * 99 + b"\n"
    stage.printed("big", line * 40_000)
    stage.printed("big", b"y" * 1_000_000 + b"\n")
    stage.printed("small", b"here\n")
    tails.go_on()
    assert stage.shown()[-1] == "small | here"
    tracemalloc.start()
    lines, pieces = 0, 0
    while tails.go_on():
        for one in stage.capture.readouterr()[0].splitlines():
            lines += one.endswith(b"x" * 99)
            pieces += one.count(b"y")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (lines + PORTION // 100, pieces) == (40_000, 1_000_000)
    assert most < 16 * PORTION


def test_what_an_agent_prints_stays_behind_the_name_of_its_task() -> None:
    assert printable.coloured_line("\x1b[31mred\x1b[2J\rfix | \u202eforged") == "\x1b[31mred [2J fix |  forged\x1b[0m"
    assert printable.coloured_line("plain\tü") == "plain\tü"


def test_a_task_has_its_colour_in_every_call() -> None:
    assert colour("fix-the-login-form") == colour("fix-the-login-form")
    assert len({colour(f"task-{number}") for number in range(50)}) > 6
