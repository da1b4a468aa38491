"""Measures how much a fleet's `.git` grows by its runs: untended, tended, cut, and as `git commit` would store them.

A run is three updates on `observed`: assigned, running, completed. It is recorded alone, a commit for each update, or
beside 63 others, a commit for what comes at once. Sizes are what the disk gives up for `.git`. It tests nothing.
"""

import os
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from bench import frame
from bench.figures import Figures, Goal, Part, Row
from reconciler.core.chores import Chore
from reconciler.core.desired import Identity
from reconciler.core.events import Event
from reconciler.repo import git, upkeep
from reconciler.repo.fleet import Fleet
from reconciler.repo.observed import forgetting
from tests.recording import NOW, assigned, new_fleet, opened, started, succeeded

ROUNDS = 3
RUNS = 400
UPDATES = 3
"""Of each run."""
BETWEEN_FOLDS = 100
"""Runs between two folds: their 300 commits are what upkeep waits for."""
AT_ONCE = 64
SPAN = timedelta(days=100)
WORDS = 40
"""In the agent's summary of a run."""

ALONE = "alone: a pack for each commit"
TOGETHER = f"{AT_ONCE} at a time, before maintenance"
LOOSE = "git commit: a file for each object"
FOLDED = "tended every hour: packs folded, commits indexed"
WHOLE = "tended every week: packed anew"
TAGGED = "cut in the middle, the tag still there"
CUT = "cut in the middle, the tag gone"
PARTS: dict[str, Part] = {LOOSE: "peer"}


def measure(rounds: int) -> list[Figures]:
    """Bytes of `.git` that each update costs."""
    os.environ.update(GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM="1")
    taken: dict[str, list[float]] = {}
    for number in range(rounds):
        with tempfile.TemporaryDirectory(prefix="growth-") as folder:
            found = {TOGETHER: together(Path(folder), number), **measured(Path(folder), number)}
        for name, grown in found.items():
            taken.setdefault(name, []).append(grown / (RUNS * UPDATES))
    return [
        Figures(
            name="git_growth",
            title="What the record of an update adds to .git",
            unit="bytes on the disk for each update",
            rows=tuple(Row(name=name, part=PARTS.get(name, "this"), values=tuple(taken[name])) for name in taken),
            goals=(
                Goal(wording="before maintenance, at most 2,048", of=TOGETHER, at_most=2048),
                Goal(wording="after the hourly maintenance, at most 512", of=FOLDED, at_most=512),
                Goal(wording="after the weekly maintenance, at most 512", of=WHOLE, at_most=512),
            ),
            note=f"{RUNS:,} runs of {UPDATES} updates each; `git commit` after the first {BETWEEN_FOLDS}, scaled.",
        )
    ]


def together(folder: Path, seed: int) -> int:
    """How much a fleet grows whose runs come {AT_ONCE} at a time, with no maintenance."""
    fleet, words = new_fleet(folder / "together"), random.Random(seed)
    empty = size(fleet.common)
    with opened(fleet) as branch:
        for first in range(0, RUNS, AT_ONCE):
            runs = {
                f"task-{number:06}": list(happenings(f"task-{number:06}", words))
                for number in range(first, min(RUNS, first + AT_ONCE))
            }
            for step in range(UPDATES):
                branch.record_many([(task, events[step]) for task, events in runs.items()])
    return size(fleet.common) - empty


def measured(folder: Path, seed: int) -> dict[str, int]:
    """The growth of one fleet in bytes, stage by stage."""
    fleet = new_fleet(folder / "fleet")
    empty, alone = size(fleet.common), 0
    loose = 0.0
    for first in range(0, RUNS, BETWEEN_FOLDS):
        before = size(fleet.common)
        record(fleet, range(first, min(RUNS, first + BETWEEN_FOLDS)), random.Random(seed * RUNS + first))
        alone += size(fleet.common) - before
        if first == 0:
            loose = as_loose(fleet, folder / "loose") * RUNS / BETWEEN_FOLDS
        tend(fleet, Chore.PACKS)
    tend(fleet, Chore.GRAPH)
    grown = {ALONE: alone, LOOSE: round(loose), FOLDED: size(fleet.common) - empty}
    tend(fleet, Chore.WHOLE)
    grown[WHOLE] = size(fleet.common) - empty
    done = forgetting.forget(fleet, (NOW + SPAN / 2).date(), NOW + SPAN, Identity())
    tend(fleet, Chore.WHOLE)
    grown[TAGGED] = size(fleet.common) - empty
    git.run(fleet.top, "tag", "-d", done.tag)
    git.run(fleet.top, "gc", "--quiet", "--prune=now")
    grown[CUT] = size(fleet.common) - empty
    return grown


def record(fleet: Fleet, numbers: Sequence[int], words: random.Random) -> None:
    """Have these of the fleet's runs happen, each in its place in the span of time."""
    with opened(fleet) as branch:
        for number in numbers:
            for event in happenings(f"task-{number:06}", words):
                branch.record(f"task-{number:06}", replace(event, at=NOW + SPAN * number / RUNS))


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


if __name__ == "__main__":
    sys.exit(frame.main(["git_growth"]))
