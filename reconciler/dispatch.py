"""Acts: each action becomes one effect, and what came of it is recorded.

It decides nothing: what an effect could not do is seen and planned again at the next turn.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import assert_never

from reconciler.acting import collecting, publishing, starting, tidying
from reconciler.acting.collecting import DeliveryDelayed
from reconciler.acting.sweeping import Sweeper
from reconciler.agents import leasing
from reconciler.core import settling
from reconciler.core.actions import Action, Collect, Effect, GiveUp, Launch, Publish, Record, Stop
from reconciler.core.breaker import Switch
from reconciler.core.desired import Desired
from reconciler.core.events import Assigned, Event, NotStarted
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
        self._failure: BaseException | None = None
        self._deposed = False

    @property
    def busy(self) -> bool:
        """Whether an effect is under way."""
        return bool(self._under_way)

    async def act(self, actions: Iterable[Action], desired: Desired, observed: Observed) -> None:
        """Commit what is to be recorded, all at once, and start every other effect that is not under way."""
        await self._switch([action for action in actions if isinstance(action, Switch)])
        records = [action for action in actions if isinstance(action, Record) and not self._is_being_told(action)]
        await self._record(*[(action.task_id, await self._named(action, desired)) for action in records])
        for action in actions:
            if isinstance(action, Record | Switch):
                continue
            key = (action.task_id, type(action))
            if key not in self._under_way:
                effect = asyncio.create_task(self._guarded(key, action, desired, observed))
                effect.add_done_callback(self._ended)
                self._edges.meters.acted(type(action).__name__)
                self._under_way[key] = effect

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
        for task in self._under_way.values():
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)
        await self._sweeper.close()
        await self._starter.close()

    def _ended(self, effect: asyncio.Task[None]) -> None:
        failure = None if effect.cancelled() else effect.exception()
        self._failure = self._failure or failure

    async def _guarded(self, key: _Key, action: Effect, desired: Desired, observed: Observed) -> None:
        try:
            await self._effect(action, desired, observed)
        except (Unreachable, ProtocolError) as error:
            log.info("%s of %s: %s; it will be tried again", key[1].__name__, key[0], error)
            await asyncio.sleep(RETRY_AFTER_S)
        except (DeliveryDelayed, Misconfigured, TermUncertain) as error:
            log.warning("%s of %s: %s; it will be tried again", key[1].__name__, key[0], error)
            await asyncio.sleep(LONG_RETRY_AFTER_S)
        except Fenced as error:
            self._refused(error)
            await asyncio.sleep(LONG_RETRY_AFTER_S)
        except MEMORY_LOST:
            raise
        except Exception:
            log.exception("%s of %s met a defect of this program; please report it", key[1].__name__, key[0])
            await asyncio.sleep(LONG_RETRY_AFTER_S)
        finally:
            del self._under_way[key]
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
        host = starting.host_of(desired, action.run).value
        run_name = f"{action.task_id}.{action.run.epoch}"
        workdir = tidying.workdir_of(self._edges, action.run, host)
        fleet, term = starting.fleet_of(action.run), self._edges.term
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
        await self._record((action.task_id, event))
        del self._delays[run_id]
        await tidying.tidy(self._edges, desired, action, sighting)
        await asyncio.to_thread(self._edges.journal.forget, run_id)

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
