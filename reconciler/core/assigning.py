"""One pass of assignments: which waiting task goes to which host now; what it gives out counts for what comes after.

It looks at the hosts with room and at the first of those who wait for them, and at nobody else.
"""

import heapq
import itertools
from bisect import bisect_left, insort
from collections.abc import Collection, Iterator, Mapping

from reconciler.core import conditions, digests, ending, placement, queues, rounds, trials
from reconciler.core.actions import Record
from reconciler.core.askers import Askers
from reconciler.core.conditions import Usage
from reconciler.core.desired import Task
from reconciler.core.events import Assigned
from reconciler.core.index import Index, Pass
from reconciler.core.observed import UNTOUCHED, Observed, ObservedTask, run_id
from reconciler.core.queues import Order, Queue
from reconciler.core.room import Room
from reconciler.core.settling import PLANNER
from reconciler.core.terms import ExecutionMode, Kind, Outcome
from reconciler.core.trials import Trials

MANY_MORE = 16
"""Where no more than so many times as many groups wait as fit, they are gone over in their order; else those that fit
are put in order."""


class Assigning:
    """A pass that is under way."""

    def __init__(
        self, seen: Pass, index: Index, room: Room, returned: Mapping[str, int], settled: Collection[str]
    ) -> None:
        """Nothing is given out yet. `returned`: runs that came back, by host; `settled`: tasks with other events."""
        self._desired, self._observed, self._now = seen
        self._index, self._room, self._settled = index, room, settled
        self._more = dict(returned)
        self._running = len(index.live) + sum(returned.values())
        self._askers = Askers(self._observed, index.claims)
        self._trials = Trials(self._desired, self._observed, index.live.values(), self._now)
        loads = [(self._load(host_id), host_id) for host_id in room.open]
        self._free = sorted(one for one in loads if one[0] < 1)
        """The hosts that have room, those with most of it first."""

    def assign(self) -> Iterator[Record]:
        """Each assignment, in the order in which the tasks go."""
        heads, behind, places = self._heads(), list[Order](), dict[Queue, int]()
        head: Order | None = None
        while self._free and not self._limited():
            head = head or next(heads, None)
            if behind and (head is None or behind[0] < head):
                _, _, task_id, queue = heapq.heappop(behind)
            elif head is not None:
                (_, _, task_id, queue), head = head, None
            else:
                return
            goes_on = self._may_go(queue)
            if goes_on and self._is_free(task_id):
                seen = self._observed.tasks.get(task_id, UNTOUCHED)
                host_id = self._host(seen, queue)
                goes_on = host_id is not None
                if host_id is not None:
                    self._trials.take(queue.task, host_id)
                    self._fill(host_id)
                    yield Record(task_id=task_id, event=self._assigned(task_id, seen, host_id))
            place = places[queue] = places.get(queue, 0) + 1
            if goes_on and self._free and place < len(queue.settled):
                heapq.heappush(behind, queue.settled[place])

    def _heads(self) -> Iterator[Order]:
        """Who goes first of each group that fits a host with room, in order: of all groups, or of the few that fit."""
        queues, fits = self._index.queues, self._room.fits()
        if len(queues.heads) <= MANY_MORE * len(fits):
            return itertools.compress(queues.heads, map(fits.__contains__, queues.required))
        return iter(sorted(queue.settled[0] for required in fits for queue in required.groups.values()))

    def _limited(self) -> bool:
        bounds = self._desired.settings.limits
        if bounds.running is None and bounds.review is None:
            return False
        used = Usage(running=self._running, in_review=len(self._index.in_review))
        return next(conditions.limits(self._desired, used), None) is not None

    def _may_go(self, queue: Queue) -> bool:
        """Whether no breaker stands before the group: one that holds, or one that waits for the run it let through."""
        if not self._observed.breakers:
            return True
        if next(trials.holding(queue.task, self._desired, self._observed, self._now), None) is not None:
            return False
        return self._trials.waited_for(queue.task) is None

    def _is_free(self, task_id: str) -> bool:
        """Whether nothing is asked of the task, and no lost run of it came back."""
        if task_id in self._settled:
            return False
        if task_id not in self._index.lost:
            return True
        found = conditions.obstacles(task_id, self._desired, self._observed, self._now)
        return next(found, None) is None

    def _host(self, seen: ObservedTask, queue: Queue) -> str | None:
        """Where the task goes: home where it goes on with its work, else where there is most room; `None`: nowhere."""
        task, fit, room = queue.task, queue.requires.hosts, self._room
        if task.execution_mode is ExecutionMode.HTTP_PULL:
            fit = self._askers.asking(task, fit & room.open)
        home = _home(seen)
        if home in fit and home in room.open and self._load(home) < 1 and self._takes(task, home):
            return home
        return next((one for _, one in self._free if one in fit and self._takes(task, one)), None)

    def _takes(self, task: Task, host_id: str) -> bool:
        """Whether a fit host waits for no run that its breaker let through, and its CLI is not too old."""
        if self._trials.of_host(host_id) is not None:
            return False
        return placement.too_old(task, host_id, self._desired, self._observed) is None

    def _load(self, host_id: str) -> float:
        """Which part of its slots are in use."""
        used = self._index.used.get(host_id, 0) + self._more.get(host_id, 0)
        return used / self._room.slots[host_id]

    def _fill(self, host_id: str) -> None:
        """Count one more run on a host that has room."""
        place = bisect_left(self._free, (self._load(host_id), host_id))
        del self._free[place]
        self._more[host_id] = self._more.get(host_id, 0) + 1
        self._running += 1
        load = self._load(host_id)
        if load < 1:
            insort(self._free, (load, host_id))

    def _assigned(self, task_id: str, seen: ObservedTask, host_id: str) -> Assigned:
        document = self._desired.tasks[task_id]
        task = document.value
        epoch = seen.epoch + 1
        return Assigned(
            at=self._now,
            actor=PLANNER,
            epoch=epoch,
            run_id=run_id(self._observed.fleet, task_id, epoch),
            host=host_id,
            adapter=task.adapter,
            kind=Kind.ADDRESS_REVIEW if seen.rework else Kind.IMPLEMENT,
            spec=document.spec,
            config=self._config(task, host_id),
            account=self._account(task),
            generation=task.generation,
            execution_mode=task.execution_mode,
            branch_name=task.branch or f"task/{task_id}",
            pr_title=task.pr_title or task.title,
            adapter_version=_version(self._observed, host_id, task.adapter),
            claim=self._askers.take(task, host_id),
            resumed=rounds.session_to_resume(seen, host_id, task.adapter) if _goes_on(seen) else None,
        )

    def _config(self, task: Task, host_id: str) -> str:
        known, key = self._index.configs, (task.adapter, task.secrets, host_id, self._desired.hosts[host_id].spec)
        if key not in known:
            known[key] = digests.config(task, host_id, self._desired)
        return known[key]

    def _account(self, task: Task) -> str | None:
        known, key = self._index.accounts, (task.adapter, task.execution_mode, queues.account(task))
        if key not in known:
            known[key] = digests.account(task, self._desired)
        return known[key]


def _goes_on(seen: ObservedTask) -> bool:
    """Whether the next run goes on with what the last one did: it addresses a review, or delivers what was missed."""
    return seen.rework or ending.missed(seen) is not None


def _home(seen: ObservedTask) -> str | None:
    """The host of the run before, to which one that goes on with its work returns where it can."""
    if not seen.runs:
        return None
    ran = (run.host for run in reversed(seen.runs) if run.outcome is not Outcome.NOT_STARTED)
    return next(ran, None) if _goes_on(seen) else None


def _version(observed: Observed, host_id: str, adapter: str | None) -> str | None:
    seen = observed.hosts.get(host_id)
    return seen.versions.get(adapter or "") if seen is not None else None
