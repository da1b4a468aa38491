"""Which reviews a round of review is about, and in which session: no clock of the forge is held against ours.

It counts nothing and starts nothing.
"""

from collections.abc import Sequence
from dataclasses import replace

from reconciler.core import demands
from reconciler.core.observed import ObservedTask, Review, Run
from reconciler.core.terms import Failure, Outcome, Verdict

SAID = frozenset({Verdict.CHANGES_REQUESTED, Verdict.COMMENTED})


def to_address(task: ObservedTask) -> tuple[Review, ...]:
    """The reviews that the next round is about: what no good run was told yet, at least the newest demand."""
    good = {run.epoch for run in task.runs if run.outcome is Outcome.SUCCEEDED}
    asked = [review for review in task.reviews if demands.asks(review)]
    if not asked:
        return ()
    due = [review for review in _said(task) if review.told not in good]
    if not any(demands.asks(review) for review in due):
        due.append(asked[-1])
    return tuple(sorted(due, key=demands.moment))


def told(task: ObservedTask, epoch: int) -> ObservedTask:
    """The task whose next round has this epoch: what it is about is now settled, whatever is said before it starts."""
    names = {review.id for review in to_address(task)}
    reviews = tuple(replace(review, told=epoch) if review.id in names else review for review in task.reviews)
    return replace(task, reviews=reviews)


def about(task: ObservedTask, epoch: int) -> tuple[Review, ...]:
    """The reviews that the round with this epoch was told of."""
    return tuple(review for review in task.reviews if review.told == epoch)


def session_to_resume(seen: ObservedTask, host_id: str, adapter: str | None) -> str | None:
    """The session that a run which goes on with earlier work resumes: the newest of this host and adapter, if not lost.

    One in which two runs in a row failed in the same way is left alone: what ails it may be in its history.
    """
    if _failed_alike(seen.runs[-2:]):
        return None
    for run in reversed(seen.runs):
        if run.generation != seen.generation or run.outcome is Outcome.LOST or run.failure is Failure.SESSION:
            return None
        if run.session is not None:
            return run.session if (run.host, run.adapter) == (host_id, adapter) else None
    return None


def _said(task: ObservedTask) -> list[Review]:
    """What asks for something, or may: an approval does not."""
    return [review for review in task.reviews if review.verdict in SAID and not review.stale]


def _failed_alike(runs: Sequence[Run]) -> bool:
    """Whether two runs resumed one session and were charged for the same failure."""
    ends = {(run.resumed, run.failure, run.counts_as_attempt) for run in runs}
    return len(runs) == 2 and len(ends) == 1 and runs[0].resumed is not None and runs[0].counts_as_attempt  # noqa: PLR2004
