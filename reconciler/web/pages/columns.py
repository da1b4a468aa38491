"""The tasks of the fleet in the columns of the board: what wants a person first, then what moves, then what is over.

A column shows a bounded number of cards however many tasks it has; the rest is a page of its own.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from reconciler.core import board as boards
from reconciler.core.board import KINDS, Kind
from reconciler.core.observed import UNTOUCHED
from reconciler.core.terms import Phase
from reconciler.edges.view import Picture
from reconciler.web.pages import cards, filters
from reconciler.web.pages.cards import Card, Scene
from reconciler.web.pages.filters import Filter

SHOWN = 30
"""Cards of a column on the board."""
PAGE = 100
"""Cards of a page that shows some phases alone."""


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
    ids: Collection[str] = boards.task_ids(desired, tasks)
    if wanted.narrows:
        ids = [one for one in ids if filters.fits(wanted, one, desired, tasks.get(one, UNTOUCHED))]
    counts = Counter(tasks.get(one, UNTOUCHED).phase for one in ids)
    return Sorted(ids=boards.in_order(ids, desired, tasks), counts=counts)


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
    ids = [
        one
        for kind in KINDS
        for one in found.ids[kind.name]
        if seeing.picture.observed.tasks.get(one, UNTOUCHED).phase in wanted.phases
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
