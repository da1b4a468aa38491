"""Measures what a turn of the loop and a plan cost in a large fleet: with one change, and with very many tasks waiting.

    python -m bench.passes [--tasks N] [--hosts N] [--rounds N] [--json]

CPU time of this process, all threads, but not of git beside it, which is shown apart. Rounds of everything follow one
another; of all the median counts, with the least and the most. It tests nothing.
"""

import argparse
import gc
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TypeVar

from bench import wishes
from reconciler.core import lifecycle
from reconciler.core.actions import Record
from reconciler.core.desired import Adapter, Desired, Document, Host, Settings, Task, with_settings
from reconciler.core.events import Finished
from reconciler.core.observed import Observed, ObservedHost, ObservedTask, Sighting
from reconciler.core.overlay import Overlay
from reconciler.core.plan import Planner
from reconciler.core.terms import Outcome

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = [f"word-{number}" for number in range(20)]
SLOTS = 8
FOLLOW_UPS = 200
EDITS = 20
IDLE_S = 40.0
"""More than the time between two looks at everything."""
SETTLE_S = 5.0
BETWEEN_S = 0.5

V = TypeVar("V")
Figures = dict[str, dict[str, float]]


def main() -> int:
    """Measure, print a table, and with --json one line of JSON as well."""
    parser = argparse.ArgumentParser(description="What a pass costs in a large fleet.")
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    figures = measure(tasks=asked.tasks, hosts=asked.hosts, rounds=asked.rounds)
    wishes.show(figures)
    if asked.json:
        print(json.dumps({"tasks": asked.tasks, "hosts": asked.hosts, "rounds": asked.rounds, "figures": figures}))
    return 0


def measure(*, tasks: int = 100_000, hosts: int = 1000, rounds: int = 3) -> Figures:
    """Every figure with its median, least and most."""
    found: dict[str, list[float]] = {}
    for number in range(rounds):
        for name, value in planned(tasks, hosts, number).items():
            found.setdefault(name, []).append(value)
    with tempfile.TemporaryDirectory(prefix="passes-") as folder:
        root = wishes.make(Path(folder) / "fleet", tasks)
        for _ in range(rounds):
            for name, value in turned(root).items():
                found.setdefault(name, []).append(value)
    return {name: wishes.spread(values) for name, values in found.items()}


def planned(tasks: int, hosts: int, seed: int) -> dict[str, float]:
    """What it costs to plan so many waiting tasks on so many hosts, and what follows when one run has ended."""
    dice = random.Random(seed)
    desired, observed = waiting(tasks, hosts, dice)
    gc.collect()
    gc.freeze()
    figures: dict[str, float] = {}
    with timed(figures, "plan, all tasks seen for the first time (ms)", 1e3):
        Planner().plan(desired, observed, NOW)
    planner = Planner()
    planner.plan(replace(desired, hosts={}), observed, NOW)
    with timed(figures, "plan, all hosts have room (ms)", 1e3):
        first = planner.plan(desired, observed, NOW)
    assigned = {one.task_id: one.event for one in first.actions if isinstance(one, Record)}
    observed = started(observed, {name: lifecycle.advance(ObservedTask(), event) for name, event in assigned.items()})
    planner.plan(desired, observed, NOW)
    costs: list[float] = []
    for task_id in dice.sample([*assigned], FOLLOW_UPS):
        ended = Finished(at=NOW, actor="host", epoch=1, outcome=Outcome.SUCCEEDED)
        after = lifecycle.advance(observed.tasks[task_id], ended)
        observed = replace(observed, tasks=changed(observed.tasks, {task_id: after}))
        one: dict[str, float] = {}
        with timed(one, "us", 1e6):
            (record,) = planner.plan(desired, observed, NOW).actions
        costs.append(one["us"])
        if not isinstance(record, Record):
            raise TypeError(record)
        observed = started(observed, {record.task_id: lifecycle.advance(ObservedTask(), record.event)})
        planner.plan(desired, observed, NOW)
    figures["follow-up of one run that ended (us)"] = statistics.median(costs)
    gc.unfreeze()
    return figures


def waiting(tasks: int, hosts: int, dice: random.Random) -> tuple[Desired, Observed]:
    """Tasks of 210 kinds that wait, and hosts that answer and lack some of what these need."""
    kinds = [tuple(dice.sample(WORDS, count)) for count, times in ((1, 20), (2, 190)) for _ in range(times)]
    settings = Settings()
    desired = Desired(
        settings=settings,
        tasks=Overlay(
            {
                name: Document(value=with_settings(name, one_task(dice, kinds), settings), spec="task")
                for name in map(wishes.task_id, range(tasks))
            }
        ),
        hosts={
            f"host-{number:04}": Document(
                value=Host(transport="local", slots=SLOTS, capabilities=tuple(dice.sample(WORDS, 6))), spec="host"
            )
            for number in range(hosts)
        },
        adapters={"shell": Document(value=Adapter(run=("sh",)), spec="adapter")},
    )
    answering = {name: ObservedHost(reachable=True, since=NOW, spec="host") for name in desired.hosts}
    return desired, Observed(fleet="0123456789ab", tasks=Overlay(), hosts=answering, sightings=Overlay())


