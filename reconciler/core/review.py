"""What the forge's pull request and its reviews mean for a task.

Only `lifecycle.advance` calls this; snapshots that are older than what is known change nothing.
"""

from dataclasses import replace

from reconciler.core.events import Closed, Merged, PullRequestOpened, PullRequestUpdated, Reviewed
from reconciler.core.observed import ObservedTask, PullRequest, Review
from reconciler.core.terms import TERMINAL, Failure, Outcome, Phase, Verdict

CLOSED = "pr_closed"
LIMIT = "review_limit"
REOPENS = frozenset({CLOSED, str(Failure.NOT_DELIVERED)})


def opened(task: ObservedTask, event: PullRequestOpened) -> ObservedTask:
    """An open pull request brings the task to review, unless the agent is at work on an earlier review.

    A generation that is over only takes note of it, so that a later one knows that it is not its own.
    """
    pr = event.pr
    if (pr.number in task.past_prs and not event.reopened) or not _is_newer(task, pr):
        return task
    if task.phase is Phase.COMPLETED:
        return _past(task, pr.number)
    seen = replace(_with(task, pr), pr_title=event.title or task.pr_title)
    if task.phase in TERMINAL:
        return seen
    if task.phase is Phase.BLOCKED:
        return _pending(replace(seen, rework=False)) if task.reason in REOPENS and _is_back(task, pr) else seen
    return _pending(replace(seen, rework=False)) if not task.rework or _is_new_head(task, pr) else seen


def updated(task: ObservedTask, event: PullRequestUpdated) -> ObservedTask:
    """A new head ends a rework; anything else is only noted."""
    pr, known = event.pr, task.pr
    if known is None or known.number != pr.number or task.phase is Phase.COMPLETED or _is_older(pr, known):
        return task
    seen = replace(task, pr=pr, pr_title=event.title or task.pr_title)
    if seen == task:
        return task
    if task.phase in TERMINAL or pr.state != "open" or not (task.rework and _is_new_head(task, pr)):
        return seen
    if task.phase is Phase.BLOCKED and task.reason not in REOPENS:
        return replace(seen, rework=False)
    return _pending(replace(seen, rework=False))


def merged(task: ObservedTask, event: Merged) -> ObservedTask:
    """A merge completes the task from wherever it stands."""
    if task.phase is Phase.COMPLETED or event.pr.number in task.past_prs or _is_stale(task, event.pr):
        return task
    return replace(
        task, phase=Phase.COMPLETED, pr=event.pr, reason=None, owner=None, needs=None, not_before=None, rework=False
    )


def closed(task: ObservedTask, event: Closed) -> ObservedTask:
    """A close without a merge blocks the task; a live run is stopped first, and its end blocks."""
    pr, known = event.pr, task.pr
    if task.phase is Phase.COMPLETED or pr.number in task.past_prs or _is_stale(task, pr):
        return task
    if known is not None and known.number != pr.number and (known.state == "open" or known.number > pr.number):
        return task
    if known is not None and known.number == pr.number and known.state == "closed":
        return task
    seen = _with(task, pr)
    return seen if task.live_run is not None or task.phase in TERMINAL else block_closed(seen)


def reviewed(task: ObservedTask, event: Reviewed) -> ObservedTask:
    """A review is recorded once; requested changes count once, when the task is in review and nothing of it runs.

    Requested changes that are about a head which the task has left are no news and are dropped. What was about the
    head of its day waits for the end of a live run, and counts then though the run moved the head.
    """
    review = event.review
    known = any(earlier.id == review.id for earlier in task.reviews)
    if task.phase in TERMINAL or (not known and _is_outdated(task, review)):
        return task
    return take_up(task if known else replace(task, reviews=(*task.reviews, review)), event.max_reviews)


def take_up(task: ObservedTask, max_reviews: int) -> ObservedTask:
    """Send a task in review back to work where a review that did not count yet asks for changes."""
    if pending(task) is None:
        return task
    if task.review_count >= max_reviews:
        needs = f"{task.review_count} review rounds are used up: raise max_reviews, finish it by hand, or merge"
        return replace(task, phase=Phase.BLOCKED, reason=LIMIT, owner="reviewer", needs=needs)
    return _rework(task)


