"""The tasks that wait for a host, grouped by what they require, those of a group in the order in which they go.

Never looks at a host: tasks of one group fit the same ones, and the same breakers stand before them.
"""

import functools
from bisect import bisect_left, insort
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.core.desired import Task

Order = tuple[int, float, str, "Queue"]
"""Higher priority first, then older first, then by the id; and where the task waits: one value, for there are many."""

FEW = 16
"""So many new ones are put in their places one by one; more are sorted."""


@dataclass(slots=True, eq=False)
class Queue:
    """The tasks of one group; `task` is one of them. `fit` decides which hosts fit, `account` who pays for the runs."""

    task: Task
    fit: Hashable
    account: Hashable
    _sorted: list[Order] = field(default_factory=list)
    _new: list[Order] = field(default_factory=list)

    def put(self, order: Order) -> None:
        """Let a task wait."""
        self._new.append(order)

    def drop(self, order: Order) -> None:
        """Let a task wait no more."""
        orders = self.orders()
        del orders[bisect_left(orders, order)]

    def orders(self) -> list[Order]:
        """Who waits, in order."""
        if self._new:
            if len(self._new) <= FEW:
                for order in self._new:
                    insort(self._sorted, order)
            else:
                self._sorted = sorted(self._sorted + self._new)
            self._new = []
        return self._sorted


class Queues:
    """All groups in which somebody waits: by what decides which hosts fit, then by account."""

    def __init__(self) -> None:
        """Nobody waits yet."""
        self.waiting: dict[Hashable, dict[Hashable, Queue]] = {}
        self.unknown: dict[Hashable, Task] = {}
        """What decides which hosts fit, with one of its tasks, until somebody finds out which do."""
        self._places: dict[str, Order] = {}

    def settle(self) -> None:
        """Put all in order at once, while they are new: the first that leaves a group need not wait for that."""
        for queue in self.queues():
            queue.orders()

    def __contains__(self, task_id: str) -> bool:
        """Whether the task waits."""
        return task_id in self._places

    def waiting_ids(self) -> Iterator[str]:
        """Every task that waits."""
        return iter(self._places)

    def queues(self) -> Iterator[Queue]:
        """Every group in which somebody waits."""
        for alike in self.waiting.values():
            yield from alike.values()

    def forget_hosts(self) -> None:
        """Have it found out anew which hosts fit."""
        self.unknown = {key: next(iter(alike.values())).task for key, alike in self.waiting.items()}

    def put_beside(self, task_id: str, task: Task, since: datetime | None) -> bool:
        """Let a task wait where another waits whom the same hosts, accounts and secrets concern; whether one does."""
        alike = self.waiting.get(fit(task))
        queue = alike.get(account(task)) if alike is not None else None
        if queue is None:
            return False
        self._put(task_id, task, since, queue)
        return True

    def put(self, task_id: str, task: Task, since: datetime | None) -> None:
        """Let a task wait that waits nowhere."""
        alike = self.waiting.setdefault(fit(task), {})
        if not alike:
            self.unknown[fit(task)] = task
        queue = alike.get(account(task))
        if queue is None:
            queue = alike[account(task)] = Queue(task, fit(task), account(task))
        self._put(task_id, task, since, queue)

    def _put(self, task_id: str, task: Task, since: datetime | None, queue: Queue) -> None:
        order = (-task.priority, _age(since) if since else 0.0, task_id, queue)
        queue.put(order)
        self._places[task_id] = order

    def drop(self, task_id: str) -> None:
        """Let a task wait no more, if it does."""
        order = self._places.pop(task_id, None)
        if order is None:
            return
        queue = order[3]
        queue.drop(order)
        if not queue.orders():
            del self.waiting[queue.fit][queue.account]
            if not self.waiting[queue.fit]:
                del self.waiting[queue.fit]


@functools.lru_cache(maxsize=1024)
def _age(since: datetime) -> float:
    """One value for all that came at once."""
    return since.timestamp()


def fit(task: Task) -> Hashable:
    """What decides which hosts fit."""
    return task.requires, task.host, task.adapter, task.execution_mode


def account(task: Task) -> Hashable:
    """What decides, beside its adapter, which account a task uses and which secrets it needs."""
    return task.secrets, tuple(sorted(task.env.items())) if task.env else ()
