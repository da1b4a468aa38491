"""What a fleet did in some days, in numbers: what was finished, how long it took, what its runs came to by day.

What runs came to is what `figures` says of them; it counts nothing beside the records, and reads no clock.
"""

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from reconciler.core import figures
from reconciler.core.figures import Figures
from reconciler.core.observed import ObservedTask, Run
from reconciler.core.terms import TERMINAL, Phase

MOST = 0.9
"""The share of all that a `most` holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What ended on one day (UTC): tasks by phase, and what the runs came to."""

    day: date
    runs: Figures
    tasks: Mapping[Phase, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """How long finished tasks were in one part of their way: the one in the middle, and below what most stayed."""

    name: str
    tasks: int
    middle: timedelta
    most: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """The days, oldest first, all of them even if nothing happened; and what all of them together show.

    Of adapters and hosts those with most runs come first.
    """

    days: Sequence[Day]
    finished: Mapping[Phase, int]
    runs: Figures
    adapters: Mapping[str, Figures]
    hosts: Mapping[str, Figures]
    stretches: Sequence[Stretch]


def numbers(tasks: Mapping[str, ObservedTask], since: Mapping[str, datetime], now: datetime, days: int) -> Numbers:
    """Those of the last days, today included. `since` is when each task was first seen, where that is known."""
    first = _day(now) - timedelta(days=days - 1)
    begin = datetime.combine(first, time(), UTC)
    ended = {one: at for one, seen in tasks.items() if (at := ended_at(seen)) is not None and at >= begin}
    by_day = Counter((_day(at), tasks[one].phase) for one, at in ended.items())
    ran = figures.since(begin, tasks, figures.KEYS["day"])
    nothing = figures.of(())
    return Numbers(
        days=tuple(
            Day(
                day=day,
                runs=ran.get(day.isoformat(), nothing),
                tasks={phase: by_day[day, phase] for phase in Phase if by_day[day, phase]},
            )
            for day in (first + timedelta(days=number) for number in range(days))
        ),
        finished=Counter(tasks[one].phase for one in ended),
        runs=figures.of(figures.ended(begin, tasks)),
        adapters=_most_first(figures.since(begin, tasks, figures.KEYS["adapter"])),
        hosts=_most_first(figures.since(begin, tasks, figures.KEYS["host"])),
        stretches=tuple(_stretches({one: tasks[one] for one in ended}, since)),
    )


def _most_first(found: Mapping[str, Figures]) -> dict[str, Figures]:
    return dict(sorted(found.items(), key=lambda one: -one[1].runs))


def ended_at(seen: ObservedTask) -> datetime | None:
    """When a task ended: with its merge, else with its last run, else when something last moved; `None`: it has not."""
    if seen.phase not in TERMINAL:
        return None
    merged = seen.pr.updated_at if seen.pr is not None and seen.pr.state == "merged" else None
    run = seen.last_run
    return merged or (run.finished_at if run is not None else None) or seen.last_activity_at


def _day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()


def _stretches(tasks: Mapping[str, ObservedTask], since: Mapping[str, datetime]) -> Iterator[Stretch]:
    """The parts of the way of tasks that were completed."""
    done = {one: seen for one, seen in tasks.items() if seen.phase is Phase.COMPLETED and seen.runs}
    waited = (seen.runs[0].assigned_at - since[one] for one, seen in done.items() if one in since)
    worked = (sum((_span(run) for run in seen.runs), timedelta()) for seen in done.values())
    reviewed = (at - run.finished_at for seen in done.values() for at, run in _merged(seen) if run.finished_at)
    for name, spans in (("waiting to start", waited), ("agents at work", worked), ("in review", reviewed)):
        found = sorted(span for span in spans if span >= timedelta())
        if found:
            most = found[min(int(MOST * len(found)), len(found) - 1)]
            yield Stretch(name=name, tasks=len(found), middle=statistics.median_low(found), most=most)


def _span(run: Run) -> timedelta:
    """How long a run took."""
    return run.finished_at - run.started_at if run.finished_at and run.started_at else timedelta()


def _merged(seen: ObservedTask) -> Iterator[tuple[datetime, Run]]:
    """When the task was merged, and its last run."""
    at = ended_at(seen)
    if seen.pr is not None and seen.pr.state == "merged" and seen.last_run is not None and at is not None:
        yield at, seen.last_run