def pending(task: ObservedTask) -> Review | None:
    """The review that is to send the task back to work now: it asks for changes, and nothing of the task runs."""
    if task.phase is not Phase.REVIEW_PENDING or task.live_run is not None:
        return None
    appeased: set[str] = set()
    for review in reversed(task.reviews):
        if review.verdict is Verdict.APPROVED:
            appeased.add(review.reviewer)
        elif review.verdict is Verdict.CHANGES_REQUESTED and not review.counted and review.reviewer not in appeased:
            return review
    return None


def revived(task: ObservedTask) -> ObservedTask:
    """The task without a pull request that was closed before a person wanted the work after all."""
    if task.pr is None or task.pr.state != "closed":
        return task
    return replace(_past(task, task.pr.number), pr=None)


def released(task: ObservedTask, reason: str | None) -> ObservedTask:
    """The task after its block was lifted: a review that met the limit is now counted and addressed."""
    return _rework(task) if reason == LIMIT else task


def to_address(task: ObservedTask) -> tuple[Review, ...]:
    """The reviews that the next round is about: what was said since the last good run, at least the newest demand."""
    good = [run.finished_at for run in task.runs if run.outcome is Outcome.SUCCEEDED and run.finished_at is not None]
    demands = [review for review in task.reviews if review.verdict is Verdict.CHANGES_REQUESTED]
    if not demands:
        return ()
    since = min(good[-1], demands[-1].submitted_at) if good else demands[0].submitted_at
    said = (Verdict.CHANGES_REQUESTED, Verdict.COMMENTED)
    return tuple(review for review in task.reviews if review.verdict in said and review.submitted_at >= since)


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


def _pending(task: ObservedTask) -> ObservedTask:
    return replace(task, phase=Phase.REVIEW_PENDING, reason=None, owner=None, needs=None, not_before=None)


def _with(task: ObservedTask, pr: PullRequest) -> ObservedTask:
    """The task with this pull request for its own; one that it replaces and that is over does not come back."""
    replaced = task.pr is not None and task.pr.number != pr.number and task.pr.state != "open"
    kept = _past(task, task.pr.number) if replaced and task.pr is not None else task
    return replace(kept, pr=pr, past_prs=tuple(number for number in kept.past_prs if number != pr.number))


def _past(task: ObservedTask, number: int) -> ObservedTask:
    return task if number in task.past_prs else replace(task, past_prs=(*task.past_prs, number))


def _is_back(task: ObservedTask, pr: PullRequest) -> bool:
    """Whether a blocked task's pull request was first seen, reopened or pushed to, not merely seen again."""
    known = task.pr
    return known is None or known.number != pr.number or known.state != "open" or _is_new_head(task, pr)


def _is_new_head(task: ObservedTask, pr: PullRequest) -> bool:
    if task.pr is None:
        return bool(_pushed(task)) and pr.head_sha not in (None, *_pushed(task))
    return None not in {pr.head_sha, task.pr.head_sha} and pr.head_sha != task.pr.head_sha


def _is_outdated(task: ObservedTask, review: Review) -> bool:
    """Whether a demand is about a head that a later run is known to have left."""
    if review.verdict is not Verdict.CHANGES_REQUESTED or task.pr is None:
        return False
    pushed = _pushed(task)
    return review.head_sha in pushed[:-1] and review.head_sha not in {pushed[-1], task.pr.head_sha}


def _pushed(task: ObservedTask) -> tuple[str, ...]:
    """The heads that runs left on the branch, oldest first."""
    return tuple(run.head_sha for run in task.runs if run.head_sha is not None)


def _is_newer(task: ObservedTask, pr: PullRequest) -> bool:
    """Whether an open pull request is news: newer than the task's own open one, or a later state of the same."""
    known = task.pr
    if known is None:
        return True
    if known.number == pr.number:
        return known != pr and known.state != "merged" and not _is_older(pr, known)
    return known.state != "open" or pr.number > known.number


def _is_older(pr: PullRequest, known: PullRequest) -> bool:
    return pr.updated_at is not None and known.updated_at is not None and pr.updated_at < known.updated_at


def _is_stale(task: ObservedTask, pr: PullRequest) -> bool:
    return task.pr is not None and task.pr.number == pr.number and _is_older(pr, task.pr)
