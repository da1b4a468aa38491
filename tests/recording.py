"""Real fleets for the tests of what remembers: a repository, an open branch, and the facts that move a task."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.core.desired import Identity
from reconciler.core.events import Assigned, Event, Finished, Started
from reconciler.core.observed import ObservedTask
from reconciler.core.terms import ExecutionMode, Kind, Outcome
from reconciler.repo import fleet as fleets
from reconciler.repo import git, lock
from reconciler.repo.fleet import Fleet
from reconciler.repo.journal import Journal
from reconciler.repo.observed.funnel import ObservedBranch, Setting

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
PERSON = Identity(name="Ada", email="ada@example.org")


@pytest.fixture(autouse=True)
def own_git_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@dataclass
class Told:
    """What the funnel told others."""

    records: list[tuple[str, ObservedTask, ObservedTask, Event]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def new_fleet(top: Path, *words: str, below: str = "") -> Fleet:
    """A fresh repository with a fleet at its top, or in a folder below, and no commit yet."""
    (top / below / "state" / "tasks").mkdir(parents=True)
    git.run(top, "init", "--quiet", "--initial-branch=main", *words)
    return fleets.find(top / below)


def person_commits(top: Path, name: str, content: str) -> None:
    """What a person does at a terminal."""
    (top / name).parent.mkdir(parents=True, exist_ok=True)
    (top / name).write_text(content)
    git.run(top, "add", "--", name)
    git.run(top, *git.identity_words(PERSON), "commit", "--quiet", "--message", f"Change {name}")


def foreign_commit(top: Path, parent: str) -> str:
    """Somebody else's commit on top of `parent` with the same files; no branch is moved."""
    words = ("commit-tree", f"{parent}^{{tree}}", "-p", parent, "-m", "by somebody else")
    return git.run(top, *git.identity_words(PERSON), *words).text


@contextmanager
def opened(
    fleet: Fleet, told: Told | None = None, new_id: Callable[[], str] = lambda: secrets.token_hex(6)
) -> Iterator[ObservedBranch]:
    """The branch open for writing; closed, with its lock and journal, at the end."""
    heard = told or Told()
    held, journal = lock.acquire(fleet.lock), Journal(fleet.journal)
    try:
        setting = Setting(
            fleet=fleet,
            journal=journal,
            lock=held,
            identity=Identity(),
            new_id=new_id,
            on_record=lambda *fact: heard.records.append(fact),
            warn=heard.warnings.append,
        )
        branch = ObservedBranch(setting, NOW)
        try:
            yield branch
        finally:
            branch.close()
    finally:
        journal.close()
        held.release()


def assigned(task: str, epoch: int = 1, at: datetime = NOW) -> Assigned:
    return Assigned(
        at=at,
        actor="planner",
        epoch=epoch,
        run_id=f"0123456789ab.{task}.{epoch}",
        host="localhost",
        adapter="shell",
        kind=Kind.IMPLEMENT,
        spec="a" * 40,
        config="c",
        generation=1,
        execution_mode=ExecutionMode.SSH_CLI,
        branch_name=f"task/{task}",
        pr_title=task,
    )


def started(epoch: int = 1, at: datetime = NOW) -> Started:
    return Started(at=at, actor="host:localhost", epoch=epoch)


def succeeded(epoch: int = 1, at: datetime = NOW) -> Finished:
    return Finished(at=at, actor="host:localhost", epoch=epoch, outcome=Outcome.SUCCEEDED)


def show(fleet: Fleet, path: str) -> str | None:
    """A file of the branch, None when it is not there."""
    found = git.run(fleet.top, "cat-file", "blob", f"refs/heads/observed:{path}", check=False)
    return found.text if found.exit == 0 else None


def count(fleet: Fleet) -> int:
    """How many commits the branch has."""
    return int(git.run(fleet.top, "rev-list", "--count", "refs/heads/observed").text)
