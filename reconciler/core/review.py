"""What the forge's pull request and its reviews mean for a task.

Only `lifecycle.advance` calls this; snapshots that are older than what is known change nothing.
"""

from dataclasses import replace

from reconciler.core import demands, twins
from reconciler.core.events import Closed, Merged, PullRequestOpened, PullRequestUpdated, Reviewed
from reconciler.core.observed import ObservedTask, PullRequest, Review
from reconciler.core.terms import TERMINAL, Failure, Phase

CLOSED = "pr_closed"
LIMIT = "review_limit"
REOPENS = frozenset({CLOSED, str(Failure.NOT_DELIVERED)})
MOST_REVIEWS = 60
"""How many reviews a task's file keeps; one that is older than all of so many is no news."""


def opened(task: ObservedTask, event: PullRequestOpened) -> ObservedTask:
    """An open pull request brings the task to review, unless the agent is at work on an earlier review.

    A completed task only takes note of it, so that a later generation knows that it is not its own.
    """
    pr, known = event.pr, task.pr
    if (pr.number in task.past_prs and not event.reopened) or not _is_news(task, pr, reopened=event.reopened):
        return task
    newer = known is not None and known.number > pr.number and known.state == "open"
    if task.phase is Phase.COMPLETED or newer:
        return _noted(task, pr.number)
    return _open(task, _with(task, pr, event.title, event.branch), pr)


def updated(task: ObservedTask, event: PullRequestUpdated) -> ObservedTask:
    """A new head ends a rework; anything else is only noted.

    A snapshot that does not say when it was so can differ from what is known by its title alone.
    """
    pr, known = event.pr, task.pr
    if known == pr and pr.updated_at is None:
        return replace(task, pr_title=event.title or task.pr_title)
    if known is None or known.number != pr.number or not _is_news(task, pr):
        return task
    if pr.state == "open":
        return _open(task, _with(task, pr, event.title), pr)
    return _with(_left(task, pr), pr, event.title) if pr.state == known.state else task


def merged(task: ObservedTask, event: Merged) -> ObservedTask:
    """A merge completes the task from wherever it stands; of several merged ones the first counts."""
    pr, known = event.pr, task.pr
    if pr.number in task.past_prs or not _is_news(task, pr):
        return task
    if task.phase is Phase.COMPLETED:
        if known is None or pr.number > known.number:
            return _noted(task, pr.number)
        if pr.number == known.number:
            return task
    return replace(
        _with(task, pr, event.title, event.branch),
        phase=Phase.COMPLETED,
        reason=None,
        owner=None,
        needs=None,
        not_before=None,
        rework=False,
    )


def closed(task: ObservedTask, event: Closed) -> ObservedTask:
    """A close without a merge blocks the task; a live run is stopped first, and its end blocks."""
    pr, known = event.pr, task.pr
    if pr.number in task.past_prs or not _is_news(task, pr):
        return task
    if known is not None and known.number == pr.number and known.state == "closed":
        return task
    other = known is not None and known.number != pr.number and (known.state == "open" or known.number > pr.number)
    if task.phase is Phase.COMPLETED or other:
        return _noted(task, pr.number)
    seen = _with(_left(task, pr), pr, event.title, event.branch)
    return seen if task.live_run is not None or task.phase in TERMINAL else block_closed(seen)


def reviewed(task: ObservedTask, event: Reviewed) -> ObservedTask:
    """A review is recorded once, whenever it comes; requested changes count once, and send a task in review back.

    Those that came while something of the task runs wait for its end. Those about a head that was left since count as
    they would have counted in their time, and send nothing back.
    """
    known = twins.known(task.reviews, event.review)
    if known is not None:
        return take_up(twins.named(task, known, event.review), event.max_reviews)
    if len(task.reviews) >= MOST_REVIEWS and demands.moment(event.review) < demands.moment(task.reviews[0]):
        return task
    review = replace(event.review, counted=False)
    seen = replace(task, reviews=tuple(sorted((*task.reviews, review), key=demands.moment)))
    if not demands.asks(review) or _waits(seen):
        return seen
    return _counted(seen, review, event.max_reviews)


