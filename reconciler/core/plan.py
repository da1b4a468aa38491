"""What to do next: `plan(desired, observed, now)` gives actions and the time to look again.

Each action is one effect that may be repeated. Nothing is done here.
"""

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from reconciler.core import backlog, breakers, conditions, following, leases, massdeath, overlay, placement, settling
from reconciler.core.actions import Action, Publish, Record
from reconciler.core.assigning import Assigning
from reconciler.core.backlog import Backlog
from reconciler.core.breaker import Switch
from reconciler.core.desired import Desired
from reconciler.core.events import Event
from reconciler.core.evidence import Evidence
from reconciler.core.following import Step
from reconciler.core.index import Index, Pass
from reconciler.core.observed import UNTOUCHED, Observed, Run
from reconciler.core.room import Room
from reconciler.core.terms import TERMINAL, ExecutionMode

RESCAN = timedelta(seconds=30)
"""The longest that the planner leaves unfinished work unlooked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do now, and when to look again though nothing happened; `None`: nothing is left to wait for."""

    actions: tuple[Action, ...]
    wake_at: datetime | None


def plan(desired: Desired, observed: Observed, now: datetime) -> Plan:
    """Decide: follow what lives, do what people asked, assign what is ready."""
    return Planner().plan(desired, observed, now)


