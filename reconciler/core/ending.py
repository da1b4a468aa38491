"""What the end of a run means for its task: done, again, blocked, failed.

Only `lifecycle.advance` calls this; it decides nothing about runs that still live.
"""

from dataclasses import replace

from reconciler.core import retry, review
from reconciler.core.events import CancelReason, Finished, NotStarted
from reconciler.core.observed import ObservedTask, Run
from reconciler.core.terms import TERMINAL, Delivery, Failure, Outcome, Phase

NEEDS = {
    Failure.WAITING_INPUT: ("author", "the agent asks for something: answer in the task file"),
    Failure.AUTH: (
        "operator",
        "mend the login or the access, then change the adapter, the host or the secret; or retry",
    ),
    Failure.CONFIG: ("operator", "mend the task, adapter or host file; or retry"),
    Failure.NOT_DELIVERED: ("author", "nothing was delivered: change the task file; or retry"),
}
"""Who must act on a run that ended so, and what they can do."""


def finished(task: ObservedTask, event: Finished) -> ObservedTask:
    """The task after its current run has ended or is lost."""
    run = replace(
        task.runs[-1],
        started_at=task.runs[-1].started_at or event.at,
        finished_at=event.at,
        outcome=event.outcome,
        failure=event.failure,
        resets_at=event.resets_at if event.failure is Failure.USAGE_LIMIT else None,
        exit_code=event.exit_code,
        session=event.session,
        input_tokens=event.input_tokens,
        output_tokens=event.output_tokens,
        cost_usd=event.cost_usd,
        head_sha=event.head_sha,
        summary=event.summary,
        error=event.error,
        warnings=event.warnings,
    )
    counted = retry.counts_as_attempt((*task.runs[:-1], run))
    run = replace(run, counts_as_attempt=counted)
    ended = replace(task, runs=(*task.runs[:-1], run), attempts=task.attempts + counted)
    settled = _settled(ended, event.cancel)
    if settled is not None:
        return review.after_run(settled, event.max_reviews)
    if task.phase is Phase.REVIEW_PENDING:
        return review.after_run(ended, event.max_reviews)
    if event.outcome is Outcome.SUCCEEDED:
        return _succeeded(ended, event)
    return _failed(ended, event)


def not_started(task: ObservedTask, event: NotStarted) -> ObservedTask:
    """The task after its current run was given up before it started: no attempt, but a launch with backoff."""
    run = task.runs[-1]
    if run.finished_at is not None:
        return task
    run = replace(run, finished_at=event.at, outcome=Outcome.NOT_STARTED, failure=event.failure, error=event.error)
    ended = replace(task, runs=(*task.runs[:-1], run))
    settled = _settled(ended, event.cancel)
    if settled is not None:
        return settled
    if task.phase is Phase.REVIEW_PENDING:
        return ended
    if event.failure in {Failure.AUTH, Failure.CONFIG}:
        return _blocked(ended, event.failure)
    in_a_row = retry.in_a_row(ended.runs, lambda run: run.outcome is Outcome.NOT_STARTED)
    if in_a_row % retry.NOT_STARTED_IN_A_ROW == 0:
        needs = f"{in_a_row} launches in a row did not start: see the runs, mend the cause, then retry"
        return replace(ended, phase=Phase.BLOCKED, reason="not_started", owner="operator", needs=needs)
    return _again(ended)


def missed(seen: ObservedTask) -> str | None:
    """Why what the last run left was no delivery; `None` where it was one, or failed in another way."""
    ended = [run for run in seen.runs if run.finished_at is not None and run.outcome is not Outcome.NOT_STARTED]
    if not ended or ended[-1].generation != seen.generation or ended[-1].failure is not Failure.NOT_DELIVERED:
        return None
    return ended[-1].error or "nothing was delivered"


def _settled(ended: ObservedTask, cancel: CancelReason | None) -> ObservedTask | None:
    """The task where it does not matter how the run ended: it is over anyway, or was stopped for a reason."""
    if ended.phase in TERMINAL or ended.phase is Phase.BLOCKED:
        return ended
    if cancel is not None:
        return replace(ended, phase=Phase.CANCELLED, reason=cancel, owner=None, needs=None, not_before=None)
    if ended.pr is not None and ended.pr.state == "closed":
        return review.block_closed(ended)
    return None


def _succeeded(ended: ObservedTask, event: Finished) -> ObservedTask:
    phase = Phase.REVIEW_PENDING if event.delivery is Delivery.PULL_REQUEST else Phase.COMPLETED
    done = replace(ended, phase=phase, reason=None, owner=None, needs=None, not_before=None, rework=False)
    return review.after_run(done, event.max_reviews) if phase is Phase.REVIEW_PENDING else done


def _failed(ended: ObservedTask, event: Finished) -> ObservedTask:
    failure = event.failure or Failure.UNKNOWN
    if failure in {Failure.WAITING_INPUT, Failure.AUTH, Failure.CONFIG}:
        return _blocked(ended, failure)
    if failure is Failure.NOT_DELIVERED and _not_delivered_again(ended.runs):
        return _blocked(ended, failure)
    if ended.runs[-1].counts_as_attempt and ended.attempts >= event.max_attempts:
        needs = f"{ended.attempts} of {event.max_attempts} attempts are used up: retry, or change the task"
        return replace(ended, phase=Phase.FAILED, reason=str(failure), owner="author", needs=needs)
    again = _again(ended)
    if failure is Failure.USAGE_LIMIT and event.resets_at is not None:
        return replace(again, not_before=max(event.resets_at, again.not_before or event.resets_at))
    return again


def _not_delivered_again(runs: tuple[Run, ...]) -> bool:
    ran = [run for run in runs if run.outcome is not Outcome.NOT_STARTED]
    in_a_row = retry.in_a_row(ran, lambda run: run.failure is Failure.NOT_DELIVERED)
    return in_a_row % retry.NOT_DELIVERED_IN_A_ROW == 0


def _blocked(ended: ObservedTask, failure: Failure) -> ObservedTask:
    owner, needs = NEEDS[failure]
    return replace(ended, phase=Phase.BLOCKED, reason=str(failure), owner=owner, needs=needs)


def _again(ended: ObservedTask) -> ObservedTask:
    run = ended.runs[-1]
    wait_until = None
    if run.outcome is not Outcome.CANCELLED and run.finished_at is not None:
        wait_until = retry.not_before(ended.runs, run.finished_at)
    return replace(ended, phase=Phase.CREATED, reason=None, owner=None, needs=None, not_before=wait_until)
