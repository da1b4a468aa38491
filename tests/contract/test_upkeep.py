"""The clone is tended by real git: folded, pruned, never beside somebody else, never in anybody's way."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from reconciler.core.chores import Chore
from reconciler.core.terms import Phase
from reconciler.repo import git, upkeep
from reconciler.repo.fleet import Fleet
from reconciler.repo.journal import Journal
from reconciler.repo.observed import branch as branch_module
from reconciler.repo.upkeep import Upkeep
from tests.recording import (
    NOW,
    assigned,
    count,
    foreign_commit,
    new_fleet,
    opened,
    own_git_config,
    person_commits,
    started,
)
from tests.waiting import until

__all__ = ["own_git_config"]

OLD_S = time.time() - 30 * 24 * 3600
LAG = timedelta(seconds=11)
TIMES = 100
"""`git gc` in the place of a chore loses something within so many times (seen with git 2.39)."""


@dataclass
class Tended:
    """Upkeep under a clock of its own, and what it said."""

    fleet: Fleet
    journal: Journal
    now: datetime = NOW
    warnings: list[str] = field(default_factory=list)

    def open(self) -> Upkeep:
        return Upkeep(self.fleet, self.journal, lambda: self.now, self.warnings.append)

    def done(self) -> dict[str, datetime]:
        rows = self.journal.rows("SELECT chore, at FROM upkeep")
        return {str(chore): datetime.fromisoformat(str(at)) for chore, at in rows}

    def pass_over(self, keeping: Upkeep, span: timedelta, looks: int = len(Chore)) -> list[str]:
        """Let the time pass, and do everything that is due then: which chores were done."""
        self.now += span
        before = self.done()
        for _ in range(looks):
            keeping.look()
            keeping.wait(30)
            self.now += LAG
        after = self.done()
        return [chore.value for chore in Chore if after[chore.value] != before[chore.value]]


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return new_fleet(tmp_path / "fleet")


@pytest.fixture
def tended(fleet: Fleet) -> Iterator[Tended]:
    journal = Journal(fleet.local / "other.sqlite3")
    yield Tended(fleet=fleet, journal=journal)
    journal.close()


@pytest.fixture
def shim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder first on PATH for a `git` of our own; `notes` in it is what that wrote down."""
    folder = tmp_path / "shim"
    folder.mkdir()
    (folder / "notes").touch()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def in_the_way(shim: Path, does: str) -> None:
    """Have `git repack` do this instead, and every other git command what it always does."""
    real = shutil.which("git", path=os.environ["PATH"].partition(os.pathsep)[2])
    script = f'#!/bin/sh\nnotes={shim}/notes\ncase " $* " in *" repack "*)\n{does}\n;; esac\nexec {real} "$@"\n'
    (shim / "new").write_text(script)
    (shim / "new").chmod(0o755)
    (shim / "new").rename(shim / "git")


HANGS = 'sleep 300 & echo $$ $! >>"$notes"; wait'


def hanging(shim: Path) -> list[int]:
    """The processes of the command that hangs, once there are any."""
    return [int(word) for word in until((shim / "notes").read_text).split()]


def are_gone(pids: list[int]) -> bool:
    """Whether none of the processes lives; one that nobody has waited for yet is dead, too."""
    states = [Path(f"/proc/{pid}/stat") for pid in pids]
    return all(not path.exists() or path.read_text().rpartition(")")[2].split()[0] == "Z" for path in states)


def packs(fleet: Fleet) -> int:
    return len(list((fleet.common / "objects/pack").glob("*.pack")))


def grow_old(folder: Path) -> None:
    for path in folder.iterdir():
        os.utime(path, (OLD_S, OLD_S))


def has(fleet: Fleet, commit: str) -> bool:
    return git.run(fleet.top, "cat-file", "-e", commit, check=False).exit == 0


