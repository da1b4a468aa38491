"""Starts runs: prepares their workspaces and has them launched; or gives an epoch up for good.

Every step may be repeated; it never judges a run that started.
"""

import asyncio

from reconciler.acting.belonging import fleet_of, host_of
from reconciler.acting.launching import CannotStart, Launcher, Order, Ready, plain
from reconciler.core.actions import GiveUp, Launch
from reconciler.core.desired import Desired, Task
from reconciler.core.events import NotStarted
from reconciler.core.script import giveup, prepare
from reconciler.core.script.launch import Launched
from reconciler.core.terms import Delivery, Failure
from reconciler.edges import Edges
from reconciler.repo.desired import assigned
from reconciler.transport import Misconfigured

MOST_IN_VAIN = 3
"""So often a launch is carried out where nothing claims the run; then its epoch is given up."""
MOST_NOTED = 1000
"""How many such runs are remembered; what was noted longest ago is forgotten first."""


class Starter:
    """The starts of all runs: those of one host that come together are launched by one command."""

    def __init__(self, edges: Edges) -> None:
        """Nothing was prepared yet."""
        self._edges = edges
        self._launcher = Launcher(edges)
        self._roots: dict[tuple[str, str, str], str] = {}
        """Where the folder of a fleet is on a host, by the host, its workdir and the fleet, as it was said last."""
        self._in_vain: dict[str, int] = {}
        """How often runs were launched that nothing had claimed yet when that was answered."""

    async def start(self, desired: Desired, action: Launch) -> NotStarted | None:
        """Launch the run; when it cannot be started, give it up on its host and return the event that says so.

        Raises `Unreachable`, and `Misconfigured` where not even that can be done: nothing is known then, and the launch
        is to be repeated. Raises `TermUncertain` where another reconciler may lead by now, `Fenced` where a host knows
        that one does: then its outcome is no matter of ours.
        """
        giving_up = GiveUp(task_id=action.task_id, run=action.run)
        try:
            launched = await self._start(desired, action)
        except CannotStart as error:
            return await give_up(self._edges, desired, giving_up, failure=error.failure, error=str(error))
        except (Misconfigured, ValueError) as error:
            return await give_up(self._edges, desired, giving_up, failure=Failure.CONFIG, error=str(error))
        self._note(action.run.run_id, launched)
        return None

    async def close(self) -> None:
        """Leave every launch where it is: each can be repeated."""
        await self._launcher.close()

    def _note(self, run_id: str, launched: Launched) -> None:
        before = self._in_vain.pop(run_id, 0)
        if launched.state in {"absent", "queued"}:
            self._in_vain[run_id] = before + 1
            if len(self._in_vain) > MOST_NOTED:
                del self._in_vain[next(iter(self._in_vain))]

    async def _start(self, desired: Desired, action: Launch) -> Launched:
        if self._in_vain.get(action.run.run_id, 0) >= MOST_IN_VAIN:
            raise CannotStart(Failure.NO_CAPACITY, f"it was launched {MOST_IN_VAIN} times, and nothing began")
        order = await _order(self._edges, desired, action)
        expected = _expected(order, action, self._roots.get(order.place))
        if expected is not None:
            launched = await self._launcher.launch(order, expected)
            if not launched.elsewhere:
                return launched
        prepared = await _prepare(self._edges, desired, order, reuse=action.reuse)
        self._roots[order.place] = prepared.run_dir.removesuffix(f"/runs/{order.name}")
        return await self._launcher.launch(order, Ready(prepared=prepared))


async def give_up(
    edges: Edges,
    desired: Desired,
    action: GiveUp,
    *,
    failure: Failure = Failure.SUPERSEDED,
    error: str = "it was not wanted any more before it started",
) -> NotStarted | None:
    """Make sure that the run never starts; `None` when it had started, which the next poll will show."""
    host = host_of(desired, action.run)
    run_name = f"{action.task_id}.{action.run.epoch}"
    command = giveup.give_up(host.value.workdir, fleet_of(action.run), run_name, edges.term)
    answer = giveup.parse_give_up(await edges.run(action.run.host, host.value, command))
    if answer.state != "void":
        return None
    return NotStarted(
        at=edges.now(),
        actor=f"host:{action.run.host}",
        epoch=action.run.epoch,
        failure=failure,
        error=error,
        cancel=action.cancel,
    )


def _expected(order: Order, action: Launch, root: str | None) -> Ready | None:
    """A workspace without a preparation, where only folders are to be made and it is known where; else None."""
    first = action.reuse and order.run.epoch == 1
    if root is None or not first or order.task.repository is not None:
        return None
    return plain(order, root)


async def _order(edges: Edges, desired: Desired, action: Launch) -> Order:
    run = action.run
    adapter = desired.adapters.get(run.adapter or "")
    if adapter is None:
        raise CannotStart(Failure.CONFIG, f"there is no adapter {run.adapter}: add adapters/{run.adapter}.yaml")
    task = await _task(edges, desired, action)
    return Order(
        task_id=action.task_id,
        run=run,
        host=host_of(desired, run),
        task=task,
        adapter=adapter.value,
        seen=edges.branch.tasks()[action.task_id],
        secrets=_secrets(edges, (*task.secrets, *adapter.value.secrets)),
        fleet_id=fleet_of(run),
    )


async def _task(edges: Edges, desired: Desired, action: Launch) -> Task:
    """The task as it was when the run was assigned."""
    found = assigned.current(desired, action.task_id, action.run)
    if found is None:
        found = await asyncio.to_thread(assigned.task, edges.fleet, desired, action.task_id, action.run)
    if found is None:
        lost = f"the file of {action.task_id} is gone, and so is its blob {action.run.spec}"
        raise CannotStart(Failure.CONFIG, lost)
    if found.repository is None and found.delivery not in {None, Delivery.NONE}:
        why = f"delivery is {found.delivery}, and without a repository there is no branch: add repository to the task"
        raise CannotStart(Failure.CONFIG, why)
    return found


def _secrets(edges: Edges, names: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in names:
        value = edges.secret(name)
        if value is None:
            raise CannotStart(Failure.AUTH, f"the secret {name} is not set: set it where the reconciler runs")
        found[name] = value
    return found


async def _prepare(edges: Edges, desired: Desired, order: Order, *, reuse: bool) -> prepare.Prepared:
    command = prepare.prepare(
        prepare.Preparation(
            workdir=order.host.value.workdir,
            fleet=order.fleet_id,
            task=order.task_id,
            epoch=order.run.epoch,
            branch=order.task.branch or "",
            repository=order.task.repository,
            base=order.task.base,
            reuse=reuse,
            identity=desired.settings.commit,
            term=edges.term,
        )
    )
    answer = prepare.parse_prepare(await edges.run(order.run.host, order.host.value, command))
    if isinstance(answer, prepare.PrepareFailed):
        raise CannotStart(answer.failure, answer.message)
    return answer
