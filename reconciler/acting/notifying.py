"""Notifies people of what stands, each channel in a task of its own: a slow or silent one delays nobody else.

What each is sent and when is decided by `core.notifications`. It is sent first and written down after: at least once.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from reconciler.core import channels, notices, notifications, overlay, printable
from reconciler.core.breaker import Breaker
from reconciler.core.channels import Channel
from reconciler.core.desired import Desired, Problem
from reconciler.core.notices import Notice
from reconciler.core.notifications import Met, Notification, Notified, Pace, Waiting
from reconciler.core.observed import Observed, ObservedTask
from reconciler.core.terms import Occasion
from reconciler.edges import MEMORY_LOST, Edges
from reconciler.notify import sending
from reconciler.notify.outcomes import ChannelRefused, ChannelUnreachable
from reconciler.repo.notified import Channels

log = logging.getLogger(__name__)

IDLE_S = 60.0
"""How often a channel is looked at though nothing woke it: clocks are set, and quiet hours end."""
FINISH_S = 15.0
"""How long a reconciler that ends by itself waits for what is to be told now; the rest is told at the next start."""
MOST_NAME = 60
"""The longest name of a fleet in a message, in characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What the last turn saw: every cause that stands, by its key, and what is needed to tell of it."""

    desired: Desired = field(default_factory=Desired)
    breakers: Mapping[str, Breaker] = field(default_factory=dict)
    stands: Mapping[str, Notice] = field(default_factory=dict)


class _Line:
    """One channel, and what is known of it."""

    def __init__(self, name: str, channel: Channel, *, changed: bool) -> None:
        """`changed`: it was another one before, so that its failures count no more."""
        self.name = name
        self.channel = channel
        self.changed = changed
        self.notified: Notified | None = None
        self.waiting_since: datetime | None = None
        self.wake = asyncio.Event()
        self.turn = asyncio.Lock()
        self.task: asyncio.Task[None] | None = None


class Notifier:
    """The channels of one fleet, for as long as this process leads it."""

    def __init__(self, edges: Edges, pace: Pace | None = None) -> None:
        """Know no channel yet; `look` says which there are."""
        self._edges = edges
        self._pace = pace or Pace()
        self._kept = Channels(edges.journal)
        self._scene = Scene()
        self._looked: Mapping[str, ObservedTask] = {}
        self._of_tasks: dict[str, Notice] = {}
        self._lines: dict[str, _Line] = {}
        self._cleared = False

    def look(self, desired: Desired, observed: Observed) -> None:
        """Take in what a turn saw, and have people told of what is new in it. Never waits."""
        wanted = channels.named(desired.settings.notify)
        lead = self._edges.lead
        standing = lead.standing if lead is not None else None
        if not (wanted or self._lines) or (lead is not None and standing is None):
            return
        before = self._scene
        changed = self._follow(desired, observed)
        fleet = {one.key: one for one in notices.of_fleet(desired, observed.breakers, standing, self._edges.now())}
        around = {key: one for key, one in before.stands.items() if one.occasion in notices.ENDING}
        stands = before.stands
        if changed or fleet != around:
            stands = fleet | {one.key: one for one in self._of_tasks.values()}
        self._scene = Scene(desired=desired, breakers=observed.breakers, stands=stands)
        self._connect(wanted)
        for line in self._lines.values() if stands is not before.stands else ():
            line.wake.set()

    def problems(self, now: datetime) -> tuple[Problem, ...]:
        """What is wrong with channels."""
        known = {name: line.notified for name, line in self._lines.items() if line.notified is not None}
        return notifications.problems(known, now)

    def check(self) -> None:
        """Raise what a channel's task failed with that cannot be tried again: a journal that cannot be written."""
        for line in self._lines.values():
            task = line.task
            if task is not None and task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def finish(self) -> None:
        """Have told what is to be told now, for a while at most: the program ends by itself."""
        self._pace = replace(self._pace, gather=timedelta(0), apart=timedelta(0))
        telling = [asyncio.ensure_future(self._tell_all(line)) for line in self._lines.values()]
        if telling:
            done, late = await asyncio.wait(telling, timeout=FINISH_S)
            await _ended(*late)
            for one in done:
                one.result()

    async def close(self) -> None:
        """End all of it; what was not told is told at the next start."""
        await _ended(*(line.task for line in self._lines.values() if line.task is not None))

    def _follow(self, desired: Desired, observed: Observed) -> bool:
        """Bring the causes that are about tasks up to date; whether one of them changed."""
        if desired.settings is not self._scene.desired.settings:
            self._looked, self._of_tasks = {}, {}
        changed = not self._looked
        for task_id in overlay.differing(observed.tasks, self._looked):
            seen = observed.tasks.get(task_id)
            now = notices.of_task(task_id, seen, desired, observed) if seen is not None else None
            changed |= now != self._of_tasks.get(task_id)
            if now is not None:
                self._of_tasks[task_id] = now
            else:
                self._of_tasks.pop(task_id, None)
        self._looked = observed.tasks
        return changed

    def _connect(self, wanted: Mapping[str, Channel]) -> None:
        """Have a task for each channel that the settings name, and none for others."""
        for name in [name for name, line in self._lines.items() if wanted.get(name) != line.channel]:
            line = self._lines[name]
            if line.task is not None:
                line.task.cancel()
            if name not in wanted:
                del self._lines[name]
        for name, channel in wanted.items():
            old = self._lines.get(name)
            if old is None or old.channel != channel:
                line = self._lines[name] = _Line(name, channel, changed=old is not None)
                line.task = asyncio.create_task(self._work(line), name=f"notify {name}")

    async def _work(self, line: _Line) -> None:
        try:
            while True:
                line.wake.clear()
                pause_s = await self._guarded(line)
                with contextlib.suppress(TimeoutError):  # time is what is waited for, unless something happens before
                    await asyncio.wait_for(line.wake.wait(), pause_s)
        finally:
            self._edges.changed()

    async def _tell_all(self, line: _Line) -> None:
        while not await self._guarded(line):
            continue

    async def _guarded(self, line: _Line) -> float:
        """One step, and after how many seconds the next one is due."""
        try:
            async with line.turn:
                return await self._step(line)
        except MEMORY_LOST:
            raise
        except Exception:
            log.exception("notifying by %s met a defect of this program; please report it", line.name)
            return IDLE_S

    async def _step(self, line: _Line) -> float:
        scene, now = self._scene, self._edges.now()
        known = line.notified or await self._begin(line, scene, now)
        _, past = notifications.gone(scene.stands, line.channel, known)
        if past:
            known = await self._keep(line, notifications.forgotten(known, past))
        waiting = self._waiting(line.channel, known, scene)
        if not waiting:
            line.waiting_since = None
            return IDLE_S
        line.waiting_since = line.waiting_since or now
        since = Waiting(since=line.waiting_since, now=now)
        at = notifications.due_at(line.channel, known, since, self._pace, _zone(line.channel))
        if at > now:
            return min((at - now).total_seconds(), IDLE_S)
        await self._send(line, known, notifications.portion(waiting, line.channel))
        return 0.0

    async def _begin(self, line: _Line, scene: Scene, now: datetime) -> Notified:
        if not self._cleared:
            self._cleared = True
            await asyncio.to_thread(self._kept.drop_others, list(self._lines))
        kept = (await asyncio.to_thread(self._kept.known, [line.name])).get(line.name)
        line.notified = kept
        begun = notifications.begun(kept, scene.stands, self._edges.term, now)
        return await self._keep(line, replace(begun, failure=None) if line.changed else begun)

    async def _keep(self, line: _Line, now: Notified) -> Notified:
        """Write down what is known of a channel."""
        if now != line.notified:
            await asyncio.to_thread(self._kept.keep, line.name, line.notified, now)
            line.notified = now
        return now

    def _waiting(self, channel: Channel, known: Notified, scene: Scene) -> tuple[Notice, ...]:
        """What is to be told there; while another reconciler may lead, only that nothing can be pushed."""
        lead, now = self._edges.lead, self._edges.now()
        if lead is not None and lead.is_over():
            return ()
        ends, _ = notifications.gone(scene.stands, channel, known)
        over = (notices.ended(key, scene.desired, scene.breakers, now) for key in sorted(ends))
        found = (*notifications.untold(scene.stands, channel, known), *over)
        if lead is not None and not lead.is_certain():
            return tuple(one for one in found if one.occasion is Occasion.PUSH_LAG)
        return found

    async def _send(self, line: _Line, known: Notified, told: tuple[Notice, ...]) -> None:
        """Send it, then write down what came of it."""
        name, edges = line.name, self._edges
        try:
            remark = await sending.send(line.channel, self._notification(line, known, told), edges.secret)
        except ChannelRefused as error:
            after = notifications.failed(known, Met(why=str(error), refused=True), edges.now(), self._pace)
        except ChannelUnreachable as error:
            after = notifications.failed(known, Met(why=str(error), wanted=error.retry_after), edges.now(), self._pace)
        else:
            after = notifications.took(known, told, edges.now())
            log.info("%s was told of %s", name, ", ".join(one.key for one in told[:10]))
            if remark is not None:
                edges.warn(f"{name}: {remark}")
        await self._keep(line, after)
        if after.failure is not None and (known.failure is None or known.failure.why != after.failure.why):
            edges.warn(f"{name} was not told of {told[0].key}: {after.failure.why}; it is tried again")
        if after.failure is not None or known.failure is not None:
            edges.changed()

    def _notification(self, line: _Line, known: Notified, told: tuple[Notice, ...]) -> Notification:
        edges = self._edges
        hidden = edges.hidden(())
        parts = (
            edges.branch.fleet_id,
            line.name,
            known.since.isoformat(),
            str(known.count),
            *(one.key for one in told),
        )
        return Notification(
            id=hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32],
            fleet=printable.short(edges.fleet.root.name, MOST_NAME),
            at=edges.now(),
            notices=tuple(notices.masked(one, hidden) for one in told),
            link=printable.short(self._scene.desired.settings.public_url or "", notices.MOST_WORDS),
        )


def _zone(channel: Channel) -> ZoneInfo:
    return ZoneInfo(channel.quiet.zone if channel.quiet is not None else "UTC")


async def _ended(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
