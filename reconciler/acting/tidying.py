"""Removes what ended runs left on hosts beyond what is kept: old run folders, and workspaces whose work is merged in.

It never touches a run that has not ended, and nothing outside the fleet's folder there.
"""

import logging

from reconciler.core.actions import Collect
from reconciler.core.desired import Desired, Host
from reconciler.core.observed import Run, Sighting
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


async def tidy(edges: Edges, desired: Desired, action: Collect, sighting: Sighting) -> None:
    """After a run's end was recorded: remove what is too old. A host that does not answer keeps it.

    Raises `Fenced` where another reconciler leads.
    """
    seen = edges.branch.tasks()[action.task_id]
    host = desired.hosts.get(action.run.host)
    keep = desired.settings.keep_runs
    if host is None or sighting.meta is None:
        return
    ended = [run for run in seen.runs if run.host == action.run.host and run.finished_at is not None]
    old = tuple(f"{action.task_id}.{run.epoch}" for run in ended[: max(len(ended) - keep, 0)])
    done = seen.phase is Phase.COMPLETED and sighting.meta.task.repository is not None
    workspaces = (sighting.meta.workspace.rpartition("/")[2],) if done else ()
    if not old and not workspaces:
        return
    workdir = workdir_of(edges, action.run, host.value)
    fleet = action.run.run_id.partition(".")[0]
    command = clean.clean(workdir, fleet, runs=old, workspaces=workspaces, term=edges.term)
    try:
        clean.parse_clean(await edges.run(action.run.host, host.value, command))
    except (Unreachable, Misconfigured, ProtocolError) as error:
        log.info("tidying %s on %s: %s; it stays", action.task_id, action.run.host, error)