def one_task(dice: random.Random, kinds: list[tuple[str, ...]]) -> Task:
    """A task of one of these kinds."""
    return Task(title="t", goal="g", adapter="shell", requires=dice.choice(kinds), priority=dice.randrange(5))


def started(observed: Observed, tasks: Mapping[str, ObservedTask]) -> Observed:
    """What happened once these tasks' runs were seen alive."""
    alive = Sighting(state="alive", elapsed=timedelta(seconds=1))
    running = {
        name: replace(seen, runs=(*seen.runs[:-1], replace(seen.runs[-1], started_at=NOW)))
        for name, seen in tasks.items()
    }
    sightings = changed(observed.sightings, {seen.runs[-1].run_id: alive for seen in running.values()})
    return replace(observed, tasks=changed(observed.tasks, running), sightings=sightings)


def changed(values: Mapping[str, V], changes: Mapping[str, V]) -> Mapping[str, V]:
    """The values with these changes."""
    return values.changed(changes) if isinstance(values, Overlay) else {**values, **changes}


def turned(root: Path) -> dict[str, float]:
    """What a reconciler of the fleet at `root` takes: while nothing happens, and for one change."""
    command = [sys.executable, "-m", "reconciler", "--fleet", str(root), "reconcile", "--no-listen"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            return _watched(Process(process.pid), root, process.stdout or sys.stdin.buffer)
        finally:
            process.terminate()


def _watched(process: "Process", root: Path, said: IO[bytes]) -> dict[str, float]:
    odd = root / wishes.task_path(0)
    break_and_mend(odd, said)
    time.sleep(SETTLE_S)
    began_s, began_ms = time.monotonic(), process.cpu_ms()
    time.sleep(IDLE_S)
    idle = (process.cpu_ms() - began_ms) / (time.monotonic() - began_s) / 1e3
    quiet, busy, git_ms = [], [], process.children_ms()
    for number in range(1, EDITS + 1):
        quiet.append(window(process, None, ""))
        text = f"{wishes.task_text(number)}# {random.random()}\n"
        busy.append(window(process, root / wishes.task_path(number), text))
    git_ms = process.children_ms() - git_ms
    break_and_mend(odd, said)
    return {
        "idle CPU (%)": idle * 100,
        "a turn with one change (ms)": statistics.median(busy) - statistics.median(quiet),
        "git beside it, for one change (ms)": git_ms / EDITS,
        "memory (MB)": process.memory_mb(),
    }


def window(process: "Process", path: Path | None, text: str) -> float:
    """The CPU time in ms that a process takes in a while, at whose beginning a file takes another's place."""
    began_ms = process.cpu_ms()
    if path is not None:
        path.with_name(f".{path.name}.new").write_text(text)
        path.with_name(f".{path.name}.new").replace(path)
    time.sleep(BETWEEN_S)
    return process.cpu_ms() - began_ms


def break_and_mend(path: Path, said: IO[bytes]) -> None:
    """Have the reconciler say that a file is broken, then that it is mended: it has seen all that was before."""
    good = path.read_text()
    path.write_text("title: [\n")
    until_said(said, b"not valid YAML")
    path.write_text(good)
    until_said(said, b"mended")


def until_said(said: IO[bytes], words: bytes) -> None:
    """Wait for a line with these words."""
    for line in said:
        if words in line:
            return
    raise RuntimeError("the reconciler ended")


@dataclass(frozen=True, slots=True)
class Process:
    """What the system knows of a process."""

    pid: int

    def cpu_ms(self) -> float:
        """The CPU time of all its threads."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(path.read_text().split()[0]) for path in tasks) / 1e6

    def children_ms(self) -> float:
        """The CPU time of its children that have ended."""
        words = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[13]) + int(words[14])) * 1e3 / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        """What it holds in memory."""
        lines = dict(line.split(":", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines())
        return int(lines["VmRSS"].split()[0]) / 1024


@contextmanager
def timed(figures: dict[str, float], name: str, unit: float) -> Iterator[None]:
    """Note the CPU time that something takes."""
    began = time.process_time()
    yield
    figures[name] = (time.process_time() - began) * unit


if __name__ == "__main__":
    sys.exit(main())
