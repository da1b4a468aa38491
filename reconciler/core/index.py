"""What a pass has to know of all tasks, kept from pass to pass: only tasks that changed are looked at again.

It decides nothing: it says who lives, who waits, of whom something was asked, and when time alone changes that.
"""

import heapq
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from reconciler.core import conditions, numbers, publications, settling
from reconciler.core.askers import Claim
from reconciler.core.desired import Desired, Task
from reconciler.core.evidence import Evidence
from reconciler.core.observed import UNTOUCHED, Observed, ObservedTask, Run
from reconciler.core.publications import Publication
from reconciler.core.queues import Queues
from reconciler.core.terms import Cause, Outcome, Phase, Wish

TO_COME = frozenset({Phase.CREATED, Phase.ASSIGNED, Phase.RUNNING})

Pass = tuple[Desired, Observed, datetime]
"""What a pass sees."""

NEW = timedelta(minutes=1)
"""A task that can start so soon after it was first seen could do so from then on."""


@dataclass(slots=True)
class Index:
    """The tasks by what a pass does with them; of each kind a dict, for its order."""

    evidence: Evidence
    """For and against breakers."""
    live: dict[str, Run]
    """Those with a run whose end was not seen."""
    used: Counter[str] = field(default_factory=Counter)
    """How many of these runs each host has."""
    moved: set[str] = field(default_factory=set)
    """The hosts of which that changed, until somebody takes note."""
    in_review: dict[str, None] = field(default_factory=dict)
    lost: dict[str, None] = field(default_factory=dict)
    """Those with a run that was lost: it may come back."""
    retried: dict[str, None] = field(default_factory=dict)
    """Those that are to start again."""
    frequent: dict[str, None] = field(default_factory=dict)
    """Those among them that were launched so often that the hourly bound may stand in their way."""
    settling: dict[str, None] = field(default_factory=dict)
    """Those of which something is asked, or is asked as soon as a breaker lets go."""
    blocked: dict[str, None] = field(default_factory=dict)
    to_come: dict[str, None] = field(default_factory=dict)
    """Those that are wanted and not yet as far as they can get by themselves."""
    publishing: dict[str, tuple[Publication, ...]] = field(default_factory=dict)
    queues: Queues = field(default_factory=Queues)
    held: dict[str, Cause] = field(default_factory=dict)
    """Those that are to start and cannot for a reason of their own, with its kind."""
    late: dict[str, datetime] = field(default_factory=dict)
    """Since when those that wait for a host could start, where that is later than they were first seen."""
    configs: dict[Hashable, str] = field(default_factory=dict)
    accounts: dict[Hashable, str | None] = field(default_factory=dict)
    """Digests that were made before, by what they are made of."""
    dependents: dict[str, dict[str, None]] = field(default_factory=dict)
    """Whose obstacle the key's task is, or was."""
    claims: Counter[Claim] = field(default_factory=Counter)
    """The keys under which agents asked that were given a run."""
    restless: dict[str, None] = field(default_factory=dict)
    """Those with a live run that has to be looked at in every pass."""
    _claimed: dict[str, tuple[Claim, ...]] = field(default_factory=dict)
    _waits_for: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _alone: tuple[Observed, Observed] | None = None
    _until: dict[str, datetime] = field(default_factory=dict)
    _alarms: list[tuple[datetime, str]] = field(default_factory=list)
    _kinds: tuple[dict[str, Any], ...] = ()

    def __post_init__(self) -> None:
        """Know what a task is taken out of before it is put again."""
        self._kinds = (
            self.in_review, self.lost, self.retried, self.frequent, self.settling, self.blocked, self.to_come,
            self.publishing, self.restless, self.held, self._until,
        )  # fmt: skip

    def put(self, task_id: str, desired: Desired, observed: Observed, now: datetime) -> None:
        """Take a task as it is now."""
        waits, late = task_id in self.queues, self.late.pop(task_id, None)
        self._take_out(task_id)
        self.add(task_id, desired, observed, now)
        if task_id in self.queues:
            self._stay_late(task_id, late if waits else _late_now(task_id, desired, now))

    def inherit(self, before: "Index", desired: Desired, now: datetime) -> None:
        """Take over since when those could start that wait for a host, from an index of the pass before."""
        for task_id in self.queues.waiting_ids():
            waits = task_id in before.queues
            self._stay_late(task_id, before.late.get(task_id) if waits else _late_now(task_id, desired, now))

    def add(self, task_id: str, desired: Desired, observed: Observed, now: datetime) -> None:
        """The same of a task that is not known yet."""
        document = desired.tasks.get(task_id)
        seen = observed.tasks.get(task_id, UNTOUCHED)
        self.evidence.put(task_id, seen, now)
        if seen is not UNTOUCHED:
            self._add_seen(task_id, seen, desired, now)
        elif document is not None and document.value.desired is Wish.CANCEL:
            self.settling[task_id] = None
        if document is None or document.value.desired is not Wish.RUN:
            return
        if seen.phase in TO_COME:
            self.to_come[task_id] = None
        if seen.phase is Phase.CREATED and task_id not in self.settling:
            self._add_waiting(task_id, desired, observed, now)

    def add_new(self, desired: Desired, observed: Observed, now: datetime) -> None:
        """The same of all tasks of which nothing is recorded; of most of them it is seen at once that they wait."""
        seen, refused, since, wait = observed.tasks, desired.refused, desired.since, self.queues.put_beside
        for task_id, document in desired.tasks.items():
            if task_id in seen:
                continue
            task = document.value
            plain = task.desired is Wish.RUN and not task.depends_on and task_id not in refused
            if plain and wait(task_id, task, since.get(task_id)):
                self.to_come[task_id] = None
            else:
                self.add(task_id, desired, observed, now)

    def _add_seen(self, task_id: str, seen: ObservedTask, desired: Desired, now: datetime) -> None:
        if seen.runs:
            self._add_runs(task_id, seen, desired.settings.limits.launches_per_task_per_hour)
        if seen.phase is Phase.REVIEW_PENDING:
            self.in_review[task_id] = None
        elif seen.phase is Phase.BLOCKED:
            self.blocked[task_id] = None
        if desired.settings.forge is not None:
            wanted = tuple(publications.wanted(task_id, seen, desired))
            if wanted:
                self.publishing[task_id] = wanted
        if settling.may_settle(task_id, seen, desired, now):
            self.settling[task_id] = None

    def due(self, now: datetime) -> list[str]:
        """The tasks that time alone may have changed; they are to be put again."""
        due = []
        while self._alarms and self._alarms[0][0] <= now:
            until, task_id = heapq.heappop(self._alarms)
            if self._until.get(task_id) == until:
                due.append(task_id)
        return due

    def next_alarm(self) -> datetime | None:
        """When time alone changes something next."""
        while self._alarms and self._until.get(self._alarms[0][1]) != self._alarms[0][0]:
            heapq.heappop(self._alarms)
        return self._alarms[0][0] if self._alarms else None

    def wake(self, task_id: str, until: datetime) -> None:
        """Have the task put again then."""
        self._until[task_id] = until
        heapq.heappush(self._alarms, (until, task_id))

    def _take_out(self, task_id: str) -> None:
        run = self.live.pop(task_id, None)
        if run is not None:
            self._count(run.host, -1)
        for kind in self._kinds:
            if task_id in kind:
                del kind[task_id]
        self.queues.drop(task_id)
        for claim in self._claimed.pop(task_id, ()):
            self.claims[claim] -= 1
            if not self.claims[claim]:
                del self.claims[claim]
        for other in self._waits_for.pop(task_id, ()):
            waiting = self.dependents[other]
            del waiting[task_id]
            if not waiting:
                del self.dependents[other]

    def _count(self, host_id: str, change: int) -> None:
        self.used[host_id] += change
        self.moved.add(host_id)

    def _add_runs(self, task_id: str, seen: ObservedTask, limit: int | None) -> None:
        run = seen.live_run
        if run is not None:
            self.live[task_id] = run
            self.restless[task_id] = None
            self._count(run.host, 1)
        for one in seen.runs:
            if one.claim is not None:
                self._claimed[task_id] = (*self._claimed.get(task_id, ()), (one.host, one.claim))
                self.claims[one.host, one.claim] += 1
            if one.outcome is Outcome.LOST:
                self.lost[task_id] = None
        if seen.phase is Phase.CREATED:
            self.retried[task_id] = None
            if limit is not None and len(seen.runs) >= limit:
                self.frequent[task_id] = None

    def _without_sights(self, observed: Observed) -> Observed:
        """What happened without what is looked at in each pass: breakers and sightings."""
        if self._alone is None or self._alone[0] is not observed:
            self._alone = observed, replace(observed, breakers={}, sightings={})
        return self._alone[1]

    def _add_waiting(self, task_id: str, desired: Desired, observed: Observed, now: datetime) -> None:
        task = desired.tasks[task_id].value
        seen = observed.tasks.get(task_id, UNTOUCHED)
        if task.depends_on:
            self._waits_for[task_id] = tuple(dict.fromkeys(task.depends_on))
            for other in self._waits_for[task_id]:
                self.dependents.setdefault(other, {})[task_id] = None
        plain = seen is UNTOUCHED and not task.depends_on and task_id not in desired.refused
        if plain and self.queues.put_beside(task_id, task, desired.since.get(task_id)):
            return
        blocking = list(conditions.obstacles(task_id, desired, self._without_sights(observed), now))
        if not blocking:
            self.queues.put(task_id, task, desired.since.get(task_id))
            self._note_late(task_id, task, observed)
        elif (cause := conditions.cause(task_id, desired, self._without_sights(observed), now)) is not None:
            self.held[task_id] = cause
        soonest = min((one.until for one in blocking if one.until is not None and one.until > now), default=None)
        if soonest is not None:
            self.wake(task_id, soonest)

    def _stay_late(self, task_id: str, late: datetime | None) -> None:
        """Remember that a task could not start earlier, as far as it was not known."""
        if late is not None:
            self.late[task_id] = max(late, self.late.get(task_id, late))

    def _note_late(self, task_id: str, task: Task, observed: Observed) -> None:
        """Remember since when a task could start that was kept from it by a run of its own or by other tasks."""
        seen = observed.tasks.get(task_id, UNTOUCHED)
        moments = [one.finished_at for one in seen.runs[-1:]] + [seen.not_before]
        moments += [numbers.ended_at(observed.tasks[other]) for other in task.depends_on if other in observed.tasks]
        if known := [one for one in moments if one is not None]:
            self.late[task_id] = max(known)


def _late_now(task_id: str, desired: Desired, now: datetime) -> datetime | None:
    """Since when a task can start that can do so only now; `None` where it is as good as new."""
    return now if now - desired.since.get(task_id, now) > NEW else None
