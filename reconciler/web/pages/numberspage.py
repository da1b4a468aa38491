"""`/numbers`: what the fleet did in the last days, as plots and tables made on the server.

It counts nothing itself, and draws with no script.
"""

from collections.abc import Mapping, Sequence

import falcon

from reconciler.core import numbers
from reconciler.core.figures import Figures
from reconciler.core.numbers import Day
from reconciler.core.terms import Outcome, Phase
from reconciler.edges.reads import Reads
from reconciler.web.pages import answers, frames, plots, rendering
from reconciler.web.pages.access import Access
from reconciler.web.pages.kept import Kept
from reconciler.web.pages.plots import Shape

SPANS = (7, 30, 90)
USUAL = 30
MOST_ROWS = 20
ENDS = (Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED)


class NumbersPage:
    """`/numbers`."""

    def __init__(self, reads: Reads, access: Access, kept: Kept) -> None:
        """Show what `reads` gives to whom `access` lets in."""
        self._reads = reads
        self._access = access
        self._kept = kept

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The page for some days."""
        if not self._access.admits(req, resp):
            return
        asked, leaves = req.params.get("days"), self._access.knows_cookie(req)
        days = next((span for span in SPANS if asked == str(span)), USUAL)
        body = self._kept.page((days, leaves), lambda: page(self._reads, days, leaves=leaves))
        answers.page(req, resp, body)

    on_head = on_get


def page(reads: Reads, days: int, *, leaves: bool = False) -> bytes:
    """The page of so many days."""
    picture, now = reads.view.latest(), reads.now()
    found = numbers.numbers(picture.observed.tasks, picture.desired.since, now, days)
    longest = max((stretch.most for stretch in found.stretches), default=None)
    return rendering.render(
        "numbers.html",
        {
            **frames.values(reads, leaves=leaves),
            "now": now,
            "days": days,
            "spans": SPANS,
            "found": found,
            "throughput": plots.bars(found.days, _ended, lambda value: f"{value:g}"),
            "costs": plots.bars(found.days, _cost, rendering.money),
            "groups": [("adapter", _rows(found.adapters)), ("host", _rows(found.hosts))],
            "stretches": [
                (one, plots.row({"middle": one.middle.total_seconds()}, longest.total_seconds() if longest else 0))
                for one in found.stretches
            ],
        },
    )


def _ended(day: Day) -> Mapping[str, float]:
    return {phase.value: float(day.tasks.get(phase, 0)) for phase in ENDS}


def _cost(day: Day) -> Mapping[str, float]:
    return {"cost": day.runs.cost_usd or 0.0}


def _rows(shares: Mapping[str, Figures]) -> Sequence[tuple[str, Figures, Sequence[Shape]]]:
    """Each adapter or host with its figures, and its bar, which is as long as its runs are many."""
    most = max((one.runs for one in shares.values()), default=0)
    return [
        (name, one, plots.row({outcome.value: float(one.outcomes.get(outcome, 0)) for outcome in Outcome}, most))
        for name, one in list(shares.items())[:MOST_ROWS]
    ]
