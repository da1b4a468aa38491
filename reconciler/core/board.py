"""What a board is made of, on a page and on a terminal: its columns, which tasks stand in each, and in which order.

It says nothing of how a task or a column looks, and reads no clock.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from reconciler.core.desired import Desired
from reconciler.core.observed import UNTOUCHED, ObservedTask
from reconciler.core.terms import Phase

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

Tasks = Mapping[str, ObservedTask]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A column: its name, the phases in it, what is in it in a few words, and what to say where nothing is."""

    name: str
    title: str
    phases: tuple[Phase, ...]
    says: str
    empty: str


KINDS = (
    Kind(
        name="blocked",
        title="Blocked",
        phases=(Phase.BLOCKED,),
        says="a person must act",
        empty="Nothing needs you.",
    ),
    Kind(
        name="waiting",
        title="Waiting",
        phases=(Phase.CREATED,),
        says="not started yet",
        empty="Nothing waits to start.",
    ),
    Kind(
        name="running",
        title="Running",
        phases=(Phase.ASSIGNED, Phase.RUNNING),
        says="an agent is at work",
        empty="No agent is at work.",
    ),
    Kind(
        name="review",
        title="In review",
        phases=(Phase.REVIEW_PENDING,),
        says="a person looks at it",
        empty="Nothing waits for a review.",
    ),
    Kind(
        name="finished",
        title="Finished",
        phases=(Phase.FAILED, Phase.COMPLETED, Phase.CANCELLED),
        says="newest first",
        empty="Nothing is finished yet.",
    ),
)


def task_ids(desired: Desired, tasks: Tasks) -> set[str]:
    """Every task that is not put away: those with a file, and those that happened and are not archived."""
    return {*desired.tasks, *desired.refused, *(tasks.keys() - desired.archived)}


def in_order(ids: Iterable[str], desired: Desired, tasks: Tasks) -> dict[str, list[str]]:
    """These tasks by the name of their column, in its order."""
    by_phase: dict[Phase, list[str]] = {phase: [] for phase in Phase}
    for task_id in sorted(ids):
        by_phase[tasks.get(task_id, UNTOUCHED).phase].append(task_id)
    return {
        kind.name: sorted((one for phase in kind.phases for one in by_phase[phase]), key=_order(kind, desired, tasks))
        for kind in KINDS
    }


def since(task_id: str, desired: Desired, tasks: Tasks) -> datetime | None:
    """Since when a task has been where it is, as far as that is known."""
    run = tasks.get(task_id, UNTOUCHED).last_run
    if run is not None and run.finished_at is None:
        return run.started_at or run.assigned_at
    if run is not None:
        return run.finished_at
    return desired.since.get(task_id)


def _order(kind: Kind, desired: Desired, tasks: Tasks) -> Callable[[str], tuple[float, ...]]:
    """What wants a person longest first; what is to start as the planner takes it; what is over, newest first."""

    def key(task_id: str) -> tuple[float, ...]:
        active = tasks.get(task_id, UNTOUCHED).last_activity_at
        at = (since(task_id, desired, tasks) or active or LONG_AGO).timestamp()
        match kind.name:
            case "finished":
                return (-at,)
            case "waiting":
                document = desired.tasks.get(task_id)
                return (-document.value.priority if document is not None else 0, at)
            case _:
                return (at,)

    return key
