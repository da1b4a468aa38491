"""What the ends of runs say about the fleet, a host, an adapter or an account: which are deaths, which are whose fault.

It sorts facts; whether they are enough to open a breaker is `tripping`'s part.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from reconciler.core.breaker import Breaker
from reconciler.core.observed import Run
from reconciler.core.terms import Failure, Outcome, Scope

DEATHS = frozenset(
    {
        Failure.AGENT_ERROR,
        Failure.UNKNOWN,
        Failure.HOST_LOST,
        Failure.PROVIDER,
        Failure.AUTH,
        Failure.CONFIG,
        Failure.STALLED,
    }
)
"""Ends that one cause can bring upon many runs. A usage limit has its own breaker, a bound its own time."""

_BAD = (Outcome.FAILED, Outcome.LOST, Outcome.NOT_STARTED)
_HOSTS_OWN = frozenset({Failure.TRANSPORT, Failure.HOST_LOST, Failure.NO_CAPACITY})
_REFUSED = frozenset({Failure.AUTH, Failure.CONFIG})
"""The CLI's login or installation where it was started; before that it is the task's repository or base as well."""

_ADAPTERS_OWN = _REFUSED | {Failure.PROVIDER}

LIVED = timedelta(minutes=5)
"""A run that is let through and lives so long counts as one that does well: what broke the others broke them sooner."""


class Seen(NamedTuple):
    """A run that ended; in whole seconds when it was given out, and when its end was seen.

    In their order the oldest come first, those of one second by the names of their runs.
    """

    ended_at: datetime
    run_id: str
    began_at: datetime
    task_id: str
    run: Run


def seen(task_id: str, run: Run, ended_at: datetime) -> Seen:
    """The end of a run."""
    return Seen(whole(ended_at), run.run_id, whole(run.assigned_at), task_id, run)


def whole(moment: datetime) -> datetime:
    """The moment in whole seconds, as files keep it: what is read again is judged as what was recorded."""
    return moment.replace(microsecond=0) if moment.microsecond else moment


def in_scope(breaker: Breaker, run: Run) -> bool:
    """Whether a run is one of those that the breaker stands before."""
    match breaker.scope:
        case Scope.FLEET:
            return True
        case Scope.HOST:
            return run.host == breaker.id
        case Scope.ADAPTER:
            return run.account is not None and run.adapter == breaker.id
        case Scope.USAGE:
            return (run.adapter, run.account) == (breaker.id, breaker.account)
        case Scope.TASK:
            return False


def is_trouble(scope: Scope, run: Run) -> bool:
    """Whether the run ended in a way that is held against what a breaker of this scope stands before."""
    if run.outcome not in _BAD:
        return False
    began = run.outcome is not Outcome.NOT_STARTED
    match scope:
        case Scope.FLEET:
            return began and (run.failure is None or run.failure in DEATHS)
        case Scope.HOST:
            return run.failure in _HOSTS_OWN or (began and run.failure in _REFUSED)
        case Scope.ADAPTER:
            return began and run.failure in _ADAPTERS_OWN
        case Scope.USAGE:
            return run.failure is Failure.USAGE_LIMIT
        case Scope.TASK:
            return False


def says_nothing(scope: Scope, run: Run) -> bool:
    """Whether an end is no evidence either way: people ended the run, or it never came to what is in question."""
    if run.outcome is Outcome.CANCELLED:
        return True
    if scope is Scope.HOST:
        return run.outcome is Outcome.NOT_STARTED and not is_trouble(scope, run)
    return run.outcome is Outcome.NOT_STARTED or (scope is not Scope.FLEET and run.outcome is Outcome.LOST)


def is_well(scope: Scope, run: Run) -> bool:
    """Whether an end speaks for what a breaker of this scope stands before."""
    if run.outcome is Outcome.SUCCEEDED:
        return True
    return not (is_trouble(scope, run) or says_nothing(scope, run))


def row(scope: Scope, ended: Sequence[Seen], length: int) -> tuple[Seen, ...]:
    """The newest ends that say something, so many, each of them trouble, and of several tasks; else nothing."""
    if ended and ended[-1].run.outcome is Outcome.SUCCEEDED:
        return ()
    newest: list[Seen] = []
    for one in reversed(ended):
        if len(newest) == length:
            break
        if is_trouble(scope, one.run):
            newest.append(one)
        elif not says_nothing(scope, one.run):
            return ()
    several = len({one.task_id for one in newest}) > 1
    return tuple(reversed(newest)) if len(newest) == length and several else ()


def well(scope: Scope, run: Run, now: datetime) -> bool | None:
    """Whether a run that was let through does well; `None` where that is not known, or never will be."""
    if run.finished_at is None:
        return True if run.started_at is not None and now >= whole(run.started_at) + LIVED else None
    if is_trouble(scope, run):
        return False
    return None if says_nothing(scope, run) else True
