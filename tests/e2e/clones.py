"""A fleet that lives on a bare repository: people's clone, and clones in which reconcilers run, one leading.

All of them use the same hosts. What is asserted of the record is mostly asserted of the remote's.
"""

import contextlib
import re
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.contract.web import Answer, request
from tests.e2e.fleets import Fleet, Reconciler, git
from tests.remotes import Bare
from tests.waiting import until

PACE = 10
"""Terms run out after six seconds."""
LISTENS = re.compile(r"listening on http://127\.0\.0\.1:(\d+)$", re.MULTILINE)

PARTS = re.compile(r"leading in term|leads no more")


@dataclass(kw_only=True)
class Clones:
    """The remote, what stands on it (`origin`), and the clone of those who want something (`people`)."""

    folder: Path
    bare: Bare
    people: Fleet
    origin: Fleet
    settings: dict[str, object]
    made: dict[str, Fleet] = field(default_factory=dict)

    @classmethod
    def make(cls, folder: Path, bare: Bare | None = None, **settings: object) -> "Clones":
        """A fleet without a task, pushed; `settings` are more of them."""
        bare = bare or Bare.make(folder)
        people = Fleet.make(folder / "people", workdir=str(folder / "work"), slots=8)
        origin = Fleet(folder=folder, root=bare.path)
        made = cls(folder=folder, bare=bare, people=people, origin=origin, settings={"remote": "origin", **settings})
        people.write("state/settings.yaml", made.settings)
        git(people.root, "remote", "add", "origin", str(bare.path))
        made.push("Live on a remote", force=True)
        return made

    def push(self, message: str = "Change what is wanted", *, force: bool = False) -> None:
        """People commit what they wrote, and push it."""
        self.people.commit(message)
        git(self.people.root, "push", "-q", *(["--force"] if force else []), "origin", "main")

    def clone(self, name: str, url: str | None = None) -> Fleet:
        """A clone for a reconciler."""
        fleet = Fleet(folder=self.folder / name, root=self.folder / name / "fleet", env={"PACE": str(PACE)})
        fleet.folder.mkdir()
        git(fleet.folder, "clone", "-q", url or str(self.bare.path), str(fleet.root))
        self.made[name] = fleet
        return fleet

    def end(self) -> None:
        """End all runs, and all reconcilers."""
        for fleet in self.made.values():
            fleet.end_runs()

    def terms(self) -> list[str]:
        """The term of each commit of the remote's record, oldest first."""
        shape = "--format=%(trailers:key=Term,valueonly)"
        return [term for term in git(self.bare.path, "log", "--reverse", shape, "observed").splitlines() if term]

    def until_phase(self, task_id: str, *phases: str, seconds: float = 40) -> dict[str, Any]:
        """Wait until the remote's record says so."""
        try:
            until(lambda: self.origin.phase(task_id) in phases, seconds=seconds, every=0.1)
        except AssertionError as error:
            said = {name: (fleet.folder / "said").read_text()[-2000:] for name, fleet in self.made.items()}
            raise AssertionError(f"{task_id} is {self.origin.phase(task_id)}: {said}") from error
        return self.origin.observed(task_id)

    def linear(self) -> None:
        """The remote's record is one line, and both it and its clones are sound."""
        parents = git(self.bare.path, "log", "--format=%P", "observed").splitlines()
        assert all(len(line.split()) <= 1 for line in parents)
        git(self.bare.path, "fsck", "--no-dangling")


@dataclass(kw_only=True)
class Started:
    """A reconciler in a clone, and what it says."""

    process: Reconciler
    _told: int = 0

    def until_said(self, *words: str, seconds: float = 40) -> str:
        """What it said since it was started, as soon as all of these are in it."""

        def look() -> str | None:
            said = self.said()
            assert self.process.process.poll() is None, said
            return said if all(word in said for word in words) else None

        try:
            return str(until(look, seconds=seconds, every=0.05))
        except AssertionError as error:
            raise AssertionError(f"{words} not in {self.said()}") from error

    def said(self) -> str:
        return self.process.said()[self._told :]

    def listens(self) -> int:
        """Its port, since it has the part that it has now."""

        def found() -> list[str]:
            return LISTENS.findall(PARTS.split(self.said())[-1])

        return int(until(found)[-1])

    def ask(self, path: str) -> Answer:
        return request(self.listens(), "GET", path)

    def signal(self, number: signal.Signals) -> None:
        self.process.process.send_signal(number)


def start(fleet: Fleet, *words: str, **env: str) -> Started:
    """Start a reconciler in a clone."""
    output = fleet.folder / "said"
    told = len(output.read_text(errors="replace")) if output.exists() else 0
    return Started(process=fleet.start(*words, **env), _told=told)


@contextlib.contextmanager
def reconciling(fleet: Fleet, **env: str) -> Iterator[Started]:
    """A reconciler that runs until the block ends, unless that ends it itself, and meets no defect."""
    started = start(fleet, **env)
    process = started.process.process
    try:
        yield started
        assert process.poll() in {None, 0}, started.said()
    finally:
        process.send_signal(signal.SIGCONT)
        if process.poll() is None:
            started.process.stop()
    assert "Traceback" not in started.said(), started.said()


def ended(started: Sequence[Started]) -> None:
    """Kill those that still run."""
    for one in started:
        if one.process.process.poll() is None:
            one.process.kill()
