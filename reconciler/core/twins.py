"""Knows one review under two names: that of the forge, and the one made up where only a webhook told of it.

It counts nothing.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from reconciler.core import demands
from reconciler.core.observed import ObservedTask, Review

MADE_UP = "webhook-"
"""How a made-up name begins; those of forges are numbers."""

SAME_MOMENT = timedelta(seconds=5)
"""How far apart the review and the news of it may be: a webhook tells when its pull request was touched last."""


def is_made_up(review: Review) -> bool:
    """Whether its name is not the forge's."""
    return review.id.startswith(MADE_UP)


def known(reviews: Iterable[Review], review: Review) -> Review | None:
    """The review among those that is this one, under the same name or its other one."""
    others = []
    for one in reviews:
        if one.id == review.id:
            return one
        if is_made_up(one) != is_made_up(review) and _is_one(*((one, review) if is_made_up(one) else (review, one))):
            others.append(one)
    return min(others, key=lambda one: abs(one.submitted_at - review.submitted_at), default=None)


def named(task: ObservedTask, before: Review, review: Review) -> ObservedTask:
    """The task in which the review that is known goes by the forge's name for it, with its comments, if this has it."""
    if before.id == review.id or is_made_up(review):
        return task
    real = replace(review, counted=before.counted, stale=before.stale, told=before.told)
    reviews = [real if one is before else one for one in task.reviews]
    return replace(task, reviews=tuple(sorted(reviews, key=demands.moment)))


def _is_one(made_up: Review, real: Review) -> bool:
    """Whether somebody said the same at one moment, or about one head: not every forge dates what is reviewed anew."""
    if _words(made_up) != _words(real):
        return False
    if abs(made_up.submitted_at - real.submitted_at) <= SAME_MOMENT:
        return True
    same_head = made_up.head_sha is not None and made_up.head_sha == real.head_sha
    return same_head and made_up.submitted_at <= real.submitted_at


def _words(review: Review) -> tuple[str, str, str]:
    return review.reviewer.casefold(), review.verdict, review.body.strip()
