"""Takes what agents that asked for work say of their runs, and records what follows from it.

It starts and stops nothing; until it is recorded, saying the same again gives the same.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, assert_never
from urllib.parse import urlsplit

from reconciler.agents import holding, leasing
from reconciler.agents.holding import Conflict, Held
from reconciler.core import conditions, following, mask, printable, repositories, verdict
from reconciler.core.desired import Desired, Task
from reconciler.core.events import Event, Finished, PullRequestOpened, Started
from reconciler.core.lifecycle import IllegalTransition, Superseded
from reconciler.core.observed import ObservedTask, PullRequest, Run
from reconciler.core.terms import Delivery, Failure, Outcome, Phase
from reconciler.edges import Edges
from reconciler.forge import fields
from reconciler.repo.desired import assigned


class Unusable(Exception):
    """What was said cannot be; `path` names the key as a JSON Pointer."""

    def __init__(self, path: str, message: str) -> None:
        """Keep the place beside the sentence."""
        super().__init__(message)
        self.path = path


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a run used."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """How an agent says that its run stands. `secrets` are never repeated."""

    epoch: int
    phase: Literal["running", "review_pending", "completed", "failed", "blocked"]
    summary: str | None = None
    branch_name: str | None = None
    pr_title: str | None = None
    pr_url: str | None = None
    reason: str | None = None
    usage: Usage = Usage()
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    """What an agent said about one of its runs, with what the run was given."""

    task_id: str
    host_id: str
    task: Task
    seen: ObservedTask
    desired: Desired
    said: Said


def report(edges: Edges, host_id: str, task_id: str, said: Said) -> Held:
    """Record how a run stands. The same end again is answered as before; `running` holds the run for another term.

    Raises Unusable, what `holding.seen_by` and `holding.live` raise, BranchFailed, BranchMoved and JournalFailed.
    """
    seen = holding.seen_by(edges, host_id, task_id)
    run = _run(seen, said.epoch)
    number = None if said.pr_url is None else _number(said.pr_url)
    if run is not None and run.epoch == seen.epoch and said.branch_name not in {None, seen.branch_name}:
        raise Unusable("/branch_name", f"the branch of this task is {seen.branch_name}: push to that one")
    desired = edges.view.latest().desired
    if run is not None and holding.is_run_of(run, host_id):
        task = assigned.task(edges.fleet, desired, task_id, run) if said.phase == "completed" else None
        if task is not None and task.delivery is Delivery.PULL_REQUEST:
            holding.live(seen, host_id, said.epoch)
            raise Conflict("the task is delivered by a pull request: open one, and report review_pending")
        if _is_said(seen, run, said):
            return Held(run=run)
    run = holding.live(seen, host_id, said.epoch)
    if said.phase == "running":
        return _running(edges, host_id, task_id, run)
    task = assigned.task(edges.fleet, desired, task_id, run)
    if task is None:
        raise Conflict("the file of the task is gone, and so is what the run was given")
    told = _Report(task_id=task_id, host_id=host_id, task=task, seen=seen, desired=desired, said=said)
    return _ended(edges, told, number)


def _running(edges: Edges, host_id: str, task_id: str, run: Run) -> Held:
    """Record that the run has begun, once, and hold it for another term."""
    started = Started(at=edges.now(), actor=f"agent:{host_id}", epoch=run.epoch)
    try:
        lease = edges.branch.record_held(task_id, started, leasing.term(edges, run.epoch))
    except (IllegalTransition, Superseded) as failed:
        holding.live(edges.branch.tasks()[task_id], host_id, run.epoch)
        raise Conflict(str(failed)) from failed
    edges.journal.keep_activity(task_id, started.at)
    return holding.held(edges, host_id, task_id, run, lease)


def _run(seen: ObservedTask, epoch: int) -> Run | None:
    return next((run for run in seen.runs if run.epoch == epoch), None)


def _ended(edges: Edges, told: _Report, number: int | None) -> Held:
    """Record the end of a run."""
    said = told.said
    now = edges.now()
    facts: list[Event] = [_finished(edges, told, now)]
    if said.phase == "review_pending" and number is not None and _is_news(edges, told, number):
        facts.append(_opened(told, number, now))
    failed = _recorded(edges, told.task_id, facts)
    seen = edges.branch.tasks()[told.task_id]
    run = _run(seen, said.epoch)
    if run is not None and (failed is None or _is_said(seen, run, said)):
        return Held(run=run)
    holding.live(seen, told.host_id, said.epoch)
    raise Conflict(str(failed)) from failed


def _recorded(edges: Edges, task_id: str, facts: Sequence[Event]) -> IllegalTransition | Superseded | None:
    """Record the facts as one; what stood against it, if anything did. Raises what else failed."""
    after = edges.branch.record_many([(task_id, fact) for fact in facts])
    failed = next((one for one in after if isinstance(one, Exception)), None)
    if failed is None or isinstance(failed, IllegalTransition | Superseded):
        return failed
    raise failed


def _is_said(seen: ObservedTask, run: Run, said: Said) -> bool:
    """Whether the end that is reported is the one that is recorded."""
    match said.phase:
        case "running":
            return False
        case "review_pending":
            return run.outcome is Outcome.SUCCEEDED and not (seen.phase is Phase.COMPLETED and seen.pr is None)
        case "completed":
            return run.outcome is Outcome.SUCCEEDED and not (seen.phase is Phase.REVIEW_PENDING and seen.pr is None)
        case "failed":
            return run.outcome is Outcome.CANCELLED or run.failure is Failure.AGENT_ERROR
        case "blocked":
            return run.outcome is Outcome.CANCELLED or run.failure is Failure.WAITING_INPUT
        case _:
            assert_never(said.phase)


def _finished(edges: Edges, told: _Report, now: datetime) -> Finished:
    said, task = told.said, told.task
    document = told.desired.tasks.get(told.task_id)
    limits = document.value if document is not None else task
    outcome, failure = _outcome(told, now)
    secrets = _secrets(edges, told)
    return Finished(
        at=now,
        actor=f"agent:{told.host_id}",
        epoch=said.epoch,
        outcome=outcome,
        failure=failure,
        delivery=Delivery.PULL_REQUEST if said.phase == "review_pending" else task.delivery or Delivery.NONE,
        max_attempts=limits.max_attempts,
        max_reviews=limits.max_reviews,
        cancel=conditions.cancel_reason(told.task_id, told.desired, now),
        input_tokens=said.usage.input_tokens,
        output_tokens=said.usage.output_tokens,
        cost_usd=said.usage.cost_usd,
        summary=_text(said.summary, secrets),
        error=_text(said.reason, secrets) if outcome is not Outcome.SUCCEEDED else None,
    )


def _outcome(told: _Report, now: datetime) -> tuple[Outcome, Failure | None]:
    """How the run ended; one that gave up because it was to stop did not fail."""
    if told.said.phase in {"review_pending", "completed"}:
        return Outcome.SUCCEEDED, None
    if following.unwanted(told.task_id, told.seen, told.desired, now) is not None:
        return Outcome.CANCELLED, None
    failed = Failure.AGENT_ERROR if told.said.phase == "failed" else Failure.WAITING_INPUT
    return Outcome.FAILED, failed


def _is_news(edges: Edges, told: _Report, number: int) -> bool:
    """Whether the agent must be taken at its word about a pull request: no forge can be asked, and it is not known."""
    forge, known = edges.forge.named, told.seen.pr
    if edges.forge.client is not None and forge is not None and repositories.of(told.task, forge) is not None:
        return False
    return known is None or (known.number, known.state) != (number, "open")


def _opened(told: _Report, number: int, now: datetime) -> PullRequestOpened:
    said = told.said
    return PullRequestOpened(
        at=now,
        actor=f"agent:{told.host_id}",
        epoch=said.epoch,
        pr=PullRequest(number=number, url=said.pr_url or "", state="open"),
        title=" ".join(printable.lines(said.pr_title or "").split()) or None,
        branch=told.seen.branch_name,
    )


def _number(url: str) -> int:
    """The number of a pull request: the last one that stands alone in the path of its address."""
    try:
        parts = urlsplit(url).path.split("/")
    except ValueError as error:
        raise Unusable("/pr_url", "this is no address of a pull request") from error
    numbers = [part for part in parts if re.fullmatch("[0-9]{1,16}", part)]
    if not numbers or not 0 < int(numbers[-1]) <= fields.MOST_NUMBER:
        raise Unusable("/pr_url", "the address names no pull request: its number is the last one in the path")
    return int(numbers[-1])


def _secrets(edges: Edges, told: _Report) -> tuple[str, ...]:
    """The values that may stand in no record: those that the task names, and the agent's own token."""
    return (*told.said.secrets, *edges.hidden(told.task.secrets))


def _text(text: str | None, secrets: Collection[str]) -> str | None:
    """The beginning of a text, without secrets and what cannot be shown."""
    if text is None or not text.strip():
        return None
    return verdict.head(printable.lines(mask.mask(text, secrets)))
