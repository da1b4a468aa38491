"""What to do about runs that were started and are not known to have ended.

It looks at the last sighting of each; which runs are to be started is `plan`'s part.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import assert_never

from reconciler.core import conditions, leases, placement
from reconciler.core.actions import Action, Collect, GiveUp, Launch, Record, Stop
from reconciler.core.desired import Desired
from reconciler.core.events import Finished, NotStarted, Started
from reconciler.core.observed import Observed, ObservedTask, Run, Sighting
from reconciler.core.terms import TERMINAL, ExecutionMode, Failure, Outcome, StopReason

LINGER = timedelta(seconds=60)
"""How long a process may live on after its final result."""

STOP_AGAIN = timedelta(seconds=1)
"""How soon a stop is asked for again: the host counts the grace between TERM and KILL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What to do about one run now, and when to look at it again."""

    actions: tuple[Action, ...] = ()
    alarms: tuple[datetime, ...] = field(default=())


def may_reuse(runs: tuple[Run, ...]) -> bool:
    """Whether the newest run may work where the run before it on its host did: not if that one was lost.

    A run that did not start left the workspace as it found it, so the one before it decides.
    """
    newest = runs[-1]
    before = [run for run in runs[:-1] if run.host == newest.host and run.outcome is not Outcome.NOT_STARTED]
    return not before or before[-1].outcome is not Outcome.LOST


def follow(task_id: str, desired: Desired, observed: Observed, now: datetime) -> Step:
    """What the task's live run needs."""
    seen = observed.tasks[task_id]
    run = seen.runs[-1]
    sighting = observed.sightings.get(run.run_id)
    if seen.execution_mode is ExecutionMode.HTTP_PULL:
        return _pulled(task_id, run, desired, observed, now)
    if run.host in observed.silent:
        return _unreachable(task_id, run, desired, observed.silent[run.host], now)
    if sighting is None:
        return Step()
    return _seen(task_id, sighting, desired, observed, now)


def overdue(observed: Observed) -> Iterator[Action]:
    """Runs that were taken for lost and came back: they are stopped, and their results refused."""
    for task_id, run in placement.returned(observed):
        yield Stop(task_id=task_id, run=run, reason=StopReason.SUPERSEDED)


def _seen(task_id: str, sighting: Sighting, desired: Desired, observed: Observed, now: datetime) -> Step:
    seen = observed.tasks[task_id]
    run = seen.runs[-1]
    match sighting.state:
        case "absent":
            return _absent(task_id, desired, observed, now)
        case "queued":
            return _queued(task_id, seen, desired, now)
        case "void":
            return Step(actions=(Record(task_id=task_id, event=_given_up(task_id, run, desired, now)),))
        case "alive":
            return _alive(task_id, seen, sighting, desired, now)
        case "ended" | "gone":
            cancel = conditions.cancel_reason(task_id, desired, now)
            wanted = unwanted(task_id, seen, desired, now) is None
            return Step(actions=(Collect(task_id=task_id, run=run, wanted=wanted, cancel=cancel),))
        case _:
            assert_never(sighting.state)


def _unreachable(task_id: str, run: Run, desired: Desired, since: datetime, now: datetime) -> Step:
    due = max(since, run.assigned_at) + desired.settings.lost_after.ssh
    if now < due:
        return Step(alarms=(due,))
    return Step(actions=(Record(task_id=task_id, event=_lost(task_id, run, desired, now, "its host did not answer")),))


def _pulled(task_id: str, run: Run, desired: Desired, observed: Observed, now: datetime) -> Step:
    due = leases.lost_at(task_id, run, desired, observed)
    if due is None or now < due:
        return Step(alarms=() if due is None else (due,))
    gone = _lost(task_id, run, desired, now, "its agent gave no sign of life")
    return Step(actions=(Record(task_id=task_id, event=gone),))


