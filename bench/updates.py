"""Measures durable updates of tasks: recorded in process, and reported over HTTP by 64 agents, beside `git commit`.

An update is one fact about one task, on disk and on the branch `observed` before it counts. The peer is what a script
would do in the same repository: `git add` and `git commit` of one status file, by default without any fsync. It tests
nothing.
"""

import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from bench import agents, frame, stage
from bench.figures import Figures, Goal, Row
from reconciler.repo import fleet as places
from tests.e2e.fleets import Fleet, git
from tests.recording import assigned, opened, started, succeeded

ROUNDS = 3
FILES = 10_000
CLIENTS = 64
TASKS = 640
PHASES = ("running", "completed")
"""What is reported of each task. Where so many fail a breaker holds them, which is one more fact about each."""
COMMITS = 5
AT_ONCE = 200

IN_PROCESS = f"reconciler, in process, {CLIENTS} threads"
HTTP = f"reconciler, HTTP, {CLIENTS} clients"
GIT = "git add && git commit"
GOALS = (Goal(wording="HTTP: at least 50 times git", of=HTTP, than=GIT, at_least=50),)


def measure(rounds: int) -> Iterator[Figures]:
    """One table."""
    yield figures(FILES, rounds, GOALS)


def figures(files: int, rounds: int, goals: Sequence[Goal]) -> Figures:
    """The table of a repository with so many files."""
    taken: dict[str, list[float]] = {GIT: [], IN_PROCESS: [], HTTP: []}
    tails: list[float] = []
    for _ in range(rounds):
        with stage.folder("updates") as place:
            made = agents.fleet(place, files, CLIENTS, TASKS)
            taken[GIT].append(_git(made[0]))
            with agents.holding(made, TASKS) as holders:
                took = agents.reported(holders, PHASES)
            taken[HTTP].append(took.rate)
            tails.append(took.tail_ms)
            taken[IN_PROCESS].append(_in_process(made[0]))
    return Figures(
        name=f"updates_{files}",
        title=f"Durable updates, {files:,} files in the repository",
        unit="updates in a second",
        rows=tuple(
            Row(name=name, part="peer" if name == GIT else "this", values=tuple(values))
            for name, values in taken.items()
        ),
        goals=tuple(goals),
        note=(
            "git without any fsync, as it is by default; ours fsynced. "
            f"Over HTTP 99 of 100 answers came within {statistics.median(tails):.0f} ms (150 wanted)."
        ),
    )


def _git(fleet: Fleet) -> float:
    status = fleet.root / "status.yaml"
    before_s = time.perf_counter()
    for number in range(COMMITS):
        status.write_text(f"phase: running\nnumber: {number}\n")
        git(fleet.root, "add", "status.yaml")
        git(fleet.root, "commit", "-q", "-m", "Update")
    return COMMITS / (time.perf_counter() - before_s)


def _in_process(fleet: Fleet) -> float:
    """Facts that come from many places at once, as the results of a large fleet do."""
    names = [f"task-{number:05}" for number in range(AT_ONCE)]
    steps = [(assigned, 1), (started, 1), (succeeded, 1)]
    with opened(places.find(fleet.root)) as branch, ThreadPoolExecutor(CLIENTS) as pool:
        before_s = time.perf_counter()
        updates = 0
        for group in range(5):
            for step, epoch in steps:
                facts = [
                    (f"{name}-{group}", step(f"{name}-{group}", epoch) if step is assigned else step(epoch))  # type: ignore[operator]
                    for name in names
                ]
                list(pool.map(lambda fact: branch.record(*fact), facts))
                updates += len(facts)
        return updates / (time.perf_counter() - before_s)


if __name__ == "__main__":
    sys.exit(frame.main(["updates"]))