def take_up(task: ObservedTask, max_reviews: int) -> ObservedTask:
    """Count the demands that waited, and send a task in review back to work for those that still stand."""
    if task.phase in TERMINAL:
        return demands.recounted(task, max_reviews)
    if _is_closed(task):
        return _while_closed(task, max_reviews)
    if task.phase is not Phase.REVIEW_PENDING or task.live_run is not None:
        return task
    if pending(task) is None:
        return task
    counted = demands.recounted(task, max_reviews)
    return _at_limit(counted) if demands.waiting(counted) else _rework(counted)


def after_run(task: ObservedTask, max_reviews: int) -> ObservedTask:
    """Take up what waited for the end of a run; where every reviewer approved since, it only counts."""
    appeased = task.phase is Phase.REVIEW_PENDING and not demands.standing(task)
    return demands.all_counted(task) if appeased else take_up(task, max_reviews)


def pending(task: ObservedTask) -> Review | None:
    """The review that is to send the task back to work now: it asks for changes, and nothing of the task runs."""
    if task.phase is not Phase.REVIEW_PENDING or task.live_run is not None:
        return None
    waiting = demands.waiting(task)
    return waiting[-1] if waiting else None


def revived(task: ObservedTask) -> ObservedTask:
    """The task without a pull request that was closed before a person wanted the work after all."""
    if task.pr is None or task.pr.state != "closed":
        return task
    return replace(task, pr=None, past_prs=_sorted(*task.past_prs, task.pr.number))


def past(task: ObservedTask) -> tuple[int, ...]:
    """The pull requests that are no longer the task's once its generation is over."""
    own = () if task.pr is None else (task.pr.number,)
    return _sorted(*task.past_prs, *task.other_prs, *own)


def released(task: ObservedTask, reason: str | None) -> ObservedTask:
    """The task after its block was lifted: a review that met the limit is now counted and addressed."""
    return _rework(demands.all_counted(task)) if reason == LIMIT else task


def block_closed(task: ObservedTask) -> ObservedTask:
    """The task whose pull request was closed unmerged."""
    needs = "the pull request was closed unmerged: reopen it, retry the task, or cancel it"
    return replace(task, phase=Phase.BLOCKED, reason=CLOSED, owner="author", needs=needs, not_before=None)


def _open(task: ObservedTask, seen: ObservedTask, pr: PullRequest) -> ObservedTask:
    """What an open pull request means for `task`, which is `seen` once it has taken note of it."""
    known = task.pr
    back = known is None or known.number != pr.number or known.state != "open"
    moved = _is_new_head(task, pr)
    if task.phase in TERMINAL:
        return seen
    if task.phase is Phase.BLOCKED and (task.reason not in REOPENS or not (back or moved)):
        return replace(seen, rework=task.rework and not moved)
    if task.phase is Phase.BLOCKED:
        return _pending(demands.due_again(seen) if task.rework and not moved else seen)
    if task.rework:
        return _pending(seen) if moved else seen
    return _pending(seen) if back else seen


def _waits(task: ObservedTask) -> bool:
    """Whether a demand cannot count yet: something of the task runs, or is to run before it is in review."""
    if task.phase in TERMINAL:
        return False
    if task.live_run is not None:
        return True
    return not (task.phase is Phase.REVIEW_PENDING or _is_due(task) or _is_closed(task) or task.reason == LIMIT)


def _counted(task: ObservedTask, review: Review, max_reviews: int) -> ObservedTask:
    """The task after a demand that counts now."""
    if task.phase in TERMINAL:
        return demands.recounted(task, max_reviews)
    if _is_closed(task):
        return _while_closed(task, max_reviews)
    current = demands.is_about_current_head(task, review)
    counted = demands.recounted(task, max_reviews, joins=_is_due(task) and current)
    if demands.waiting(counted):
        return counted if _is_due(task) and demands.had_a_round(task) else _at_limit(counted)
    back = current and not _is_due(task)
    return _rework(counted) if back or task.reason == LIMIT else counted


