"""Starts a run: prepares its workspace, fills its folder, launches the agent; or gives its epoch up for good.

Every step may be repeated; it never judges a run that started.
"""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.core import ending, prompt, rounds
from reconciler.core.actions import GiveUp, Launch
from reconciler.core.command import Command
from reconciler.core.desired import Adapter, Desired, Document, Host, Task
from reconciler.core.events import NotStarted
from reconciler.core.observed import Meta, ObservedTask, Run
from reconciler.core.script import argv, launch, prepare
from reconciler.core.terms import Failure
from reconciler.edges import Edges
from reconciler.repo import given, metas
from reconciler.repo.desired import assigned
from reconciler.repo.given import Given
from reconciler.transport import Misconfigured, Unreachable

SESSIONS = uuid.UUID("4f1c8f9e-6d0b-5f0a-9a57-0d8c5b6f2f11")
"""The namespace of new sessions: a run that is launched again gets the same one."""


class CannotStart(Exception):
    """The run cannot be started; `failure` says whose matter it is."""

    def __init__(self, failure: Failure, message: str) -> None:
        """Keep the class beside the sentence."""
        super().__init__(message)
        self.failure = failure


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """Everything that a launch is made of before its workspace exists."""

    task_id: str
    run: Run
    host: Document[Host]
    task: Task
    adapter: Adapter
    seen: ObservedTask
    secrets: Mapping[str, str]
    fleet_id: str

    @property
    def name(self) -> str:
        """The name of the run's folder."""
        return f"{self.task_id}.{self.run.epoch}"

    @property
    def place(self) -> tuple[str, str, str]:
        """What decides where the folder of the fleet is on the host."""
        return self.run.host, self.host.value.workdir, self.fleet_id


Roots = dict[tuple[str, str, str], str]
"""Where the folder of a fleet is on a host, by the host, its workdir and the fleet, as its last preparation said."""


async def start(edges: Edges, desired: Desired, action: Launch, roots: Roots) -> NotStarted | None:
    """Launch the run; when it cannot be started, give it up on its host and return the event that says so.

    Raises `Unreachable`, and `Misconfigured` where not even that can be done: nothing is known then, and the launch is
    to be repeated. Raises `TermUncertain` where another reconciler may lead by now, `Fenced` where a host knows that
    one does: then its outcome is no matter of ours.
    """
    giving_up = GiveUp(task_id=action.task_id, run=action.run)
    try:
        await _start(edges, desired, action, roots)
    except CannotStart as error:
        return await give_up(edges, desired, giving_up, failure=error.failure, error=str(error))
    except (Misconfigured, ValueError) as error:
        return await give_up(edges, desired, giving_up, failure=Failure.CONFIG, error=str(error))
    return None


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
    command = launch.give_up(host.value.workdir, fleet_of(action.run), run_name, edges.term)
    answer = launch.parse_give_up(await edges.run(action.run.host, host.value, command))
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


async def _start(edges: Edges, desired: Desired, action: Launch, roots: Roots) -> None:
    order = await asyncio.to_thread(_order, edges, desired, action)
    expected = _expected(order, action, roots)
    if expected is not None and not (await _launch(edges, order, expected, make=True)).elsewhere:
        return
    prepared = await _prepare(edges, desired, order, reuse=action.reuse)
    roots[order.place] = prepared.run_dir.removesuffix(f"/runs/{order.name}")
    await _launch(edges, order, prepared, make=False)


def _expected(order: _Order, action: Launch, roots: Roots) -> prepare.Prepared | None:
    """What a preparation would say, where only folders are to be made and it is known where; else None."""
    root = roots.get(order.place)
    first = action.reuse and order.run.epoch == 1
    if root is None or not first or order.task.repository is not None:
        return None
    return prepare.Prepared(
        workspace=f"{root}/work/{order.task_id}",
        run_dir=f"{root}/runs/{order.name}",
        home="",
        base=None,
        base_sha=None,
        start_sha=None,
        head_sha=None,
    )


async def _launch(edges: Edges, order: _Order, prepared: prepare.Prepared, *, make: bool) -> launch.Launched:
    reviews = rounds.about(order.seen, order.run.epoch)
    missed = ending.missed(order.seen)
    text = prompt.build(order.task, order.adapter, base=prepared.base, reviews=reviews, missed=missed)
    meta = _meta(order, prepared, text)
    await asyncio.to_thread(_keep, edges, order, meta, text)
    command = _command(order, meta, text, edges.term, make=make)
    if edges.lead is not None:
        edges.lead.insist()
    launched = launch.parse_launch(await edges.run(order.run.host, order.host.value, command))
    if launched.message:
        raise CannotStart(Failure.NO_CAPACITY, launched.message)
    return launched


