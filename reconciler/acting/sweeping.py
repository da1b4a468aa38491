"""Sweeps ended runs of a host together: whoever asks while one sweep is under way shares the next.

It decides nothing about a run, and never keeps one host waiting for another.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.acting.sharing import Shared
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


_Key = tuple[str, str, str]
_Asked = tuple[Place, Sequence[str]]


class Sweeper:
    """The sweeps of all hosts."""

    def __init__(self, edges: Edges) -> None:
        """Nothing is asked for yet."""
        self._edges = edges
        self._shared: Shared[_Key, _Asked, None] = Shared(self._sweep, most=sweep.MOST_RUNS)

    async def sweep(self, place: Place, *runs: str) -> None:
        """Return once what the runs left is gone; raises what the host answers, or that it does not."""
        await self._shared.ask((place.host_id, place.workdir, place.fleet), (place, runs))

    async def close(self) -> None:
        """Ask for nothing more; what was asked for may be asked for again."""
        await self._shared.close()

    async def _sweep(self, _key: _Key, asked: Sequence[_Asked]) -> Sequence[None]:
        place = asked[-1][0]
        runs = [*dict.fromkeys(run for _, some in asked for run in some)]
        for first in range(0, len(runs), sweep.MOST_RUNS):
            some = runs[first : first + sweep.MOST_RUNS]
            command = sweep.sweep(place.workdir, place.fleet, some, self._edges.term)
            sweep.parse_sweep(await self._edges.run(place.host_id, place.host, command))
        return [None] * len(asked)
