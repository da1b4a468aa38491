"""Measures the same as `updates` in a repository with 100,000 files: some minutes for each round. It tests nothing."""

import sys
from collections.abc import Iterator

from bench import frame, updates
from bench.figures import Figures, Goal
from bench.updates import GIT, HTTP, IN_PROCESS

ROUNDS = 1
FILES = 100_000
GOALS = (
    Goal(wording="HTTP: at least 200 times git", of=HTTP, than=GIT, at_least=200),
    Goal(wording="in process: at least 500 times git", of=IN_PROCESS, than=GIT, at_least=500),
)


def measure(rounds: int) -> Iterator[Figures]:
    """One table."""
    yield updates.figures(FILES, rounds, GOALS)


if __name__ == "__main__":
    sys.exit(frame.main(["updates_large"]))