def test_everything_is_tended_around_a_living_writer(
    fleet: Fleet, tended: Tended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(branch_module, "COMMITS_PER_CHILD", 20)
    person_commits(fleet.top, "state/tasks/a.yaml", "title: a\n")
    folder = fleet.common / "objects/pack"
    with opened(fleet) as branch:
        for number in range(30):
            branch.record(f"t{number}", assigned(f"t{number}"))
        lost = foreign_commit(fleet.top, "refs/heads/main")
        keeping, child, before = tended.open(), branch.child, packs(fleet)
        assert tended.pass_over(keeping, timedelta(minutes=59)) == []
        assert tended.pass_over(keeping, timedelta(minutes=1)) == ["packs", "graph"]
        assert packs(fleet) < before - 15
        assert has(fleet, lost)
        branch.record("t0", started())
        assert branch.child == child
        grow_old(folder)  # with it the file in which the idle child will write
        assert tended.pass_over(keeping, timedelta(days=7)) == [chore.value for chore in Chore]
        assert (fleet.common / "packed-refs").exists()
        assert list(folder.glob("tmp_*")) == []
        assert not has(fleet, lost)
        assert branch.record("t1", started()).phase is Phase.RUNNING
        keeping.close()
    assert count(fleet) == 33
    assert git.run(fleet.top, "fsck", "--strict").exit == 0
    assert tended.warnings == []


@contextlib.contextmanager
def busy(fleet: Fleet) -> Iterator[None]:
    """A writer that records one fact after the other meanwhile; every one that it was told of is there afterwards."""
    over, answers = threading.Event(), list[Phase]()

    def work() -> None:
        while not over.is_set():
            name = f"t{len(answers)}"
            answers.append(branch.record(name, assigned(name)).phase)

    with opened(fleet) as branch:
        worker = threading.Thread(target=work)
        worker.start()
        try:
            yield
        finally:
            over.set()
            worker.join()
    assert count(fleet) == len(answers) + 1 > 20
    assert git.run(fleet.top, "fsck", "--strict", "--no-dangling").exit == 0


def test_no_commit_fails_while_the_clone_is_tended_all_the_time(fleet: Fleet, tended: Tended) -> None:
    person_commits(fleet.top, "state/tasks/a.yaml", "title: a\n")
    keeping = tended.open()
    with busy(fleet):
        for _ in range(6):
            # a writer that is quick makes so many packs that they come first again and again
            done = tended.pass_over(keeping, timedelta(days=7), looks=2 * len(Chore))
            assert done == [chore.value for chore in Chore], tended.warnings
    assert tended.warnings == []


@pytest.mark.fault
@pytest.mark.parametrize("chore", Chore)
def test_no_chore_however_often_loses_what_is_written_beside_it(fleet: Fleet, chore: Chore) -> None:
    person_commits(fleet.top, "state/tasks/a.yaml", "title: a\n")
    with busy(fleet):
        for _ in range(TIMES):
            git.run(fleet.top, *upkeep.words_of(chore, git.version(fleet.top)))


def test_what_was_done_is_remembered_and_what_was_not_is_caught_up(tended: Tended) -> None:
    keeping = tended.open()
    assert tended.pass_over(keeping, timedelta(hours=1)) == ["packs", "graph"]
    keeping.close()
    tended.now += timedelta(hours=22)
    assert tended.pass_over(tended.open(), timedelta(hours=1)) == ["packs", "graph", "refs", "prune"]


def test_nothing_is_begun_beside_what_somebody_else_does_to_the_clone(fleet: Fleet, tended: Tended) -> None:
    keeping, host = tended.open(), os.uname().nodename
    tended.now += timedelta(hours=1)
    for name, text in {"gc.pid": f"{os.getpid()} {host}", "gc.pid.lock": "", "objects/maintenance.lock": ""}.items():
        mark = fleet.common / name
        mark.write_text(text)
        assert tended.pass_over(keeping, LAG) == []
        mark.unlink()
    (fleet.common / "gc.pid").write_text(f"{os.getpid()} elsewhere")
    assert tended.pass_over(keeping, LAG) == []
    held = os.open(fleet.local / "upkeep.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    os.utime(fleet.common / "gc.pid", (OLD_S, OLD_S))
    assert tended.pass_over(keeping, LAG) == []
    os.close(held)
    assert tended.pass_over(keeping, LAG) == ["packs", "graph"]
    assert tended.warnings == []


def test_one_at_a_time_that_ends_at_once_when_it_is_to_stop(tended: Tended, shim: Path) -> None:
    in_the_way(shim, HANGS)
    keeping = tended.open()
    tended.now += timedelta(days=7)
    keeping.look()
    pids = hanging(shim)
    assert [os.getpriority(os.PRIO_PROCESS, pid) for pid in pids] == [19, 19]
    tended.now += timedelta(hours=1)
    keeping.look()
    begun = time.monotonic()
    keeping.close()
    assert time.monotonic() - begun < 5
    until(lambda: are_gone(pids))
    assert len(hanging(shim)) == 2
    assert tended.done()["packs"] == NOW
    assert tended.warnings == []
    keeping.look()
    assert len(hanging(shim)) == 2


def test_a_reconciler_that_is_killed_leaves_its_chore_to_no_second_one(
    fleet: Fleet, tended: Tended, shim: Path
) -> None:
    in_the_way(shim, HANGS)
    program = (
        "import sys; from datetime import *; from pathlib import Path; from reconciler.repo import fleet, journal\n"
        "from reconciler.repo.upkeep import Upkeep\n"
        "now = [datetime.now(UTC)]; one = fleet.find(Path(sys.argv[1]))\n"
        "keeping = Upkeep(one, journal.Journal(one.journal), lambda: now[0], print)\n"
        "now[0] += timedelta(hours=1); keeping.look(); keeping.wait(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(fleet.root)], cwd=Path(__file__).parents[2]) as killed:
        pids = hanging(shim)
        killed.kill()
    keeping = tended.open()
    assert tended.pass_over(keeping, timedelta(hours=1)) == []
    assert len(hanging(shim)) == 2
    os.killpg(pids[0], signal.SIGKILL)
    in_the_way(shim, "")
    until(lambda: tended.pass_over(keeping, LAG) == ["packs", "graph"])


def test_a_failure_is_told_once_until_it_went_well_again(tended: Tended, shim: Path) -> None:
    keeping = tended.open()
    for does, told in (("echo fatal: no room >&2; exit 1", 1), ("", 1), ("echo fatal: no room >&2; exit 1", 2)):
        in_the_way(shim, does)
        for _ in range(3):
            tended.pass_over(keeping, timedelta(hours=1))
            assert len(tended.warnings) == told
    assert "git repack: fatal: no room" in tended.warnings[0]


def test_a_chore_that_takes_too_long_is_ended_and_told(
    tended: Tended, shim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "BOUND_S", 0.3)
    in_the_way(shim, HANGS)
    assert tended.pass_over(tended.open(), timedelta(hours=1)) == ["graph"]
    until(lambda: are_gone(hanging(shim)))
    assert "git repack was stopped after 0.3 s" in tended.warnings[0]
