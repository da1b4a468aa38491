"""Numbers for Prometheus, made of what the last turn saw whenever somebody asks.

It counts nothing itself and keeps nothing: each number is a state of the fleet now.
"""

from collections import Counter
from collections.abc import Iterator

import falcon
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric

from reconciler.core import placement, standing
from reconciler.core.observed import ObservedTask
from reconciler.core.terms import Phase
from reconciler.edges.reads import Reads
from reconciler.edges.view import Picture
from reconciler.web.api import Api


class Metrics:
    """`/metrics`."""

    def __init__(self, outside: Api) -> None:
        """Ask there."""
        self._api = outside
        self._registry = CollectorRegistry()
        self._registry.register(_Numbers(outside))

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The numbers, to this machine itself; 403 for an agent, whose token opens its own tasks only."""
        if self._api.reader(req) is not None:
            raise falcon.HTTPForbidden(description="an agent's token does not open the numbers of the whole fleet")
        resp.content_type = CONTENT_TYPE_LATEST
        resp.cache_control = ["no-store"]
        resp.data = generate_latest(self._registry)

    on_head = on_get


class _Numbers:
    """All families of numbers, in the form in which the client library asks for them."""

    def __init__(self, outside: Api) -> None:
        self._api = outside

    def describe(self) -> list[Metric]:
        """Nothing is known before the first picture."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every family, one after the other."""
        reads = self._api.reads
        picture = reads.view.latest()
        yield _tasks(picture)
        yield from _hosts(picture)
        yield _gauge("problems", "What is wrong with the fleet's files and its remote.", len(picture.desired.problems))
        yield from _remote(reads)


def _tasks(picture: Picture) -> Metric:
    seen = picture.observed.tasks
    ids = picture.desired.tasks.keys() | picture.desired.refused.keys() | seen.keys()
    phases = Counter(seen.get(task_id, ObservedTask()).phase for task_id in ids)
    family = GaugeMetricFamily("reconciler_tasks", "Tasks by phase.", labels=["phase"])
    for phase in Phase:
        family.add_metric([phase.value], phases[phase])
    return family


def _hosts(picture: Picture) -> Iterator[Metric]:
    load = placement.load(picture.observed)
    slots = GaugeMetricFamily("reconciler_host_slots", "Runs that a host takes at a time.", labels=["host"])
    running = GaugeMetricFamily("reconciler_host_running", "Runs that a host has.", labels=["host"])
    reachable = GaugeMetricFamily("reconciler_host_reachable", "Whether a host answers.", labels=["host"])
    for host_id, document in sorted(picture.desired.hosts.items()):
        slots.add_metric([host_id], document.value.slots)
        running.add_metric([host_id], load[host_id])
        known = picture.observed.hosts.get(host_id)
        if known is not None:
            reachable.add_metric([host_id], float(known.reachable))
    yield from (slots, running, reachable)


def _remote(reads: Reads) -> Iterator[Metric]:
    """How the fleet stands with its remote; nothing where it lives on none."""
    known, now = reads.standing(), reads.now()
    if known is None:
        return
    leads = known.role == "leader" and known.stopped is None
    yield _gauge("leader", "Whether this reconciler leads the fleet.", float(leads))
    yield _gauge("term", "The term in which the fleet is led.", known.term)
    yield _gauge("push_lag_seconds", "Age of the oldest record not pushed.", standing.lag(known, now).total_seconds())
    yield _gauge("push_behind_commits", "Commits of observed that the remote does not have.", known.behind)
    yield _gauge("main_refused", "Whether the remote's main is not put in force.", float(known.refused is not None))
    if known.heard_at is not None:
        age_s = max((now - known.heard_at).total_seconds(), 0.0)
        yield _gauge("remote_heard_seconds", "Time since the remote last answered.", age_s)


def _gauge(name: str, says: str, value: float) -> Metric:
    return GaugeMetricFamily(f"reconciler_{name}", says, value=value)
