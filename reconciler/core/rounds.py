"""Which reviews a round of review is about, by what is recorded of them: no clock of the forge is held against ours.

It counts nothing and starts nothing.
"""

from dataclasses import replace

from reconciler.core import demands
from reconciler.core.observed import ObservedTask, Review
from reconciler.core.terms import Outcome, Verdict

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


def _said(task: ObservedTask) -> list[Review]:
    """What asks for something, or may: an approval does not."""
    return [review for review in task.reviews if review.verdict in SAID and not review.stale]
