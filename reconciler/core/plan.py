"""What to do next: `plan(desired, observed, now)` gives actions and the time to look again.

Each action is one effect that may be repeated. Nothing is done here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.core import (
    breakers,
    conditions,
    digests,
    ending,
    following,
    massdeath,
    placement,
    publications,
    review,
    rounds,
)  # fmt: skip
from reconciler.core.actions import Action, Publish, Record
from reconciler.core.askers import Askers
from reconciler.core.conditions import Usage
from reconciler.core.desired import Desired, Task
from reconciler.core.events import Assigned, Cancelled, Event, Regenerated, Released, Reviewed, Revived
from reconciler.core.following import Step
from reconciler.core.observed import UNTOUCHED, Observed, ObservedTask, run_id
from reconciler.core.terms import TERMINAL, Failure, Kind, Outcome, Phase, Wish
from reconciler.core.trials import Trials

PLANNER = "planner"
PERSON = "person:desired"
"""Somebody who edited a file. Who that was, git knows: the name is filled in when the event is recorded."""
NOT_STARTED = "not_started"
RELEASED_BY_TASK_FILE = frozenset({Failure.CONFIG, Failure.WAITING_INPUT, Failure.NOT_DELIVERED, NOT_STARTED})
RELEASED_BY_SURROUNDINGS = frozenset({Failure.AUTH, Failure.CONFIG, NOT_STARTED})
RESCAN = timedelta(seconds=30)
"""The longest that the planner leaves unfinished work unlooked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do now, and when to look again though nothing happened; `None`: nothing is left to wait for."""

    actions: tuple[Action, ...]
    wake_at: datetime | None


def plan(desired: Desired, observed: Observed, now: datetime) -> Plan:
    """Decide: follow what lives, do what people asked, assign what is ready."""
    switches = breakers.switches(desired, observed, now)
    observed = breakers.switched(observed, switches)
    actions: list[Action] = [*switches]
    alarms = [*breakers.alarms(observed, now)]
    actions.extend(following.overdue(observed))
    for task_id, seen in observed.tasks.items():
        if seen.live_run is not None:
            step = following.follow(task_id, desired, observed, now)
            actions.extend(step.actions)
            alarms.extend(step.alarms)
    settled = {**dict(massdeath.barred(observed, now)), **dict(_settle(desired, observed, now))}
    actions.extend(Record(task_id=task_id, event=event) for task_id, event in settled.items())
    placing = _Placing(desired, observed, now)
    for task_id in _by_priority(desired, observed):
        if task_id not in settled:
            placing.place(task_id)
    actions.extend(placing.actions)
    alarms.extend(placing.alarms)
    publishing = _publish(desired, observed, now)
    actions.extend(publishing.actions)
    alarms.extend(publishing.alarms)
    alarms.extend(_deletions(desired, observed, now))
    return Plan(actions=tuple(actions), wake_at=_wake_at(alarms, desired, observed, now))


def _publish(desired: Desired, observed: Observed, now: datetime) -> Step:
    """What is to be published on a forge that answers, and when to try again what it refused."""
    forge = observed.forge
    if forge is None or forge.silent_since is not None or any(halt.silent for halt in observed.halts):
        return Step()
    actions: list[Action] = []
    alarms: list[datetime] = []
    for task_id, seen in observed.tasks.items():
        for publication in publications.wanted(task_id, seen, desired):
            held = forge.held.get(publication.key)
            if publication.key in forge.done:
                continue
            if held is not None and held.until > now:
                alarms.append(held.until)
            else:
                actions.append(Publish(task_id=task_id, publication=publication))
    return Step(actions=tuple(actions), alarms=tuple(alarms))


def _settle(desired: Desired, observed: Observed, now: datetime) -> Iterator[tuple[str, Event]]:
    """What people asked for, of tasks of which nothing runs."""
    never_assigned = (task_id for task_id in desired.tasks if task_id not in observed.tasks)
    for task_id in (*observed.tasks, *never_assigned):
        seen = observed.tasks.get(task_id, UNTOUCHED)
        if seen.live_run is None:
            event = _asked(task_id, seen, desired, now) or _passed(seen, observed, now)
            if event is not None:
                yield task_id, event


def _passed(seen: ObservedTask, observed: Observed, now: datetime) -> Released | None:
    """That a task which was blocked with the whole fleet may go on."""
    blocked = seen.phase is Phase.BLOCKED and seen.reason == massdeath.MASS_DEATH
    if not blocked or not massdeath.is_over(observed, now):
        return None
    return Released(at=now, actor=PLANNER, cause="the fleet's breaker let go")


def _asked(task_id: str, seen: ObservedTask, desired: Desired, now: datetime) -> Event | None:
    cancel = conditions.cancel_reason(task_id, desired, now)
    if cancel is not None:
        return None if seen.phase in TERMINAL else Cancelled(at=now, actor=PERSON, reason=cancel)
    if task_id not in desired.tasks:
        return None
    task = desired.tasks[task_id].value
    begun = seen.epoch > 0 or seen.phase is not Phase.CREATED
    if begun and task.generation > seen.generation and seen.phase in {*TERMINAL, Phase.BLOCKED, Phase.CREATED}:
        return Regenerated(at=now, actor=PERSON, generation=task.generation)
    if seen.phase is Phase.CANCELLED and (task.desired is Wish.RUN or seen.reason == "deleted"):
        return Revived(at=now, actor=PERSON)
    cause = _released_by(task_id, seen, desired) if seen.phase is Phase.BLOCKED else None
    if cause is not None:
        return Released(at=now, actor=PERSON, cause=cause)
    return _demanded(seen, task, now)


def _demanded(seen: ObservedTask, task: Task, now: datetime) -> Reviewed | None:
    """The review that could not send the task back to work when it came: something of it ran, or it was early."""
    waiting = review.pending(seen)
    if waiting is None:
        return None
    return Reviewed(at=now, actor=f"forge:{waiting.reviewer}", review=waiting, max_reviews=task.max_reviews)


def _released_by(task_id: str, seen: ObservedTask, desired: Desired) -> str | None:
    """What was done of what a blocked task needs."""
    document = desired.tasks[task_id]
    run = seen.last_run
    if seen.reason == "review_limit":
        return "max_reviews raised" if document.value.max_reviews > seen.review_count else None
    if run is None:
        return None
    if seen.reason in RELEASED_BY_TASK_FILE and document.spec != run.spec:
        return "task file changed"
    if seen.reason in RELEASED_BY_SURROUNDINGS and digests.config(document.value, run.host, desired) != run.config:
        return "adapter, host or secret changed"
    return None


def _by_priority(desired: Desired, observed: Observed) -> list[str]:
    """The tasks that could be assigned, higher priority first, then older first."""
    candidates = [
        task_id
        for task_id, document in desired.tasks.items()
        if observed.tasks.get(task_id, UNTOUCHED).phase is Phase.CREATED and document.value.desired is Wish.RUN
    ]

    def order(task_id: str) -> tuple[int, float, str]:
        first_seen = desired.since.get(task_id)
        return -desired.tasks[task_id].value.priority, first_seen.timestamp() if first_seen else 0.0, task_id

    return sorted(candidates, key=order)


class _Placing:
    """One pass of assignments: what it gives out counts for what comes after."""

    def __init__(self, desired: Desired, observed: Observed, now: datetime) -> None:
        self._desired = desired
        self._observed = observed
        self._now = now
        used = conditions.usage(observed)
        self._used = dict(used.by_host)
        self._running = used.running
        self._in_review = used.in_review
        self._fit: dict[tuple[object, ...], tuple[str, ...]] = {}
        self._askers = Askers(observed)
        self._trials = Trials(desired, observed, now)
        self.actions: list[Action] = []
        self.alarms: list[datetime] = []

    def place(self, task_id: str) -> None:
        """Assign the task where nothing stands in its way and a host has a slot, or an agent that asks and a slot."""
        task = self._desired.tasks[task_id].value
        blocking = list(conditions.obstacles(task_id, self._desired, self._observed, self._now))
        self.alarms.extend(condition.until for condition in blocking if condition.until is not None)
        if blocking or self._limited() or self._trials.waited_for(task) is not None:
            return
        seen = self._observed.tasks.get(task_id, UNTOUCHED)
        fit = self._trials.narrowed(self._askers.narrowed(task, self._fit_hosts(task)))
        host_id = placement.best(fit, self._desired, self._used, _home(seen))
        if host_id is None:
            self._fit[_requirement(task)] = ()
            return
        self._trials.take(task, host_id)
        self._used[host_id] = self._used.get(host_id, 0) + 1
        self._running += 1
        self.actions.append(Record(task_id=task_id, event=self._assigned(task_id, seen, host_id)))

    def _limited(self) -> bool:
        if self._observed.halts:
            return True
        used = Usage(running=self._running, in_review=self._in_review, by_host=self._used)
        return next(conditions.limits(self._desired, used), None) is not None

    def _fit_hosts(self, task: Task) -> tuple[str, ...]:
        requirement = _requirement(task)
        if requirement not in self._fit:
            fit = []
            for host_id in self._desired.hosts:
                reason = placement.unfit(task, host_id, self._desired, self._observed, self._now)
                if reason is None:
                    fit.append(host_id)
                elif reason.until is not None:
                    self.alarms.append(reason.until)
            self._fit[requirement] = tuple(fit)
        return self._fit[requirement]

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
            config=digests.config(task, host_id, self._desired),
            account=digests.account(task, self._desired),
            generation=task.generation,
            execution_mode=task.execution_mode,
            branch_name=task.branch or f"task/{task_id}",
            pr_title=task.pr_title or task.title,
            adapter_version=_version(self._observed, host_id, task.adapter),
            claim=self._askers.take(task, host_id),
            resumed=rounds.session_to_resume(seen, host_id, task.adapter) if _goes_on(seen) else None,
        )


def _requirement(task: Task) -> tuple[object, ...]:
    """What decides which hosts fit: tasks that are equal in this fit the same ones."""
    return task.requires, task.host, task.adapter, task.execution_mode


def _goes_on(seen: ObservedTask) -> bool:
    """Whether the next run goes on with what the last one did: it addresses a review, or delivers what was missed."""
    return seen.rework or ending.missed(seen) is not None


def _home(seen: ObservedTask) -> str | None:
    """The host of the run before, to which one that goes on with its work returns where it can."""
    ran = (run.host for run in reversed(seen.runs) if run.outcome is not Outcome.NOT_STARTED)
    return next(ran, None) if _goes_on(seen) else None


def _version(observed: Observed, host_id: str, adapter: str | None) -> str | None:
    seen = observed.hosts.get(host_id)
    return seen.versions.get(adapter or "") if seen is not None else None


def _deletions(desired: Desired, observed: Observed, now: datetime) -> Iterator[datetime]:
    for task_id, since in desired.absent.items():
        seen = observed.tasks.get(task_id)
        due = since + conditions.DELETED_AFTER
        if seen is not None and seen.phase not in TERMINAL and due > now:
            yield due


def _wake_at(alarms: list[datetime], desired: Desired, observed: Observed, now: datetime) -> datetime | None:
    soonest = min((alarm for alarm in alarms if alarm > now), default=None)
    if not _outstanding(desired, observed) and next(placement.returned(observed), None) is None:
        return soonest
    return min(soonest or now + RESCAN, now + RESCAN)


def _outstanding(desired: Desired, observed: Observed) -> bool:
    if any(seen.live_run is not None for seen in observed.tasks.values()):
        return True
    return any(
        document.value.desired is Wish.RUN
        and observed.tasks.get(task_id, UNTOUCHED).phase in {Phase.CREATED, Phase.ASSIGNED, Phase.RUNNING}
        for task_id, document in desired.tasks.items()
    )
