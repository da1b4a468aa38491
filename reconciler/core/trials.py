"""What open breakers keep from starting, and the one run that each lets through when its time is over.

It opens and closes none.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from reconciler.core import digests, troubles
from reconciler.core.breaker import Breaker
from reconciler.core.desired import Desired, Task
from reconciler.core.observed import Observed, Run
from reconciler.core.terms import ExecutionMode, Scope


def holding(task: Task, desired: Desired, observed: Observed, now: datetime) -> Iterator[Breaker]:
    """The breakers that keep the task from every host; those of single hosts are `placement`'s part."""
    for one in observed.breakers.values():
        if one.holds(now) and _stands_before(one, task, desired):
            yield one


def live(observed: Observed) -> Iterator[Run]:
    """The runs whose end was not seen."""
    return (run for seen in observed.tasks.values() if (run := seen.live_run) is not None)


class Trials:
    """One pass over the breakers whose time is over: each lets one run through, and waits for what becomes of it."""

    def __init__(self, desired: Desired, observed: Observed, runs: Iterable[Run], now: datetime) -> None:
        """Begin with those whose run is under way, of these live runs."""
        self._desired = desired
        self._taken: list[Breaker] = []
        self._trying: list[Breaker] = []
        if not observed.breakers:
            return
        self._trying = [one for one in observed.breakers.values() if one.tries(now)]
        under_way = tuple(runs) if self._trying else ()
        self._taken = [
            one
            for one in self._trying
            if any(troubles.in_scope(one, run) and run.assigned_at >= one.until for run in under_way)
        ]

    def waited_for(self, task: Task) -> Breaker | None:
        """The breaker that keeps the task waiting for the run that it let through, if one does."""
        return next((one for one in self._taken if _stands_before(one, task, self._desired)), None)

    def of_host(self, host_id: str) -> Breaker | None:
        """The host's breaker, where it waits for the run that it let through."""
        if not self._taken:
            return None
        return next((one for one in self._taken if one.scope is Scope.HOST and one.id == host_id), None)

    def take(self, task: Task, host_id: str) -> None:
        """The task goes to the host: it is the run of every breaker that stands before them."""
        for one in self._trying:
            of_host = one.scope is Scope.HOST and one.id == host_id
            if of_host or _stands_before(one, task, self._desired):
                self._taken.append(one)


def _stands_before(one: Breaker, task: Task, desired: Desired) -> bool:
    """Whether the breaker is one of the fleet, of the task's adapter or of its account."""
    if one.scope is Scope.FLEET:
        return True
    if task.execution_mode is ExecutionMode.HTTP_PULL or task.adapter != one.id:
        return False
    return one.scope is Scope.ADAPTER or (one.scope is Scope.USAGE and digests.account(task, desired) == one.account)
