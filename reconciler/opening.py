"""Opens a fleet for a reconciler: takes its lock, reads its memory, reaches for its hosts; and closes it again.

Here the parts meet; none of them is told here what to do.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from reconciler.core.desired import Desired, Host
from reconciler.core.events import Event
from reconciler.core.observed import Observed, ObservedTask
from reconciler.edges import Edges
from reconciler.edges.desk import Desk
from reconciler.edges.forgelink import ForgeLink
from reconciler.edges.view import Picture, View
from reconciler.loop import Ended, Loop, Options, Told
from reconciler.repo import fleet as fleets
from reconciler.repo import lock
from reconciler.repo.desired.files import DesiredFiles
from reconciler.repo.fleet import Fleet
from reconciler.repo.inbox import Inbox
from reconciler.repo.journal import Journal
from reconciler.repo.main.intakes import Intakes
from reconciler.repo.observed.funnel import ObservedBranch, Setting
from reconciler.repo.published import Published
from reconciler.transport import Transport
from reconciler.transport.local import Local
from reconciler.transport.ssh import Ssh
from reconciler.web.listening import Door, listening

WRITERS = 64
"""Threads that may wait for one shared commit: a group is as large as those who wait for it."""

KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the program gets from its surroundings, and whom it tells what.

    `recorded` is called, from a thread of its own, with task id, before, after and event once that is on disk; `warn`
    with one line about something that nobody waits for. Without a `door` nothing listens.
    """

    env: Mapping[str, str]
    now: Callable[[], datetime]
    told: Told
    recorded: Callable[[str, ObservedTask, ObservedTask, Event], None]
    warn: Callable[[str], None]
    door: Door | None = None


async def reconcile(fleet: Fleet, options: Options, world: World, stop: asyncio.Event) -> Ended:
    """Reconcile the fleet until `stop` is set or the options are satisfied. Runs on hosts go on.

    Raises `Locked` where another reconciler has the fleet, what its memory raises when it cannot be written, and
    `CannotListen`.
    """
    wake = asyncio.Event()
    here = asyncio.get_running_loop()
    here.set_default_executor(ThreadPoolExecutor(WRITERS))

    def changed() -> None:
        here.call_soon_threadsafe(wake.set)

    async with (
        _opened(fleet, world, changed) as (edges, files, desired),
        listening(edges, world.door, desired.settings) as turned,
    ):
        return await Loop(edges, files, world.told, wake, turned).run(options, stop)


@asynccontextmanager
async def _opened(
    fleet: Fleet, world: World, changed: Callable[[], None]
) -> AsyncIterator[tuple[Edges, DesiredFiles, Desired]]:
    """The fleet's lock, memory and ways to hosts; let go in reverse order."""
    fleets.exclude(fleet)
    async with AsyncExitStack() as closing:
        held = lock.acquire(fleet.lock)
        closing.callback(held.release)
        journal = Journal(fleet.journal)
        closing.callback(journal.close)
        if journal.warning is not None:
            world.warn(journal.warning)
        files = DesiredFiles(fleet.root, journal=journal, secret=world.env.get, key=key(fleet))
        desired = await asyncio.to_thread(files.refresh, world.now())
        setting = Setting(
            fleet=fleet,
            journal=journal,
            lock=held,
            identity=desired.settings.commit,
            new_id=lambda: secrets.token_hex(6),
            on_record=_telling(world, changed),
            warn=world.warn,
        )
        branch = await asyncio.to_thread(ObservedBranch, setting, world.now())
        closing.push_async_callback(asyncio.to_thread, branch.close)
        busy = frozenset(run.host for seen in branch.tasks().values() if (run := seen.live_run) is not None)
        if not busy <= desired.hosts.keys():  # agents whose host's file is gone may end what they have, from now on
            desired = await asyncio.to_thread(files.refresh, world.now(), live_hosts=busy)
        for path in branch.put_back:
            world.told.put_back(path)
        reaching = transports(world.env, files.host)
        for transport in reaching.values():
            closing.push_async_callback(transport.close)
        edges = _edges(_Memory(fleet=fleet, branch=branch, journal=journal), reaching, world, changed)
        closing.push_async_callback(edges.forge.close)
        edges.forge.use(desired.settings)
        edges.view.show(Picture(desired=desired, observed=_recorded(branch)))
        yield edges, files, desired


def _recorded(branch: ObservedBranch) -> Observed:
    """What happened, before any host was asked."""
    return Observed(fleet=branch.fleet_id, tasks=branch.tasks(), hosts=branch.hosts(), breakers=branch.breakers())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Memory:
    """The memory of an open fleet."""

    fleet: Fleet
    branch: ObservedBranch
    journal: Journal


def _edges(memory: _Memory, transports: Mapping[str, Transport], world: World, changed: Callable[[], None]) -> Edges:
    return Edges(
        fleet=memory.fleet,
        branch=memory.branch,
        journal=memory.journal,
        inbox=Inbox(memory.journal),
        delivered=asyncio.Event(),
        forge=ForgeLink(Published(memory.journal), secret=world.env.get, now=world.now, changed=changed),
        transports=transports,
        now=world.now,
        secret=world.env.get,
        changed=changed,
        warn=world.warn,
        intakes=Intakes(),
        desk=Desk(changed, memory.branch.tasks),
        view=View(memory.branch.tasks),
    )


def _telling(world: World, changed: Callable[[], None]) -> Callable[[str, ObservedTask, ObservedTask, Event], None]:
    def recorded(task_id: str, before: ObservedTask, after: ObservedTask, event: Event) -> None:
        world.recorded(task_id, before, after, event)
        changed()

    return recorded


def transports(env: Mapping[str, str], find_host: Callable[[str], Host | None]) -> dict[str, Transport]:
    """A way to every kind of host that runs commands."""
    return {"local": Local(env), "ssh": Ssh(env=env, find_host=find_host)}


def key(fleet: Fleet) -> bytes:
    """The key of this machine under which digests of secrets are kept; made when missing, and safe to delete."""
    path = fleet.local / "key"
    if not path.exists():
        fleet.local.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = Path(f"{path}.new")
        temporary.touch(mode=0o600)
        temporary.write_bytes(secrets.token_bytes(KEY_BYTES))
        temporary.replace(path)
    return path.read_bytes()