def _absent(task_id: str, desired: Desired, observed: Observed, now: datetime) -> Step:
    seen = observed.tasks[task_id]
    run = seen.runs[-1]
    if run.started_at is not None:
        gone = _lost(task_id, run, desired, now, "its run folder is gone from the host")
        return Step(actions=(Record(task_id=task_id, event=gone),))
    if unwanted(task_id, seen, desired, now) is not None:
        cancel = conditions.cancel_reason(task_id, desired, now)
        return Step(actions=(GiveUp(task_id=task_id, run=run, cancel=cancel),))
    if observed.halts or run.run_id in observed.unpushed:
        return Step()
    return Step(actions=(Launch(task_id=task_id, run=run, reuse=may_reuse(seen.runs)),))


def _queued(task_id: str, seen: ObservedTask, desired: Desired, now: datetime) -> Step:
    reason = unwanted(task_id, seen, desired, now)
    if reason is None:
        return Step()
    return Step(actions=(Stop(task_id=task_id, run=seen.runs[-1], reason=reason),), alarms=(now + STOP_AGAIN,))


def _alive(task_id: str, seen: ObservedTask, sighting: Sighting, desired: Desired, now: datetime) -> Step:
    run = seen.runs[-1]
    actions: list[Action] = []
    if run.started_at is None:
        actions.append(Record(task_id=task_id, event=Started(at=now, actor=f"host:{run.host}", epoch=run.epoch)))
    reason = sighting.stopping or unwanted(task_id, seen, desired, now) or _out_of_bounds(sighting)
    if reason is not None:
        actions.append(Stop(task_id=task_id, run=run, reason=reason))
        return Step(actions=tuple(actions), alarms=(now + STOP_AGAIN,))
    return Step(actions=tuple(actions), alarms=tuple(_deadlines(sighting, now)))


def unwanted(task_id: str, seen: ObservedTask, desired: Desired, now: datetime) -> StopReason | None:
    """Why the task's live run is to end though it does nothing wrong: its task is over, closed or cancelled."""
    closed = seen.pr is not None and seen.pr.state == "closed"
    if seen.phase in TERMINAL or closed or conditions.cancel_reason(task_id, desired, now) is not None:
        return StopReason.CANCELLED
    return None


def _out_of_bounds(sighting: Sighting) -> StopReason | None:
    if sighting.lingering is not None:
        return StopReason.LINGERED if sighting.lingering >= LINGER else None
    if sighting.aborted:
        return StopReason.ABORTED
    if sighting.meta is None:
        return None
    if sighting.elapsed >= sighting.meta.task.timeout:
        return StopReason.TIMED_OUT
    idle_timeout = sighting.meta.task.idle_timeout
    if idle_timeout is not None and sighting.idle >= idle_timeout:
        return StopReason.STALLED
    return None


def _deadlines(sighting: Sighting, now: datetime) -> Iterator[datetime]:
    if sighting.lingering is not None:
        yield now + max(LINGER - sighting.lingering, timedelta(0))
    elif sighting.meta is not None:
        task = sighting.meta.task
        yield now + max(task.timeout - sighting.elapsed, timedelta(0))
        if task.idle_timeout is not None:
            yield now + max(task.idle_timeout - sighting.idle, timedelta(0))


def _lost(task_id: str, run: Run, desired: Desired, now: datetime, error: str) -> Finished:
    document = desired.tasks.get(task_id)
    finished = Finished(
        at=now,
        actor="planner",
        epoch=run.epoch,
        outcome=Outcome.LOST,
        failure=Failure.HOST_LOST,
        error=error,
        cancel=conditions.cancel_reason(task_id, desired, now),
    )
    return finished if document is None else replace(finished, max_reviews=document.value.max_reviews)


def _given_up(task_id: str, run: Run, desired: Desired, now: datetime) -> NotStarted:
    return NotStarted(
        at=now,
        actor="planner",
        epoch=run.epoch,
        failure=Failure.TRANSPORT,
        error="it was given up before it started",
        cancel=conditions.cancel_reason(task_id, desired, now),
    )
