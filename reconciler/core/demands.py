"""Which requests for changes count, and which are about a head that the task has left.

It looks at a task's reviews, pull request and runs; it moves no phase.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from itertools import groupby

from reconciler.core.observed import ObservedTask, Review
from reconciler.core.terms import Kind, Verdict


def moment(review: Review) -> tuple[datetime, str]:
    """The place of a review among the others: when it was given."""
    return review.submitted_at, review.id


def asks(review: Review) -> bool:
    """Whether the review asks for changes of what was current when it was given."""
    return review.verdict is Verdict.CHANGES_REQUESTED and not review.stale


def waiting(task: ObservedTask) -> tuple[Review, ...]:
    """The demands that did not count yet."""
    return tuple(review for review in task.reviews if asks(review) and not review.counted)


def standing(task: ObservedTask) -> tuple[Review, ...]:
    """Those of them whose reviewer did not approve afterwards."""
    return tuple(
        review
        for position, review in enumerate(task.reviews)
        if asks(review)
        and not review.counted
        and not any(
            later.verdict is Verdict.APPROVED and later.reviewer == review.reviewer
            for later in task.reviews[position + 1 :]
        )
    )


def is_stale(task: ObservedTask, review: Review) -> bool:
    """Whether another head than the review's was known as the current one before the review was given."""
    pr = task.pr
    if pr is None or pr.updated_at is None:
        return False
    return pr.updated_at < review.submitted_at and not is_about_current_head(task, review)


def is_about_current_head(task: ObservedTask, review: Review) -> bool:
    """Whether the review is about what stands on the branch now, as far as the forge or a run has told."""
    if task.pr is None or None in {review.head_sha, task.pr.head_sha}:
        return True
    heads = pushed(task)
    lags = task.pr.head_sha in heads[:-1]
    return review.head_sha == task.pr.head_sha or (lags and review.head_sha == heads[-1])


def pushed(task: ObservedTask) -> tuple[str, ...]:
    """The heads that runs left on the branch, oldest first."""
    return tuple(run.head_sha for run in task.runs if run.head_sha is not None)


def had_a_round(task: ObservedTask) -> bool:
    """Whether a run of this generation was asked to address reviews."""
    return any(run.kind is Kind.ADDRESS_REVIEW and run.generation == task.generation for run in task.runs)


def recounted(task: ObservedTask, max_reviews: int, *, joins: bool = False) -> ObservedTask:
    """The task with its demands counted: all of them below the limit, and where the newest joins a round that is due.

    At the limit those count that would have, had each come in its time; once a round began, those that did.
    """
    if joins or task.review_count < max_reviews:
        return all_counted(task)
    if had_a_round(task):
        return task
    return _with_counted(task, _in_their_time(task, max_reviews))


def all_counted(task: ObservedTask) -> ObservedTask:
    """The task with every demand counted."""
    return _with_counted(task, (review.id for review in task.reviews if asks(review)))


def due_again(task: ObservedTask) -> ObservedTask:
    """The task whose round was cut off: the demands about its head wait again, or the newest where all are older."""
    counted = [review for review in task.reviews if review.counted]
    due = [review for review in counted if is_about_current_head(task, review)] or counted[-1:]
    return _with_counted(task, {review.id for review in counted} - {review.id for review in due})


def _in_their_time(task: ObservedTask, max_reviews: int) -> set[str]:
    """The demands that count when each comes in its time: one round answers all those about one head."""
    count = task.review_count - sum(review.counted for review in task.reviews)
    found: set[str] = set()
    for _, group in groupby((review for review in task.reviews if asks(review)), lambda review: review.head_sha):
        if count < max_reviews:
            names = [review.id for review in group]
            found.update(names)
            count += len(names)
    return found


def _with_counted(task: ObservedTask, names: Iterable[str]) -> ObservedTask:
    """The task in which just these reviews count; the same object where they do already."""
    counted = frozenset(names)
    change = len(counted) - sum(review.counted for review in task.reviews)
    reviews = tuple(
        review if review.counted == (review.id in counted) else replace(review, counted=review.id in counted)
        for review in task.reviews
    )
    return task if reviews == task.reviews else replace(task, reviews=reviews, review_count=task.review_count + change)
