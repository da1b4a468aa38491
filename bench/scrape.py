"""Measures what a question of Prometheus costs in a large fleet: kept from change to change, and counted anew.

    python -m bench.scrape [--rounds N] [--keep]

CPU time of the process. A third of the tasks wait for a host, the others had three runs each; between two questions
some tasks change, as they do in a turn. It tests nothing.
"""

import gc
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric

from bench import frame
from bench.figures import Figures, Goal, Row
from reconciler.core import placement
from reconciler.core.census import Census
from reconciler.core.desired import Adapter, Desired, Document, Host, Task
from reconciler.core.observed import UNTOUCHED, Observed, ObservedHost, ObservedTask, Run
from reconciler.core.overlay import Overlay
from reconciler.core.plan import Planner
from reconciler.core.terms import Failure, Kind, Outcome, Phase
from reconciler.edges.reads import Reads
from reconciler.edges.view import Picture, View
from reconciler.repo.fleet import Fleet
from reconciler.repo.journal import Journal
from reconciler.web import fleetnumbers
from reconciler.web.api import Api
from reconciler.web.tokens import Tokens

ROUNDS = 7
TASKS = 100_000
HOSTS = 100
CHANGES = 20
NOW = datetime(2026, 1, 1, tzinfo=UTC)

KEPT = "a scrape, kept"
WALKED = "one walk over all tasks and runs"
PHASES = "phases and load alone, walked"
TURN = "a turn's part, kept"
LOOP = "what waits, asked of the loop"
FIRST = "the first scrape"


def measure(rounds: int) -> list[Figures]:
    """What each costs, and how much less that is than counting anew."""
    found: dict[str, list[float]] = {}
    for number in range(rounds):
        with tempfile.TemporaryDirectory(prefix="scrape-") as folder:
            for name, value in asked(Path(folder), random.Random(number)).items():
                found.setdefault(name, []).append(value)
    rows = tuple(
        Row(name=name, part="peer" if name in {WALKED, PHASES} else "this", values=tuple(values))
        for name, values in found.items()
    )
    goals = (
        Goal(wording="a kept scrape: at most 1/20 of a walk", of=KEPT, than=WALKED, at_most=0.05),
        Goal(wording="held up in the loop: at most 1/20 of a walk", of=LOOP, than=WALKED, at_most=0.05),
        Goal(wording="of each turn: at most 1/100 of a walk", of=TURN, than=WALKED, at_most=0.01),
    )
    title = f"A scrape of {TASKS:,} tasks with three runs each, {HOSTS} hosts"
    return [Figures(name="scrape", title=title, unit="ms of CPU", rows=rows, goals=goals)]


def asked(folder: Path, dice: random.Random) -> dict[str, float]:
    """One fleet, asked in both ways after some changes."""
    desired, observed = fleet(dice)
    current = [observed]
    view = View(lambda: current[0].tasks)
    view.show(Picture(desired=desired, observed=observed))
    registry = CollectorRegistry()
    registry.register(_Collector(_api(folder, view)))
    planner = Planner()
    planner.plan(desired, observed, NOW)
    gc.collect()
    gc.freeze()
    figures = {FIRST: ms(lambda: generate_latest(registry))}
    changes = {task_id: _ended(dice) for task_id in dice.sample([*observed.tasks], CHANGES)}
    current[0] = replace(observed, tasks=Overlay(observed.tasks).changed(changes))
    view.counted()  # a changed record is another mapping at first
    more = {task_id: _ended(dice) for task_id in dice.sample([*observed.tasks], CHANGES)}
    current[0] = replace(observed, tasks=current[0].tasks.changed(more))  # type: ignore[attr-defined]
    figures[TURN] = ms(lambda: view.show(Picture(desired=desired, observed=current[0])))
    figures[KEPT] = ms(lambda: generate_latest(registry))
    figures[LOOP] = ms(planner.backlog)
    figures[WALKED] = ms(lambda: Census().follow(desired, current[0].tasks))
    figures[PHASES] = ms(lambda: _walked(desired, current[0]))
    gc.unfreeze()
    return figures


def _walked(desired: Desired, observed: Observed) -> None:
    """Count as one does who keeps nothing, and leaves out what runs came to."""
    ids = desired.tasks.keys() | observed.tasks.keys()
    Counter(observed.tasks.get(task_id, UNTOUCHED).phase for task_id in ids)
    placement.load(observed)


def ms(do: Callable[[], object]) -> float:
    """Milliseconds of CPU."""
    began = time.process_time()
    do()
    return (time.process_time() - began) * 1e3


class _Collector:
    def __init__(self, api: Api) -> None:
        self._api = api

    def describe(self) -> list[Metric]:
        """Nothing."""
        return []

    def collect(self) -> list[Metric]:
        """The fleet's numbers."""
        return list(fleetnumbers.families(self._api, NOW))


def _api(folder: Path, view: View) -> Api:
    place = Fleet(root=folder, top=folder, common=folder)
    journal = Journal(folder / "journal.sqlite3")
    reads = Reads(fleet=place, view=view, journal=journal, now=lambda: NOW, standing=lambda: None)
    tokens = Tokens(lambda: view.latest().desired, time.monotonic, lambda _: None)
    return Api(reads=reads, edges=None, tokens=tokens, listens=lambda: None)


def fleet(dice: random.Random) -> tuple[Desired, Observed]:
    """The tasks and hosts."""
    names = [f"task-{number:06}" for number in range(TASKS)]
    documents = Document(value=Task(title="t", goal="g", adapter="sh"), spec="s")
    hosts = {f"host-{number:03}": Document(value=Host(transport="local"), spec="s") for number in range(HOSTS)}
    seen = {name: _ended(dice) for name in names if dice.random() > 1 / 3}
    desired = Desired(
        tasks=Overlay(dict.fromkeys(names, documents)),
        hosts=hosts,
        adapters={"sh": Document(value=Adapter(run=("sh",)), spec="s")},
        since=Overlay({name: NOW - timedelta(seconds=dice.random() * 1e6) for name in names}),
    )
    known = {name: ObservedHost(reachable=True, since=NOW, spec="s") for name in hosts}
    return desired, Observed(fleet="f", tasks=Overlay(seen), hosts=known)


def _ended(dice: random.Random) -> ObservedTask:
    """A task that is over after three runs, the last of them good."""
    runs = tuple(
        Run(
            epoch=epoch, run_id=f"f.t.{epoch}", host=f"host-{dice.randrange(HOSTS):03}", adapter="sh",
            kind=Kind.IMPLEMENT, assigned_at=NOW, started_at=NOW, finished_at=NOW, input_tokens=1000, cost_usd=0.1,
            outcome=Outcome.SUCCEEDED if epoch == 3 else Outcome.FAILED,  # noqa: PLR2004 - the last
            failure=None if epoch == 3 else dice.choice([*Failure]),  # noqa: PLR2004 - likewise
        )
        for epoch in (1, 2, 3)
    )  # fmt: skip
    return ObservedTask(phase=Phase.COMPLETED, epoch=3, runs=runs)


if __name__ == "__main__":
    sys.exit(frame.main([Path(__file__).stem]))
