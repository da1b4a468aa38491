"""`report`: what the runs of a span of time came to, as a table, CSV or JSON.

It reads what is recorded and asks nobody.
"""

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from reconciler.commands import reading
from reconciler.commands.command import Command
from reconciler.commands.screen import Cell, Rows
from reconciler.commands.session import Session, WrongUsage
from reconciler.core import figures
from reconciler.core.ages import span
from reconciler.core.figures import Figures
from reconciler.core.terms import Outcome
from reconciler.repo import storage

TOTAL = "all"

_DAYS = re.compile(r"[0-9]{1,4}d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The arguments of `report`."""

    since: str = "7d"
    by: str = "adapter"
    csv: bool = False
    json: bool = False


def report(session: Session, asked: Asked) -> int:
    """Show how the runs of a span of time ended, how long they took, what they used.

    GOOD is the part that succeeded of the runs that succeeded or failed: lost, cancelled and never started ones say
    nothing about an agent. TOOK and WAITED are medians. Tokens and cost are as the CLIs told them, "-" where none did.
    """
    if asked.by not in figures.KEYS:
        raise WrongUsage(f'--by takes one of {", ".join(figures.KEYS)}, not "{asked.by}"')
    if asked.csv and asked.json:
        raise WrongUsage("report: --csv and --json do not go together; leave one out")
    begin = _begin(asked.since, session.now())
    tasks = reading.load(session).observed.tasks
    groups = figures.since(begin, tasks, figures.KEYS[asked.by])
    total = figures.of(figures.ended(begin, tasks))
    if asked.json:
        shown = [{asked.by: name, **_plain(one)} for name, one in groups.items()]
        session.screen.json({"since": storage.timestamp(begin), "by": asked.by, "rows": shown, TOTAL: _plain(total)})
    elif asked.csv:
        session.screen.raw(_csv(asked.by, groups))
    elif not groups:
        session.screen.line(f"no run ended since {storage.timestamp(begin)}")
    else:
        rows = [_row(name, one) for name, one in groups.items()]
        if len(groups) > 1:
            rows.append(_row(TOTAL, total, style="bold"))
        headings = (asked.by.upper(), "RUNS", "TASKS", "GOOD", "FAILED", "OTHER", "TOOK", "WAITED", "IN", "OUT", "COST")
        session.screen.table(Rows(headings=headings, rows=rows, whole=len(headings)))
    return 0


def _begin(text: str, now: datetime) -> datetime:
    """The moment that `--since` means: so long ago, or the begin of a day in UTC."""
    try:
        if _DAYS.fullmatch(text):
            return now - timedelta(days=int(text.removesuffix("d")))
        if text.endswith(("h", "m", "s")):
            return now - storage.duration(text)
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError as error:
        message = f'--since needs a date such as 2026-11-22, or a span such as 7d or 36h, not "{text}"'
        raise WrongUsage(message) from error


def _plain(one: Figures) -> dict[str, object]:
    """With the names and units of the JSON and CSV forms: times in seconds, cost in US dollars."""
    return {
        "runs": one.runs,
        "tasks": one.tasks,
        **{outcome.value: one.outcomes.get(outcome, 0) for outcome in Outcome},
        "success": round(one.success, 4) if one.success is not None else None,
        "took_s": _seconds(one.took),
        "waited_s": _seconds(one.waited),
        "input_tokens": one.input_tokens,
        "output_tokens": one.output_tokens,
        "cost_usd": round(one.cost_usd, 6) if one.cost_usd is not None else None,
    }


def _seconds(one: timedelta | None) -> float | None:
    return round(one.total_seconds(), 3) if one is not None else None


def _csv(by: str, groups: Mapping[str, Figures]) -> str:
    kept = io.StringIO()
    writer = csv.writer(kept, lineterminator="\n")
    names = list(_plain(figures.of(())))
    writer.writerow([by, *names])
    for name, one in groups.items():
        writer.writerow([name, *_plain(one).values()])
    return kept.getvalue()


def _row(name: str, one: Figures, style: str = "") -> list[Cell]:
    failed = one.outcomes.get(Outcome.FAILED, 0)
    other = one.runs - failed - one.outcomes.get(Outcome.SUCCEEDED, 0)
    texts = (
        name,
        str(one.runs),
        str(one.tasks),
        f"{one.success:.0%}" if one.success is not None else "-",
        str(failed),
        str(other),
        span(one.took.total_seconds()) if one.took is not None else "-",
        span(one.waited.total_seconds()) if one.waited is not None else "-",
        f"{one.input_tokens:,}" if one.input_tokens is not None else "-",
        f"{one.output_tokens:,}" if one.output_tokens is not None else "-",
        f"${one.cost_usd:,.2f}" if one.cost_usd is not None else "-",
    )
    return [Cell(text=text, style=style) for text in texts]


COMMANDS = (
    Command(
        name="report",
        group="Look",
        does=report,
        takes=Asked,
        choices={"by": tuple(figures.KEYS)},
        options={
            "since": "runs that ended since then: a day (2026-11-22, UTC) or a span (7d, 36h)",
            "by": f"what to count by: {', '.join(figures.KEYS)}",
            "csv": "print it as CSV, times in seconds",
            "json": "print it as JSON",
        },
        example="reconciler report --since 30d --by host\nreconciler report --by day --csv > days.csv",
    ),
)
