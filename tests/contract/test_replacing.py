"""A record that was cut replaces the one on a real remote: whole or not at all, and never against whoever leads."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.core.desired import Identity
from reconciler.core.leadership import NotLeading, Pace, Term, renewed
from reconciler.leading import replacing
from reconciler.leading.upstream import Upstream
from reconciler.repo import git
from reconciler.repo.fleet import IN_FORCE, Fleet
from reconciler.repo.observed import forgetting
from reconciler.repo.observed.forgetting import Forgotten, Publish
from reconciler.repo.remote import termcommits
from reconciler.repo.remote.door import LEADER, OBSERVED, Remote, RemoteFailed
from tests.recording import NOW, assigned, foreign_commit, new_fleet, opened, own_git_config, person_commits

__all__ = ["own_git_config"]

CUT = (NOW + timedelta(days=2)).date()
TAG = f"refs/tags/observed-until-{CUT}"
OTHER = Term(number=5, holder="other", name="another reconciler")


@dataclass
class Bench:
    """A fleet and its remote, which has the same record."""

    fleet: Fleet
    remote: Path
    warnings: list[str] = field(default_factory=list)

    def upstream(self) -> Upstream:
        return Upstream(
            fleet=replace(self.fleet, ref=IN_FORCE),
            remote=Remote(self.fleet.top, "origin"),
            holder="mine",
            name="this one",
            identity=Identity(),
            now=lambda: NOW,
            clock_s=time.monotonic,
            said=lambda _: None,
            warn=self.warnings.append,
            pace=Pace(look_s=0.05),
        )

    def forget(self, publish: Publish) -> Forgotten:
        return forgetting.forget(self.fleet, CUT, NOW + timedelta(days=9), Identity(), publish)

    def theirs(self, ref: str) -> str | None:
        return git.tip(self.remote, ref)

    def ours(self) -> str | None:
        return git.tip(self.fleet.top, OBSERVED)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    fleet, remote = new_fleet(tmp_path / "fleet"), tmp_path / "remote"
    person_commits(fleet.top, "state/tasks/a.yaml", "title: a\n")
    with opened(fleet) as branch:
        for day in range(4):
            branch.record(f"t{day}", assigned(f"t{day}", at=NOW + timedelta(days=day)))
    git.run(fleet.top, "clone", "--quiet", "--bare", ".", str(remote))
    git.run(fleet.top, "remote", "add", "origin", str(remote))
    return Bench(fleet=fleet, remote=remote)


@contextmanager
def led_by_another(bench: Bench) -> Iterator[None]:
    """Somebody else holds a term, and renews it all the time."""
    over = threading.Event()

    def lead(term: Term = OTHER) -> None:
        while True:
            term = renewed(term)
            git.run(bench.remote, "update-ref", LEADER, termcommits.write(bench.remote, term, Identity()))
            if over.wait(0.02):
                return

    leader = threading.Thread(target=lead)
    leader.start()
    try:
        yield
    finally:
        over.set()
        leader.join()


def test_branch_and_tag_move_in_one_step_and_the_term_is_given_back(bench: Bench) -> None:
    with replacing.leading(bench.upstream()) as publish:
        done = bench.forget(publish)
    assert (bench.theirs(OBSERVED), bench.theirs(TAG), bench.ours()) == (done.new, done.old, done.new)
    term = termcommits.read(bench.remote, bench.theirs(LEADER) or "")
    assert term is not None
    assert (term.number, term.released) == (1, True)
    assert bench.warnings == []


def test_nothing_is_replaced_while_another_one_leads(bench: Bench) -> None:
    before = bench.theirs(OBSERVED)
    with (
        led_by_another(bench),
        pytest.raises(NotLeading, match="another reconciler leads"),
        replacing.leading(bench.upstream()),
    ):
        pytest.fail("it leads")
    assert (bench.theirs(OBSERVED), bench.theirs(TAG), bench.ours()) == (before, None, before)


def test_who_was_overtaken_meanwhile_moves_nothing(bench: Bench) -> None:
    before = bench.ours()
    with replacing.leading(bench.upstream()) as publish:
        git.run(bench.remote, "update-ref", LEADER, termcommits.write(bench.remote, OTHER, Identity()))
        with pytest.raises(RemoteFailed):
            bench.forget(publish)
    assert (bench.theirs(OBSERVED), bench.theirs(TAG), bench.ours()) == (before, None, before)
    assert "could not be given back" in bench.warnings[0]


def test_a_record_that_somebody_moved_or_a_tag_that_keeps_something_else_stops_it(bench: Bench) -> None:
    before = bench.ours()
    git.run(bench.remote, "update-ref", TAG, "refs/heads/main")
    with replacing.leading(bench.upstream()) as publish:
        with pytest.raises(RemoteFailed, match="keeps another history"):
            bench.forget(publish)
        git.run(bench.remote, "update-ref", "-d", TAG)
        moved = foreign_commit(bench.remote, OBSERVED)
        git.run(bench.remote, "update-ref", OBSERVED, moved)
        with pytest.raises(RemoteFailed):
            bench.forget(publish)
    assert (bench.theirs(OBSERVED), bench.theirs(TAG), bench.ours()) == (moved, None, before)
    assert bench.warnings == []
