"""Measures how long a fleet's files take to be read at a start: with and without what an earlier start has kept.

    python -m bench.loading [--rounds N] [--keep]

The limit is a stat and a read of every file, in the same rounds; each start is a process of its own. It is CPU time
that counts, of the process and of git beside it: the wall clock says more of what else the machine does. It tests
nothing.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bench import frame, wishes
from bench.figures import Figures, Goal, Row
from reconciler.repo.desired.files import DesiredFiles
from reconciler.repo.fleet import LOCAL
from reconciler.repo.journal import Journal

ROUNDS = 3
TASKS = 100_000

Cost = dict[str, float]

LIMIT, COLD, WARM = "a stat and a read of every file", "start without a cache", "start with the cache"


def measure(rounds: int) -> list[Figures]:
    """CPU time and memory of a start with many task files."""
    costs: dict[str, list[Cost]] = {LIMIT: [], COLD: [], WARM: []}
    with tempfile.TemporaryDirectory(prefix="loading-") as folder:
        root = wishes.make(Path(folder) / "fleet", TASKS)
        once("limit", root)
        for _ in range(rounds):
            shutil.rmtree(root / LOCAL, ignore_errors=True)
            for name, what in ((LIMIT, "limit"), (COLD, "start"), (WARM, "start")):
                costs[name].append(once(what, root))
    goals = (
        Goal(wording="without a cache at most 8 times the limit", of=COLD, than=LIMIT, at_most=8),
        Goal(wording="with the cache at most 3 times the limit", of=WARM, than=LIMIT, at_most=3),
    )
    time = Figures(
        name="loading", title=f"Reading {TASKS:,} task files", unit="s of CPU", rows=_rows(costs, "cpu_s"), goals=goals
    )
    memory = Figures(
        name="loading_memory", title="Memory at its most while they are read", unit="MB", rows=_rows(costs, "memory_mb")
    )
    return [time, memory]


def _rows(costs: dict[str, list[Cost]], key: str) -> tuple[Row, ...]:
    return tuple(
        Row(name=name, part="limit" if name == LIMIT else "this", values=tuple(one[key] for one in some))
        for name, some in costs.items()
    )


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
    began_s = _cpu_s()
    work()
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_s": _cpu_s() - began_s, "memory_mb": memory_mb}


def _cpu_s() -> float:
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, whose))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps({"limit": limit, "start": start}[sys.argv[2]](Path(sys.argv[3]))))
    else:
        sys.exit(frame.main(["loading"]))