def _order(edges: Edges, desired: Desired, action: Launch) -> _Order:
    run = action.run
    adapter = desired.adapters.get(run.adapter or "")
    if adapter is None:
        raise CannotStart(Failure.CONFIG, f"there is no adapter {run.adapter}: add adapters/{run.adapter}.yaml")
    task = _task(edges, desired, action)
    return _Order(
        task_id=action.task_id,
        run=run,
        host=host_of(desired, run),
        task=task,
        adapter=adapter.value,
        seen=edges.branch.tasks()[action.task_id],
        secrets=_secrets(edges, (*task.secrets, *adapter.value.secrets)),
        fleet_id=fleet_of(run),
    )


def host_of(desired: Desired, run: Run) -> Document[Host]:
    """The host of a run; `Unreachable` where its file is gone and no good version is known."""
    if run.host not in desired.hosts:
        raise Unreachable(f"{run.host}: hosts/{run.host}.yaml is gone: bring it back")
    return desired.hosts[run.host]


def fleet_of(run: Run) -> str:
    """The id of the fleet, from the name of the run."""
    return run.run_id.partition(".")[0]


def _task(edges: Edges, desired: Desired, action: Launch) -> Task:
    """The task as it was when the run was assigned."""
    found = assigned.task(edges.fleet, desired, action.task_id, action.run)
    if found is None:
        lost = f"the file of {action.task_id} is gone, and so is its blob {action.run.spec}"
        raise CannotStart(Failure.CONFIG, lost)
    return found


def _secrets(edges: Edges, names: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in names:
        value = edges.secret(name)
        if value is None:
            raise CannotStart(Failure.AUTH, f"the secret {name} is not set: set it where the reconciler runs")
        found[name] = value
    return found


async def _prepare(edges: Edges, desired: Desired, order: _Order, *, reuse: bool) -> prepare.Prepared:
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


def _meta(order: _Order, prepared: prepare.Prepared, text: str) -> Meta:
    run = order.run
    before = [earlier for earlier in order.seen.runs[:-1] if run.resumed and earlier.session == run.resumed]
    return Meta(
        run_id=run.run_id,
        task_id=order.task_id,
        epoch=run.epoch,
        kind=run.kind,
        task=order.task,
        adapter_id=run.adapter or "",
        adapter=order.adapter,
        run_dir=prepared.run_dir,
        workspace=prepared.workspace,
        branch=order.task.branch or "",
        base=prepared.base,
        base_sha=prepared.base_sha,
        start_sha=prepared.start_sha,
        session=run.resumed,
        new_session=str(uuid.uuid5(SESSIONS, run.run_id)),
        before_input_tokens=sum(earlier.input_tokens or 0 for earlier in before),
        before_output_tokens=sum(earlier.output_tokens or 0 for earlier in before),
        before_cost_usd=sum(earlier.cost_usd or 0.0 for earlier in before),
        prompt_sha256=prompt.digest(text),
    )


def _keep(edges: Edges, order: _Order, meta: Meta, text: str) -> None:
    """Write down what the run is given: for this program when it is adopted, and for people who look at it."""
    edges.journal.keep_meta(order.run.run_id, metas.text(meta))
    given.keep(edges.fleet, order.task_id, order.run.epoch, _given(order, meta, text))


def _given(order: _Order, meta: Meta, text: str) -> Given:
    """What people can look at afterwards; a clone only where it is on this machine."""
    if order.host.value.transport != "local" or order.task.repository is None:
        return Given(prompt=text)
    clone = prepare.clone_of(meta.run_dir, order.task.repository)
    return Given(prompt=text, clone=clone, branch=meta.branch, base_sha=meta.base_sha)


def _command(order: _Order, meta: Meta, text: str, term: int, *, make: bool) -> Command:
    adapter, host = order.adapter, order.host.value
    try:
        return launch.launch(
            launch.Launch(
                workdir=host.workdir,
                fleet=order.fleet_id,
                run=order.name,
                workspace=meta.workspace,
                meta_json=metas.text(meta).encode(),
                prompt=text.encode(),
                words=words(adapter, meta, text),
                prompt_on_stdin=adapter.prompt == "stdin",
                variables={**host.env, **adapter.env, **order.task.env, **order.secrets},
                unset=adapter.unset,
                launcher=host.launcher,
                make=make,
                term=term,
            )
        )
    except ValueError as error:
        raise CannotStart(Failure.CONFIG, str(error)) from error


def words(adapter: Adapter, meta: Meta, text: str) -> tuple[str, ...]:
    """The agent's argv; ValueError where a value is missing or the adapter does not know the task's profile."""
    profile = meta.task.permissions
    if adapter.permissions and profile not in adapter.permissions:
        message = f"the adapter {meta.adapter_id} has no permissions profile {profile}: add it, or choose another"
        raise ValueError(message)
    permitted = adapter.permissions[profile] if adapter.permissions and profile is not None else ()
    template = adapter.resume if meta.session is not None and adapter.resume is not None else adapter.run
    return argv.fill(template, argv.values(meta) | {"prompt": text}, permitted)
