"""Hands a task to an agent that asks for one, whole: what the run was given, its prompt, its lease.

It assigns nothing: that is the plan's part, and the agent waits for it at the desk.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from reconciler.agents import leasing
from reconciler.core import ending, prompt, rounds
from reconciler.core.desired import Task
from reconciler.core.observed import Asking, ObservedTask, Run
from reconciler.edges import Edges
from reconciler.edges.desk import TURN_S, Given
from reconciler.repo import given as kept
from reconciler.repo.desired import assigned

CLAIM_DIGITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What an agent asks for, and for how many seconds it waits."""

    capabilities: frozenset[str] | None = None
    wait: float = 0.0
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A task that an agent holds, as it was when its run was assigned."""

    task_id: str
    run: Run
    task: Task
    prompt: str
    lease_until: datetime


def dequeue(edges: Edges, host_id: str, wish: Wish, gone: Callable[[], bool]) -> Order | None:
    """A task for the agent, recorded and leased; `None`: there is none for it. The same key gives the same run.

    One that is `gone` while it waits is given nothing from then on. Where the fleet lives on a remote, nothing is
    handed over before that has the assignment: what does not arrive there in time is given to the same key later.

    Raises TooManyWaiting and JournalFailed.
    """
    claim = None if wish.idempotency_key is None else claim_of(host_id, wish.idempotency_key)
    given = edges.desk.ask(Asking(host=host_id, capabilities=wish.capabilities, claim=claim), wish.wait, gone)
    if given is None or (edges.lead is not None and not edges.lead.reaches_remote(given.run.run_id, TURN_S)):
        return None
    return _order(edges, given)


def claim_of(host_id: str, key: str) -> str:
    """The digest of an agent's key."""
    return hashlib.sha256(f"{host_id}\0{key}".encode()).hexdigest()[:CLAIM_DIGITS]


def _order(edges: Edges, given: Given) -> Order | None:
    """What the run was given; built again, it is the same.

    `None` where nothing is left of its task: then the lease runs out, and the file's absence cancels the task.
    """
    desired, run = edges.view.latest().desired, given.run
    seen = edges.branch.tasks()[given.task_id]
    task = assigned.task(edges.fleet, desired, given.task_id, run)
    if task is None:
        return None
    before = tuple(earlier for earlier in seen.runs if earlier.epoch < run.epoch)
    then = ObservedTask(generation=run.generation, runs=before)
    text = prompt.build(
        task,
        None,
        base=task.base,
        reviews=rounds.about(seen, run.epoch),
        missed=ending.missed(then),
    )
    try:
        kept.keep(edges.fleet, given.task_id, run.epoch, kept.Given(prompt=text))
    except OSError as error:
        edges.warn(f"the prompt of {run.run_id} could not be kept to be shown: {error.strerror}")
    return Order(task_id=given.task_id, run=run, task=task, prompt=text, lease_until=_leased(edges, given))


def _leased(edges: Edges, given: Given) -> datetime:
    """The end of the lease; one that has run out is renewed: its agent is there again."""
    run = given.run
    if run.finished_at is not None:
        return run.finished_at
    lease = edges.journal.lease(given.task_id)
    if lease is None or lease.epoch != run.epoch or lease.until <= edges.now():
        lease = leasing.renew(edges, given.task_id, run.epoch)
    return lease.until
