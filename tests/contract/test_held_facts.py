"""Facts that come with a lease: one wait for both, and what becomes of the one where the other cannot be kept."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.core.desired import Identity
from reconciler.core.lifecycle import Superseded
from reconciler.core.observed import Lease
from reconciler.core.terms import Phase
from reconciler.repo import lock
from reconciler.repo.fleet import Fleet
from reconciler.repo.journal import Journal, JournalFailed
from reconciler.repo.observed.funnel import ObservedBranch, Setting
from tests.recording import NOW, assigned, count, new_fleet, started
from tests.recording import own_git_config as own_git_config  # noqa: PLC0414 - a fixture for every test here

TERM = timedelta(minutes=3)


class Fillable(Journal):
    """A journal on a disk that may be full of leases."""

    full = False

    def keep_leases(self, leases: Mapping[str, Lease]) -> dict[str, Lease]:
        if self.full:
            raise JournalFailed("the disk is full")
        return super().keep_leases(leases)


@contextmanager
def recording(fleet: Fleet) -> Iterator[tuple[ObservedBranch, Fillable]]:
    held, journal = lock.acquire(fleet.lock), Fillable(fleet.journal)
    setting = Setting(
        fleet=fleet,
        journal=journal,
        lock=held,
        identity=Identity(),
        new_id=lambda: "0123456789ab",
        on_record=lambda *_: None,
        warn=lambda _: None,
    )
    branch = ObservedBranch(setting, NOW)
    try:
        yield branch, journal
    finally:
        branch.close()
        journal.close()
        held.release()


@pytest.fixture(name="fleet")
def _fleet(tmp_path: Path) -> Fleet:
    return new_fleet(tmp_path / "fleet")


def test_leases_of_facts_that_come_at_once_are_kept_with_their_commit_and_the_later_one_stands(fleet: Fleet) -> None:
    names = [f"task-{number}" for number in range(16)]
    later = Lease(epoch=2, until=NOW)
    with recording(fleet) as (branch, journal), ThreadPoolExecutor(16) as pool:
        branch.record_many([(name, assigned(name)) for name in names])
        journal.keep_leases({"task-3": later})
        wanted = Lease(epoch=1, until=NOW + TERM)
        standing = list(pool.map(lambda name: branch.record_held(name, started(), wanted), names))
        assert standing == [later if name == "task-3" else wanted for name in names]
        assert {task.phase for task in branch.tasks().values()} == {Phase.RUNNING}
        assert dict(journal.leases()) == dict(zip(names, standing, strict=True))
        before = count(fleet)
        again = Lease(epoch=1, until=NOW + 2 * TERM)
        assert branch.record_held("task-1", started(), again) == again
        assert count(fleet) == before


def test_a_refused_fact_renews_nothing_and_a_full_journal_is_told_to_who_waits_for_it_alone(fleet: Fleet) -> None:
    lease = Lease(epoch=1, until=NOW + TERM)
    with recording(fleet) as (branch, journal):
        branch.record_many([("a", assigned("a")), ("b", assigned("b"))])
        with pytest.raises(Superseded):
            branch.record_held("a", started(epoch=9), lease)
        assert journal.lease("a") is None
        journal.full = True
        with pytest.raises(JournalFailed, match="full"):
            branch.record_held("a", started(), lease)
        assert branch.tasks()["a"].phase is Phase.RUNNING
        assert branch.record("b", started()).phase is Phase.RUNNING
        journal.full = False
        assert branch.record_held("a", started(), lease) == lease
