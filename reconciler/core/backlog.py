"""What waits to start: how many tasks for which kind of reason, and since when the one that could start for longest.

It is made of what the planner keeps, and decides nothing.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.core import conditions, trials
from reconciler.core.conditions import Usage
from reconciler.core.desired import Desired
from reconciler.core.index import Index, Pass
from reconciler.core.observed import Observed
from reconciler.core.queues import Queue
from reconciler.core.room import Room
from reconciler.core.terms import Cause, ExecutionMode
from reconciler.core.trials import Trials


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Tasks that are to start, by what keeps them; tasks on hold are not among them.

    `oldest` is since when the one could start that waits for room for longest, `None` where none waits for that alone.
    """

    causes: Mapping[Cause, int] = field(default_factory=dict)
    oldest: datetime | None = None


FOR_ROOM = frozenset({Cause.SLOTS, Cause.LIMIT, Cause.AGENT, Cause.NEXT})
"""What keeps tasks waiting that nobody has to mend anything for."""


def backlog(index: Index, room: Room, seen: Pass) -> Backlog:
    """What waits, as a pass left it. It looks at groups of tasks that are alike, not at each task."""
    desired, observed, now = seen
    causes = Counter(index.held.values())
    tried = Trials(desired, observed, index.live.values(), now)
    general = _general(index, desired, observed)
    oldest: list[datetime] = []
    for queue in index.queues.queues():
        cause = general or _before(queue, room, tried, seen)
        causes[cause] += len(queue.orders())
        if cause in FOR_ROOM:
            oldest.extend(_oldest(queue, index, desired))
    return Backlog(causes=causes, oldest=min(oldest, default=None))


def ready_at(task_id: str, index: Index, desired: Desired) -> datetime | None:
    """Since when a task that waits for a host could start, as far as that is known."""
    moments = (index.late.get(task_id), desired.since.get(task_id))
    return max((one for one in moments if one is not None), default=None)


def _general(index: Index, desired: Desired, observed: Observed) -> Cause | None:
    """What keeps every task."""
    if observed.halts:
        return Cause.HALT
    used = Usage(running=len(index.live), in_review=len(index.in_review))
    return Cause.LIMIT if next(conditions.limits(desired, used), None) is not None else None


def _before(queue: Queue, room: Room, tried: Trials, seen: Pass) -> Cause:
    """What keeps the tasks of one group."""
    held = next(trials.holding(queue.task, *seen), None)
    if held is not None or tried.waited_for(queue.task) is not None:
        return Cause.BREAKER
    if queue.requires.hosts.isdisjoint(room.able):
        return Cause.HOST
    if queue.requires.hosts.isdisjoint(room.open):
        return Cause.SLOTS
    return Cause.AGENT if queue.task.execution_mode is ExecutionMode.HTTP_PULL else Cause.NEXT


def _oldest(queue: Queue, index: Index, desired: Desired) -> Iterator[datetime]:
    """Since when the one could start that waits longest, of each priority."""
    orders = queue.orders()
    place = 0
    while place < len(orders):
        priority, found = orders[place][0], None
        end = bisect_left(orders, (priority + 1,), lo=place)
        for at in range(place, end):
            _, since_s, task_id, _ = orders[at]
            if found is not None and since_s >= found.timestamp():
                break  # none behind it can have waited longer than since it was seen
            ready = ready_at(task_id, index, desired)
            found = ready if found is None or (ready is not None and ready < found) else found
        if found is not None:
            yield found
        place = end
