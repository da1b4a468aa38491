"""What a forge shows of pull requests, as values, and the facts about a task that follow from them.

Level, not edge: the same pull requests and reviews give the same facts, whoever saw them and however often.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, assert_never

from reconciler.core import demands, lifecycle
from reconciler.core.events import Closed, Event, Merged, PullRequestOpened, PullRequestUpdated, Reviewed
from reconciler.core.observed import ObservedTask, PullRequest, Review


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """One pull request as the forge showed it at `updated_at`.

    `repository` is `owner/name`, the one that it wants to change. `branch` is the head's name without an owner, also
    when that branch is gone. `same_repository`: the head is in that repository too, and not in a fork.
    """

    repository: str
    number: int
    url: str
    title: str
    state: Literal["open", "closed", "merged"]
    branch: str
    same_repository: bool
    draft: bool = False
    head_sha: str | None = None
    base: str | None = None
    author: str = ""
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the forge shows of one task's branch: its pull requests, and the reviews of each by its number.

    `reopened` and `retitled` are numbers that a person reopened, or gave another title, as the forge said in so many
    words. `by` is who caused the news.
    """

    pulls: Sequence[Pull]
    reviews: dict[int, tuple[Review, ...]]
    reopened: frozenset[int] = frozenset()
    retitled: frozenset[int] = frozenset()
    by: str = ""


def facts(seen: ObservedTask, shown: Shown, *, now: datetime, max_reviews: int) -> tuple[Event, ...]:
    """What happened to the task, as events in the order in which they are to be recorded; none where nothing is new.

    Only what changes the task is news. The same `shown` once more gives nothing; nor does a pull request that differs
    from what is known by its date alone, as it does after every comment.
    """
    pulls = _that_count(seen, shown)
    if not pulls:
        return ()
    told = _Told(seen)
    reviews = sorted((one for pull in pulls for one in shown.reviews.get(pull.number, ())), key=demands.moment)
    if _head_stands(seen, pulls):
        judged = (replace(one, stale=_is_own(seen, one, shown) and demands.is_stale(seen, one)) for one in reviews)
        told.all(_reviewed(one, shown, now, max_reviews) for one in judged)
    for pull in _in_order(seen, pulls):
        if not _outdone(told.task.pr, pull, shown):
            told.all([_event(told.task, pull, shown, now)])
    told.all(_reviewed(one, shown, now, max_reviews) for one in (*reviews, *demands.waiting(told.task)))
    return tuple(told.events) if _is_reopened(told.task, shown) or _undated(told.task) != _undated(seen) else ()


def _is_reopened(task: ObservedTask, shown: Shown) -> bool:
    """Whether a person reopened the task's pull request: the date counts, even before the close before it is told."""
    return task.pr is not None and task.pr.number in shown.reopened


def _undated(task: ObservedTask) -> ObservedTask:
    """The task without the times that are noted along with other news, and are none by themselves."""
    pr = replace(task.pr, updated_at=None) if task.pr is not None else None
    return replace(task, pr=pr, last_activity_at=None)


class _Told:
    """A task to which events are told one after the other; those that bring something are kept."""

    def __init__(self, seen: ObservedTask) -> None:
        self.task = seen
        self.events: list[Event] = []

    def all(self, events: Iterable[Event]) -> None:
        for event in events:
            after = lifecycle.advance(self.task, event)
            if replace(after, last_activity_at=self.task.last_activity_at) != self.task:
                self.task = after
                self.events.append(event)


def _that_count(seen: ObservedTask, shown: Shown) -> tuple[Pull, ...]:
    """The pull requests that can be the task's, by number, each once and as it was last shown."""
    newest: dict[int, Pull] = {}
    for pull in sorted(shown.pulls, key=lambda pull: (pull.updated_at is not None, pull.updated_at)):
        newest[pull.number] = pull
    return tuple(pull for _, pull in sorted(newest.items()) if _counts(seen, shown, pull))


def _counts(seen: ObservedTask, shown: Shown, pull: Pull) -> bool:
    """Whether it is of the task's repository and generation, and no draft.

    A draft is nothing before it is ready; one that is the task's own stays as it was last known, until it is closed.
    """
    if not pull.same_repository or (pull.number in seen.past_prs and pull.number not in shown.reopened):
        return False
    own = seen.pr if seen.pr is not None and seen.pr.number == pull.number else None
    return not pull.draft or pull.state == "merged" or (pull.state == "closed" and own is not None)


