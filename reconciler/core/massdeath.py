"""Many runs that die of one cause: whether they did, the breaker of the whole fleet, and the tasks that it blocks.

Ends that people asked for, by a task's own bounds or by a usage limit are no deaths.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.core import troubles
from reconciler.core.breaker import Breaker
from reconciler.core.desired import MassDeath
from reconciler.core.events import BreakerOpened
from reconciler.core.observed import Observed, ObservedTask
from reconciler.core.terms import Outcome, Phase, Scope
from reconciler.core.troubles import Evidence, Seen

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
    deaths = [
        one
        for one in evidence.ended
        if troubles.ended_at(one.run) > after and troubles.is_trouble(Scope.FLEET, one.run)
    ]
    for first in reversed(range(len(deaths))):
        died = _window(deaths[first:], bound, evidence)
        if died is not None:
            return died
    return None


def _window(deaths: list[Seen], bound: MassDeath, evidence: Evidence) -> Died | None:
    begin = troubles.ended_at(deaths[0].run)
    inside = [one for one in deaths if troubles.ended_at(one.run) <= begin + bound.within]
    if len({one.task_id for one in inside}) < bound.deaths:
        return None
    live = {one.run.run_id for one in (*evidence.ended, *evidence.live) if _lived(one, begin)}
    of_live = sum(one.run.run_id in live for one in inside)
    if of_live < bound.share * len(live):
        return None
    return Died(deaths=tuple(inside), live=len(live), within=bound.within)


def _lived(one: Seen, at: datetime) -> bool:
    run = one.run
    began = run.outcome is not Outcome.NOT_STARTED and troubles.whole(run.assigned_at) <= at
    return began and (run.finished_at is None or troubles.ended_at(run) >= at)


def breaker(died: Died, holds: timedelta, now: datetime) -> Breaker:
    """The breaker of the fleet, open."""
    last = troubles.ended_at(died.deaths[-1].run)
    classes = ", ".join(sorted({str(one.run.failure) for one in died.deaths}))
    span = int(died.within.total_seconds())
    return Breaker(
        scope=Scope.FLEET,
        state="open",
        reason=f"{len(died.deaths)} runs died within {span} s, {died.live} were live ({classes})",
        needs=f"mend the cause, then `{RELEASE}`; after its time one run tries it first",
        opened_at=troubles.whole(now),
        since=troubles.ended_at(died.deaths[0].run),
        until=last + holds,
    )


def barred(observed: Observed, now: datetime) -> Iterator[tuple[str, BreakerOpened]]:
    """The waiting tasks whose last run died in the mass death for which the fleet is held: they are blocked."""
    fleet = observed.breakers.get(Scope.FLEET)
    if fleet is None or not fleet.holds(now):
        return
    for task_id, seen in observed.tasks.items():
        if _died_in(fleet, seen):
            needs = f"many runs died at once: mend the cause, then `{RELEASE}`"
            yield task_id, BreakerOpened(at=now, actor="planner", reason=MASS_DEATH, needs=needs)


def _died_in(fleet: Breaker, seen: ObservedTask) -> bool:
    run = seen.last_run
    if run is None or run.finished_at is None or seen.phase is not Phase.CREATED:
        return False
    return (
        run.generation == seen.generation
        and troubles.is_trouble(Scope.FLEET, run)
        and troubles.ended_at(run) >= fleet.since
    )


def is_over(observed: Observed, now: datetime) -> bool:
    """Whether no breaker holds the whole fleet any more, so that the tasks which it blocked may go on."""
    fleet = observed.breakers.get(Scope.FLEET)
    return fleet is None or not fleet.holds(now)
