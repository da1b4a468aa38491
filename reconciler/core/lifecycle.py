"""The state machine: every change of a task's phase is made here and stands in one table.

`advance` gives the task as it is after an event, or raises and changes nothing. It starts and stops nothing.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import assert_never

from reconciler.core import ending, review, rounds
from reconciler.core.events import (
    Assigned,
    BranchPushed,
    BreakerOpened,
    Cancelled,
    Closed,
    Event,
    Finished,
    Merged,
    NotStarted,
    PullRequestOpened,
    PullRequestUpdated,
    Regenerated,
    Released,
    Reviewed,
    Revived,
    Started,
)
from reconciler.core.observed import ObservedTask, Run
from reconciler.core.terms import TERMINAL, Kind, Phase


class IllegalTransition(Exception):
    """The table has no row for this event in this phase."""


class Superseded(Exception):
    """The event is about a run that is no longer the task's current one."""


CREATED, ASSIGNED, RUNNING, REVIEW_PENDING, COMPLETED, BLOCKED, FAILED, CANCELLED = Phase
RESTING = frozenset({CREATED, REVIEW_PENDING, BLOCKED})
"""The unfinished phases in which nothing of the task need run; from the others its run is ended first."""

_STAYS: Mapping[Phase, frozenset[Phase]] = {phase: frozenset({phase}) for phase in Phase}
_ENDED_RUN = frozenset({CREATED, REVIEW_PENDING, COMPLETED, BLOCKED, FAILED, CANCELLED})

TABLE: Mapping[type[Event], Mapping[Phase, frozenset[Phase]]] = {
    Assigned: {CREATED: frozenset({ASSIGNED})},
    Started: {**_STAYS, ASSIGNED: frozenset({RUNNING})},
    NotStarted: {
        **_STAYS,
        ASSIGNED: frozenset({CREATED, BLOCKED, CANCELLED}),
        REVIEW_PENDING: frozenset({REVIEW_PENDING, BLOCKED, CANCELLED}),
    },
    Finished: {
        **_STAYS,
        ASSIGNED: _ENDED_RUN,
        RUNNING: _ENDED_RUN,
        REVIEW_PENDING: frozenset({REVIEW_PENDING, CREATED, BLOCKED, CANCELLED}),
    },
    PullRequestOpened: {
        **_STAYS,
        CREATED: frozenset({CREATED, REVIEW_PENDING}),
        ASSIGNED: frozenset({ASSIGNED, REVIEW_PENDING}),
        RUNNING: frozenset({RUNNING, REVIEW_PENDING}),
        BLOCKED: frozenset({BLOCKED, REVIEW_PENDING}),
    },
    PullRequestUpdated: {
        **_STAYS,
        CREATED: frozenset({CREATED, REVIEW_PENDING}),
        ASSIGNED: frozenset({ASSIGNED, REVIEW_PENDING}),
        RUNNING: frozenset({RUNNING, REVIEW_PENDING}),
        BLOCKED: frozenset({BLOCKED, REVIEW_PENDING}),
    },
    Merged: dict.fromkeys(Phase, frozenset({COMPLETED})),
    Closed: {**_STAYS, **{phase: frozenset({phase, BLOCKED}) for phase in RESTING}},
    Reviewed: {
        **_STAYS,
        CREATED: frozenset({CREATED, BLOCKED}),
        REVIEW_PENDING: frozenset({REVIEW_PENDING, CREATED, BLOCKED}),
        BLOCKED: frozenset({BLOCKED, CREATED}),
    },
    BranchPushed: _STAYS,
    BreakerOpened: {CREATED: frozenset({BLOCKED})},
    Cancelled: dict.fromkeys(RESTING, frozenset({CANCELLED})),
    Revived: {CANCELLED: frozenset({CREATED})},
    Released: {BLOCKED: frozenset({CREATED})},
    Regenerated: dict.fromkeys((CREATED, BLOCKED, *TERMINAL), frozenset({CREATED})),
}
"""Event -> phase before -> phases after. What is not here is illegal."""


def advance(task: ObservedTask, event: Event) -> ObservedTask:
    """The task after the event; the same object where the event brings nothing new.

    Raises `Superseded` for a run that is not the current one, `IllegalTransition` where the table has no row.
    """
    about_a_run = event.epoch is not None or isinstance(event, Started | NotStarted | Finished)
    if about_a_run and event.epoch != task.epoch and not isinstance(event, Assigned):
        raise Superseded(f"epoch {event.epoch} is not the current epoch {task.epoch}")
    after = _after(task, event)
    if after is task:
        return task
    if after.phase not in TABLE[type(event)].get(task.phase, ()):
        raise IllegalTransition(f"{type(event).__name__} cannot move a task from {task.phase} to {after.phase}")
    return replace(after, last_activity_at=_latest(task.last_activity_at, event.at))


