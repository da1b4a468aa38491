"""Many runs that die of one cause: whether they did, the breaker of the whole fleet, and the tasks that it blocks.

Ends that people asked for, by a task's own bounds or by a usage limit are no deaths.
"""

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.core import troubles
from reconciler.core.bounds import MassDeath
from reconciler.core.breaker import Breaker
from reconciler.core.events import BreakerOpened
from reconciler.core.evidence import Evidence
from reconciler.core.observed import Observed, ObservedTask
from reconciler.core.terms import Phase, Scope
from reconciler.core.troubles import Seen

MASS_DEATH = "mass_death"
"""The reason of a task that is blocked because its run died with many others."""

RELEASE = f"reconciler release --breaker {Scope.FLEET}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Died:
    """The runs that died within one window, and how many lived when it began."""

    deaths: tuple[Seen, ...]
    live: int
    within: timedelta


def found(bound: MassDeath, evidence: Evidence, after: datetime) -> Died | None:
    """The newest mass death after that time, if there was one.

    A window begins with a death. Of each task one death counts: one that fails again and again is its own trouble,
    which its attempts bound. The share is that of the runs which lived when the window began.
    """
    if not evidence.deaths or evidence.deaths[-1].ended_at <= after:
        return None
    deaths = [*itertools.takewhile(lambda one: one.ended_at > after, reversed(evidence.deaths))][::-1]
    times = [one.ended_at for one in deaths]
    for begin in sorted(set(times), reverse=True):
        first, last = bisect_left(times, begin), bisect_right(times, begin + bound.within)
        live = evidence.lived_at(begin)
        if last - first < max(bound.deaths, bound.share * live):
            continue
        inside = deaths[first:last]
        several = len({one.task_id for one in inside}) >= bound.deaths
        if several and sum(one.began_at <= begin for one in inside) >= bound.share * live:
            return Died(deaths=tuple(inside), live=live, within=bound.within)
    return None


def breaker(died: Died, holds: timedelta, now: datetime) -> Breaker:
    """The breaker of the fleet, open."""
    last = died.deaths[-1].ended_at
    classes = ", ".join(sorted({str(one.run.failure) for one in died.deaths}))
    span = int(died.within.total_seconds())
    return Breaker(
        scope=Scope.FLEET,
        state="open",
        reason=f"{len(died.deaths)} runs died within {span} s, {died.live} were live ({classes})",
        needs=f"mend the cause, then `{RELEASE}`; after its time one run tries it first",
        opened_at=troubles.whole(now),
        since=died.deaths[0].ended_at,
        until=last + holds,
    )


def barred(waiting: Iterable[str], observed: Observed, now: datetime) -> Iterator[tuple[str, BreakerOpened]]:
    """Of the waiting tasks those to be blocked: the last run died in the mass death for which the fleet is held."""
    fleet = observed.breakers.get(Scope.FLEET)
    if fleet is None or not fleet.holds(now):
        return
    for task_id in waiting:
        if _died_in(fleet, observed.tasks[task_id]):
            needs = f"many runs died at once: mend the cause, then `{RELEASE}`"
            yield task_id, BreakerOpened(at=now, actor="planner", reason=MASS_DEATH, needs=needs)


def _died_in(fleet: Breaker, seen: ObservedTask) -> bool:
    run = seen.last_run
    if run is None or run.finished_at is None or seen.phase is not Phase.CREATED:
        return False
    return (
        run.generation == seen.generation
        and troubles.is_trouble(Scope.FLEET, run)
        and troubles.whole(run.finished_at) >= fleet.since
    )


def is_over(observed: Observed, now: datetime) -> bool:
    """Whether no breaker holds the whole fleet any more, so that the tasks which it blocked may go on."""
    fleet = observed.breakers.get(Scope.FLEET)
    return fleet is None or not fleet.holds(now)
