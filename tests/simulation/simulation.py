"""Lives through one world: weather, then calm until everything is at rest; and says how it went.

It makes nothing happen but the starts of the program.
"""

import asyncio
import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.simulation import mishaps, people
from tests.simulation.clock import Clock, Threads, VirtualLoop
from tests.simulation.ledger import Broken
from tests.simulation.life import Killed, Life
from tests.simulation.memory import LOSES, git_door
from tests.simulation.program import Running, live
from tests.simulation.truth import Truth
from tests.simulation.weather import Struck, Weather
from tests.simulation.world import Plan, World

CALM_MOST_S = 3 * 3600.0
"""In calm weather everything comes to rest within this time: an hour for the bound on launches, and some more."""

LOOK_S = 10.0
SEVERITIES = {0.024: 1.5, 1.2: 6.0, 2.4: 2.5}
"""How bad the weather of a world is, and how often: in fair weather everything has to be prompt."""

READS_S = 2e-5
"""How long a turn takes for each task, about as on a real machine: what happens meanwhile is the next turn's matter."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """How it went."""

    plan: Plan
    broken: tuple[Broken, ...]
    history: tuple[tuple[float, str], ...]
    struck: tuple[Struck, ...]
    kinds: Counter[str]
    figures: Counter[str]
    simulated_s: float


def simulate(plan: Plan) -> Result:
    """Live through one world. Raises what is a defect of the simulation itself."""
    shared = Path("/dev/shm")  # noqa: S108 - a folder of its own is made there
    folder = Path(tempfile.mkdtemp(prefix="simulation-", dir=shared if shared.is_dir() else None))
    clock = Clock()
    weather = Weather(seed=plan.seed, until_s=plan.weather_s, without=plan.without)
    weather.severity = weather.choose(SEVERITIES, "severity") if plan.severity is None else plan.severity
    weather.deadly = Plan.hosts / max(plan.hosts, Plan.hosts)
    loop = VirtualLoop(clock, _threads(weather, clock, READS_S * plan.tasks))
    try:
        asyncio.set_event_loop(loop)
        world = World(plan=plan, folder=folder, clock=clock, loop=loop, weather=weather)
        loop.set_exception_handler(lambda _, context: _unhandled(world.truth, context))
        with git_door(world.disk), _defects(world.truth):
            loop.run_until_complete(_through(world))
        return _result(world)
    finally:
        asyncio.set_event_loop(None)
        loop.close()
        shutil.rmtree(folder, ignore_errors=True)


async def _through(world: World) -> None:
    """Weather, then calm until everything rests, or something is broken."""
    _every(world, people.TICK_S, world.people.tick)
    _every(world, mishaps.TICK_S, world.mishaps.tick)
    _every(world, mishaps.TICK_S, world.causes.tick)
    ending = asyncio.ensure_future(_ending(world))
    while not ending.done():
        world.door.running = Running(life=Life(weather=world.weather, clock=world.clock, began_s=world.clock.now_s))
        world.starts += 1
        world.truth.restarted_s = world.clock.now_s
        life = asyncio.ensure_future(live(world.surroundings(), world.door.running, spared={ending}))
        await asyncio.wait({life, ending}, return_when=asyncio.FIRST_COMPLETED)
        world.door.running.stop.set()
        how = await life
        world.truth.killed()
        world.truth.say(f"the program {how}")
        name = f"start {world.starts}"
        if how == "killed" and world.weather.strikes(LOSES, 0.06, name, world.clock.now_s):
            world.disk.lose_journal()
        world.door.running = None
        down_s = world.weather.choose({0.2: 4, 5.0: 3, 60.0: 1, 400.0: 0.3}, f"down {name}")
        await asyncio.wait({ending}, timeout=down_s)


async def _ending(world: World) -> None:
    while world.clock.now_s < world.weather.until_s:
        await asyncio.sleep(LOOK_S)
        world.look()
        if world.book.broken:
            return
    world.mishaps.end()
    world.causes.end()
    world.people.mend()
    while world.clock.now_s < world.weather.until_s + CALM_MOST_S:
        await asyncio.sleep(LOOK_S)
        world.look()
        if world.book.broken or world.is_at_rest():
            return
    world.truth.broke("nothing is stuck", ", ".join(world.restless()))


def _every(world: World, pause_s: float, do: Callable[[], None]) -> None:
    def again() -> None:
        if world.clock.now_s < world.weather.until_s:
            do()
            world.loop.call_later(pause_s, again)

    world.loop.call_later(pause_s, again)


def _threads(weather: Weather, clock: Clock, refresh_s: float) -> Threads:
    """What is handed to a thread takes no time to speak of, but now and then the disk is slow."""

    def delays(func: Callable[..., object]) -> tuple[float, float]:
        what = getattr(func, "__qualname__", "")
        name = weather.numbered(f"thread {what}")
        if what == "Loop._refresh":
            return 0.0005, 0.0005 + refresh_s
        if not weather.strikes("the disk is slow", 0.01, name, clock.now_s):
            return 0.0005, 0.0005
        return weather.between(0.1, 4.0, f"before {name}"), weather.between(0.1, 4.0, f"after {name}")

    return delays


def _unhandled(truth: Truth, context: dict[str, object]) -> None:
    error = context.get("exception")
    if not isinstance(error, Killed):
        truth.broke("no defect", f"{context.get('message')}: {error!r}")


@contextmanager
def _defects(truth: Truth) -> Iterator[None]:
    """Whatever the program calls a defect of its own is one."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info is not None and record.exc_info[0] is not Killed:
                truth.broke("no defect", f"{record.getMessage()}: {record.exc_info[1]!r}")

    logger, handler = logging.getLogger("reconciler"), Handler(level=logging.ERROR)
    kept = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = kept


def _result(world: World) -> Result:
    truth = world.truth
    figures = Counter(
        tasks=len(world.fleet.tasks),
        runs=len(truth.places),
        starts=world.starts,
        checks=truth.book.checked,
        commands=world.network.sent,
        commits=world.disk.commits,
        taken=world.door.taken,
        **{f"{scope} breakers": count for scope, count in truth.breakers.opened.items()},
    )
    return Result(
        plan=world.plan,
        broken=tuple(truth.book.broken),
        history=tuple(truth.book.history),
        struck=tuple(world.weather.struck),
        kinds=world.weather.kinds,
        figures=figures,
        simulated_s=world.clock.now_s,
    )
