"""Which circuit breakers there is enough evidence for to open them.

It reads the record alone; closing is `breakers`' part.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from reconciler.core import digests, massdeath, retry, troubles
from reconciler.core.breaker import Breaker
from reconciler.core.desired import Desired
from reconciler.core.evidence import Ends, Evidence
from reconciler.core.observed import Observed
from reconciler.core.terms import Phase, Scope, Wish
from reconciler.core.troubles import Seen

EVIDENCE = timedelta(hours=1)
"""What ended longer ago opens nothing."""
HOLDS_FIRST = timedelta(minutes=10)
"""Twice the longest wait of a single task, so that a breaker is more than its backoff."""


def opening(desired: Desired, observed: Observed, evidence: Evidence, now: datetime) -> Iterator[Breaker]:
    """Every breaker of more than a task that there is enough evidence for; open ones may be among them."""
    for (scope, name), ends in sorted(evidence.troubled.items()):
        row = _row(scope, name, ends, desired, observed)
        if row and _is_to_blame(scope, name, ends, desired):
            yield from _of_row(scope, name, row, desired, now)
    yield from _usage(desired, observed, evidence, now)
    yield from _fleet(desired, observed, evidence, now)


def _fleet(desired: Desired, observed: Observed, evidence: Evidence, now: datetime) -> Iterator[Breaker]:
    bound, known = desired.settings.limits.mass_death, observed.breakers.get(Scope.FLEET)
    if bound is None or (known is not None and known.is_open):
        return
    settled, stale = _settled(Scope.FLEET, known, desired), now - HOLDS_FIRST - bound.within
    died = massdeath.found(bound, evidence, stale if settled is None else max(settled, stale))
    breaker = massdeath.breaker(died, HOLDS_FIRST, now) if died is not None else None
    if breaker is not None and breaker.until > now:
        yield breaker


def _settled(name: str, known: Breaker | None, desired: Desired) -> datetime | None:
    """Until when all that could open a breaker is settled: it was closed then, or a person says so."""
    times = [known.closed_at if known is not None else None, desired.settings.closed_breakers.get(name)]
    return max((one for one in times if one is not None), default=None)


def _row(scope: Scope, name: str, ends: Ends, desired: Desired, observed: Observed) -> tuple[Seen, ...]:
    """The row of failures, of runs that began after the breaker was last closed: older ones know no mended cause."""
    full = f"{scope}/{name}"
    settled = _settled(full, observed.breakers.get(full), desired)
    return () if settled is not None and any(one.began_at <= settled for one in ends.row) else ends.row


def _is_to_blame(scope: Scope, name: str, ends: Ends, desired: Desired) -> bool:
    """Whether it is the host alone that fails, or the adapter on more than one host, or on the only one there is."""
    if scope is Scope.HOST:
        return _is_dispatched_to(name, desired) and ends.others_do_well(name)
    hosts = {one.run.host for one in ends.row}
    of_one_host = len(hosts) == 1 and ends.others_do_well(next(iter(hosts)))
    return not of_one_host and name in desired.adapters


def _is_dispatched_to(host_id: str, desired: Desired) -> bool:
    """Whether the reconciler starts runs there; an agent that asks again for work is well by its own word."""
    return host_id in desired.hosts and desired.hosts[host_id].value.transport != "pull"


def waits(task_id: str, desired: Desired, observed: Observed, now: datetime) -> datetime | None:
    """Until when the hourly bound on launches keeps a task that would start otherwise."""
    seen = observed.tasks.get(task_id)
    if seen is None or seen.phase is not Phase.CREATED or desired.tasks[task_id].value.desired is not Wish.RUN:
        return None
    return retry.next_launch_at(seen, desired.settings.limits.launches_per_task_per_hour, now)


def of_task(task_id: str, until: datetime, desired: Desired, now: datetime) -> Breaker:
    """The breaker of a task that was launched too often."""
    bound = desired.settings.limits.launches_per_task_per_hour
    return Breaker(
        scope=Scope.TASK,
        id=task_id,
        state="open",
        reason=f"it was launched {bound} times within an hour",
        needs="see why its runs end so soon; it goes on by itself",
        opened_at=troubles.whole(now),
        since=troubles.whole(until) - retry.HOUR,
        until=troubles.whole(until),
        trial=False,
    )


def _of_row(scope: Scope, name: str, row: tuple[Seen, ...], desired: Desired, now: datetime) -> Iterator[Breaker]:
    until = row[-1].ended_at + HOLDS_FIRST
    if until <= now:
        return
    classes = ", ".join(sorted({str(one.run.failure) for one in row}))
    while_others = " while other hosts do well" if scope is Scope.HOST else ""
    yield Breaker(
        scope=scope,
        id=name,
        state="open",
        reason=f"{len(row)} runs in a row failed ({classes}){while_others}",
        needs=f"mend the {scope}; it closes when {changeable(scope)} changed, or by "
        f"`reconciler release --breaker {scope}/{name}`",
        opened_at=troubles.whole(now),
        since=row[0].ended_at,
        until=until,
        spec=spec(scope, name, desired),
    )


def _usage(desired: Desired, observed: Observed, evidence: Evidence, now: datetime) -> Iterator[Breaker]:
    """Of every account of an adapter that met a usage limit."""
    for adapter_id, account in sorted(evidence.limits):
        met = evidence.limits[adapter_id, account]
        name = f"{Scope.USAGE}/{adapter_id}.{account}"
        known = observed.breakers.get(name)
        settled = _settled(name, known, desired)
        is_news = met and (settled is None or met[-1].ended_at > settled)
        if not is_news or adapter_id not in desired.adapters or (known is not None and known.is_open):
            continue
        breaker = _limited(adapter_id, account, met[-1], desired, now)
        later = limit(breaker, evidence, now)
        if later is not None:
            breaker = replace(breaker, until=later, trial=False)
        if breaker.until > now:
            yield breaker


def _limited(adapter_id: str, account: str, last: Seen, desired: Desired, now: datetime) -> Breaker:
    met_at = last.ended_at
    name = f"{Scope.USAGE}/{adapter_id}.{account}"
    return Breaker(
        scope=Scope.USAGE,
        id=adapter_id,
        account=account,
        state="open",
        reason=f"the account of {adapter_id} is at its usage limit",
        needs=f"wait, or change the adapter or its secrets; it also closes by `reconciler release --breaker {name}`",
        opened_at=troubles.whole(now),
        since=met_at,
        until=met_at + HOLDS_FIRST,
        spec=spec(Scope.USAGE, adapter_id, desired),
    )


def changeable(scope: Scope) -> str:
    """What a person can change to close a breaker, in words."""
    return "its host's file" if scope is Scope.HOST else "its adapter or a secret"


def spec(scope: Scope, name: str, desired: Desired) -> str | None:
    """A digest of what a person can change to close a breaker."""
    if scope is Scope.HOST:
        return desired.hosts[name].spec if name in desired.hosts else None
    return digests.adapter(name, desired) if scope in {Scope.ADAPTER, Scope.USAGE} else None


def limit(one: Breaker, evidence: Evidence, now: datetime) -> datetime | None:
    """The latest end of the limit that runs of the account were told."""
    met = evidence.limits.get((one.id or "", one.account or ""), [])
    told = (
        troubles.whole(seen.run.resets_at)
        for seen in met
        if seen.run.resets_at is not None and seen.run.resets_at > now
    )
    return max(told, default=None)
