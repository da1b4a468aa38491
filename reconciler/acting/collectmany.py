"""Collects runs of a host that ended by the same time: judged one after the other, swept by one command.

It delivers nothing: a run with work to deliver, and one of which anything is unusual, is collected alone.
"""

import asyncio
from collections.abc import Mapping, Sequence

from reconciler.acting import collecting
from reconciler.acting.belonging import host_of
from reconciler.acting.collecting import Ending
from reconciler.acting.sweeping import Place, Sweeper
from reconciler.core.actions import Collect
from reconciler.core.desired import Desired
from reconciler.core.events import Finished
from reconciler.core.observed import Meta, Sighting
from reconciler.core.verdict import Result
from reconciler.edges import Edges
from reconciler.repo import logs

_Known = tuple[Collect, Meta, Sighting]


MOST_BYTES = 1024 * 1024
"""A run that printed more is not waited for by others."""


def is_brief(edges: Edges, action: Collect, sighting: Sighting) -> bool:
    """Whether nothing but a look at little output and a sweep is to be done for the run."""
    meta, epoch = sighting.meta, action.run.epoch
    if meta is None or sighting.rebooted or meta.task.repository is not None:
        return False
    return sum(logs.size(edges.fleet, action.task_id, epoch, stream) for stream in ("stdout", "stderr")) <= MOST_BYTES


async def collect(
    edges: Edges, desired: Desired, actions: Sequence[Collect], sightings: Mapping[str, Sighting], sweeper: Sweeper
) -> list[Finished | None]:
    """What became of each of these runs of one host; None for one that has to be collected alone.

    Raises `Unreachable` and `Misconfigured`: to be repeated; `Fenced` where another one leads.
    """
    host = host_of(desired, actions[0].run).value
    known: list[_Known] = []
    places: dict[str, tuple[Place, list[str]]] = {}
    for action in actions:
        sighting = sightings[action.run.run_id]
        meta = sighting.meta
        if meta is None:
            raise ValueError(f"{action.run.run_id} is not to be collected along with others")
        known.append((action, meta, sighting))
        place = collecting.place(host, action, meta)
        places.setdefault(place.workdir, (place, []))[1].append(f"{action.task_id}.{action.run.epoch}")
    results = await asyncio.to_thread(_judged, edges, known)
    for place, runs in places.values():
        await sweeper.sweep(place, *runs)
    now = edges.now()
    return [
        None if result is None else collecting.finished(now, action, desired, Ending(result=result, meta=meta))
        for (action, meta, _), result in zip(known, results, strict=True)
    ]


def _judged(edges: Edges, known: Sequence[_Known]) -> list[Result | None]:
    """The result of each; None where judging it failed: whoever judges it alone meets that again, and tells it."""
    results: list[Result | None] = []
    for action, meta, sighting in known:
        try:
            results.append(collecting.judge(edges, action, meta, sighting))
        except Exception:  # noqa: BLE001 - it concerns this run alone, and is raised where that is collected alone
            results.append(None)
    return results
