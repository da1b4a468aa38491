"""Simulated worlds in CI: every seed that ever failed, a bounded slice of fresh ones, and some of the planted bugs.

Each runs in a process of its own, in which the order of sets of words is the same every time.
"""

import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation import mutations
from tests.simulation.mutations import BUGS, Bug

ROOT = Path(__file__).parents[2]
SLICE_S = int(os.environ.get("SIMULATION_S", "25"))
MOST_S = 300.0
KEPT = (
    1,  # a secret of an adapter that does not name it
    116,  # a host that answers the probe and nothing else
    157,  # a host booted anew after its disk was full
    179,
    343,  # a silent host that answered one poll before a restart
    1007,
    8011,
    300079,  # an agent that asks again is told how long it holds what it has, and no longer
    300045,  # a task that nobody began, cancelled, wanted again and deleted
    9001,  # a program that was down while a host was silent
    460826449,  # a part of a claim, read from a connection that broke, that looked like one of another boot
    2001130,  # a limit that was over before the end of its run was known
    500040,  # a limit that was met anew, without an end, before the end that others were told
    600109,  # the fourth failure of a provider in a row, this one told over and over
    700024,  # a watch that could not write down what it met, killed before the next turn
    932826776,  # a run that failed after a review had asked for the next: the next one waits for nothing
    6,  # a limit without an end that others met after its breaker had opened
)
"""Seeds that failed once: by a bug of the program, or of the simulation."""

SAMPLED = ("an attempt is charged twice", "a launch comes before its commit")
"""The bugs that are planted in every run of the tests; the fault suite plants them all."""


def simulated(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=MOST_S,
        check=False,
    )


def test_the_seeds_that_failed_once_hold() -> None:
    done = simulated("--seed", *map(str, KEPT), "--seconds", str(MOST_S), "--jobs", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(KEPT)} worlds" in done.stdout


def test_fresh_seeds_break_no_invariant() -> None:
    seed = secrets.randbelow(10**9)
    done = simulated("--seed", str(seed), "--seconds", str(SLICE_S), "--jobs", "1")
    assert done.returncode == 0, f"seed {seed}\n{done.stdout}{done.stderr}"
    assert "0 broken invariants" in done.stdout


def test_the_same_seed_gives_the_same_world() -> None:
    one, other = (simulated("--seed", "4", "--worlds", "1", "--jobs", "1").stdout for _ in range(2))
    assert _timeless(one) == _timeless(other)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_every_planted_bug_still_applies(bug: Bug, tmp_path: Path) -> None:
    mutations.planted(bug, tmp_path)


@pytest.mark.parametrize("name", SAMPLED)
def test_a_planted_bug_is_found(name: str) -> None:
    _is_found(next(bug for bug in BUGS if bug.name == name))


@pytest.mark.fault
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_each_planted_bug_is_found(bug: Bug) -> None:
    _is_found(bug)


def _is_found(bug: Bug) -> None:
    found = mutations.hunt(bug, 1)
    assert found.invariant is not None, found.said


def _timeless(said: str) -> str:
    return re.sub(r"in [0-9]+ s, [0-9]+ s of processor time", "", said)
