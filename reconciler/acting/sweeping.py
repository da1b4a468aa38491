"""Sweeps ended runs of a host together: whoever asks while one sweep is under way shares the next.

It decides nothing about a run, and never keeps one host waiting for another.
"""

import asyncio
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass

from reconciler.core.desired import Host
from reconciler.core.script import sweep
from reconciler.edges import Edges


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where runs left something: all that were started there are swept by one command."""

    host_id: str
    host: Host
    workdir: str
    fleet: str


class Sweeper:
    """The sweeps of all hosts."""

    def __init__(self, edges: Edges) -> None:
        """Nothing is asked for yet."""
        self._edges = edges
        self._waiting: dict[tuple[str, str, str], dict[str, asyncio.Future[None]]] = defaultdict(dict)
        self._working: dict[tuple[str, str, str], asyncio.Task[None]] = {}

    async def sweep(self, place: Place, run: str) -> None:
        """Return once what the run left is gone; raises what the host answers, or that it does not."""
        key = (place.host_id, place.workdir, place.fleet)
        waiting = self._waiting[key]
        if run not in waiting:
            waiting[run] = asyncio.get_running_loop().create_future()
        swept = waiting[run]
        if key not in self._working:
            self._working[key] = asyncio.create_task(self._work(key, place))
        await asyncio.shield(swept)

    async def close(self) -> None:
        """Ask for nothing more; what was asked for may be asked for again."""
        for work in self._working.values():
            work.cancel()
        for work in [*self._working.values()]:
            with suppress(asyncio.CancelledError):
                await work

    async def _work(self, key: tuple[str, str, str], place: Place) -> None:
        try:
            while waiting := self._waiting[key]:
                batch = {run: waiting.pop(run) for run in [*waiting][: sweep.MOST_RUNS]}
                await self._sweep(place, batch)
        finally:
            del self._working[key]

    async def _sweep(self, place: Place, batch: dict[str, asyncio.Future[None]]) -> None:
        command = sweep.sweep(place.workdir, place.fleet, [*batch], self._edges.term)
        try:
            sweep.parse_sweep(await self._edges.run(place.host_id, place.host, command))
        except Exception as error:  # noqa: BLE001 - it is raised to all who wait for this sweep, and they tell it apart
            for swept in batch.values():
                swept.set_exception(error)
                swept.exception()
        else:
            for swept in batch.values():
                swept.set_result(None)
