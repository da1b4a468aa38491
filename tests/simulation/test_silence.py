"""What a watch holds of a host that was silent and then answers polls, and nothing else."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from reconciler.core.command import Command, Completed
from reconciler.core.desired import Document, Identity
from reconciler.core.desired import Host as HostFile
from reconciler.core.observed import ObservedHost, Run
from reconciler.core.terms import Kind
from reconciler.repo.lock import Lock
from reconciler.repo.observed.funnel import Setting
from reconciler.transport import Unreachable
from reconciler.watching.folders import Watched
from reconciler.watching.hostwatch import HEARD_AGAIN, HostWatch
from tests.simulation import program
from tests.simulation.clock import Clock, VirtualLoop
from tests.simulation.hosts import Folder
from tests.simulation.life import Life
from tests.simulation.memory import SimulatedJournal, SimulatedRecord
from tests.simulation.program import Running
from tests.simulation.protocol import Protocol
from tests.simulation.weather import Weather
from tests.simulation.world import Plan, World

FLEET = "0123456789ab"
RETRIED = timedelta(seconds=31)
LASTS_S = 100.0


class OnlyPolls:
    """A way to a host on which nothing but a probe and a poll is answered, and while it is `silent` not even those."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._protocol = Protocol(world.remotes, lambda _, __: 0.0)
        self.silent = False

    async def run(self, host_id: str, host: HostFile, command: Command) -> Completed:  # noqa: ARG002 - the protocol
        if self.silent or command.name not in {"probe", "poll"}:
            raise Unreachable(f"{host_id}: connection reset")
        return self._protocol.run(self._world.hosts[host_id], command)

    async def forget(self, host_id: str) -> None:
        """Nothing is kept."""

    async def close(self) -> None:
        """Nothing is kept."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    clock = Clock(now_s=1000.0)
    weather = Weather(seed=0, until_s=0.0)
    loop = VirtualLoop(clock, lambda _: (0.0, 0.0))
    yield World(plan=Plan(seed=0, tasks=0), folder=tmp_path, clock=clock, loop=loop, weather=weather)
    loop.close()


def test_a_silent_host_that_answers_a_poll_is_silent_only_since_then(world: World) -> None:
    host, began = world.hosts["host-0"], world.clock.wall()
    host.folders["one.1"] = Folder(name="one.1", claim=(host.boot, 0.0))

    async def watched() -> tuple[HostWatch, ObservedHost]:
        life = Life(weather=world.weather, clock=world.clock, began_s=world.clock.now_s)
        record = _record(world, life)
        document = Document(value=world.fleet.hosts["host-0"].value, spec=world.fleet.hosts["host-0"].spec)
        only = OnlyPolls(world)
        surroundings = replace(world.surroundings(), transports=lambda _: {"ssh": only})
        journal = SimulatedJournal(world.disk, life)
        edges = program._edges(surroundings, Running(life=life), (journal, record), lambda: None)  # noqa: SLF001
        watch = HostWatch("host-0", document, edges)
        watching = asyncio.ensure_future(watch.watch())
        await asyncio.sleep(1.0)
        only.silent = True
        watch.look()
        await asyncio.sleep(LASTS_S)
        only.silent = False
        watch.runs = {f"{FLEET}.one.1": _run(began)}
        await asyncio.sleep(LASTS_S)
        watching.cancel()
        return watch, record.hosts()["host-0"]

    watch, known = world.loop.run_until_complete(watched())
    now = world.clock.wall()
    assert watch.silent_since is not None
    assert now - watch.silent_since <= RETRIED
    assert not known.reachable
    assert now - known.since <= RETRIED + HEARD_AGAIN


def _record(world: World, life: Life) -> SimulatedRecord:
    setting = Setting(
        fleet=world.surroundings().places,
        journal=SimulatedJournal(world.disk, life),
        lock=Lock((-1,)),
        identity=Identity(),
        new_id=lambda: FLEET,
        on_record=lambda *_: None,
        warn=lambda _: None,
    )
    return SimulatedRecord(setting, world.clock.wall(), world.disk, life)


def _run(began: datetime) -> Watched:
    run = Run(epoch=1, run_id=f"{FLEET}.one.1", host="host-0", adapter="text", kind=Kind.IMPLEMENT, assigned_at=began)
    return Watched(task_id="one", run=run, workdir="/h/work")
