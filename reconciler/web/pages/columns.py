"""The tasks of the fleet in the columns of the board: what wants a person first, then what moves, then what is over.

A column shows a bounded number of cards however many tasks it has; the rest is a page of its own.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from reconciler.core.observed import ObservedTask
from reconciler.core.terms import Phase
from reconciler.edges.view import Picture
from reconciler.web.pages import cards, filters
from reconciler.web.pages.cards import Card, Scene
from reconciler.web.pages.filters import Filter

SHOWN = 30
"""Cards of a column on the board."""
PAGE = 100
"""Cards of a page that shows some phases alone."""

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column as it is shown: some of its cards, how many it has of each phase, and where all of them are."""

    kind: Kind
    cards: Sequence[Card]
    counts: Mapping[Phase, int]
    total: int
    more: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Paged:
    """One page of the tasks of some phases, and the addresses of its neighbours."""

    cards: Sequence[Card]
    total: int
    first: int
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted:
    """The ids of all tasks that are asked for, by column and in its order; and how many there are of each phase."""

    ids: Mapping[str, Sequence[str]]
    counts: Mapping[Phase, int]


def in_order(picture: Picture, wanted: Filter) -> Sorted:
    """Every task that is asked for and not put away, phases apart."""
    desired, tasks = picture.desired, picture.observed.tasks
    by_phase: dict[Phase, list[str]] = {phase: [] for phase in Phase}
    known = desired.tasks.keys() | desired.refused.keys() | (tasks.keys() - desired.archived)
    nothing, everything = ObservedTask(), not wanted.narrows
    for task_id in sorted(known):
        seen = tasks.get(task_id, nothing)
        if everything or filters.fits(wanted, task_id, desired, seen):
            by_phase[seen.phase].append(task_id)
    ids = {
        kind.name: sorted((one for phase in kind.phases for one in by_phase[phase]), key=_order(kind, picture))
        for kind in KINDS
    }
    return Sorted(ids=ids, counts=Counter({phase: len(found) for phase, found in by_phase.items()}))


def columns(found: Sorted, seeing: Scene, wanted: Filter) -> tuple[Column, ...]:
    """All columns, each bounded."""
    return tuple(
        Column(
            kind=kind,
            cards=tuple(cards.card(one, seeing) for one in found.ids[kind.name][:SHOWN]),
            counts={phase: found.counts[phase] for phase in kind.phases},
            total=len(found.ids[kind.name]),
            more=filters.address(filters.of_phases(wanted, frozenset(kind.phases))),
        )
        for kind in KINDS
    )


def paged(found: Sorted, seeing: Scene, wanted: Filter) -> Paged:
    """The page of the phases that are asked for."""
    nothing = ObservedTask()
    ids = [
        one
        for kind in KINDS
        for one in found.ids[kind.name]
        if seeing.picture.observed.tasks.get(one, nothing).phase in wanted.phases
    ]
    last = max((len(ids) - 1) // PAGE + 1, 1)
    page = min(wanted.page, last)
    first = (page - 1) * PAGE
    return Paged(
        cards=tuple(cards.card(one, seeing) for one in ids[first : first + PAGE]),
        total=len(ids),
        first=first,
        before=filters.address(filters.of_phases(wanted, wanted.phases, page - 1)) if page > 1 else None,
        after=filters.address(filters.of_phases(wanted, wanted.phases, page + 1)) if page < last else None,
    )


def _order(kind: Kind, picture: Picture) -> Callable[[str], tuple[float, ...]]:
    """What wants a person longest first; what is to start as the planner takes it; what is over, newest first."""
    desired, tasks = picture.desired, picture.observed.tasks
    nothing = ObservedTask()

    def key(task_id: str) -> tuple[float, ...]:
        seen = tasks.get(task_id, nothing)
        at = (cards.since(task_id, seen, desired) or seen.last_activity_at or LONG_AGO).timestamp()
        match kind.name:
            case "finished":
                return (-at,)
            case "waiting":
                document = desired.tasks.get(task_id)
                return (-document.value.priority if document is not None else 0, at)
            case _:
                return (at,)

    return key
