"""`/`: every task where it stands, hosts with their load, and what is wrong; a page for people who look.

Nothing on it changes anything.
"""

from collections.abc import Mapping

import falcon

from reconciler.core.board import KINDS
from reconciler.core.terms import Phase
from reconciler.edges.reads import Reads
from reconciler.web.pages import answers, around, cards, columns, filters, frames, rendering
from reconciler.web.pages.access import Access
from reconciler.web.pages.filters import Filter
from reconciler.web.pages.kept import Kept


class Board:
    """`/`."""

    def __init__(self, reads: Reads, access: Access, kept: Kept) -> None:
        """Show what `reads` gives to whom `access` lets in."""
        self._reads = reads
        self._access = access
        self._kept = kept

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The board, or those of its tasks that are asked for."""
        if not self._access.admits(req, resp):
            return
        wanted, leaves = filters.read(req.params), self._access.knows_cookie(req)
        body = self._kept.page((wanted, leaves), lambda: page(self._reads, wanted, leaves=leaves))
        answers.page(req, resp, body)

    on_head = on_get


def page(reads: Reads, wanted: Filter, *, leaves: bool = False) -> bytes:
    """The page for a filter; `leaves`: with a way to have the browser forget its token."""
    seeing = cards.scene(reads)
    picture, now = seeing.picture, seeing.now
    found = columns.in_order(picture, wanted)
    alone = bool(wanted.phases)
    hosts = around.places(picture, now)
    return rendering.render(
        "board.html",
        {
            **frames.values(reads, leaves=leaves),
            "now": now,
            "wanted": wanted,
            "kinds": _tiles(found.counts, wanted),
            "columns": None if alone else columns.columns(found, seeing, wanted),
            "paged": columns.paged(found, seeing, wanted) if alone else None,
            "hosts": hosts,
            "most_hosts": around.MOST_HOSTS,
            "host_ids": sorted({one.id for one in hosts} | {wanted.host} - {""}),
            "adapter_ids": sorted(picture.desired.adapters.keys() | {wanted.adapter} - {""}),
            "remarks": around.said(picture, reads, now),
            "problems": picture.desired.problems[: around.MOST_PROBLEMS],
            "more_problems": max(0, len(picture.desired.problems) - around.MOST_PROBLEMS),
            "nothing_yet": not wanted.narrows and not sum(found.counts.values()),
        },
    )


def _tiles(counts: Mapping[Phase, int], wanted: Filter) -> list[dict[str, object]]:
    """The columns as a row of numbers, each a way to its tasks alone; the one that is looked at leads back."""
    tiles = []
    for kind in KINDS:
        phases = frozenset(kind.phases)
        chosen = wanted.phases == phases
        asked = filters.of_phases(wanted, frozenset() if chosen else phases)
        count = sum(counts[phase] for phase in phases)
        tiles.append({"kind": kind, "count": count, "chosen": chosen, "where": filters.address(asked)})
    return tiles
