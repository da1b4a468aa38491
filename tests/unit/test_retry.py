"""How soon and how often a task is launched again."""

from datetime import timedelta

import pytest

from reconciler.core import retry
from reconciler.core.observed import ObservedTask, Run
from reconciler.core.terms import Failure, Kind, Outcome
from tests.unit import lives


def run(epoch: int, outcome: Outcome | None, *, minutes: float = 0, generation: int = 1) -> Run:
    return Run(
        epoch=epoch,
        run_id=f"f.t.{epoch}",
        host="h",
        adapter="sh",
        kind=Kind.IMPLEMENT,
        assigned_at=lives.at(minutes * 60),
        generation=generation,
        outcome=outcome,
        failure=Failure.TRANSPORT if outcome is Outcome.FAILED else None,
    )


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 300), (7, 300), (90, 300)]
)
def test_backoff_doubles_from_ten_seconds_to_five_minutes(failures: int, seconds: int) -> None:
    runs = [run(epoch, Outcome.FAILED) for epoch in range(failures)]
    assert retry.not_before(runs, lives.NOON) - lives.NOON == timedelta(seconds=seconds)


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.CANCELLED])
def test_a_run_that_did_not_fail_ends_the_row(outcome: Outcome) -> None:
    runs = [*(run(epoch, Outcome.LOST) for epoch in range(5)), run(5, outcome), run(6, Outcome.NOT_STARTED)]
    assert retry.not_before(runs, lives.NOON) == lives.at(10)


def test_a_new_generation_ends_the_row() -> None:
    runs = [run(1, Outcome.FAILED), run(2, Outcome.FAILED), run(3, Outcome.FAILED, generation=2)]
    assert retry.not_before(runs, lives.NOON) == lives.at(10)


def test_only_a_failed_run_can_count_as_an_attempt() -> None:
    assert not retry.counts_as_attempt([run(1, Outcome.LOST)])


def test_the_hourly_bound_lets_the_seventh_launch_wait_for_the_first_to_be_an_hour_old() -> None:
    task = ObservedTask(runs=tuple(run(epoch, Outcome.FAILED, minutes=epoch) for epoch in range(6)))
    now = lives.at(6 * 60)
    assert retry.next_launch_at(task, 6, now) == lives.at(3600)
    assert retry.next_launch_at(task, 7, now) is None
    assert retry.next_launch_at(task, None, now) is None
    assert retry.next_launch_at(task, 6, lives.at(3600)) is None
    assert retry.next_launch_at(task, 2, now) == lives.at(3600 + 4 * 60)
