"""Measures how much a fleet's `.git` grows by its runs: untended, tended, cut, and as `git commit` would store them.

    python -m bench.git_growth [--runs N] [--rounds N]

A run is three commits on `observed`: assigned, running, completed. Sizes are what the disk gives up for `.git`, scaled
to 10,000 runs; ratios are to the untended growth of the same round; of all rounds the median counts. It tests nothing.
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from reconciler.core.chores import Chore
from reconciler.core.desired import Identity
from reconciler.core.events import Event
from reconciler.repo import git, upkeep
from reconciler.repo.fleet import Fleet
from reconciler.repo.observed import forgetting
from tests.recording import NOW, assigned, new_fleet, opened, started, succeeded

PER = 10_000
BETWEEN_FOLDS = 100
"""Runs between two folds: their 300 commits are what upkeep waits for."""
SPAN = timedelta(days=100)
WORDS = 40
"""In the agent's summary of a run."""

UNTENDED = "untended: a pack per commit"
LOOSE = "the same commits by git commit: a file per object"
FOLDED = "tended every hour: packs folded, commits indexed"
WHOLE = "tended every week: packed anew"
TAGGED = "cut in the middle, the tag still there"
CUT = "cut in the middle, the tag gone"


def main() -> int:
    """Measure, print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description="How much .git grows by 10,000 runs.")
    parser.add_argument("--runs", type=int, default=1000, help="runs in each round")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    os.environ.update(GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM="1")
    rounds = []
    for number in range(asked.rounds):
        with tempfile.TemporaryDirectory(prefix="growth-") as folder:
            rounds.append(measured(Path(folder), asked.runs, number))
    figures = {
        name: {
            "bytes_per_10000_runs": round(statistics.median(one[name] for one in rounds) * PER / asked.runs),
            "ratio": round(statistics.median(one[name] / one[UNTENDED] for one in rounds), 3),
        }
        for name in rounds[0]
    }
    show(figures)
    print(json.dumps({"runs": asked.runs, "rounds": asked.rounds, "figures": figures}))
    return 0


def measured(folder: Path, runs: int, seed: int) -> dict[str, int]:
    """The growth of one fleet in bytes, stage by stage."""
    fleet = new_fleet(folder / "fleet")
    empty, untended = size(fleet.common), 0
    loose = 0.0
    for first in range(0, runs, BETWEEN_FOLDS):
        before = size(fleet.common)
        record(fleet, range(first, min(runs, first + BETWEEN_FOLDS)), runs, random.Random(seed * runs + first))
        untended += size(fleet.common) - before
        if first == 0:
            loose = as_loose(fleet, folder / "loose") * runs / min(runs, BETWEEN_FOLDS)
        tend(fleet, Chore.PACKS)
    tend(fleet, Chore.GRAPH)
    grown = {UNTENDED: untended, LOOSE: round(loose), FOLDED: size(fleet.common) - empty}
    tend(fleet, Chore.WHOLE)
    grown[WHOLE] = size(fleet.common) - empty
    done = forgetting.forget(fleet, (NOW + SPAN / 2).date(), NOW + SPAN, Identity())
    tend(fleet, Chore.WHOLE)
    grown[TAGGED] = size(fleet.common) - empty
    git.run(fleet.top, "tag", "-d", done.tag)
    git.run(fleet.top, "gc", "--quiet", "--prune=now")
    grown[CUT] = size(fleet.common) - empty
    return grown


def record(fleet: Fleet, numbers: range, runs: int, words: random.Random) -> None:
    """Have these of the fleet's runs happen, each in its place in the span of time."""
    with opened(fleet) as branch:
        for number in numbers:
            for event in happenings(f"task-{number:06}", words):
                branch.record(f"task-{number:06}", replace(event, at=NOW + SPAN * number / runs))


def happenings(task: str, words: random.Random) -> Iterator[Event]:
    """What an ordinary run leaves."""
    yield replace(assigned(task), spec=f"{words.getrandbits(160):040x}", config=f"{words.getrandbits(64):016x}")
    yield started()
    yield replace(
        succeeded(),
        exit_code=0,
        session=f"{words.getrandbits(128):032x}",
        input_tokens=words.randrange(100_000),
        output_tokens=words.randrange(10_000),
        head_sha=f"{words.getrandbits(160):040x}",
        summary=" ".join(f"{words.randrange(5000):x}" for _ in range(WORDS)),
    )


def as_loose(fleet: Fleet, folder: Path) -> int:
    """What the branch's commits would take where each of their objects is a file."""
    folder.mkdir()
    git.run(folder, "init", "--quiet", "--bare", ".")
    empty = size(folder)
    pack = git.run(fleet.top, "pack-objects", "--revs", "--stdout", "--quiet", stdin=b"refs/heads/observed\n").stdout
    git.run(folder, "unpack-objects", "-q", stdin=pack)
    return size(folder) - empty


def tend(fleet: Fleet, chore: Chore) -> None:
    """Do a chore as upkeep does it."""
    git.run(fleet.top, *upkeep.words_of(chore, git.version(fleet.top)), timeout_s=upkeep.WHOLE_BOUND_S)


def size(folder: Path) -> int:
    """What the disk gives up for a folder's files."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def show(figures: Mapping[str, Mapping[str, float]]) -> None:
    """The figures as a table."""
    width = max(map(len, figures))
    print(f"{'per 10,000 runs'.ljust(width)}  {'MB':>8}  {'ratio':>6}")
    for name, row in figures.items():
        print(f"{name.ljust(width)}  {row['bytes_per_10000_runs'] / 1e6:8.1f}  {row['ratio']:6.3f}")


if __name__ == "__main__":
    sys.exit(main())
