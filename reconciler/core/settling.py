"""What people asked for by editing files, of tasks of which nothing runs.

It looks at one task at a time, and starts none.
"""

from datetime import datetime

from reconciler.core import conditions, digests, massdeath, review
from reconciler.core.desired import Desired, Task
from reconciler.core.events import Cancelled, Event, Regenerated, Released, Reviewed, Revived
from reconciler.core.observed import Observed, ObservedTask
from reconciler.core.terms import TERMINAL, Failure, Phase, Wish

PLANNER = "planner"
PERSON = "person:desired"
"""Somebody who edited a file. Who that was, git knows: the name is filled in when the event is recorded."""
NOT_STARTED = "not_started"
RELEASED_BY_TASK_FILE = frozenset({Failure.CONFIG, Failure.WAITING_INPUT, Failure.NOT_DELIVERED, NOT_STARTED})
RELEASED_BY_SURROUNDINGS = frozenset({Failure.AUTH, Failure.CONFIG, NOT_STARTED})


def settle(task_id: str, seen: ObservedTask, desired: Desired, observed: Observed, now: datetime) -> Event | None:
    """What was asked for of the task; nothing while something of it runs."""
    if seen.live_run is not None:
        return None
    return _asked(task_id, seen, desired, now) or _passed(seen, observed, now)


def may_settle(task_id: str, seen: ObservedTask, desired: Desired, now: datetime) -> bool:
    """Whether something is asked for of the task, or is once a breaker lets go or its file was gone for long."""
    if seen.live_run is not None:
        return False
    if task_id in desired.absent or (seen.phase is Phase.BLOCKED and seen.reason == massdeath.MASS_DEATH):
        return True
    return _asked(task_id, seen, desired, now) is not None


def _passed(seen: ObservedTask, observed: Observed, now: datetime) -> Released | None:
    """That a task which was blocked with the whole fleet may go on."""
    blocked = seen.phase is Phase.BLOCKED and seen.reason == massdeath.MASS_DEATH
    if not blocked or not massdeath.is_over(observed, now):
        return None
    return Released(at=now, actor=PLANNER, cause="the fleet's breaker let go")


def _asked(task_id: str, seen: ObservedTask, desired: Desired, now: datetime) -> Event | None:
    document = desired.tasks.get(task_id)
    if document is None or document.value.desired is Wish.CANCEL:
        cancel = conditions.cancel_reason(task_id, desired, now)
        return Cancelled(at=now, actor=PERSON, reason=cancel) if cancel and seen.phase not in TERMINAL else None
    task = document.value
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
    if seen.reason in RELEASED_BY_SURROUNDINGS and (
        document.value.host not in {None, run.host} or digests.config(document.value, run.host, desired) != run.config
    ):
        return "adapter, host or secret changed"
    return None
