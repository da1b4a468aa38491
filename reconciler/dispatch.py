"""Acts: each action becomes one effect, and what came of it is recorded.

It decides nothing: what an effect could not do is seen and planned again at the next turn.
"""

import asyncio
import contextlib
import logging
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from typing import assert_never

from reconciler.acting import collecting, collectmany, publishing, starting, tidying
from reconciler.acting.belonging import fleet_of, host_of
from reconciler.acting.collecting import DeliveryDelayed
from reconciler.acting.sweeping import Sweeper
from reconciler.agents import leasing
from reconciler.core import settling
from reconciler.core.actions import Action, Collect, Effect, GiveUp, Launch, Publish, Record, Stop
from reconciler.core.breaker import Switch
from reconciler.core.desired import Desired
from reconciler.core.events import Assigned, Event, Finished, NotStarted
from reconciler.core.observed import Observed, Run
from reconciler.core.script import stop
from reconciler.core.script.shell import Fenced, ProtocolError
from reconciler.core.terms import ExecutionMode
from reconciler.edges import MEMORY_LOST, Edges, recording
from reconciler.edges.desk import Given
from reconciler.edges.lead import TermUncertain
from reconciler.repo.main import people
from reconciler.transport import Misconfigured, Unreachable

log = logging.getLogger(__name__)

LASTING_PER_HOST = 3
"""How many workspaces are prepared or delivered on a host at a time, so that polls always find a channel."""

RETRY_AFTER_S = 2.0
"""How long an effect that failed is left alone before it is tried again."""

STOP_AGAIN_AFTER_S = 1.0
"""How soon a stop that has not ended the run yet is asked for again: the host counts the grace."""

LONG_RETRY_AFTER_S = 10.0
"""The same, where a remote repository or a person must act first."""

DELIVERY_TRIES = 30

_Key = tuple[str, type[Effect]]


