"""Counts what happens in this process since it started, for `/metrics`. Safe for many threads.

It looks at nothing by itself, and forgets everything with the process.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import get_args

from prometheus_client import Counter, Histogram
from prometheus_client.metrics_core import Metric

from reconciler.core.actions import Effect
from reconciler.core.breaker import Switch
from reconciler.core.events import Event
from reconciler.edges.meters import Arrival, Asked, Consequence, Meters

SHORT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
LONG_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
FACTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
EFFECTS = (*get_args(Effect), Switch)
NOWHERE = "(none)"
"""The route of a request for a path that nothing answers."""


class Counted(Meters):
    """What this process counted, in metrics of the client library that are in no registry of the whole process."""

    def __init__(self) -> None:
        """Nothing has happened yet; what may happen is there from the beginning, with zero."""
        self._turns = _histogram("turn_seconds", "Duration of the turns of the loop.", SHORT_S)
        self._recorded = _counter("facts", "Facts about tasks that were recorded.", "fact")
        self._effects = _counter("effects", "Effects begun outside of the record, and breakers switched.", "effect")
        self._assigned = _histogram("assign_delay_seconds", "From when a task could start to its assignment.", LONG_S)
        self._started = _histogram("start_delay_seconds", "From an assignment to the agent being seen.", LONG_S)
        self._commits = _histogram("commit_seconds", "Duration of the commits on the branch observed.", SHORT_S)
        self._facts = _histogram("commit_facts", "Facts in a commit on the branch observed.", FACTS)
        self._arrivals = _counter("webhooks", "Webhooks that came in, by what was answered.", "outcome")
        self._followed = _counter("webhooks_followed", "Webhooks acted on, by what came of it.", "outcome")
        self._asked = _counter("dequeues", "Answers to agents that asked for work, by what they got.", "outcome")
        self._answers = _counter("http_requests", "Requests that the application answered.", "route", "status")
        self.looked_at: datetime | None = None
        """When a turn of the loop, or a look of a standby, ended last."""
        self._facts_by = {one.__name__: self._recorded.labels(_word(one.__name__)) for one in get_args(Event)}
        self._effects_by = {one.__name__: self._effects.labels(_word(one.__name__)) for one in EFFECTS}
        for counter, words in (
            (self._arrivals, get_args(Arrival)),
            (self._followed, get_args(Consequence)),
            (self._asked, get_args(Asked)),
        ):
            for word in words:
                counter.labels(word)

    def looked(self, at: datetime) -> None:
        """A turn has ended, or a look of a standby."""
        self.looked_at = at

    def turned(self, took_s: float) -> None:
        """Count a turn."""
        self._turns.observe(took_s)

    def recorded(self, fact: str) -> None:
        """Count a fact."""
        self._facts_by[fact].inc()

    def acted(self, effect: str) -> None:
        """Count an effect."""
        self._effects_by[effect].inc()

    def assigned(self, waited_s: float) -> None:
        """Count an assignment."""
        self._assigned.observe(max(waited_s, 0.0))

    def started(self, waited_s: float) -> None:
        """Count a start."""
        self._started.observe(max(waited_s, 0.0))

    def committed(self, facts: int, took_s: float) -> None:
        """Count a commit."""
        self._commits.observe(took_s)
        self._facts.observe(facts)

    def arrived(self, outcome: Arrival) -> None:
        """Count a webhook."""
        self._arrivals.labels(outcome).inc()

    def followed(self, outcome: Consequence) -> None:
        """Count what came of one."""
        self._followed.labels(outcome).inc()

    def asked(self, outcome: Asked) -> None:
        """Count an answer to an agent."""
        self._asked.labels(outcome).inc()

    def answered(self, route: str | None, status: str) -> None:
        """Count an answer: `route` is the template of its path, `status` begins with three digits."""
        self._answers.labels(route or NOWHERE, f"{status[:1]}xx").inc()

    def families(self) -> Iterator[Metric]:
        """Every family, without the times at which its series began: they would double what is stored."""
        for one in (
            self._turns, self._recorded, self._effects, self._assigned, self._started, self._commits, self._facts,
            self._arrivals, self._followed, self._asked, self._answers,
        ):  # fmt: skip
            for family in one.collect():
                family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
                yield family


def _counter(name: str, says: str, *labels: str) -> Counter:
    return Counter(f"reconciler_{name}", says, labels, registry=None)


def _histogram(name: str, says: str, buckets: tuple[float, ...]) -> Histogram:
    return Histogram(f"reconciler_{name}", says, buckets=buckets, registry=None)


def _word(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
