"""Tasks and events with everything filled in that a test does not care about, and a task's life as a list of events."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from reconciler.core import lifecycle
from reconciler.core.events import (
    Assigned,
    BranchPushed,
    BreakerOpened,
    Cancelled,
    CancelReason,
    Closed,
    Event,
    Finished,
    Merged,
    NotStarted,
    PullRequestOpened,
    PullRequestUpdated,
    Regenerated,
    Released,
    Reviewed,
    Revived,
    Started,
)
from reconciler.core.observed import ObservedTask, PullRequest, Review
from reconciler.core.terms import Delivery, ExecutionMode, Failure, Kind, Outcome, Verdict

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """That many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def live(*events: Event, task: ObservedTask | None = None) -> ObservedTask:
    """The task after the events."""
    after = task or ObservedTask()
    for event in events:
        after = lifecycle.advance(after, event)
    return after


def assigned(
    epoch: int = 1,
    when: float = 0,
    *,
    host: str = "h",
    generation: int = 1,
    title: str = "t",
) -> Assigned:
    return Assigned(
        at=at(when),
        actor="planner",
        epoch=epoch,
        run_id=f"f.task.{epoch}",
        host=host,
        adapter="sh",
        kind=Kind.IMPLEMENT,
        spec="s",
        config="c",
        generation=generation,
        execution_mode=ExecutionMode.SSH_CLI,
        branch_name="task/task",
        pr_title=title,
    )


def started(epoch: int | None = 1, when: float = 1) -> Started:
    return Started(at=at(when), actor="host:h", epoch=epoch)


def not_started(
    epoch: int = 1, failure: Failure = Failure.TRANSPORT, when: float = 2, cancel: CancelReason | None = None
) -> NotStarted:
    return NotStarted(at=at(when), actor="planner", epoch=epoch, failure=failure, error="no", cancel=cancel)


def good(epoch: int = 1, delivery: Delivery = Delivery.NONE, when: float = 2, head: str | None = None) -> Finished:
    return Finished(
        at=at(when), actor="host:h", epoch=epoch, outcome=Outcome.SUCCEEDED, delivery=delivery, head_sha=head
    )


def failed(epoch: int = 1, failure: Failure | None = Failure.AGENT_ERROR, when: float = 2) -> Finished:
    return Finished(at=at(when), actor="host:h", epoch=epoch, outcome=Outcome.FAILED, failure=failure)


def stopped(epoch: int = 1, cancel: CancelReason | None = None) -> Finished:
    return Finished(at=at(3), actor="host:h", epoch=epoch, outcome=Outcome.CANCELLED, cancel=cancel)


def lost(epoch: int = 1, when: float = 2, cancel: CancelReason | None = None) -> Finished:
    return Finished(
        at=at(when), actor="planner", epoch=epoch, outcome=Outcome.LOST, failure=Failure.HOST_LOST, cancel=cancel
    )


def pull_request(
    number: int = 1, head: str | None = "a", state: Literal["open", "closed", "merged"] = "open", updated: float = 0
) -> PullRequest:
    return PullRequest(number=number, url="u", state=state, head_sha=head, updated_at=at(updated))


def opened(number: int = 1, head: str | None = "a", updated: float = 0, *, reopened: bool = False) -> PullRequestOpened:
    pr = pull_request(number, head, updated=updated)
    return PullRequestOpened(at=at(4), actor="forge:x", pr=pr, reopened=reopened)


def updated(number: int = 1, head: str = "a", updated: float = 1) -> PullRequestUpdated:
    return PullRequestUpdated(at=at(5), actor="forge:x", pr=pull_request(number, head, updated=updated))


def closed(number: int = 1, updated: float = 10, head: str = "a") -> Closed:
    return Closed(at=at(6), actor="forge:x", pr=pull_request(number, head, "closed", updated))


def merged(number: int = 1, updated: float = 10) -> Merged:
    return Merged(at=at(6), actor="forge:x", pr=pull_request(number, "a", "merged", updated))


def reviewed(
    name: str = "r1",
    head: str | None = "a",
    *,
    verdict: Verdict = Verdict.CHANGES_REQUESTED,
    reviewer: str = "ann",
    max_reviews: int = 3,
) -> Reviewed:
    review = Review(id=name, reviewer=reviewer, verdict=verdict, submitted_at=at(5), head_sha=head)
    return Reviewed(at=at(5), actor="forge:ann", review=review, max_reviews=max_reviews)


def dated(event: Reviewed, when: float) -> Reviewed:
    """The review given at another time."""
    return replace(event, review=replace(event.review, submitted_at=at(when)))


def cancelled(reason: CancelReason = "requested") -> Cancelled:
    return Cancelled(at=at(7), actor="person:desired", reason=reason)


def revived() -> Revived:
    return Revived(at=at(8), actor="person:desired")


def released() -> Released:
    return Released(at=at(8), actor="person:desired", cause="task file changed")


def regenerated(generation: int = 2) -> Regenerated:
    return Regenerated(at=at(8), actor="person:desired", generation=generation)


def pushed() -> BranchPushed:
    return BranchPushed(at=at(9), actor="forge:x")


def breaker() -> BreakerOpened:
    return BreakerOpened(at=at(9), actor="planner", reason="mass_death", needs="mend the cause")


ASSIGNED = live(assigned())
RUNNING = live(assigned(), started())
IN_REVIEW = live(assigned(), started(), good(delivery=Delivery.PULL_REQUEST, head="a"), opened())
REWORK = live(reviewed(), task=IN_REVIEW)
BLOCKED = live(failed(failure=Failure.WAITING_INPUT), task=RUNNING)
FAILED = live(replace(failed(), max_attempts=1), task=RUNNING)
COMPLETED = live(good(), task=RUNNING)
CANCELLED = live(cancelled())