class Dispatcher:
    """The effects under way: one of a kind for each task."""

    def __init__(
        self, edges: Edges, look: Callable[[str, str | None], None], assigned: Callable[[str, str], None]
    ) -> None:
        """`look` has a host polled soon after something was done there, and a run's last sighting forgotten.

        `assigned` is told the host and the run of an assignment that was recorded just now.
        """
        self._edges = edges
        self._look = look
        self._assigned = assigned
        self._under_way: dict[_Key, asyncio.Task[None]] = {}
        self._sweeper = Sweeper(edges)
        self._starter = starting.Starter(edges)
        self._lasting: dict[str, asyncio.Semaphore] = {}
        self._delays: Counter[str] = Counter()
        self._unusual: set[str] = set()
        """Runs that could not be collected along with others."""
        self._failure: BaseException | None = None
        self._deposed = False

    @property
    def busy(self) -> bool:
        """Whether an effect is under way."""
        return bool(self._under_way)

    async def act(self, actions: Iterable[Action], desired: Desired, observed: Observed) -> None:
        """Commit what is to be recorded, all at once, and start every other effect that was not under way.

        What was under way when the actions were planned, and ended while facts were recorded, was planned before its
        outcome was known: it is left to the next turn.
        """
        under_way = frozenset(self._under_way)
        await self._switch([action for action in actions if isinstance(action, Switch)])
        records = [action for action in actions if isinstance(action, Record) and not self._is_being_told(action)]
        await self._record(*[(action.task_id, await self._named(action, desired)) for action in records])
        together: dict[str, list[Collect]] = defaultdict(list)
        for action in actions:
            if isinstance(action, Record | Switch) or _key(action) in under_way or _key(action) in self._under_way:
                continue
            if isinstance(action, Collect) and self._may_be_along(action, observed):
                together[action.run.host].append(action)
            else:
                self._begin([action], partial(self._effect, action, desired, observed))
        for ended in together.values():
            self._begin(ended, partial(self._collect_many, ended, desired, observed))

    def _may_be_along(self, action: Collect, observed: Observed) -> bool:
        """Whether the run can be collected along with others."""
        run_id = action.run.run_id
        return run_id not in self._unusual and collectmany.is_brief(self._edges, action, observed.sightings[run_id])

    def _begin(self, actions: Sequence[Effect], effect: Callable[[], Awaitable[None]]) -> None:
        """Have one effect begin that all these actions ask for."""
        keys = [_key(action) for action in actions]
        begun = asyncio.create_task(self._guarded(keys, effect))
        begun.add_done_callback(self._ended)
        for key in keys:
            self._edges.meters.acted(key[1].__name__)
            self._under_way[key] = begun

    async def _switch(self, switches: Sequence[Switch]) -> None:
        """Commit what circuit breakers are to be, and say so, once each."""
        if not switches:
            return
        self._edges.meters.acted(Switch.__name__)
        before = self._edges.branch.breakers()
        await asyncio.to_thread(self._edges.branch.switch, switches)
        if self._edges.lead is not None:
            self._edges.lead.recorded()
        for switch in switches:
            if switch.breaker is not None and switch.breaker.is_open:
                log.warning("%s, until %s", switch.breaker.sentence, switch.breaker.until.isoformat())
            elif switch.name in before:
                log.warning("the breaker %s is closed: %s", switch.name, switch.why)

    def _is_being_told(self, action: Record) -> bool:
        """Whether an effect under way is about to record the same, and knows more: why a run was given up."""
        given_up = isinstance(action.event, NotStarted)
        return given_up and any((action.task_id, kind) in self._under_way for kind in (Launch, GiveUp))

    async def _named(self, action: Record, desired: Desired) -> Event:
        """The event with the name of the person in it, where the planner knows only that it was one."""
        if action.event.actor != settling.PERSON:
            return action.event
        program = desired.settings.commit.name
        name = await asyncio.to_thread(people.who_asked, self._edges.fleet, action.task_id, program)
        return replace(action.event, actor=f"person:{name}")

    def check(self) -> None:
        """Raise what an effect failed with that cannot be tried again: a branch that moved, a full disk, a defect."""
        if self._failure is not None:
            raise self._failure

    async def close(self) -> None:
        """Leave every effect where it is: each can be repeated."""
        effects = dict.fromkeys(self._under_way.values())
        for effect in effects:
            effect.cancel()
        await asyncio.gather(*effects, return_exceptions=True)
        await self._sweeper.close()
        await self._starter.close()

    def _ended(self, effect: asyncio.Task[None]) -> None:
        failure = None if effect.cancelled() else effect.exception()
        self._failure = self._failure or failure

    async def _guarded(self, keys: Sequence[_Key], effect: Callable[[], Awaitable[None]]) -> None:
        kind, tasks = keys[0][1].__name__, ", ".join(task_id for task_id, _ in keys)
        launched = False
        try:
            await effect()
            launched = keys[0][1] is Launch
        except (Unreachable, ProtocolError) as error:
            log.info("%s of %s: %s; it will be tried again", kind, tasks, error)
            await asyncio.sleep(RETRY_AFTER_S)
        except (DeliveryDelayed, Misconfigured, TermUncertain) as error:
            log.warning("%s of %s: %s; it will be tried again", kind, tasks, error)
            await asyncio.sleep(LONG_RETRY_AFTER_S)
        except Fenced as error:
            self._refused(error)
            await asyncio.sleep(LONG_RETRY_AFTER_S)
        except MEMORY_LOST:
            raise
        except Exception:
            log.exception("%s of %s met a defect of this program; please report it", kind, tasks)
            await asyncio.sleep(LONG_RETRY_AFTER_S)
        finally:
            for key in keys:
                del self._under_way[key]
            if not (launched and self._under_way):  # what a launch brought shows in the poll that it asked for
                self._edges.changed()

    def _refused(self, error: Fenced) -> None:
        """Leave the effect to who leads now, and have the lease looked at."""
        if not self._deposed:
            log.warning("%s; effects on hosts are left to it", error)
        self._deposed = True
        self._edges.deposed()

    async def _effect(self, action: Effect, desired: Desired, observed: Observed) -> None:
        match action:
            case Launch():
                async with self._lasting_on(action, desired):
                    event = await self._starter.start(desired, action)
                await self._follow_up(action, event)
            case GiveUp():
                await self._follow_up(action, await starting.give_up(self._edges, desired, action))
            case Stop():
                await self._stop(action, desired)
            case Collect():
                await self._collect(action, desired, observed)
            case Publish():
                if self._edges.lead is not None:
                    self._edges.lead.insist()
                facts = await publishing.publish(self._edges, action)
                await self._record(*[(action.task_id, fact) for fact in facts])
            case _:
                assert_never(action)

    async def _follow_up(self, action: Launch | GiveUp, event: Event | None) -> None:
        if event is not None:
            await self._record((action.task_id, event))
        self._look(action.run.host, action.run.run_id)

    async def _stop(self, action: Stop, desired: Desired) -> None:
        host = host_of(desired, action.run).value
        run_name = f"{action.task_id}.{action.run.epoch}"
        workdir = tidying.workdir_of(self._edges, action.run, host)
        fleet, term = fleet_of(action.run), self._edges.term
        command = stop.stop(workdir, fleet, run_name, action.reason, launcher=host.launcher, term=term)
        stopped = stop.parse_stop(await self._edges.run(action.run.host, host, command))
        self._look(action.run.host, None)
        if stopped.state != "ended":
            await asyncio.sleep(STOP_AGAIN_AFTER_S)

    async def _collect(self, action: Collect, desired: Desired, observed: Observed) -> None:
        run_id = action.run.run_id
        sighting = observed.sightings[run_id]
        last = self._delays[run_id] >= DELIVERY_TRIES
        try:
            async with self._lasting_on(action, desired):
                event = await collecting.collect(self._edges, desired, action, sighting, self._sweeper, last=last)
        except DeliveryDelayed:
            self._delays[run_id] += 1
            raise
        await self._collected([(action, event)], desired, observed)

    async def _collect_many(self, actions: Sequence[Collect], desired: Desired, observed: Observed) -> None:
        """Collect runs of one host at once; those that are unusual are left to the next turn, each for itself."""
        events = await collectmany.collect(self._edges, desired, actions, observed.sightings, self._sweeper)
        known = [(action, event) for action, event in zip(actions, events, strict=True) if event is not None]
        self._unusual.update(action.run.run_id for action, event in zip(actions, events, strict=True) if event is None)
        if known:
            await self._collected(known, desired, observed)

    async def _collected(self, ended: Sequence[tuple[Collect, Finished]], desired: Desired, observed: Observed) -> None:
        """Record how runs ended, then let go of what was kept of them."""
        await self._record(*[(action.task_id, event) for action, event in ended])
        run_ids = [action.run.run_id for action, _ in ended]
        await tidying.tidy(self._edges, desired, [action for action, _ in ended], observed.sightings)
        self._unusual.difference_update(run_ids)
        for run_id in run_ids:
            del self._delays[run_id]
        await asyncio.to_thread(self._edges.journal.forget, *run_ids)

    def _lasting_on(self, action: Launch | Collect, desired: Desired) -> AbstractAsyncContextManager[object]:
        """Leave to begin what may last on the host; a task without a repository needs none."""
        document = desired.tasks.get(action.task_id)
        if document is not None and document.value.repository is None:
            return contextlib.nullcontext()
        return self._lasting.setdefault(action.run.host, asyncio.Semaphore(LASTING_PER_HOST))

    async def _record(self, *facts: tuple[str, Event]) -> None:
        """Commit what follows from the events; one that a newer one has overtaken is dropped."""
        if not facts:
            return
        pulled: dict[str, Run] = {}
        for (task_id, event), after in zip(facts, await recording.record(self._edges.branch, facts), strict=True):
            if after and isinstance(event, Assigned) and event.execution_mode is ExecutionMode.HTTP_PULL:
                pulled[task_id] = after.runs[-1]
            elif after and isinstance(event, Assigned):
                self._assigned(event.host, event.run_id)
        await self._hand_over(pulled)

    async def _hand_over(self, runs: Mapping[str, Run]) -> None:
        """Give leases on what was assigned to pull agents, then let these know."""
        if runs:
            epochs = {task_id: run.epoch for task_id, run in runs.items()}
            await asyncio.to_thread(leasing.give, self._edges, epochs)
        for task_id, run in runs.items():
            self._edges.desk.served(Given(task_id=task_id, run=run))


def _key(action: Effect) -> _Key:
    """What is under way at most once."""
    return action.task_id, type(action)
