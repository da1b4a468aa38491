"""Opens a fleet for a reconciler that leads it: reads its memory, reaches for its hosts; and closes it again.

Here the parts meet; none of them is told here what to do. Who leads is not decided here.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.core.desired import Desired, Host
from reconciler.core.events import Assigned, Event, Started
from reconciler.core.leadership import Pace
from reconciler.core.observed import Observed, ObservedTask
from reconciler.edges import Edges
from reconciler.edges.desk import Desk
from reconciler.edges.forgelink import ForgeLink
from reconciler.edges.lead import Lead
from reconciler.edges.meters import UNMETERED, Meters
from reconciler.edges.view import Picture, View
from reconciler.loop import Ended, Loop, Options, Told
from reconciler.repo import digestkey
from reconciler.repo.desired.files import DesiredFiles
from reconciler.repo.fleet import Fleet
from reconciler.repo.inbox import Inbox
from reconciler.repo.journal import Journal
from reconciler.repo.lock import Lock
from reconciler.repo.main import tip
from reconciler.repo.main.intakes import Intakes
from reconciler.repo.main.origin import Origin
from reconciler.repo.observed.funnel import ObservedBranch, Setting
from reconciler.repo.published import Published
from reconciler.transport import Transport
from reconciler.transport.later import Later
from reconciler.transport.local import Local
from reconciler.web.listening import Door, listening


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the program gets from its surroundings, and whom it tells what.

    `clock_s` counts seconds, never jumps, and goes on while the machine sleeps. `recorded` is called, from a thread of
    its own, with task id, before, after and event once that is on disk; `said` with one line about the program itself,
    `warn` with one about something that nobody waits for. Without a `door` nothing listens. At the `pace` terms are
    kept and taken.
    """

    env: Mapping[str, str]
    now: Callable[[], datetime]
    clock_s: Callable[[], float]
    told: Told
    recorded: Callable[[str, ObservedTask, ObservedTask, Event], None]
    said: Callable[[str], None]
    warn: Callable[[str], None]
    door: Door | None = None
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A fleet whose lock is held, with its journal; and its `origin`, where it lives on a remote.

    `tend` is called now and then to have its clone tended.
    """

    fleet: Fleet
    lock: Lock
    journal: Journal
    world: World
    tend: Callable[[], None]
    origin: Origin | None = None

    @property
    def meters(self) -> Meters:
        """Who counts how this process fares: whoever listens."""
        return self.world.door.meters if self.world.door is not None else UNMETERED

    def files(self) -> DesiredFiles:
        """The files that people wrote, nothing read yet."""
        env, fleet = self.world.env, self.fleet
        return DesiredFiles(fleet.root, journal=self.journal, secret=env.get, key=digestkey.read(fleet), ref=fleet.ref)


async def session(place: Place, lead: Lead | None, options: Options, stop: asyncio.Event) -> Ended:
    """Reconcile the fleet until `stop` is set or the options are satisfied. Runs on hosts go on.

    It also ends, with `reopen`, where the settings come to name another remote: who leads is another question then.
    Raises what its memory raises when it cannot be written, and `CannotListen`.
    """
    wake, moved = asyncio.Event(), asyncio.Event()
    here = asyncio.get_running_loop()

    def changed() -> None:
        if not wake.is_set():  # else a turn is to begin, and sees everything that was so before this call
            here.call_soon_threadsafe(wake.set)

    async with (
        _opened(place, lead, changed) as (edges, files, desired),
        listening(edges.reads, place.world.door, desired.settings, edges) as turned,
    ):

        def looked(now: Desired) -> None:
            turned(now)
            place.tend()
            edges.branch.sign_as(now.settings.commit)
            if now.settings.remote != (lead.remote if lead is not None else None):
                moved.set()

        if lead is not None:
            lead.begin(changed)
        return await Loop(edges, files, place.world.told, wake, looked).run(options, stop, moved)


@asynccontextmanager
async def _opened(
    place: Place, lead: Lead | None, changed: Callable[[], None]
) -> AsyncIterator[tuple[Edges, DesiredFiles, Desired]]:
    """The fleet's memory and ways to hosts; let go in reverse order."""
    world = place.world
    async with AsyncExitStack() as closing:
        files = place.files()
        desired = await asyncio.to_thread(files.refresh, world.now())
        branch = await asyncio.to_thread(ObservedBranch, _setting(place, lead, desired, changed), world.now())
        closing.push_async_callback(asyncio.to_thread, branch.close)
        busy = frozenset(run.host for seen in branch.tasks().values() if (run := seen.live_run) is not None)
        if not busy <= desired.hosts.keys():  # agents whose host's file is gone may end what they have, from now on
            desired = await asyncio.to_thread(files.refresh, world.now(), live_hosts=busy)
        for path in branch.put_back:
            world.told.put_back(path)
        reaching = transports(world.env, files.host)
        for transport in reaching.values():
            closing.push_async_callback(transport.close)
        edges = _edges(place, branch, reaching, lead, changed)
        closing.push_async_callback(edges.forge.close)
        edges.forge.use(desired.settings)
        edges.view.show(Picture(desired=desired, observed=_recorded(branch)))
        yield edges, files, desired


