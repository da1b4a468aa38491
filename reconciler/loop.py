"""Turns: sees, plans, acts, waits; for ever, or until nothing is left to do.

It neither decides (the plan does) nor acts (dispatch does); every turn starts from the state of the world.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from reconciler.acting.notifying import Notifier
from reconciler.core import idleness, overlay, plan
from reconciler.core.actions import Record
from reconciler.core.desired import Desired, Document, Problem, Task
from reconciler.core.events import Assigned
from reconciler.core.observed import Observed, ObservedTask
from reconciler.core.overlay import Overlay
from reconciler.core.tally import Tally
from reconciler.core.terms import Phase
from reconciler.dispatch import Dispatcher
from reconciler.edges import Edges
from reconciler.edges.view import Picture
from reconciler.observe import Observer
from reconciler.repo.desired.bulk import settle
from reconciler.repo.desired.files import DesiredFiles
from reconciler.repo.desired.news import News

UNSETTLED = frozenset({Phase.FAILED, Phase.BLOCKED})
LOOK_AGAIN_S = 30.0
"""The longest time between two turns: a reconciler without work shows by them that it is well."""
FIRST_LOOK_S = 20.0
"""How long the forge may take for its first answers before runs start without them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How long to go on: for ever, until everything that can be done at once is done, or until nothing can move."""

    once: bool = False
    until_idle: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Whom the loop tells what: problems of the fleet's files that appeared or were mended, and files put back."""

    problem: Callable[[Problem], None]
    mended: Callable[[Problem], None]
    put_back: Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How the loop ended: the tasks it saw end failed or blocked, and why others that are wanted did not start.

    `reopen`: it is to go on, but who leads the fleet has to be found out anew.
    """

    unsettled: tuple[str, ...] = ()
    reopen: bool = False
    waiting: Mapping[str, str] = field(default_factory=dict)


class Loop:
    """The turns of one reconciler."""

    def __init__(
        self,
        edges: Edges,
        files: DesiredFiles,
        told: Told,
        wake: asyncio.Event,
        turned: Callable[[Desired], None],
    ) -> None:
        """`wake` is set by whatever may need a new plan; `turned` is told after every turn what is wanted."""
        self._edges = edges
        self._files = files
        self._told = told
        self._wake = wake
        self._turned = turned
        self._planner = plan.Planner()
        self._tally = Tally()
        self._observer = Observer(edges, self._tally)
        self._dispatcher = Dispatcher(edges, self._observer.look, self._observer.assigned)
        self._notifier = Notifier(edges)
        self._problems: tuple[Problem, ...] = ()
        self._unsettled: set[str] = set()
        self._before: Mapping[str, ObservedTask] = {}
        self._noted: Mapping[str, ObservedTask] = {}
        self._wanted: Mapping[str, Document[Task]] = {}
        self._since: Overlay[datetime] = Overlay()
        self._changed: set[Path] = set()
        self._anything_changed = True
        self._waiting: dict[str, str] = {}
        self._observed = f"{edges.fleet.observed}/"

    async def run(self, options: Options, stop: asyncio.Event, moved: asyncio.Event | None = None) -> Ended:
        """Turn until `stop` is set, or the options say that it is enough. Runs on hosts go on.

        It also ends when `moved` is set during a turn: then the fleet is to be opened again.
        """
        async with self._watching(stop), contextlib.AsyncExitStack() as closing:
            closing.push_async_callback(self._observer.close)
            closing.push_async_callback(self._dispatcher.close)
            closing.push_async_callback(self._notifier.close)
            closing.callback(self._edges.desk.close)
            self._edges.backlog.answer_by(self._planner.backlog)
            self._before = self._noted = self._edges.branch.tasks()
            await self._look_first(stop)
            new = True
            while not stop.is_set():
                self._wake.clear()
                desired, observed, planned = await self._turn()
                self._turned(desired)
                if new:
                    settle(len(desired.tasks))
                new = False
                if moved is not None and moved.is_set():
                    return Ended(unsettled=tuple(sorted(self._unsettled)), reopen=True)
                if self._enough(options, desired, observed, planned):
                    await self._notifier.finish()
                    self._waiting = idleness.held_up(desired, observed, self._edges.now())
                    break
                await self._wait(planned.wake_at)
        return Ended(unsettled=tuple(sorted(self._unsettled)), waiting=self._waiting)

    async def _look_first(self, stop: asyncio.Event) -> None:
        """Ask the forge before anything is launched: what was merged or closed meanwhile is not to run again."""
        await self._observer.follow(await self._desired())
        looking = asyncio.ensure_future(self._observer.first_look())
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait({looking, stopping}, timeout=FIRST_LOOK_S, return_when=asyncio.FIRST_COMPLETED)
        for waiter in (looking, stopping):
            waiter.cancel()

    async def _turn(self) -> tuple[Desired, Observed, plan.Plan]:
        clock_s = asyncio.get_running_loop().time
        began_s = clock_s()
        self._observer.check()
        self._dispatcher.check()
        self._notifier.check()
        self._edges.desk.asking()
        desired, observed, planned = await self._planned()
        if any(_assigned(planned)) and not self._files.is_shared_still():
            self._anything_changed = True
            desired, observed, planned = await self._planned()
        ready = self._ready(planned)
        await self._dispatcher.act(planned.actions, desired, observed)
        self._notifier.look(desired, observed)
        self._edges.desk.turned()
        now = self._edges.now()
        for since in ready:
            self._edges.meters.assigned((now - since).total_seconds())
        self._edges.meters.turned(clock_s() - began_s)
        return desired, observed, planned

    async def _planned(self) -> tuple[Desired, Observed, plan.Plan]:
        """What is in force, what is seen, and what is to be done about it; nothing is done yet."""
        desired = await self._desired()
        await self._observer.follow(desired)
        observed = replace(self._observer.observed(), asking=self._edges.desk.staying())
        self._edges.view.show(Picture(desired=desired, observed=observed))
        self._note(observed)
        return desired, observed, self._planner.plan(desired, observed, self._edges.now())

    def _ready(self, planned: plan.Plan) -> list[datetime]:
        """Since when the tasks could start that are to be assigned now."""
        return [since for task_id in _assigned(planned) if (since := self._planner.ready_at(task_id)) is not None]

    async def _desired(self) -> Desired:
        """What is in force now; a thread reads what has to be read."""
        news = self._news()
        return self._refresh(news) if self._files.is_still(news) else await asyncio.to_thread(self._refresh, news)

    def _news(self) -> News:
        """Which files may have changed since this was asked last, and of which tasks something else is recorded."""
        changed = self._tally.follow(self._edges.branch.tasks())
        news = News(paths=frozenset(self._changed), tasks=changed, everything=self._anything_changed)
        self._changed, self._anything_changed = set(), False
        return news

    def _refresh(self, news: News) -> Desired:
        now = self._edges.now()
        desired = self._files.refresh(
            now,
            observed_ids=self._tally.tasks.keys(),
            finished_ids=self._tally.finished,
            live_hosts=self._tally.hosts.keys(),
            news=news,
        )
        self._follow_since(desired, now)
        wrong = self._edges.lead.problems(now) if self._edges.lead is not None else ()
        problems = (*desired.problems, *wrong, *self._notifier.problems(now))
        desired = replace(desired, since=self._since, problems=problems)
        before, self._problems = self._problems, desired.problems
        for problem in set(desired.problems) - set(before):
            self._told.problem(problem)
        for problem in set(before) - set(desired.problems):
            self._told.mended(problem)
        return desired

    def _follow_since(self, desired: Desired, now: datetime) -> None:
        """Find out since when tasks are known that were not there before."""
        changed, self._wanted = overlay.differing(desired.tasks, self._wanted), desired.tasks
        new = {task_id: now for task_id in changed if task_id in desired.tasks and task_id not in self._since}
        gone = dict.fromkeys(task_id for task_id in changed if task_id not in desired.tasks)
        self._since = self._since.changed({**self._edges.journal.first_seen(new), **gone} if new or gone else {})

    def _note(self, observed: Observed) -> None:
        """Remember which tasks failed or were blocked since the start, whoever did that."""
        changed, self._noted = overlay.differing(observed.tasks, self._noted), observed.tasks
        for task_id in changed:
            seen = observed.tasks.get(task_id)
            if seen is not None and _is_unsettled_since(self._before.get(task_id), seen):
                self._unsettled.add(task_id)
            else:
                self._unsettled.discard(task_id)

    async def _wait(self, wake_at: datetime | None) -> None:
        """Until something happened or the time has come."""
        wanted_s = LOOK_AGAIN_S if wake_at is None else (wake_at - self._edges.now()).total_seconds()
        await asyncio.sleep(0)  # what was begun begins, also where turns follow upon turns
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(max(wanted_s, 0.0), LOOK_AGAIN_S)):
                await self._wake.wait()

    def _enough(self, options: Options, desired: Desired, observed: Observed, planned: plan.Plan) -> bool:
        if planned.actions or self._dispatcher.busy or self._observer.pending():
            return False
        if options.once:
            return True
        return options.until_idle and idleness.is_idle(desired, observed, self._edges.now())

    @contextlib.asynccontextmanager
    async def _watching(self, stop: asyncio.Event) -> AsyncIterator[None]:
        """Turn file changes and a stop into wake-ups, and put back what was changed in `state/observed/`."""
        tasks = [asyncio.create_task(self._follow_files(stop)), asyncio.create_task(self._follow_stop(stop))]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow_files(self, stop: asyncio.Event) -> None:
        async for paths in self._edges.files_changed(self._edges.fleet, stop):
            inside = [path for path in paths if self._is_observed(path)]
            self._changed.update(paths - set(inside))
            self._anything_changed = self._anything_changed or not paths
            if len(inside) < len(paths) or not paths:
                self._wake.set()
            if inside or not paths or self._edges.fleet.state in paths:
                for path in await asyncio.to_thread(self._edges.branch.restore, inside):
                    self._told.put_back(path)

    async def _follow_stop(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._wake.set()

    def _is_observed(self, path: Path) -> bool:
        return f"{path}/".startswith(self._observed)


def _assigned(planned: plan.Plan) -> Iterator[str]:
    """The tasks that are to be given out."""
    records = (action for action in planned.actions if isinstance(action, Record))
    return (action.task_id for action in records if isinstance(action.event, Assigned))


def _is_unsettled_since(before: ObservedTask | None, seen: ObservedTask) -> bool:
    """Whether a task failed or is blocked that was not so already, for the same reason and in the same run."""
    if seen.phase not in UNSETTLED:
        return False
    if before is None or before.live_run is not None:
        return True
    return (before.phase, before.reason, before.epoch) != (seen.phase, seen.reason, seen.epoch)
