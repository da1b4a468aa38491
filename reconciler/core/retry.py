"""How often and how soon: which failures count as attempts, how long a task waits, how many launches an hour allows.

The history of runs is all it looks at; it changes no phase.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from reconciler.core.observed import ObservedTask, Run
from reconciler.core.terms import Failure, Outcome

COUNTED = frozenset({Failure.STALLED, Failure.TIMED_OUT, Failure.AGENT_ERROR, Failure.LIMIT, Failure.UNKNOWN})
PROVIDER_FAILURES_FREE = 3
NOT_STARTED_IN_A_ROW = 6
NOT_DELIVERED_IN_A_ROW = 2
BACKOFF_FIRST = timedelta(seconds=10)
BACKOFF_MOST = timedelta(minutes=5)
HOUR = timedelta(hours=1)


def in_a_row(runs: Sequence[Run], holds: Callable[[Run], bool]) -> int:
    """How many of the newest runs the condition holds for without a break, within the newest run's generation."""
    count = 0
    for run in reversed(runs):
        if run.generation != runs[-1].generation or not holds(run):
            break
        count += 1
    return count


def counts_as_attempt(runs: Sequence[Run]) -> bool:
    """Whether the newest run uses up an attempt by its failure. A provider's failure does from the fourth in a row."""
    run = runs[-1]
    if run.outcome is not Outcome.FAILED:
        return False
    if run.failure is Failure.PROVIDER:
        return in_a_row(runs, lambda run: run.failure is Failure.PROVIDER) > PROVIDER_FAILURES_FREE
    return run.failure is None or run.failure in COUNTED


def not_before(runs: Sequence[Run], ended_at: datetime) -> datetime:
    """When the next run may start: 10 s after the first failure in a row, then doubled, at most 5 min."""
    failures = in_a_row(runs, lambda run: run.outcome not in {None, Outcome.SUCCEEDED, Outcome.CANCELLED})
    doublings = min(max(failures - 1, 0), 5)
    return ended_at + min(BACKOFF_FIRST * (1 << doublings), BACKOFF_MOST)


def next_launch_at(task: ObservedTask, limit: int | None, now: datetime) -> datetime | None:
    """When the hourly bound on launches lets the task start again, `None` where it does not stand in the way."""
    if limit is None:
        return None
    recent = [run.assigned_at for run in task.runs if run.assigned_at > now - HOUR]
    return recent[-limit] + HOUR if len(recent) >= limit else None