def _recorded(branch: ObservedBranch) -> Observed:
    """What happened, before any host was asked."""
    return Observed(fleet=branch.fleet_id, tasks=branch.tasks(), hosts=branch.hosts(), breakers=branch.breakers())


def _setting(place: Place, lead: Lead | None, desired: Desired, changed: Callable[[], None]) -> Setting:
    def recorded(task_id: str, before: ObservedTask, after: ObservedTask, event: Event) -> None:
        if lead is not None and isinstance(event, Assigned):
            lead.assigned(event.run_id)
        elif lead is not None:
            lead.recorded()
        place.meters.recorded(type(event).__name__)
        run = after.last_run
        if isinstance(event, Started) and run is not None:
            place.meters.started((event.at - run.assigned_at).total_seconds())
        place.world.recorded(task_id, before, after, event)
        changed()

    return Setting(
        fleet=place.fleet,
        journal=place.journal,
        lock=place.lock,
        identity=desired.settings.commit,
        new_id=lambda: secrets.token_hex(6),
        on_record=recorded,
        warn=place.world.warn,
        term=lead.number if lead is not None else None,
        committed=place.meters.committed,
    )


def _edges(
    place: Place,
    branch: ObservedBranch,
    transports: Mapping[str, Transport],
    lead: Lead | None,
    changed: Callable[[], None],
) -> Edges:
    world, journal = place.world, place.journal
    return Edges(
        fleet=place.fleet,
        branch=branch,
        journal=journal,
        inbox=Inbox(journal),
        delivered=asyncio.Event(),
        forge=ForgeLink(Published(journal), secret=world.env.get, now=world.now, changed=changed),
        transports=transports,
        now=world.now,
        secret=world.env.get,
        changed=changed,
        warn=world.warn,
        intakes=Intakes(),
        mainline=tip.mainline(place.fleet, place.origin),
        desk=Desk(changed, branch.tasks, claimed=branch.claimed),
        view=View(branch.tasks),
        lead=lead,
        meters=place.meters,
    )


def transports(env: Mapping[str, str], find_host: Callable[[str], Host | None]) -> dict[str, Transport]:
    """A way to every kind of host that runs commands."""
    return {"local": Local(env), "ssh": Later(lambda: _ssh(env, find_host))}


def _ssh(env: Mapping[str, str], find_host: Callable[[str], Host | None]) -> Transport:
    from reconciler.transport.ssh import Ssh  # noqa: PLC0415 - takes a fifth of a start, and many fleets are local

    return Ssh(env=env, find_host=find_host)
