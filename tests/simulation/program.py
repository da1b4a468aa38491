"""Starts the real program on the simulated world's edges, kills it, and starts it again from what is durable.

It is to the simulation what `opening` is to the program; every part that it puts together is the program's own.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from wsgiref.types import WSGIApplication

from reconciler.core.desired import Forge
from reconciler.core.events import Event
from reconciler.core.observed import Observed, ObservedTask
from reconciler.edges import MEMORY_LOST, Edges
from reconciler.edges.desk import Desk
from reconciler.edges.forgelink import ForgeLink
from reconciler.edges.view import Picture, View
from reconciler.forge.client import Client
from reconciler.loop import Loop, Options, Told
from reconciler.repo import lock
from reconciler.repo.fleet import Fleet
from reconciler.repo.inbox import Inbox
from reconciler.repo.main.intakes import Intakes
from reconciler.repo.main.mainline import WorkTree
from reconciler.repo.observed.funnel import Setting
from reconciler.repo.published import Published
from reconciler.transport import Transport
from reconciler.web.address import Address
from reconciler.web.listening import Door, listening
from tests.simulation.clock import Clock
from tests.simulation.files import Fleet as FleetFiles
from tests.simulation.files import SimulatedFiles
from tests.simulation.life import Killed, Life
from tests.simulation.memory import Disk, SimulatedJournal, SimulatedRecord
from tests.simulation.strands import StrandCondition, Strands

SCAN_S = 30.0
"""How often everything is looked at though no file was heard to change."""


class Witness(Protocol):
    """Who compares what is recorded with what is true."""

    def recorded(self, task_id: str, before: ObservedTask, after: ObservedTask, event: Event) -> None: ...
    def reopened(self, tasks: Mapping[str, ObservedTask]) -> None: ...


@dataclass
class Surroundings:
    """What every life of the program gets from its world. `witness` is told what was recorded, once it is on disk."""

    clock: Clock
    places: Fleet
    disk: Disk
    files: FleetFiles
    strands: Strands
    witness: Witness
    secrets: Mapping[str, str]
    transports: Callable[[Life], dict[str, Transport]]
    connect: Callable[[Life], Callable[[Forge, str], Client]]


@dataclass
class Running:
    """The program as it runs now. `edited` is set when a file changed; `app` answers requests."""

    life: Life
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    edited: asyncio.Event = field(default_factory=asyncio.Event)
    app: WSGIApplication | None = None
    news: StrandCondition | None = None
    edges: Edges | None = None


@dataclass
class _Server:
    address: Address

    def stop(self) -> None:
        """Nobody listens any more: `app` is taken away with the life."""


async def live(world: Surroundings, running: Running, spared: set[asyncio.Future[None]]) -> str:
    """One life of the program: until it is killed, ends by an error that it may end by, or is stopped; how it ended."""
    before = {asyncio.current_task(), *asyncio.all_tasks(), *spared}
    program = asyncio.ensure_future(_opened(world, running))
    death = asyncio.ensure_future(running.life.dead.wait())
    await asyncio.wait({program, death}, return_when=asyncio.FIRST_COMPLETED)
    running.app = None
    running.life.kill()
    for _ in range(100):
        ghosts = [task for task in asyncio.all_tasks() - before if not task.done()]
        if not ghosts:
            break
        for ghost in ghosts:
            ghost.cancel()
        await asyncio.sleep(0)
    return _how(program)


def _how(program: asyncio.Future[None]) -> str:
    if program.cancelled() or isinstance(program.exception(), Killed):
        return "killed"
    error = program.exception()
    if error is None:
        return "stopped"
    if isinstance(error, MEMORY_LOST):
        return "could not remember"
    raise error


async def _opened(world: Surroundings, running: Running) -> None:
    """The same steps as `opening.reconcile`."""
    life, wake, here = running.life, asyncio.Event(), asyncio.get_running_loop()

    def changed() -> None:
        here.call_soon_threadsafe(wake.set)

    async with AsyncExitStack() as closing:
        held = lock.acquire(world.places.lock)
        closing.callback(held.release)
        journal = SimulatedJournal(world.disk, life)
        files = SimulatedFiles(world.files)
        desired = files.refresh(world.clock.wall())
        setting = Setting(
            fleet=world.places,
            journal=journal,
            lock=held,
            identity=desired.settings.commit,
            new_id=lambda: "0123456789ab",
            on_record=_telling(world, life, changed),
            warn=_unheard,
        )
        branch = SimulatedRecord(setting, world.clock.wall(), world.disk, life)
        world.witness.reopened(branch.tasks())
        closing.callback(branch.close)
        busy = frozenset(run.host for seen in branch.tasks().values() if (run := seen.live_run) is not None)
        desired = files.refresh(world.clock.wall(), live_hosts=busy)
        edges = _edges(world, running, (journal, branch), changed)
        running.edges = edges
        closing.push_async_callback(edges.forge.close)
        edges.forge.use(desired.settings)
        observed = Observed(fleet=branch.fleet_id, tasks=branch.tasks(), hosts=branch.hosts())
        edges.view.show(Picture(desired=desired, observed=observed))
        told = Told(problem=_unheard, mended=_unheard, put_back=_unheard)
        turned = await closing.enter_async_context(listening(edges.reads, _door(running), desired.settings, edges))
        await Loop(edges, files, told, wake, turned).run(Options(), running.stop)


def _edges(
    world: Surroundings, running: Running, memory: tuple[SimulatedJournal, SimulatedRecord], changed: Callable[[], None]
) -> Edges:
    journal, branch = memory
    link = ForgeLink(
        Published(journal),
        secret=world.secrets.get,
        now=world.clock.wall,
        changed=changed,
        connect=world.connect(running.life),
    )
    running.news = StrandCondition(world.strands, running.life)

    async def files_changed(_: Fleet, stop: asyncio.Event) -> AsyncIterator[frozenset[Path]]:
        while not stop.is_set():
            try:
                await asyncio.wait_for(running.edited.wait(), SCAN_S)
                running.edited.clear()
                yield frozenset({world.places.root / "state" / "tasks" / "one.yaml"})
            except TimeoutError:
                yield frozenset()

    return Edges(
        fleet=world.places,
        branch=branch,
        journal=journal,
        inbox=Inbox(journal),
        delivered=asyncio.Event(),
        forge=link,
        transports=world.transports(running.life),
        now=world.clock.wall,
        secret=world.secrets.get,
        changed=changed,
        warn=_unheard,
        intakes=Intakes(),
        mainline=WorkTree(world.places),
        desk=Desk(changed, branch.tasks, lambda: world.clock.now_s, running.news),
        view=View(branch.tasks),
        files_changed=files_changed,
    )


def _telling(
    world: Surroundings, life: Life, changed: Callable[[], None]
) -> Callable[[str, ObservedTask, ObservedTask, Event], None]:
    def recorded(task_id: str, before: ObservedTask, after: ObservedTask, event: Event) -> None:
        world.witness.recorded(task_id, before, after, event)
        life.check()
        changed()

    return recorded


def _door(running: Running) -> Door:
    def serve(app: WSGIApplication, address: Address) -> _Server:
        running.app = app
        return _Server(address)

    return Door(serve=serve, told=_unheard, warn=_unheard)


def _unheard(_: object) -> None:
    """Nobody listens."""
