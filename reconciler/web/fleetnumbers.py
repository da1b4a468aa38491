"""The fleet's numbers as families of metrics, made of what the last turn saw whenever somebody asks.

It counts no task itself: that is kept, and costs a scrape nothing however many there are.
"""

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import metadata

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from reconciler.core import placement, standing
from reconciler.core.backlog import Backlog
from reconciler.core.census import Counts, Ending
from reconciler.core.terms import Cause, Failure, Outcome, Phase, Scope
from reconciler.edges.reads import Reads
from reconciler.edges.view import Picture
from reconciler.web.api import Api

OWNERS = ("author", "operator", "reviewer")
"""Who may have to act on a blocked task."""
NO_FAILURE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """All that a scrape is made of."""

    picture: Picture
    counts: Counts
    now: datetime


def families(outside: Api, looked_at: datetime | None) -> Iterator[Metric]:
    """Every family, one after the other; `looked_at` is when the last turn ended, or the last look of a standby."""
    reads = outside.reads
    picture, counts = reads.view.counted()
    moment = _Moment(picture=picture, counts=counts, now=reads.now())
    yield _info(picture)
    if looked_at is not None:
        says = "When the last turn ended, or the last look of a standby."
        yield _gauge("last_turn_timestamp_seconds", says, looked_at.timestamp())
    yield from _tasks(moment)
    if outside.edges is not None:
        yield from _waiting(outside.edges.backlog.ask(), moment.now)
    yield from _runs(moment)
    yield from _used(counts, picture.desired.adapters)
    yield from _hosts(moment)
    yield _breakers(picture)
    yield _gauge("problems", "What is wrong with the fleet's files and its remote.", len(picture.desired.problems))
    yield from _forge(moment)
    yield from _remote(reads)
    yield from _disk(reads)


def _info(picture: Picture) -> Metric:
    family = GaugeMetricFamily(
        "reconciler_info", "The fleet's id and the program's version.", labels=["fleet", "version"]
    )
    family.add_metric([picture.observed.fleet, metadata.version("reconciler")], 1)
    return family


def _tasks(moment: _Moment) -> Iterator[Metric]:
    counts = moment.counts
    yield _gauges("tasks", "Tasks by phase.", "phase", {phase.value: counts.phases.get(phase, 0) for phase in Phase})
    yield _gauge("tasks_on_hold", "Tasks in phase created whose files say desired: hold.", counts.on_hold)
    owners = {**dict.fromkeys(OWNERS, 0), **counts.blocked}
    yield _gauges("blocked_tasks", "Blocked tasks by who must act.", "owner", owners)
    age = _age(counts.blocked_since, moment.now)
    yield _gauge("blocked_age_seconds", "For how long the task has been blocked that is so for longest.", age)


def _waiting(backlog: Backlog, now: datetime) -> Iterator[Metric]:
    causes = {cause.value: backlog.causes.get(cause, 0) for cause in Cause if cause is not Cause.HOLD}
    yield _gauges("waiting_tasks", "Tasks that are to start, by what keeps them from it.", "cause", causes)
    age = _age(backlog.oldest, now)
    yield _gauge("queue_age_seconds", "For how long the task could start that waits for room for longest.", age)


def _runs(moment: _Moment) -> Iterator[Metric]:
    counts, hosts = moment.counts, moment.picture.desired.hosts
    live = {**dict.fromkeys(moment.picture.desired.adapters, 0), **counts.live}
    yield _gauges("live_runs", "Runs whose end was not seen, by adapter.", "adapter", live)
    ended = CounterMetricFamily(
        "reconciler_runs", "Recorded runs that ended.", labels=["adapter", "outcome", "failure"]
    )
    expected = dict.fromkeys(_expected(moment.picture.desired.adapters), 0)
    for one, number in {**expected, **counts.ended}.items():
        ended.add_metric([one.adapter, one.outcome.value, one.failure.value if one.failure else NO_FAILURE], number)
    yield ended
    by_host = CounterMetricFamily(
        "reconciler_host_runs", "Recorded runs that ended, of the hosts in force.", labels=["host", "outcome"]
    )
    for host_id in sorted(hosts):
        for outcome in Outcome:
            by_host.add_metric([host_id, outcome.value], counts.ended_on.get((host_id, outcome), 0))
    yield by_host


