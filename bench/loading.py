"""Measures how long a fleet's files take to be read at a start: with and without what an earlier start has kept.

    python -m bench.loading [--tasks N] [--rounds N] [--json]

The limit is a stat and a read of every file, in the same rounds; each start is a process of its own. CPU time and wall
clock both; ratios are of CPU time to that of the limit of the same round. It tests nothing.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bench import wishes
from reconciler.repo.desired.files import DesiredFiles
from reconciler.repo.fleet import LOCAL
from reconciler.repo.journal import Journal

Figures = dict[str, dict[str, float]]
Cost = dict[str, float]

LIMIT, COLD, WARM = "a stat and a read of every file", "cold start", "start with what was kept"


def main() -> int:
    """Measure, print a table, and with --json one line of JSON as well."""
    parser = argparse.ArgumentParser(description="How long a fleet's files take to be read at a start.")
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps({"limit": limit, "start": start}[asked.one[0]](Path(asked.one[1]))))
        return 0
    figures = measure(tasks=asked.tasks, rounds=asked.rounds)
    wishes.show(figures)
    if asked.json:
        print(json.dumps({"tasks": asked.tasks, "rounds": asked.rounds, "figures": figures}))
    return 0


def measure(*, tasks: int = 100_000, rounds: int = 3) -> Figures:
    """Every figure with its median, least and most."""
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="loading-") as folder:
        root = wishes.make(Path(folder) / "fleet", tasks)
        once("limit", root)
        for _ in range(rounds):
            shutil.rmtree(root / LOCAL, ignore_errors=True)
            costs = {LIMIT: once("limit", root), COLD: once("start", root), WARM: once("start", root)}
            for name, cost in costs.items():
                found.setdefault(f"{name}, CPU (s)", []).append(cost["cpu_s"])
                found.setdefault(f"{name}, wall (s)", []).append(cost["wall_s"])
            for name in (COLD, WARM):
                for unit in ("cpu", "wall"):
                    ratio = costs[name][f"{unit}_s"] / costs[LIMIT][f"{unit}_s"]
                    found.setdefault(f"{name} / limit, {unit}", []).append(ratio)
                found.setdefault(f"{name}, memory at its most (MB)", []).append(costs[name]["memory_mb"])
    return {name: wishes.spread(values) for name, values in found.items()}


def once(what: str, root: Path) -> Cost:
    """What it costs in a process of its own."""
    command = [sys.executable, "-m", "bench.loading", "--one", what, str(root)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    cost: Cost = json.loads(done.stdout)
    return cost


def limit(root: Path) -> Cost:
    """Look at every task file and read it, and nothing else."""
    return costed(lambda: read_all(root / "state" / "tasks"))


def read_all(folder: Path) -> None:
    """Stat and read every file."""
    for base, _, _ in os.walk(folder):
        with os.scandir(base) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    entry.stat(follow_symlinks=False)
                    with open(entry.path, "rb") as file:  # noqa: PTH123 - nothing but the reading is to be measured
                        file.read()


def start(root: Path) -> Cost:
    """What is wanted, in force, as a start of the program finds it out; every file is looked at."""

    def read() -> None:
        (root / LOCAL).mkdir(exist_ok=True)
        journal = Journal(root / LOCAL / "journal.sqlite3")
        desired = DesiredFiles(root, journal=journal, secret=lambda _: None, key=b"key").refresh(datetime.now(UTC))
        journal.first_seen(dict.fromkeys(desired.tasks, datetime.now(UTC)))
        journal.close()

    return costed(read)


def costed(work: Callable[[], None]) -> Cost:
    """What some work costs this process and its children."""
    began, wall_s = _cpu_s(), time.perf_counter()
    work()
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_s": _cpu_s() - began, "wall_s": time.perf_counter() - wall_s, "memory_mb": memory_mb}


def _cpu_s() -> float:
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


if __name__ == "__main__":
    sys.exit(main())
