"""Finds out which part this process has, and plays it: alone, or as leader or standby of a fleet on a remote.

It reconciles nothing itself: whoever leads opens the fleet, and the loop does the rest.
"""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from reconciler.core import leadership
from reconciler.core import standing as standings
from reconciler.core.desired import Desired, Settings
from reconciler.core.leadership import NotLeading
from reconciler.core.observed import Observed
from reconciler.core.standing import Standing
from reconciler.core.terms import TERMINAL
from reconciler.edges.lead import Held, Lead
from reconciler.edges.reads import Reads
from reconciler.edges.tending import tending
from reconciler.edges.view import Picture, View
from reconciler.leading.leader import Leader
from reconciler.leading.standby import Named, RemoteChanged, Standby, Taken, left
from reconciler.leading.upstream import Upstream
from reconciler.loop import Ended, Options
from reconciler.opening import Place, World, session
from reconciler.repo import fleet as fleets
from reconciler.repo import git, lock
from reconciler.repo.fleet import IN_FORCE, Fleet
from reconciler.repo.journal import Journal
from reconciler.repo.main.origin import Origin
from reconciler.repo.observed import reading
from reconciler.repo.observed.records import Recorded
from reconciler.repo.remote import holder, record
from reconciler.repo.remote.acceptance import LOCAL
from reconciler.repo.remote.door import Remote
from reconciler.repo.remote.standings import Standings
from reconciler.repo.upkeep import Upkeep
from reconciler.web.listening import listening

WRITERS = 64
"""Threads that may wait for one shared commit: a group is as large as those who wait for it."""


async def reconcile(fleet: Fleet, options: Options, world: World, stop: asyncio.Event) -> Ended:
    """Reconcile the fleet until `stop` is set or the options are satisfied. Runs on hosts go on.

    Raises `Locked` where another reconciler has this place of the fleet, `NotLeading` and `RemoteFailed` where it has
    to wait for its turn and the options do not let it, what its memory raises, and `CannotListen`.
    """
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(WRITERS))
    fleets.exclude(fleet)
    async with AsyncExitStack() as closing:
        held = lock.acquire(fleet.lock, fleet.shared_lock)
        closing.callback(held.release)
        fleets.keep_gc_away(fleet)
        journal = Journal(fleet.journal)
        closing.callback(journal.close)
        if journal.warning is not None:
            world.warn(journal.warning)
        tend = await closing.enter_async_context(tending(Upkeep(fleet, journal, world.now, world.warn), stop))
        while True:
            counted = fleets.as_it_counts(fleet)
            place = Place(fleet=counted, lock=held, journal=journal, world=world, tend=tend)
            settings = await asyncio.to_thread(place.files().settings)
            ended = await _play(place, settings, options, stop)
            if not ended.reopen or stop.is_set():
                return ended


async def _play(place: Place, settings: Settings, options: Options, stop: asyncio.Event) -> Ended:
    """One part, until it is over."""
    kept = Standings(place.journal)
    named = settings.remote
    if named is None and place.fleet.ref == IN_FORCE:
        named = (await asyncio.to_thread(_named, place)).here
        if named is None:
            raise NotLeading(left("the reconciler that led last"))
    if named is None:
        kept.drop()
        return await session(place, None, options, stop)
    fleet, world = replace(place.fleet, ref=IN_FORCE), place.world
    remote = Remote(fleet.top, named)
    upstream = Upstream(
        fleet=fleet,
        remote=remote,
        holder=holder.holder(fleet),
        name=holder.name(fleet),
        identity=settings.commit,
        now=world.now,
        clock_s=world.clock_s,
        said=world.said,
        warn=world.warn,
        pace=world.pace,
    )
    place = replace(place, fleet=fleet, origin=Origin(fleet, remote))
    try:
        taken = await _StandingBy(place, upstream, kept).wait(settings, options, stop)
        return Ended() if taken is None else await _lead(place, upstream, kept, taken, (options, stop))
    except RemoteChanged:
        await asyncio.to_thread(_left_alone, place)
        return Ended(reopen=True)
    finally:
        remote.close()


async def _lead(
    place: Place, upstream: Upstream, kept: Standings, taken: Taken, wanted: tuple[Options, asyncio.Event]
) -> Ended:
    """Lead for one term: until it is to stop, or somebody else leads."""
    options, stop = wanted
    world, over = place.world, asyncio.Event()
    url = await asyncio.to_thread(upstream.remote.url)
    until_s = leadership.certain_until(taken.asked_s, upstream.pace)
    held = Held(number=taken.term.number, until_s=until_s, remote=upstream.remote.name, url=url)
    lead = Lead(held, world.clock_s, over.set)
    for run_id in _unstarted(place, taken):
        lead.assigned(run_id)
    leader = Leader(upstream, taken, lead, kept.keep)
    world.said(f"leading in term {taken.term.number}, on {upstream.remote.name}")
    keeping = asyncio.ensure_future(leader.keep())
    keeping.add_done_callback(lambda _: over.set())
    stopping = asyncio.ensure_future(_first(stop, over))
    try:
        ended = await session(place, lead, options, over)
    finally:
        stopping.cancel()
        await leader.end(keeping)
        if lead.deposed is None:
            await leader.release()
    if (defect := keeping.exception()) is not None:
        raise defect
    if lead.deposed is not None:
        world.warn(f"this process leads no more: {lead.deposed} does; runs go on")
        return replace(ended, reopen=not stop.is_set())
    if ended.reopen:
        await asyncio.to_thread(_left_alone, place)
    return ended


