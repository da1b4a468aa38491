"""Measures what a turn of the loop and a plan cost in a large fleet: with one change, and with very many tasks waiting.

    python -m bench.passes [--rounds N] [--keep]

CPU time of the process, all threads; that of git beside it is a row of its own. It tests nothing.
"""

import gc
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

from bench import frame, wishes
from bench.figures import Figures, Goal, Row
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

ROUNDS = 3
TASKS = 100_000
HOSTS = 1000

V = TypeVar("V")

NEW = "plan, by a planner that sees them first"
KNOWN = "plan, when all hosts come to have room"
FOLLOW_UP = "follow-up of one run that ended"
TURN, GIT = "a turn with one change", "git beside it"
IDLE, MEMORY = "idle", "memory"


def measure(rounds: int) -> list[Figures]:
    """What a plan and a turn cost, what an idle reconciler takes, and what it holds."""
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="passes-") as folder:
        root = wishes.make(Path(folder) / "fleet", TASKS)
        for number in range(rounds):
            for name, value in {**planned(TASKS, HOSTS, number), **turned(root)}.items():
                found.setdefault(name, []).append(value)
    rows = {name: Row(name=name, part="this", values=tuple(values)) for name, values in found.items()}

    def figures(name: str, title: str, unit: str, bounds: Mapping[str, float | None]) -> Figures:
        goals = tuple(
            Goal(wording=f"{one}: at most {most:g} {unit}", of=one, at_most=most)
            for one, most in bounds.items()
            if most is not None
        )
        return Figures(name=name, title=title, unit=unit, rows=tuple(rows[one] for one in bounds), goals=goals)

    many = f"{TASKS:,} waiting tasks"
    return [
        figures("passes_plan", f"Planning {many} on {HOSTS:,} hosts", "ms of CPU", {NEW: 500, KNOWN: 500}),
        figures("passes_follow_up", f"One run ended, {many} wait on {HOSTS:,} hosts", "us of CPU", {FOLLOW_UP: 50}),
        figures("passes_turn", f"One file changed of {TASKS:,}", "ms of CPU", {TURN: 2, GIT: None}),
        figures("passes_idle", f"Nothing happens, {many}", "% of a core", {IDLE: 1}),
        figures("passes_memory", f"Held in memory, {many}", "MB", {MEMORY: 300}),
    ]


def planned(tasks: int, hosts: int, seed: int) -> dict[str, float]:
    """What it costs to plan so many waiting tasks on so many hosts, and what follows when one run has ended."""
    dice = random.Random(seed)
    desired, observed = waiting(tasks, hosts, dice)
    gc.collect()
    gc.freeze()
    figures: dict[str, float] = {}
    with timed(figures, NEW, 1e3):
        Planner().plan(desired, observed, NOW)
    planner = Planner()
    planner.plan(replace(desired, hosts={}), observed, NOW)
    with timed(figures, KNOWN, 1e3):
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
    figures[FOLLOW_UP] = statistics.median(costs)
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
        IDLE: idle * 100,
        TURN: statistics.median(busy) - statistics.median(quiet),
        GIT: git_ms / EDITS,
        MEMORY: process.memory_mb(),
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
    sys.exit(frame.main(["passes"]))