class Planner:
    """Decides the same again and again, and looks only at what changed since it did so last.

    What it keeps follows from what it was given: a new one decides the same.
    """

    def __init__(self) -> None:
        """Nothing was looked at yet."""
        self._last: Pass | None = None
        self._index = _index(datetime.max.replace(tzinfo=UTC))
        self._room = Room({}, frozenset())
        self._looks: list[tuple[datetime, str]] = []
        """When the live runs that were looked at before need a look because of the time."""

    def plan(self, desired: Desired, observed: Observed, now: datetime) -> Plan:
        """As the function of that name does."""
        self._catch_up(desired, observed, now)
        index = self._index
        switches = self._switches(desired, observed, now)
        if switches:
            observed = breakers.switched(observed, switches)
        actions: list[Action] = [*switches]
        alarms = [*breakers.alarms(observed, index.live.values(), now)] if observed.breakers else []
        if index.lost:
            actions.extend(following.overdue(observed))
        for step in self._steps(desired, observed, now) if index.restless else ():
            actions.extend(step.actions)
            alarms.extend(step.alarms)
        settled = dict(self._settled(desired, observed, now)) if index.settling or observed.breakers else {}
        actions.extend(Record(task_id=task_id, event=event) for task_id, event in settled.items())
        actions.extend(self._assigned(desired, observed, now, settled))
        if index.publishing:
            publishing = self._publish(observed, now)
            actions.extend(publishing.actions)
            alarms.extend(publishing.alarms)
        if desired.absent:
            alarms.extend(_deletions(desired, observed, now))
        return Plan(actions=tuple(actions), wake_at=self._wake_at(alarms, observed, now))

    def backlog(self) -> Backlog:
        """What waits to start, as of the last pass; what that assigned still waits."""
        if self._last is None:
            return Backlog()
        return backlog.backlog(self._index, self._room, self._last)

    def ready_at(self, task_id: str) -> datetime | None:
        """Since when a task that the last pass assigned could start, as far as that is known."""
        return backlog.ready_at(task_id, self._index, self._last[0]) if self._last is not None else None

    def _catch_up(self, desired: Desired, observed: Observed, now: datetime) -> None:
        """Bring what is kept up to date."""
        before, self._last = self._last, (desired, observed, now)
        index, horizon = self._index, breakers.horizon(observed, now)
        if before is None or _is_other(before, desired, observed, now) or horizon < index.evidence.horizon:
            kept = self._index
            self._begin(desired, observed, now, horizon)
            if before is not None:
                self._index.inherit(kept, desired, now)
            return
        index.evidence.forget_old(horizon, now)
        touched = self._touched(before, desired, observed, now)
        for task_id in touched:
            index.put(task_id, desired, observed, now)
        if not _same(desired.hosts, self._room.hosts) or desired.retired_hosts != self._room.retired:
            self._room = Room(desired.hosts, desired.retired_hosts)
            index.queues.forget_hosts()
        self._notice_runs(before[1], observed, now)

    def _begin(self, desired: Desired, observed: Observed, now: datetime, horizon: datetime) -> None:
        self._index, self._looks = _index(horizon), []
        self._room = Room(desired.hosts, desired.retired_hosts)
        for task_id in observed.tasks:
            self._index.add(task_id, desired, observed, now)
        self._index.add_new(desired, observed, now)
        self._index.queues.settle()

    def _touched(self, before: Pass, desired: Desired, observed: Observed, now: datetime) -> set[str]:
        """The tasks of which anything may be other than it was."""
        was, had, _ = before
        touched = overlay.differing(observed.tasks, had.tasks)
        if desired.tasks is not was.tasks:
            touched |= overlay.differing(desired.tasks, was.tasks)
        dependents = self._index.dependents
        for task_id in tuple(touched) if dependents else ():
            touched.update(dependents.get(task_id, ()))
        if desired is not was:
            touched |= overlay.differing(desired.refused, was.refused) | overlay.differing(desired.absent, was.absent)
            touched |= overlay.differing(desired.since, was.since)
            if not _same(desired.hosts, was.hosts):
                touched.update(self._index.blocked)
        touched.update(self._index.due(now))
        return touched

    def _notice_runs(self, had: Observed, observed: Observed, now: datetime) -> None:
        """Mark the live runs that need a look: those that were seen anew, and those whose time has come."""
        live, restless = self._index.live, self._index.restless
        if observed.silent != had.silent:
            restless.update(dict.fromkeys(live))
        for name in overlay.differing(observed.sightings, had.sightings):
            task_id = name.split(".")[1]
            if task_id in live:
                restless[task_id] = None
        for task_id in overlay.differing(observed.leases, had.leases):
            if task_id in live and not leases.is_longer(observed.leases.get(task_id), had.leases.get(task_id)):
                restless[task_id] = None
        while self._looks and self._looks[0][0] <= now:
            _, task_id = heapq.heappop(self._looks)
            if task_id in live:
                restless[task_id] = None

    def _switches(self, desired: Desired, observed: Observed, now: datetime) -> tuple[Switch, ...]:
        """What breakers are to be."""
        return breakers.switches(desired, observed, self._index.evidence, self._index.frequent, now)

    def _steps(self, desired: Desired, observed: Observed, now: datetime) -> Iterator[Step]:
        """What the live runs need, of those that need a look."""
        restless = self._index.restless
        for task_id in tuple(restless):
            step = following.follow(task_id, desired, observed, now)
            if self._is_quiet(task_id, step, desired, observed, now):
                del restless[task_id]
                for alarm in step.alarms:
                    heapq.heappush(self._looks, (alarm - RESCAN, task_id))
            yield step

    def _is_quiet(self, task_id: str, step: Step, desired: Desired, observed: Observed, now: datetime) -> bool:
        """Whether the run needs no look until it is seen anew, its task changes, or its time has come."""
        if step.actions or task_id in desired.absent or any(alarm <= now + RESCAN for alarm in step.alarms):
            return False
        seen, run = observed.tasks[task_id], self._index.live[task_id]
        if seen.execution_mode is ExecutionMode.HTTP_PULL:
            return leases.of_run(task_id, run, observed) is not None
        sighting = observed.sightings.get(run.run_id)
        return run.host not in observed.silent and sighting is not None and sighting.state in {"alive", "queued"}

    def _settled(self, desired: Desired, observed: Observed, now: datetime) -> Iterator[tuple[str, Event]]:
        """What people asked for, of tasks of which nothing runs, and the tasks that a mass death blocks."""
        index = self._index
        if observed.breakers:
            yield from massdeath.barred(index.retried, observed, now)
        for task_id in index.settling:
            event = settling.settle(task_id, observed.tasks.get(task_id, UNTOUCHED), desired, observed, now)
            if event is not None:
                yield task_id, event

    def _assigned(
        self, desired: Desired, observed: Observed, now: datetime, settled: dict[str, Event]
    ) -> tuple[Record, ...]:
        index, room = self._index, self._room
        moved, index.moved = index.moved, set()
        returned = Counter(run.host for _, run in placement.returned(observed)) if index.lost else {}
        room.follow(desired, observed, now, index.used)
        room.count(moved & room.hosts.keys(), index.used)
        for required in index.queues.unknown:
            room.fit(required)
        index.queues.unknown = []
        index.queues.settle()
        if observed.halts or not (index.queues.waiting and room.open):
            return ()
        return tuple(Assigning((desired, observed, now), index, room, returned, settled).assign())

    def _publish(self, observed: Observed, now: datetime) -> Step:
        """What is to be published on a forge that answers, and when to try again what it refused."""
        forge = observed.forge
        if forge is None or forge.silent_since is not None or any(halt.silent for halt in observed.halts):
            return Step()
        actions: list[Action] = []
        alarms: list[datetime] = []
        for task_id, wanted in self._index.publishing.items():
            for publication in wanted:
                held = forge.held.get(publication.key)
                if publication.key in forge.done:
                    continue
                if held is not None and held.until > now:
                    alarms.append(held.until)
                else:
                    actions.append(Publish(task_id=task_id, publication=publication))
        return Step(actions=tuple(actions), alarms=tuple(alarms))

    def _wake_at(self, alarms: list[datetime], observed: Observed, now: datetime) -> datetime | None:
        index = self._index
        if (known := index.next_alarm()) is not None:
            alarms.append(known)
        if index.queues.waiting:
            alarms.extend(self._room.returning)
        soonest = min((alarm for alarm in alarms if alarm > now), default=None) if alarms else None
        returned = next(placement.returned(observed), None) if index.lost else None
        if not (index.live or index.to_come or returned):
            return soonest
        return min(soonest or now + RESCAN, now + RESCAN)


def _index(horizon: datetime) -> Index:
    """An index of no task yet, with evidence since then."""
    live: dict[str, Run] = {}
    return Index(Evidence(horizon, live), live)


def _is_other(before: Pass, desired: Desired, observed: Observed, now: datetime) -> bool:
    """Whether something changed that every task depends on."""
    was, had, then = before
    if now < then or observed.fleet != had.fleet or (observed.forge is None) != (had.forge is None):
        return True
    if desired is was:
        return False
    return (desired.settings, desired.adapters, desired.secrets) != (was.settings, was.adapters, was.secrets)


def _same(one: object, other: object) -> bool:
    """Whether two values are equal, at once where they are one."""
    return one is other or one == other


def _deletions(desired: Desired, observed: Observed, now: datetime) -> Iterator[datetime]:
    for task_id, since in desired.absent.items():
        seen = observed.tasks.get(task_id)
        due = since + conditions.DELETED_AFTER
        if seen is not None and seen.phase not in TERMINAL and due > now:
            yield due