def _while_closed(task: ObservedTask, max_reviews: int) -> ObservedTask:
    """The task whose pull request is closed: its demands count, and what they ask for is due if it is reopened."""
    before = {review.id for review in demands.waiting(task)}
    counted = demands.recounted(task, max_reviews)
    taken = [review for review in counted.reviews if review.counted and review.id in before]
    due = any(demands.is_about_current_head(task, review) for review in taken)
    return replace(counted, rework=True) if due else counted


def _is_due(task: ObservedTask) -> bool:
    """Whether a round is due that has not begun."""
    return task.phase is Phase.CREATED and task.rework and task.live_run is None


def _is_closed(task: ObservedTask) -> bool:
    return task.phase is Phase.BLOCKED and task.reason == CLOSED


def _at_limit(task: ObservedTask) -> ObservedTask:
    needs = f"{task.review_count} review rounds are used up: raise max_reviews, finish it by hand, or merge"
    return replace(
        task, phase=Phase.BLOCKED, reason=LIMIT, owner="reviewer", needs=needs, not_before=None, rework=False
    )


def _rework(task: ObservedTask) -> ObservedTask:
    return replace(task, phase=Phase.CREATED, reason=None, owner=None, needs=None, not_before=None, rework=True)


def _pending(task: ObservedTask) -> ObservedTask:
    return replace(task, phase=Phase.REVIEW_PENDING, reason=None, owner=None, needs=None, not_before=None, rework=False)


def _with(task: ObservedTask, pr: PullRequest, title: str | None = None, branch: str | None = None) -> ObservedTask:
    """The task with this pull request for its own; the one that it replaces is another of its generation."""
    noted = task if task.pr is None else _noted(task, task.pr.number)
    return replace(
        noted,
        pr=pr,
        past_prs=tuple(number for number in noted.past_prs if number != pr.number),
        other_prs=tuple(number for number in noted.other_prs if number != pr.number),
        pr_title=title or task.pr_title,
        branch_name=task.branch_name or branch,
    )


def _noted(task: ObservedTask, number: int) -> ObservedTask:
    """The task that knows of one more pull request of its generation."""
    if number in task.other_prs:
        return task
    return replace(
        task,
        past_prs=tuple(known for known in task.past_prs if known != number),
        other_prs=_sorted(*task.other_prs, number),
    )


def _left(task: ObservedTask, pr: PullRequest) -> ObservedTask:
    """The task whose rework is over where its pull request has a new head."""
    return replace(task, rework=task.rework and not _is_new_head(task, pr))


def _sorted(*numbers: int) -> tuple[int, ...]:
    return tuple(sorted(set(numbers)))


def _is_new_head(task: ObservedTask, pr: PullRequest) -> bool:
    """Whether the pull request has a head that neither the forge nor an ended run has told of before."""
    told = {*demands.pushed(task), *(() if task.pr is None or task.pr.head_sha is None else (task.pr.head_sha,))}
    return bool(told) and pr.head_sha is not None and pr.head_sha not in told


def _is_news(task: ObservedTask, pr: PullRequest, *, reopened: bool = False) -> bool:
    """Whether the snapshot is another one than what is known of this pull request, and no older.

    A merge is never undone. Of an open and a closed snapshot of one moment the closed one is the later.
    """
    known = task.pr
    if known is None or known.number != pr.number:
        return True
    if known == pr or (known.state == "merged" and pr.state != "merged"):
        return False
    if known.updated_at is None or pr.updated_at is None or pr.updated_at > known.updated_at:
        return True
    reopens = known.state == "closed" and pr.state == "open"
    return pr.updated_at == known.updated_at and (reopened or not reopens)