def _outdone(known: PullRequest | None, pull: Pull, shown: Shown) -> bool:
    """Whether the head that is known is the later one of two of one moment.

    A push does not change the moment at which a pull request was last updated, a review does. So of two heads of one
    moment, the one that a review of that moment is about is the earlier.
    """
    if known is None or known.number != pull.number or known.updated_at is None:
        return False
    moved = known.head_sha != pull.head_sha and known.updated_at == pull.updated_at and known.state == pull.state
    reviews = shown.reviews.get(pull.number, ())
    return moved and any((one.head_sha, one.submitted_at) == (pull.head_sha, pull.updated_at) for one in reviews)


def _in_order(seen: ObservedTask, pulls: Sequence[Pull]) -> list[Pull]:
    """The task's own pull request first: one that was merged, else the newest open one, else the newest closed one.

    The end of the one that was its own until now goes before.
    """
    merged = [pull for pull in pulls if pull.state == "merged"]
    still_open = [pull for pull in pulls if pull.state == "open"]
    own = merged[0] if merged else (still_open or pulls)[-1]
    others = [pull for pull in pulls if pull is not own]
    over = [pull for pull in others if _is_known(seen, pull) and pull.state == "closed" and _yields(pull, own)]
    return [*over, own, *(pull for pull in others if pull not in over)]


def _yields(pull: Pull, own: Pull) -> bool:
    """Whether a closed pull request must be known to be closed before the other one can be the task's own."""
    return own.state == "closed" or (own.state == "open" and own.number < pull.number)


def _head_stands(seen: ObservedTask, pulls: Sequence[Pull]) -> bool:
    """Whether the known head is still the one on the branch: then reviews are judged by what was known before."""
    known = seen.pr
    if known is None or not any(pull.number == known.number for pull in pulls):
        return False
    return all(pull.head_sha == known.head_sha for pull in pulls if pull.state == "open" or pull.number >= known.number)


def _is_own(seen: ObservedTask, review: Review, shown: Shown) -> bool:
    """Whether the review is of the known pull request: it moved that one's date, so that the two can be compared."""
    return seen.pr is not None and review in shown.reviews.get(seen.pr.number, ())


def _is_known(seen: ObservedTask, pull: Pull) -> bool:
    return seen.pr is not None and seen.pr.number == pull.number


def _event(task: ObservedTask, pull: Pull, shown: Shown, now: datetime) -> Event:
    """The event that fits what is shown of a pull request, after what is known of it."""
    actor = _actor(shown.by, pull.author)
    known = task.pr.state if task.pr is not None and task.pr.number == pull.number else None
    pr = PullRequest(
        number=pull.number, url=pull.url, state=pull.state, head_sha=pull.head_sha, updated_at=pull.updated_at
    )
    title = pull.title if _says_title(task, pull, shown) else None
    if known == pull.state:
        return PullRequestUpdated(at=now, actor=actor, pr=pr, title=title)
    match pull.state:
        case "merged":
            return Merged(at=now, actor=actor, pr=pr, title=title, branch=pull.branch)
        case "closed":
            return Closed(at=now, actor=actor, pr=pr, title=title, branch=pull.branch)
        case "open":
            reopened = pull.number in shown.reopened
            return PullRequestOpened(at=now, actor=actor, pr=pr, title=title, branch=pull.branch, reopened=reopened)
        case _:
            assert_never(pull.state)


def _says_title(task: ObservedTask, pull: Pull, shown: Shown) -> bool:
    """Whether its title counts: without a date only the first one does, and one that was given just now."""
    first = task.pr is None or task.pr.number != pull.number
    return first or pull.updated_at is not None or pull.number in shown.retitled


def _reviewed(review: Review, shown: Shown, now: datetime, max_reviews: int) -> Reviewed:
    return Reviewed(at=now, actor=_actor(shown.by, review.reviewer), review=review, max_reviews=max_reviews)


def _actor(*names: str) -> str:
    return f"forge:{next((name for name in names if name), 'unknown')}"