def _expected(adapters: Iterable[str]) -> Iterator[Ending]:
    """How runs of these may end: a counter that is there with zero shows its first one as a growth."""
    for adapter in adapters:
        yield Ending(adapter=adapter, outcome=Outcome.SUCCEEDED, failure=None)
        for failure in Failure:
            yield Ending(adapter=adapter, outcome=Outcome.FAILED, failure=failure)


def _used(counts: Counts, adapters: Iterable[str]) -> Iterator[Metric]:
    """What recorded runs used, as far as the agents' own tools told it."""
    nothing = dict.fromkeys(adapters, 0)
    for name, says, values in (
        ("input_tokens", "Tokens that ended runs read, as told.", counts.input_tokens),
        ("output_tokens", "Tokens that ended runs wrote, as told.", counts.output_tokens),
        ("cost_usd", "US dollars that ended runs cost, as told.", counts.cost_usd),
    ):
        family = CounterMetricFamily(f"reconciler_{name}", says, labels=["adapter"])
        for adapter, number in {**nothing, **values}.items():
            family.add_metric([adapter], number)
        yield family


def _hosts(moment: _Moment) -> Iterator[Metric]:
    desired, observed = moment.picture.desired, moment.picture.observed
    back = Counter(run.host for _, run in placement.returned(observed))
    hosts = {host_id: desired.hosts[host_id] for host_id in sorted(desired.hosts)}
    slots = {host_id: document.value.slots for host_id, document in hosts.items()}
    running = {host_id: moment.counts.load.get(host_id, 0) + back[host_id] for host_id in hosts}
    closed = {host_id: placement.kept_out(host_id, desired, moment.now) is not None for host_id in hosts}
    known = {host_id: observed.hosts[host_id] for host_id in hosts if host_id in observed.hosts}
    reachable = {host_id: seen.reachable and host_id not in observed.silent for host_id, seen in known.items()}
    yield _gauges("host_slots", "Runs that a host takes at a time.", "host", slots)
    yield _gauges("host_running", "Runs that a host has.", "host", running)
    yield _gauges("host_closed", "Whether a host is drained, or its file is gone or broken.", "host", closed)
    yield _gauges("host_reachable", "Whether a host answers.", "host", reachable)


def _breakers(picture: Picture) -> Metric:
    scopes = Counter(one.scope for one in picture.observed.breakers.values() if one.is_open)
    return _gauges(
        "breakers_open", "Open circuit breakers by scope.", "scope", {one.value: scopes[one] for one in Scope}
    )


def _forge(moment: _Moment) -> Iterator[Metric]:
    """For how long the forge is silent; nothing where it cannot be asked."""
    forge = moment.picture.observed.forge
    if forge is not None:
        age = _age(forge.silent_since, moment.now)
        yield _gauge("forge_silent_seconds", "For how long the forge has not answered; 0 while it does.", age)


def _remote(reads: Reads) -> Iterator[Metric]:
    """How the fleet stands with its remote; nothing where it lives on none."""
    known, now = reads.standing(), reads.now()
    if known is None:
        return
    leads = known.role == "leader" and known.stopped is None
    yield _gauge("leader", "Whether this reconciler leads the fleet.", leads)
    yield _gauge("term", "The term in which the fleet is led.", known.term)
    yield _gauge("push_lag_seconds", "Age of the oldest record not pushed.", standing.lag(known, now).total_seconds())
    yield _gauge("push_behind_commits", "Commits of observed that the remote does not have.", known.behind)
    yield _gauge("main_refused", "Whether the remote's main is not put in force.", known.refused is not None)
    if known.heard_at is not None:
        yield _gauge("remote_heard_seconds", "Time since the remote last answered.", _age(known.heard_at, now))


def _disk(reads: Reads) -> Iterator[Metric]:
    """The file system of the fleet's clone: nothing is recorded where it is full."""
    usage = shutil.disk_usage(reads.fleet.root)
    yield _gauge("disk_size_bytes", "Size of the file system of the fleet's clone.", usage.total)
    yield _gauge("disk_free_bytes", "What is free of it for the reconciler.", usage.free)


def _age(since: datetime | None, now: datetime) -> float:
    """Seconds since then, 0 for never."""
    return max(now - since, timedelta()).total_seconds() if since is not None else 0.0


def _gauge(name: str, says: str, value: float) -> Metric:
    return GaugeMetricFamily(f"reconciler_{name}", says, value=value)


def _gauges(name: str, says: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"reconciler_{name}", says, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family
