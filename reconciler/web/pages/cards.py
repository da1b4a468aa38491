"""A task as a card of the board: what it is, where it stands, what it waits for, what it took so far.

It computes no rule of its own: what keeps a task is what `conditions` says.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.core import board, conditions, notes
from reconciler.core.conditions import Condition, Usage
from reconciler.core.desired import Task
from reconciler.core.observed import ObservedTask, PullRequest
from reconciler.core.terms import TERMINAL, Phase, Wish
from reconciler.edges.reads import Reads
from reconciler.edges.view import Picture

MOST_TITLE = 160
MOST_NOTE = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a page is made of: one picture, the moment, and what the fleet's limits count."""

    reads: Reads
    picture: Picture
    now: datetime
    used: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What the runs of a task took: tokens and dollars, `None` where no run told; and how long they ran together."""

    tokens: int | None
    cost_usd: float | None
    ran: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One task. `since` is when it came to stand so, as far as that is known; `waits` is what is in its way first.

    `said` is what ended its last run, in the words of the agent or of who saw it.
    """

    id: str
    title: str
    phase: Phase
    wish: Wish | None
    note: str
    reason: str | None
    said: str
    waits: Condition | None
    host: str | None
    adapter: str | None
    model: str | None
    since: datetime | None
    active: datetime | None
    runs: int
    attempts: int
    most_attempts: int | None
    reviews: int
    most_reviews: int | None
    pr: PullRequest | None
    spent: Spent


def scene(reads: Reads) -> Scene:
    """What there is to be seen now."""
    picture = reads.view.latest()
    return Scene(reads=reads, picture=picture, now=reads.now(), used=conditions.usage(picture.observed))


def card(task_id: str, seeing: Scene) -> Card:
    """The card of a task, as the last turn saw it."""
    desired, observed, now = seeing.picture.desired, seeing.picture.observed, seeing.now
    document, seen = desired.tasks.get(task_id), observed.tasks.get(task_id, ObservedTask())
    task = document.value if document is not None else None
    return Card(
        id=task_id,
        title=notes.title(task_id, desired, observed)[:MOST_TITLE] or task_id,
        phase=seen.phase,
        wish=task.desired if task is not None else None,
        note=_note(task_id, seen, seeing)[:MOST_NOTE],
        reason=seen.reason,
        said=_said(seen)[:MOST_NOTE],
        waits=_waits(task_id, seen, seeing),
        host=_host(seen, task),
        adapter=seen.adapter or (task.adapter if task is not None else None),
        model=task.model if task is not None else None,
        since=board.since(task_id, desired, observed.tasks),
        active=active(task_id, seen, seeing.reads),
        runs=len(seen.runs),
        attempts=seen.attempts,
        most_attempts=task.max_attempts if task is not None else None,
        reviews=seen.review_count,
        most_reviews=task.max_reviews if task is not None else None,
        pr=seen.pr,
        spent=spent(seen, now),
    )


def active(task_id: str, seen: ObservedTask, reads: Reads) -> datetime | None:
    """When something last moved in a task."""
    if seen.phase in TERMINAL or not seen.runs:
        return seen.last_activity_at
    kept = reads.journal.activity(task_id)
    known = seen.last_activity_at
    return max(kept, known) if kept is not None and known is not None else kept or known


def spent(seen: ObservedTask, now: datetime) -> Spent:
    """What all of a task's runs took."""
    tokens = [one for run in seen.runs for one in (run.input_tokens, run.output_tokens) if one is not None]
    costs = [run.cost_usd for run in seen.runs if run.cost_usd is not None]
    ran = ((run.finished_at or now) - run.started_at for run in seen.runs if run.started_at is not None)
    return Spent(
        tokens=sum(tokens) if tokens else None,
        cost_usd=sum(costs) if costs else None,
        ran=sum(ran, timedelta()),
    )


def _host(seen: ObservedTask, task: Task | None) -> str | None:
    """Where it runs or ran last, else where it is pinned to."""
    return seen.assigned_host or (task.host if task is not None else None)


def _note(task_id: str, seen: ObservedTask, seeing: Scene) -> str:
    """What is said of it where that is more than what it waits for."""
    desired, observed = seeing.picture.desired, seeing.picture.observed
    if task_id not in desired.refused and seen.needs is not None:
        return seen.needs
    if seen.phase in TERMINAL or task_id in desired.refused:
        return notes.note(task_id, desired, observed, seeing.now)
    return ""


def _said(seen: ObservedTask) -> str:
    """What the agent, or whatever ended its run, said of why the task stands still."""
    run = seen.last_run
    return run.error if run is not None and run.error and seen.reason == run.failure else ""


def _waits(task_id: str, seen: ObservedTask, seeing: Scene) -> Condition | None:
    """What is in its way first; of one that runs only what somebody must change."""
    desired, observed, now = seeing.picture.desired, seeing.picture.observed, seeing.now
    match seen.phase:
        case Phase.CREATED:
            return next(iter(conditions.waiting(task_id, desired, observed, now, seeing.used)), None)
        case Phase.REVIEW_PENDING:
            return next(conditions.obstacles(task_id, desired, observed, now), None)
        case Phase.ASSIGNED | Phase.RUNNING:
            found = conditions.obstacles(task_id, desired, observed, now)
            return next((one for one in found if one.who not in {"nobody", "author"}), None)
        case Phase.BLOCKED | Phase.FAILED | Phase.COMPLETED | Phase.CANCELLED:
            return Condition(why=seen.needs or "", who=seen.owner) if seen.owner is not None else None
