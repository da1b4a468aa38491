"""A day on the forge with the reconciler killed around each request, journal write and call of git: once is once."""

import itertools
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from tests.e2e.fleets import PROGRAM, git
from tests.fault.test_kill import SHIM
from tests.forge.rest import Answer
from tests.forge.server import FakeForge
from tests.forge.team import Team
from tests.waiting import until

When = Literal["before", "after"]
SAMPLED = "FAULT_SAMPLE" in os.environ
STRIDE = 12
GIT_STRIDE = 60
"""Between two kills of one day; a day for each first one has every moment once. A start alone calls git 40 times."""
MOST = 1000
JOURNAL = Path(__file__).parent / "shims" / "journal"


@dataclass(kw_only=True)
class Killing(FakeForge):
    """A forge at some of whose requests the program is killed: before it is carried out, or when it was."""

    folder: Path
    moments: range
    when: When
    team: Team | None = None
    met: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    kills: int = 0

    def __post_init__(self) -> None:
        super().__init__(self.folder)

    def answer(
        self, method: str, target: str, authorization: str, body: bytes
    ) -> tuple[Answer | None, Callable[[], None] | None]:
        number = next(self.met)
        if number in self.moments and self.when == "before":
            self.kill()
            return None, None
        made = super().answer(method, target, authorization, body)
        if number in self.moments:
            self.kill()
        return made

    def kill(self) -> None:
        process = self.team.process if self.team is not None else None
        if process is not None and process.poll() is None:
            self.kills += 1
            process.kill()
            process.wait()


@contextmanager
def killing(folder: Path, moments: range, when: When) -> Iterator[Team]:
    forge = Killing(folder=folder / "forge", moments=moments, when=when)
    forge.repository("acme/widgets", bot="admin", ada="write", rex="write", eve="read")
    forge.start()
    team = forge.team = Team.make(folder, forge)
    try:
        yield team
    finally:
        team.end()
        forge.stop()


@dataclass(kw_only=True)
class Day:
    """An issue, a run, a pull request, changes, a second run, a merge; whenever the program is dead, it is started."""

    team: Team
    deaths: int = 0

    def alive(self) -> None:
        while True:
            process = self.team.process
            if process is not None and process.poll() is None:
                return
            if process is not None:
                assert process.returncode == -signal.SIGKILL, self.team.said()[-3000:]
                self.deaths += 1
            with suppress(AssertionError):
                self.team.start()

    def until(self, look: Callable[[], object], what: str) -> None:
        def there() -> object:
            self.alive()
            return look()

        try:
            until(there, seconds=90, every=0.05)
        except AssertionError as error:
            raise AssertionError(f"{what}: {error}: {self.team.said()[-3000:]}") from error

    def live(self) -> None:
        team, forge = self.team, self.team.forge
        self.alive()
        number = forge.issue("Parse dates", "Parse the dates.", labels=["agent"])
        name = f"widgets-{number}"
        self.until(lambda: team.seen(name).get("pr"), "no pull request was opened")
        self.until(lambda: team.seen(name)["phase"] == "review_pending", "the first run did not end")
        self.one_round_is_enough(name)
        (pull,) = forge.pulls_of(f"task/{name}")
        forge.advance(2)
        forge.request_changes(pull, "Leap years?", [("work.txt", 1, "What of February?")])
        self.until(lambda: self.reviewed(name), "the second run did not end")
        head = forge.pull(pull)[1].head_sha
        self.until(lambda: team.seen(name)["pr"]["head_sha"] == head, "the new head was not seen")
        self.until(lambda: forge.states(head)[-1:] == ["success"], "the new head has no good status")
        forge.advance(2)
        forge.request_changes(pull, "And leap seconds?")
        self.until(lambda: forge.pull(pull)[0].comments, "nobody was told that no round is left")
        forge.advance(2)
        forge.merge(pull)
        self.until(lambda: team.seen(name).get("phase") == "completed", "the merge was not seen")
        team.stop()
        self.was_good(name, pull)

    def one_round_is_enough(self, name: str) -> None:
        path = self.team.fleet.root / "state" / "tasks" / f"{name}.yaml"
        path.write_text(f"{path.read_text()}max_reviews: 1\n")
        self.team.fleet.commit("One round is enough")

    def reviewed(self, name: str) -> bool:
        seen = self.team.seen(name)
        return seen["phase"] == "review_pending" and seen["review_count"] == 1 and "outcome" in seen["runs"][-1]

    def was_good(self, name: str, pull: int) -> None:
        team, forge = self.team, self.team.forge
        assert list(team.tasks_on_main()) == [f"state/tasks/{name}.yaml"]
        assert len(git(team.fleet.root, "log", "--format=%H", "--grep=^Issue:", "main").splitlines()) == 1
        assert git(team.fleet.root, "status", "--porcelain") == ""
        assert git(team.fleet.root, "fsck", "--no-dangling", "--strict") == ""
        assert forge.pulls_of(f"task/{name}") == [pull]
        seen = team.fleet.observed(name)
        assert (seen["phase"], seen["epoch"], seen["review_count"]) == ("completed", 2, 1)
        assert [run["outcome"] for run in seen["runs"]] == ["succeeded", "succeeded"]
        assert team.runs() == [f"{word} {name}.{epoch}" for epoch in (1, 2) for word in ("start", "end")]
        for head in {run["head_sha"] for run in seen["runs"]}:
            assert forge.states(head)[-1:] == ["success"], forge.states(head)
        (comment,) = forge.pull(pull)[0].comments
        assert comment.author.login == "bot"
        assert "Traceback" not in team.said()


def moments(first: int, stride: int = STRIDE) -> range:
    return range(first, MOST, stride)


def firsts(*sample: int, stride: int = STRIDE) -> list[int]:
    return list(sample) if SAMPLED else list(range(1, stride + 1))


@pytest.mark.fault
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("first", firsts(9))
def test_a_day_goes_well_with_kills_around_requests_to_the_forge(tmp_path: Path, first: int, when: When) -> None:
    with killing(tmp_path, moments(first), when) as team:
        day = Day(team=team)
        day.live()
        assert day.deaths >= 1


@pytest.mark.fault
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("first", firsts(14))
def test_a_day_goes_well_with_kills_around_writes_to_the_journal(tmp_path: Path, first: int, when: When) -> None:
    with killing(tmp_path, range(0), when) as team:
        count = tmp_path / "writes"
        count.mkdir()
        at = " ".join(map(str, moments(first)))
        team.env.update(KILL_COUNT=str(count), KILL_AT=at, KILL_WHEN=when, PYTHONPATH=f"{JOURNAL}:{Path.cwd()}")
        day = Day(team=team)
        day.live()
        assert day.deaths >= 1


@pytest.mark.fault
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("first", firsts(40, stride=GIT_STRIDE))
def test_a_day_goes_well_with_kills_around_calls_of_git(tmp_path: Path, first: int, when: When) -> None:
    with killing(tmp_path, range(0), when) as team:
        folder = tmp_path / "shims"
        (folder / "calls").mkdir(parents=True)
        at = " ".join(map(str, moments(first, GIT_STRIDE)))
        settings = {"calls": str(folder / "calls"), "caller": " ".join(PROGRAM), "at": at, "when": when}
        settings["real_git"] = shutil.which("git") or ""
        (folder / "git").symlink_to(SHIM)
        (folder / "settings").write_text("".join(f"{name}='{value}'\n" for name, value in settings.items()))
        team.env["PATH"] = f"{folder}:{team.fleet.path()}"
        day = Day(team=team)
        day.live()
        assert day.deaths >= 1
