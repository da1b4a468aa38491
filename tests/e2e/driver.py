"""Runs the loop of one fleet as a process of its own, with a clock that a test may move; never used by the product.

`python -m tests.e2e.driver FLEET [--until-idle]`. The file that CLOCK names holds seconds to add to the time; terms are
kept and taken PACE times as fast as by the product; with LISTEN it listens there.
"""

import asyncio
import logging
import os
import signal
import sys
import time
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reconciler import opening, roles, serving
from reconciler.core.desired import Problem
from reconciler.core.events import Event
from reconciler.core.leadership import Pace
from reconciler.core.observed import ObservedTask
from reconciler.loop import Options, Told
from reconciler.repo import fleet as fleets
from reconciler.repo.lock import Locked
from reconciler.web import address
from reconciler.web.listening import Door


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - what it prints is what tests read


def recorded(task_id: str, before: ObservedTask, after: ObservedTask, event: Event) -> None:
    say(f"{task_id}: {before.phase} -> {after.phase} ({event.why})")


def now() -> datetime:
    clock = os.environ.get("CLOCK")
    moved_s = Path(clock).read_text() if clock is not None and Path(clock).exists() else ""
    return datetime.now(UTC) + timedelta(seconds=float(moved_s or 0))


def pace(times: float) -> Pace:
    usual = Pace()
    return Pace(**{one.name: getattr(usual, one.name) / times for one in fields(Pace)})


def door() -> Door | None:
    asked = os.environ.get("LISTEN")
    return None if asked is None else Door(serve=serving.serve, told=say, warn=say, asked=address.parse(asked))


def problem(found: Problem) -> None:
    say(f"problem {found.file}: {found.message}")


async def main() -> int:
    world = opening.World(
        env=os.environ,
        now=now,
        told=Told(
            problem=problem,
            mended=lambda gone: say(f"mended {gone.file}: {gone.message}"),
            put_back=lambda path: say(f"put back {path}"),
        ),
        recorded=recorded,
        clock_s=lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
        said=lambda text: say(f"said {text}"),
        warn=lambda text: say(f"warning {text}"),
        door=door(),
        pace=pace(float(os.environ.get("PACE", "1"))),
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    options = Options(until_idle="--until-idle" in sys.argv)
    try:
        ended = await roles.reconcile(fleets.find(Path(sys.argv[1])), options, world, stop)
    except Locked as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 1 if ended.unsettled else 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    sys.exit(asyncio.run(main()))
