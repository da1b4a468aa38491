"""Removes what ended runs left on hosts beyond what is kept: old run folders, and workspaces whose work is merged in.

It never touches a run that has not ended, and nothing outside the fleet's folder there.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.acting.belonging import fleet_of
from reconciler.core.actions import Collect
from reconciler.core.desired import Desired, Host
from reconciler.core.observed import Meta, ObservedTask, Run, Sighting
from reconciler.core.script import clean
from reconciler.core.script.shell import ProtocolError
from reconciler.core.terms import Phase
from reconciler.edges import Edges
from reconciler.repo import metas
from reconciler.transport import Misconfigured, Unreachable

log = logging.getLogger(__name__)


def workdir_of(edges: Edges, run: Run, host: Host) -> str:
    """The folder on the host under which the run was started, whatever the host's file says now."""
    return metas.kept_workdir(edges.journal, run.run_id) or host.workdir


@dataclass(slots=True)
class _Old:
    """What is to be removed at one place."""

    runs: list[str] = field(default_factory=list)
    workspaces: list[str] = field(default_factory=list)


async def tidy(edges: Edges, desired: Desired, actions: Sequence[Collect], sightings: Mapping[str, Sighting]) -> None:
    """After the ends of runs were recorded: remove what is too old. A host that does not answer keeps it.

    Raises `Fenced` where another reconciler leads.
    """
    places: dict[tuple[str, str, str], _Old] = defaultdict(_Old)
    for action in actions:
        meta = sightings[action.run.run_id].meta
        if meta is None or action.run.host not in desired.hosts:
            continue
        runs, workspaces = _old(edges.branch.tasks()[action.task_id], action, meta, desired.settings.keep_runs)
        if runs or workspaces:
            old = places[action.run.host, metas.workdir(meta), fleet_of(action.run)]
            old.runs += runs
            old.workspaces += workspaces
    for (host_id, workdir, fleet), old in places.items():
        command = clean.clean(workdir, fleet, runs=old.runs, workspaces=old.workspaces, term=edges.term)
        try:
            clean.parse_clean(await edges.run(host_id, desired.hosts[host_id].value, command))
        except (Unreachable, Misconfigured, ProtocolError) as error:
            log.info("tidying %s on %s: %s; it stays", ", ".join([*old.runs, *old.workspaces]), host_id, error)


def _old(seen: ObservedTask, action: Collect, meta: Meta, keep: int) -> tuple[list[str], list[str]]:
    """The run folders and workspaces of a task that nobody needs any more."""
    ended = [run for run in seen.runs if run.host == action.run.host and run.finished_at is not None]
    done = seen.phase is Phase.COMPLETED and meta.task.repository is not None
    return (
        [f"{action.task_id}.{run.epoch}" for run in ended[: max(len(ended) - keep, 0)]],
        [meta.workspace.rpartition("/")[2]] if done else [],
    )
