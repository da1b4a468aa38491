"""Whether anything will move by itself before long, and why each task that is wanted does not start.

It changes nothing; the conditions are those of `conditions`.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from reconciler.core import conditions, retry
from reconciler.core.desired import Desired
from reconciler.core.observed import Observed, ObservedTask
from reconciler.core.terms import ExecutionMode, Phase, Wish

PATIENCE = retry.BACKOFF_MOST
"""The longest wait for a task that will start by itself."""


def held_up(desired: Desired, observed: Observed, now: datetime) -> dict[str, str]:
    """Why each task that is wanted and has not started does not: the first of its reasons."""
    reasons = {task_id: conditions.waiting(task_id, desired, observed, now) for task_id in _wanted(desired, observed)}
    waiting = {task_id: found[0].why for task_id, found in reasons.items() if found}
    unheard = {
        task_id: f"its agent on {seen.assigned_host} has it, and nothing listens here: say --listen ADDR"
        for task_id, seen in observed.tasks.items()
        if _is_unheard(task_id, seen, observed)
    }
    return dict(sorted({**waiting, **unheard}.items()))


def is_idle(desired: Desired, observed: Observed, now: datetime) -> bool:
    """Whether nothing runs and nothing will start by itself before long."""
    for task_id, seen in observed.tasks.items():
        if seen.live_run is not None and not _is_unheard(task_id, seen, observed):
            return False
    return not any(_starts_soon(task_id, desired, observed, now) for task_id in _wanted(desired, observed))


def _is_unheard(task_id: str, seen: ObservedTask, observed: Observed) -> bool:
    """Whether an external agent has the task that cannot be heard here: its run ends for another reconciler."""
    pulled = seen.execution_mode is ExecutionMode.HTTP_PULL and seen.live_run is not None
    return pulled and task_id not in observed.leases


def _wanted(desired: Desired, observed: Observed) -> Iterator[str]:
    """The tasks that are to run and have no run yet."""
    for task_id, document in desired.tasks.items():
        phase = observed.tasks.get(task_id, ObservedTask()).phase
        if phase is Phase.CREATED and document.value.desired is Wish.RUN:
            yield task_id


def _starts_soon(task_id: str, desired: Desired, observed: Observed, now: datetime) -> bool:
    """Whether only time stands in the task's way, and not for long."""
    soon = now + timedelta(seconds=1) + PATIENCE
    reasons = conditions.waiting(task_id, desired, observed, now)
    return all(reason.until is not None and reason.until <= soon for reason in reasons)
