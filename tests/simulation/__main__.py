"""The command `invoke simulate`: worlds one after the other, each from a seed of its own, until the time is over.

It ends with status 1 at the first broken invariant, after it has made the failure small.
"""

import argparse
import itertools
import multiprocessing
import os
import resource
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace

from tests.simulation import report
from tests.simulation.report import Sum
from tests.simulation.shrink import shrunk
from tests.simulation.simulation import Result, simulate
from tests.simulation.world import Plan

SHRINK_S = 90.0
HASH_SEED = "PYTHONHASHSEED"


@dataclass(frozen=True)
class _Wanted:
    plan: Plan
    seconds: float
    seeds: Sequence[int]
    jobs: int
    shrink_s: float
    clock_s: Callable[[], float]


def main(argv: Sequence[str]) -> int:
    """Live through worlds; the status of the process."""
    wanted = _wanted(argv)
    began_s, total = time.monotonic(), Sum()
    failed: Result | None = None
    for result in _results(wanted, wanted.clock_s() + wanted.seconds):
        total.add(result)
        if result.broken:
            failed = result
            break
    _say(report.figures(total, wanted.plan.seed, (time.monotonic() - began_s, _processor_s())))
    if failed is None:
        _say(["0 broken invariants"])
        return 0
    _say(report.failure(failed, shrunk(failed, simulate, wanted.shrink_s) if wanted.shrink_s else failed))
    return 1


def _results(wanted: _Wanted, until_s: float) -> Iterator[Result]:
    """Worlds as they end; no new one begins when the time is over."""
    seeds = iter(wanted.seeds)
    if wanted.jobs == 1:
        for seed in seeds:
            yield simulate(replace(wanted.plan, seed=seed))
            if wanted.clock_s() >= until_s:
                return
        return
    with ProcessPoolExecutor(wanted.jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        under_way: set[Future[Result]] = set()
        while True:
            free = wanted.jobs - len(under_way) if wanted.clock_s() < until_s else 0
            plans = [replace(wanted.plan, seed=seed) for seed in itertools.islice(seeds, free)]
            under_way |= {pool.submit(simulate, plan) for plan in plans}
            if not under_way:
                return
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for one in done:
                yield one.result()


def _processor_s() -> float:
    """What this process and those that it waited for used of the processor."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _wanted(argv: Sequence[str]) -> _Wanted:
    parser = argparse.ArgumentParser(prog="invoke simulate", description=__doc__)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--seed", type=int, nargs="+", help="that of the first world, or of several worlds")
    parser.add_argument("--worlds", type=int, default=10**9)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--hosts", type=int, default=Plan.hosts)
    parser.add_argument("--tasks", type=int, default=Plan.tasks)
    parser.add_argument("--minutes", type=float, default=Plan.weather_s / 60)
    parser.add_argument("--severity", type=float, default=Plan.severity)
    parser.add_argument("--shrink", type=float, default=SHRINK_S)
    parser.add_argument("--busy", action="store_true", help="count seconds of the processor; one job alone")
    said = parser.parse_args(argv)
    if said.busy and said.jobs != 1:
        parser.error("--busy needs --jobs 1")
    first, *more = said.seed or [secrets.randbelow(10**9)]
    plan = Plan(seed=first, hosts=said.hosts, tasks=said.tasks, weather_s=said.minutes * 60, severity=said.severity)
    return _Wanted(
        plan=plan,
        seconds=said.seconds,
        seeds=(first, *more) if more else range(first, first + said.worlds),
        jobs=said.jobs,
        shrink_s=said.shrink,
        clock_s=time.process_time if said.busy else time.monotonic,
    )


def _say(lines: Iterator[str] | Sequence[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if os.environ.get(HASH_SEED) != "0":  # the order of sets of words is part of a history
        os.execve(  # noqa: S606 - the same program again
            sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]], {**os.environ, HASH_SEED: "0"}
        )
    sys.exit(main(sys.argv[1:]))
