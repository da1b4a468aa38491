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
class Requirement:
    """What decides which hosts fit, as `task` has it: `hosts`, once somebody found out.

    `groups`: who waits for these, by account.
    """

    fit: Hashable
    task: Task
    groups: dict[Hashable, "Queue"] = field(default_factory=dict, repr=False)
    hosts: frozenset[str] = frozenset()


@dataclass(slots=True, eq=False)
class Queue:
    """The tasks of one group, as `task` is; `requires` decides which hosts fit, `account` who pays for the runs."""

    task: Task
    requires: Requirement
    account: Hashable
    head: Order | None = None
    """Who went first when the groups were put in order last."""
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
        self.waiting: dict[Hashable, Requirement] = {}
        self.heads: list[Order] = []
        """Who goes first of each group, in order, as of the last time that all was put in order."""
        self.required: list[Requirement] = []
        """What each of these requires."""
        self.unknown: list[Requirement] = []
        """Those of which somebody has to find out which hosts fit."""
        self._known: dict[Hashable, Requirement] = {}
        """All that were there since the hosts changed: who keeps one has those who come to wait for it later, too."""
        self._unsettled: list[Queue] = []
        self._places: dict[str, Order] = {}
        self._plain: dict[tuple[Hashable, ...], Queue] = {}
        """The groups whose tasks have no variables of their own, by all else that decides who is in a group."""

    def settle(self) -> None:
        """Put the new ones of all groups in their places, and the groups in order."""
        moved, self._unsettled = self._unsettled, []
        for queue in moved:
            orders, head = queue.orders(), queue.head
            queue.head = orders[0] if orders else None
            if len(moved) <= FEW and head is not queue.head:
                self._move(queue, head)
        if len(moved) > FEW:
            self.heads = sorted(queue.head for queue in self.queues() if queue.head is not None)
            self.required = [queue.requires for _, _, _, queue in self.heads]

    def _move(self, queue: Queue, before: Order | None) -> None:
        """Put a group in its place among all, of which another went first before."""
        if before is not None:
            place = bisect_left(self.heads, before)
            del self.heads[place], self.required[place]
        if queue.head is not None:
            place = bisect_left(self.heads, queue.head)
            self.heads.insert(place, queue.head)
            self.required.insert(place, queue.requires)

    def __contains__(self, task_id: str) -> bool:
        """Whether the task waits."""
        return task_id in self._places

    def waiting_ids(self) -> Iterator[str]:
        """Every task that waits."""
        return iter(self._places)

    def queues(self) -> Iterator[Queue]:
        """Every group in which somebody waits."""
        for required in self.waiting.values():
            yield from required.groups.values()

    def forget_hosts(self) -> None:
        """Have it found out anew which hosts fit."""
        self._known, self.unknown = {**self.waiting}, [*self.waiting.values()]

    def put_beside(self, task_id: str, task: Task, since: datetime | None) -> bool:
        """Let a task wait where another waits whom the same hosts, accounts and secrets concern; whether one does."""
        if not task.env:
            queue = self._plain.get(_group(task))
        else:
            required = self.waiting.get(fit(task))
            queue = required.groups.get(account(task)) if required is not None else None
        if queue is None:
            return False
        order = self._places[task_id] = (-task.priority, _age(since) if since else 0.0, task_id, queue)
        if not queue.new:
            self._unsettled.append(queue)
        queue.new.append(order)
        return True

    def put(self, task_id: str, task: Task, since: datetime | None) -> None:
        """Let a task wait that waits nowhere."""
        required = self._known.get(fit(task))
        if required is None:
            required = self._known[fit(task)] = Requirement(fit(task), task)
            self.unknown.append(required)
        self.waiting[required.fit] = required
        if account(task) not in required.groups:
            queue = required.groups[account(task)] = Queue(task, required, account(task))
            if not task.env:
                self._plain[_group(task)] = queue
        self.put_beside(task_id, task, since)

    def drop(self, task_id: str) -> None:
        """Let a task wait no more, if it does."""
        order = self._places.pop(task_id, None)
        if order is None:
            return
        queue = order[3]
        queue.drop(order)
        if order is queue.head:
            self._unsettled.append(queue)
        if not queue.orders():
            del queue.requires.groups[queue.account]
            if not queue.task.env:
                del self._plain[_group(queue.task)]
            if not queue.requires.groups:
                del self.waiting[queue.requires.fit]


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


def _group(task: Task) -> tuple[Hashable, ...]:
    """Both of these of a task without variables of its own, as one value."""
    return task.requires, task.host, task.adapter, task.execution_mode, task.secrets
