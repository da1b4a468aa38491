"""Which circuit breakers are to be switched: opened, held for longer, closed; a function of the record and the time.

A restart decides the same. It starts nothing and changes no task.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from reconciler.core import tripping, troubles
from reconciler.core.breaker import Breaker, Switch
from reconciler.core.desired import Desired
from reconciler.core.evidence import Evidence
from reconciler.core.observed import Observed, Run
from reconciler.core.terms import Scope

HOLDS_MOST = timedelta(hours=1)
"""However often it opened in a row: within an hour it is seen that the cause is gone."""


def horizon(observed: Observed, now: datetime) -> datetime:
    """Since when ends of runs are evidence."""
    past = now - tripping.EVIDENCE
    if not observed.breakers:
        return past
    return min((past, *(one.until for one in observed.breakers.values() if one.is_open)))


def switches(
    desired: Desired, observed: Observed, evidence: Evidence, frequent: Collection[str], now: datetime
) -> tuple[Switch, ...]:
    """Every breaker that is to be other than it is recorded, each once. `frequent`: the tasks launched very often."""
    if not (observed.breakers or frequent or evidence.speaks_against_something):
        return ()
    found = {name: moved for name, one in observed.breakers.items() if (moved := _moved(one, desired, observed, now))}
    for name, one in observed.breakers.items():
        if one.is_open and name not in found and (moved := _tried(one, evidence, now)) is not None:
            found[name] = moved
    too_often = [
        (task_id, tripping.waits(task_id, desired, observed, now)) for task_id in frequent if task_id in desired.tasks
    ]
    tasks = [tripping.of_task(task_id, until, desired, now) for task_id, until in too_often if until is not None]
    for breaker in (*tasks, *tripping.opening(desired, observed, evidence, now)):
        known = observed.breakers.get(breaker.name)
        if breaker.name not in found and (known is None or not known.is_open):
            found[breaker.name] = Switch(name=breaker.name, breaker=breaker, why=breaker.reason, at=now)
    return tuple(found.values())


def switched(observed: Observed, done: tuple[Switch, ...]) -> Observed:
    """What happened once the breakers are switched."""
    changed = {one.name: one.breaker for one in done}
    merged = {**observed.breakers, **changed}
    return replace(observed, breakers={name: one for name, one in merged.items() if one is not None})


def alarms(observed: Observed, live: Collection[Run], now: datetime) -> Iterator[datetime]:
    """When the breakers are to be looked at again, with these live runs."""
    for one in observed.breakers.values():
        if one.holds(now):
            yield one.until
    trying = any(one.tries(now) for one in observed.breakers.values())
    for run in live if trying else ():
        if run.started_at is not None:
            yield troubles.whole(run.started_at) + troubles.LIVED


def _moved(one: Breaker, desired: Desired, observed: Observed, now: datetime) -> Switch | None:
    """The breaker where it is forgotten with what it stood before, or closed by a person or by its time."""
    if _is_gone(one, desired):
        return Switch(name=one.name, breaker=None, why=f"there is no {one.scope} {one.id} any more", at=now)
    if not one.is_open:
        return None
    if one.scope is Scope.TASK:
        waits = one.id is not None and tripping.waits(one.id, desired, observed, now) is not None
        return None if waits else Switch(name=one.name, breaker=None, why="its time is over", at=now)
    cause, actor = _closed_by_hand(one, desired), "person:desired"
    if cause is None and not one.trial and now >= one.until:
        cause, actor = "its time is over", "planner"
    return None if cause is None else _closed(one, cause, now, actor)


def _is_gone(one: Breaker, desired: Desired) -> bool:
    match one.scope:
        case Scope.FLEET:
            return False
        case Scope.HOST:
            return one.id not in desired.hosts
        case Scope.ADAPTER | Scope.USAGE:
            return one.id not in desired.adapters
        case Scope.TASK:
            return one.id not in desired.tasks
        case _:
            assert_never(one.scope)


def _closed_by_hand(one: Breaker, desired: Desired) -> str | None:
    mark = desired.settings.closed_breakers.get(one.name)
    if mark is not None and mark >= one.opened_at:
        return "the settings say so"
    if one.scope is Scope.FLEET:
        return "limits.mass_death is none" if desired.settings.limits.mass_death is None else None
    same = one.spec == tripping.spec(one.scope, one.id or "", desired)
    return None if same else f"{tripping.changeable(one.scope)} changed"


def _tried(one: Breaker, evidence: Evidence, now: datetime) -> Switch | None:
    """The breaker after the run that was let through, or after a usage limit was said to last longer."""
    if one.holds(now):
        later = tripping.limit(one, evidence, now) if one.scope is Scope.USAGE else None
        if later is None or later <= one.until:
            return None
        longer = replace(one, until=later, trial=False)
        return Switch(name=one.name, breaker=longer, why="the limit ends later", at=now)
    if not one.trial:
        return None
    tries = [run for run in evidence.since(one.scope, one.id, one.until) if _is_trial(one, run)]
    for run in sorted(tries, key=lambda run: (run.assigned_at, run.run_id)):
        well = troubles.well(one.scope, run, now)
        if well is True:
            return _closed(one, f"run {run.run_id} does well", now)
        if well is False:
            return _reopened(one, run, now)
    return None


def _is_trial(one: Breaker, run: Run) -> bool:
    return troubles.in_scope(one, run) and run.assigned_at >= one.until


def _closed(one: Breaker, cause: str, now: datetime, actor: str = "planner") -> Switch:
    closed = replace(one, state="closed", closed_at=troubles.whole(now), closed_because=cause)
    return Switch(name=one.name, breaker=closed, why=cause, at=now, actor=actor)


def _reopened(one: Breaker, tried: Run, now: datetime) -> Switch:
    openings = one.openings + 1
    died_at, resets_at = troubles.whole(tried.finished_at or now), tried.resets_at
    longer = min(tripping.HOLDS_FIRST * (1 << min(openings - 1, 8)), HOLDS_MOST)
    again = replace(
        one,
        opened_at=troubles.whole(now),
        since=died_at,
        until=troubles.whole(resets_at) if resets_at is not None and resets_at > now else died_at + longer,
        trial=resets_at is None or resets_at <= now,
        openings=openings,
    )
    return Switch(name=one.name, breaker=again, why=f"run {tried.run_id} failed: {tried.failure}", at=now)
