"""Whose run it is, and until when: what an agent that asks for work may do with a task, one rule for each refusal.

It assigns nothing (the plan does); whose request it is was found out before.
"""

from dataclasses import dataclass
from datetime import datetime

from reconciler.agents import leasing
from reconciler.core import following
from reconciler.core.observed import Lease, ObservedTask, Run
from reconciler.core.terms import ExecutionMode, Outcome, Phase
from reconciler.edges import Edges


class UnknownTask(Exception):
    """There is no task with this id."""


class NotYours(Exception):
    """The task is none for agents that ask for work, or another one has it."""


class IsCancelled(Exception):
    """The task is cancelled."""


class Stale(Exception):
    """The run is the agent's no more: it was lost, or a later one took its place."""


class Conflict(Exception):
    """The run cannot move so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Until when the agent holds its run (`None`: it has ended), and whether it is to stop."""

    run: Run
    until: datetime | None = None
    cancel: bool = False


def seen_by(edges: Edges, host_id: str, task_id: str) -> ObservedTask:
    """The task, if it is one that this agent may write to. Raises UnknownTask and NotYours.

    Who ever had it is told how its run stands; a task that nobody has yet is nobody's.
    """
    picture = edges.view.latest()
    desired, observed = picture.desired, picture.observed
    document, seen = desired.tasks.get(task_id), observed.tasks.get(task_id)
    if document is None and seen is None and task_id not in desired.refused:
        raise UnknownTask("there is no task with this id")
    if seen is not None and any(is_run_of(run, host_id) for run in seen.runs):
        return seen
    mode = document.value.execution_mode if document is not None else seen and seen.execution_mode
    if mode is not ExecutionMode.HTTP_PULL:
        raise NotYours("the task is not http_pull: the reconciler itself starts its agent")
    if seen is not None and seen.runs:
        raise NotYours("another agent has the task, or had it")
    return seen or ObservedTask()


def is_run_of(run: Run, host_id: str) -> bool:
    """Whether the run was given to this agent."""
    return run.host == host_id and run.claim is not None


def heartbeat(edges: Edges, host_id: str, task_id: str, epoch: int) -> Held:
    """Hold the run for another term. Raises what `seen_by` raises, IsCancelled, Stale, Conflict and JournalFailed."""
    return renewed(edges, host_id, task_id, live(seen_by(edges, host_id, task_id), host_id, epoch))


def live(seen: ObservedTask, host_id: str, epoch: int) -> Run:
    """The run with this epoch: the task's current one, this agent's, not ended.

    Raises NotYours, IsCancelled, Stale and Conflict.
    """
    run = next((run for run in seen.runs if run.epoch == epoch), None)
    if run is not None and not is_run_of(run, host_id):
        raise NotYours("this is another agent's run")
    if seen.phase is Phase.CANCELLED:
        raise IsCancelled("the task is cancelled: stop")
    if run is None or epoch != seen.epoch or run.outcome is Outcome.LOST:
        raise Stale(f"the run with epoch {epoch} is not the current one of this task: stop, and ask for work anew")
    if run.finished_at is not None:
        raise Conflict(f"the run has ended already, as {run.outcome}: ask for work anew")
    return run


def renewed(edges: Edges, host_id: str, task_id: str, run: Run) -> Held:
    """The run, held for another term from now on. Raises what `live` raises, and JournalFailed."""
    edges.journal.keep_activity(task_id, edges.now())
    return held(edges, host_id, task_id, run, leasing.renew(edges, task_id, run.epoch))


def held(edges: Edges, host_id: str, task_id: str, run: Run, lease: Lease) -> Held:
    """The run, held by the lease that stands. Raises what `live` raises."""
    seen = edges.branch.tasks()[task_id]
    still = live(seen, host_id, run.epoch)
    if lease.epoch != run.epoch:
        raise Stale("the task was given to somebody else: stop, and ask for work anew")
    wanted = following.unwanted(task_id, seen, edges.view.latest().desired, edges.now()) is None
    return Held(run=still, until=lease.until, cancel=not wanted)