def _named(place: Place) -> Named:
    """Which remote the settings name, in force and here."""
    here = replace(place, fleet=replace(place.fleet, ref=LOCAL))
    in_force = place.files().settings().remote
    return Named(in_force=in_force, here=in_force or here.files().settings().remote)


def _left_alone(place: Place) -> None:
    """Have the work tree count again where nobody else leads and the settings name no remote any more."""
    named = _named(place)
    if named.in_force is None and named.here is None:
        fleets.leave_remote(place.fleet)


def _unstarted(place: Place, taken: Taken) -> list[str]:
    """The runs that were assigned and may be launched, where the remote may not know of them."""
    if record.tip(place.fleet) in {taken.observed, None}:
        return []
    tasks = reading.read(place.fleet).tasks.values()
    return [run.run_id for seen in tasks if (run := seen.live_run) is not None and run.started_at is None]


async def _first(stop: asyncio.Event, over: asyncio.Event) -> None:
    """End the session when the program is to stop."""
    await stop.wait()
    over.set()


class _StandingBy:
    """A standby, and what others may read at it."""

    def __init__(self, place: Place, upstream: Upstream, kept: Standings) -> None:
        self._place = place
        self._kept = kept
        self._standby = Standby(upstream, self._names, self._stand)
        self._remote = upstream.remote
        self._standing = Standing(role="standby", remote=upstream.remote.name)
        self._files = place.files()
        self._reading = threading.Lock()
        self._recorded = Recorded()
        self._tip: str | None = None
        self._named: str | None = None
        self._named_at: str | None = None
        self._view = View(lambda: self._recorded.tasks)
        self._looked = asyncio.Event()

    async def wait(self, settings: Settings, options: Options, stop: asyncio.Event) -> Taken | None:
        """The next term of this process, `None` when it is to stop; meanwhile it answers who reads."""
        patient = not (options.once or options.until_idle)
        waiting = asyncio.ensure_future(self._standby.wait(stop, patient=patient))
        stopping = asyncio.ensure_future(self._interrupt(stop))
        try:
            await _either(waiting, self._looked)
            if waiting.done() or not patient:
                return await waiting
            async with listening(self._reads(), self._place.world.door, settings) as turned:
                while not waiting.done():
                    self._looked.clear()
                    turned(await asyncio.to_thread(self._read))
                    self._place.tend()
                    await _either(waiting, self._looked)
            return await waiting
        finally:
            for one in (waiting, stopping):
                one.cancel()
            await asyncio.gather(waiting, stopping, return_exceptions=True)

    async def _interrupt(self, stop: asyncio.Event) -> None:
        """Wait for no answer of the remote when the program is to stop."""
        await stop.wait()
        self._remote.interrupt()

    def _reads(self) -> Reads:
        place = self._place
        return Reads(
            fleet=place.fleet,
            view=self._view,
            journal=place.journal,
            now=place.world.now,
            standing=lambda: self._standing,
        )

    def _stand(self, standing: Standing) -> None:
        self._standing = standing
        self._kept.keep(standing)
        self._looked.set()

    def _read(self) -> Desired:
        """Show what people want and what the leader has recorded."""
        fleet = self._place.fleet
        tip = record.tip(fleet)
        if tip != self._tip:
            self._tip, self._recorded = tip, reading.read(fleet)
        seen = self._recorded
        with self._reading:
            desired = self._files.refresh(
                self._place.world.now(),
                observed_ids=seen.tasks.keys(),
                finished_ids=frozenset(task_id for task_id, one in seen.tasks.items() if one.phase in TERMINAL),
            )
        wrong = standings.problems(self._standing, self._place.world.now())
        desired = replace(desired, problems=(*desired.problems, *wrong))
        halts = standings.halts(self._standing)
        observed = Observed(
            fleet=seen.fleet or "", tasks=seen.tasks, hosts=seen.hosts, breakers=seen.breakers, halts=halts
        )
        self._view.show(Picture(desired=desired, observed=observed))
        return desired

    def _names(self) -> Named:
        """Which remote the settings name, read again where what is in force moved."""
        tip = git.tip(self._place.fleet.top, IN_FORCE)
        if tip != self._named_at:
            with self._reading:
                self._named = self._files.settings().remote
            self._named_at = tip
        return Named(in_force=self._named, here=self._named) if self._named is not None else _named(self._place)


async def _either(task: asyncio.Future[Taken | None], event: asyncio.Event) -> None:
    """Wait until the task is done or the event set."""
    waiter = asyncio.ensure_future(event.wait())
    both: set[asyncio.Future[Any]] = {task, waiter}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()