def _after(task: ObservedTask, event: Event) -> ObservedTask:  # noqa: C901, PLR0911, PLR0912 - one line for each event
    match event:
        case Assigned():
            return _assigned(task, event)
        case Started():
            return _started(task, event)
        case NotStarted():
            return ending.not_started(_current(task), event)
        case Finished():
            return _finished(task, event)
        case PullRequestOpened():
            return review.opened(task, event)
        case PullRequestUpdated():
            return review.updated(task, event)
        case Merged():
            return review.merged(task, event)
        case Closed():
            return review.closed(task, event)
        case Reviewed():
            return review.reviewed(task, event)
        case BranchPushed():
            return replace(task)
        case BreakerOpened():
            _idle(task)
            return replace(task, phase=BLOCKED, reason=event.reason, owner="operator", needs=event.needs)
        case Cancelled():
            _idle(task)
            return replace(task, phase=CANCELLED, reason=event.reason, owner=None, needs=None, not_before=None)
        case Revived():
            _idle(task)
            return review.revived(_created(task))
        case Released():
            _idle(task)
            return review.released(_created(task), task.reason)
        case Regenerated():
            _idle(task)
            return _regenerated(task, event)
        case _:
            assert_never(event)


def _assigned(task: ObservedTask, event: Assigned) -> ObservedTask:
    if event.epoch == task.epoch and task.last_run is not None and task.last_run.run_id == event.run_id:
        return task
    if event.epoch != task.epoch + 1:
        raise Superseded(f"epoch {event.epoch} does not follow the current epoch {task.epoch}")
    _idle(task)
    run = Run(
        epoch=event.epoch,
        run_id=event.run_id,
        host=event.host,
        adapter=event.adapter,
        kind=event.kind,
        assigned_at=event.at,
        generation=event.generation,
        spec=event.spec,
        config=event.config,
        account=event.account,
        adapter_version=event.adapter_version,
        resumed=event.resumed,
        claim=event.claim,
    )
    seen = rounds.told(task, event.epoch) if event.kind is Kind.ADDRESS_REVIEW else task
    return replace(
        _created(seen),
        phase=ASSIGNED,
        epoch=event.epoch,
        generation=event.generation,
        execution_mode=event.execution_mode,
        adapter=event.adapter,
        assigned_host=event.host,
        branch_name=event.branch_name,
        pr_title=task.pr_title if task.pr is not None else event.pr_title,
        spec=event.spec,
        runs=(*task.runs, run),
    )


def _started(task: ObservedTask, event: Started) -> ObservedTask:
    run = _current(task).runs[-1]
    if run.started_at is not None or run.finished_at is not None:
        return task
    run = replace(run, started_at=event.at)
    phase = RUNNING if task.phase is ASSIGNED else task.phase
    return replace(task, phase=phase, runs=(*task.runs[:-1], run))


def _finished(task: ObservedTask, event: Finished) -> ObservedTask:
    run = _current(task).runs[-1]
    if run.finished_at is None:
        return ending.finished(task, event)
    if (run.outcome, run.failure) == (event.outcome, event.failure):
        return task
    raise Superseded(f"run {run.run_id} has already ended as {run.outcome}")


def _created(task: ObservedTask) -> ObservedTask:
    return replace(task, phase=CREATED, reason=None, owner=None, needs=None, not_before=None)


def _regenerated(task: ObservedTask, event: Regenerated) -> ObservedTask:
    if event.generation <= task.generation:
        return task
    return replace(
        _created(task),
        generation=event.generation,
        attempts=0,
        review_count=0,
        rework=False,
        reviews=(),
        pr=None,
        pr_title=None,
        other_prs=(),
        past_prs=review.past(task),
    )


def _current(task: ObservedTask) -> ObservedTask:
    if not task.runs:
        raise IllegalTransition("the task was never assigned")
    return task


def _idle(task: ObservedTask) -> None:
    if task.live_run is not None:
        raise IllegalTransition(f"run {task.live_run.run_id} has not ended yet")


def _latest(known: datetime | None, at: datetime) -> datetime:
    return at if known is None else max(known, at)
