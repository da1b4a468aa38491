"""What the forge's pull request and its reviews mean for a task.

Only `lifecycle.advance` calls this; snapshots that are older than what is known change nothing.
"""

from dataclasses import replace

from reconciler.core.events import Closed, Merged, PullRequestOpened, PullRequestUpdated, Reviewed
from reconciler.core.observed import ObservedTask, PullRequest, Review
from reconciler.core.terms import TERMINAL, Failure, Phase, Verdict

CLOSED = "pr_closed"
LIMIT = "review_limit"
REOPENS = frozenset({CLOSED, str(Failure.NOT_DELIVERED)})


def opened(task: ObservedTask, event: PullRequestOpened) -> ObservedTask:
    """An open pull request brings the task to review, unless the agent is at work on an earlier review."""
    pr = event.pr
    if task.phase in TERMINAL or (pr.number in task.past_prs and not event.reopened):
        return task
    known = task.pr
    if known is not None and known.number > pr.number and known.state == "open":
        return task
    if known is not None and known.number == pr.number and (_is_older(pr, known) or known == pr):
        return task
    seen = replace(
        task,
        pr=pr,
        pr_title=event.title or task.pr_title,
        past_prs=tuple(number for number in task.past_prs if number != pr.number),
    )
    if task.rework or (task.phase is Phase.BLOCKED and task.reason not in REOPENS):
        return seen
    return _pending(seen)


def updated(task: ObservedTask, event: PullRequestUpdated) -> ObservedTask:
    """A new head ends a rework; anything else is only noted."""
    known = task.pr
    if known is None or known.number != event.pr.number or task.phase in TERMINAL or _is_older(event.pr, known):
        return task
    seen = replace(task, pr=event.pr, pr_title=event.title or task.pr_title)
    if seen == task:
        return task
    if not task.rework or known.head_sha == event.pr.head_sha:
        return seen
    return _pending(replace(seen, rework=False)) if task.phase is not Phase.BLOCKED else replace(seen, rework=False)


def merged(task: ObservedTask, event: Merged) -> ObservedTask:
    """A merge completes the task from wherever it stands."""
    if task.phase is Phase.COMPLETED or event.pr.number in task.past_prs or _is_stale(task, event.pr):
        return task
    return replace(
        task, phase=Phase.COMPLETED, pr=event.pr, reason=None, owner=None, needs=None, not_before=None, rework=False
    )


def closed(task: ObservedTask, event: Closed) -> ObservedTask:
    """A close without a merge blocks the task; a live run is stopped first, and its end blocks."""
    if task.phase in TERMINAL or event.pr.number in task.past_prs or _is_stale(task, event.pr):
        return task
    if task.pr is not None and (task.pr.number != event.pr.number or task.pr.state == "closed"):
        return task
    seen = replace(task, pr=event.pr)
    return seen if task.live_run is not None else block_closed(seen)


def reviewed(task: ObservedTask, event: Reviewed) -> ObservedTask:
    """A review is recorded once; requested changes count when nothing of the task runs."""
    if task.phase in TERMINAL or any(known.id == event.review.id for known in task.reviews):
        return task
    seen = replace(task, reviews=(*task.reviews, event.review))
    return take_up(seen, event.max_reviews)


def take_up(task: ObservedTask, max_reviews: int) -> ObservedTask:
    """Send a task in review back to work where an uncounted review of its current head asks for changes."""
    if task.phase is not Phase.REVIEW_PENDING or task.live_run is not None or _wanting(task) is None:
        return task
    if task.review_count >= max_reviews:
        needs = f"{task.review_count} review rounds are used up: raise max_reviews, finish it by hand, or merge"
        return replace(task, phase=Phase.BLOCKED, reason=LIMIT, owner="reviewer", needs=needs)
    return _rework(task)


def released(task: ObservedTask, reason: str | None) -> ObservedTask:
    """The task after its block was lifted: a review that met the limit is now counted and addressed."""
    return _rework(task) if reason == LIMIT else task


def block_closed(task: ObservedTask) -> ObservedTask:
    """The task whose pull request was closed unmerged."""
    needs = "the pull request was closed unmerged: reopen it, retry the task, or cancel it"
    return replace(task, phase=Phase.BLOCKED, reason=CLOSED, owner="author", needs=needs, not_before=None)


def _rework(task: ObservedTask) -> ObservedTask:
    reviews = tuple(
        replace(review, counted=True) if review.verdict is Verdict.CHANGES_REQUESTED else review
        for review in task.reviews
    )
    return replace(
        task,
        phase=Phase.CREATED,
        reason=None,
        owner=None,
        needs=None,
        not_before=None,
        rework=True,
        review_count=task.review_count + 1,
        reviews=reviews,
    )


def _wanting(task: ObservedTask) -> Review | None:
    """The newest review that asks for changes, was not counted yet, and is not about an older head."""
    head = task.pr.head_sha if task.pr is not None else None
    for review in reversed(task.reviews):
        if review.verdict is Verdict.CHANGES_REQUESTED and not review.counted:
            return review if None in {head, review.head_sha} or head == review.head_sha else None
    return None


def _pending(task: ObservedTask) -> ObservedTask:
    return replace(task, phase=Phase.REVIEW_PENDING, reason=None, owner=None, needs=None, not_before=None)


def _is_older(pr: PullRequest, known: PullRequest) -> bool:
    return pr.updated_at is not None and known.updated_at is not None and pr.updated_at < known.updated_at


def _is_stale(task: ObservedTask, pr: PullRequest) -> bool:
    return task.pr is not None and task.pr.number == pr.number and _is_older(pr, task.pr)
