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
    """The tasks of one group; `task` is one of them. `fit` decides which hosts fit, `account` who pays for the runs.

    `alike`: all groups, by account, for which the same hosts fit.
    """

    task: Task
    fit: Hashable
    account: Hashable
    alike: dict[Hashable, "Queue"] = field(repr=False)
    settled: list[Order] = field(default_factory=list)
    """Who waits, in order, but for the new ones."""
    new: list[Order] = field(default_factory=list)

    def drop(self, order: Order) -> None:
        """Let a task wait no more."""
        orders = self.orders()
        del orders[bisect_left(orders, order)]

    def orders(self) -> list[Order]:
        """Who waits, in order."""
        if self.new:
            if len(self.new) <= FEW:
                for order in self.new:
                    insort(self.settled, order)
            else:
                self.settled = sorted(self.settled + self.new)
            self.new = []
        return self.settled


class Queues:
    """All groups in which somebody waits: by what decides which hosts fit, then by account."""

    def __init__(self) -> None:
        """Nobody waits yet."""
        self.waiting: dict[Hashable, dict[Hashable, Queue]] = {}
        self.unknown: dict[Hashable, Queue] = {}
        """What decides which hosts fit, with one of its groups, until somebody finds out which do."""
        self._alike: dict[Hashable, dict[Hashable, Queue]] = {}
        """All that ever waited: who keeps the groups for which the same hosts fit has those that come later, too."""
        self._unsettled: list[Queue] = []
        self._places: dict[str, Order] = {}
        self._plain: dict[tuple[Hashable, ...], Queue] = {}
        """The groups whose tasks have no variables of their own, by all else that decides who is in a group."""

    def settle(self) -> None:
        """Put the new ones of all groups in their places."""
        for queue in self._unsettled:
            queue.orders()
        self._unsettled = []

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
        self.unknown = {key: next(iter(alike.values())) for key, alike in self.waiting.items()}

    def put_beside(self, task_id: str, task: Task, since: datetime | None) -> bool:
        """Let a task wait where another waits whom the same hosts, accounts and secrets concern; whether one does."""
        queue = self._plain.get(_kind(task)) if not task.env else self.waiting.get(fit(task), {}).get(account(task))
        if queue is None:
            return False
        order = self._places[task_id] = (-task.priority, _age(since) if since else 0.0, task_id, queue)
        if not queue.new:
            self._unsettled.append(queue)
        queue.new.append(order)
        return True

    def put(self, task_id: str, task: Task, since: datetime | None) -> None:
        """Let a task wait that waits nowhere."""
        alike = self.waiting[fit(task)] = self._alike.setdefault(fit(task), {})
        queue = alike.get(account(task))
        if queue is None:
            queue = alike[account(task)] = Queue(task, fit(task), account(task), alike)
            self.unknown[fit(task)] = queue
            if not task.env:
                self._plain[_kind(task)] = queue
        self.put_beside(task_id, task, since)

    def drop(self, task_id: str) -> None:
        """Let a task wait no more, if it does."""
        order = self._places.pop(task_id, None)
        if order is None:
            return
        queue = order[3]
        queue.drop(order)
        if not queue.orders():
            del queue.alike[queue.account]
            if not queue.task.env:
                del self._plain[_kind(queue.task)]
            if not queue.alike:
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


def _kind(task: Task) -> tuple[Hashable, ...]:
    """Both of these of a task without variables of its own, as one value."""
    return task.requires, task.host, task.adapter, task.execution_mode, task.secrets
