"""Launches runs: says what each is started with, writes that down, and has those of a host started by one command.

A launch may be repeated; it prepares no workspace and judges no run.
"""

import asyncio
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.acting.sharing import Shared
from reconciler.core import ending, prompt, rounds
from reconciler.core.desired import Adapter, Document, Host, Task
from reconciler.core.observed import Meta, ObservedTask, Run
from reconciler.core.script import argv, launch, prepare
from reconciler.core.script.launch import Launched
from reconciler.core.script.shell import ProtocolError
from reconciler.core.terms import Failure
from reconciler.edges import Edges
from reconciler.repo import given, metas
from reconciler.repo.given import Given

SESSIONS = uuid.UUID("4f1c8f9e-6d0b-5f0a-9a57-0d8c5b6f2f11")
"""The namespace of new sessions: a run that is launched again gets the same one."""

MOST_BYTES = 512 * 1024
"""How much one command carries, unless a single run needs more."""


class CannotStart(Exception):
    """The run cannot be started; `failure` says whose matter it is."""

    def __init__(self, failure: Failure, message: str) -> None:
        """Keep the class beside the sentence."""
        super().__init__(message)
        self.failure = failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A workspace that is there; with `make`, one that is a plain folder which the launch is to make."""

    prepared: prepare.Prepared
    make: bool = False


def plain(order: Order, root: str) -> Ready:
    """What a preparation would say where only folders are to be made, under the folder `root` of the fleet."""
    prepared = prepare.Prepared(
        workspace=f"{root}/work/{order.task_id}",
        run_dir=f"{root}/runs/{order.name}",
        home="",
        base=None,
        base_sha=None,
        start_sha=None,
        head_sha=None,
    )
    return Ready(prepared=prepared, make=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    """One run, and what it is started with."""

    order: Order
    meta: Meta
    text: str
    command: launch.Launch


_Place = tuple[str, tuple[object, ...]]


class Launcher:
    """The launches of all hosts."""

    def __init__(self, edges: Edges) -> None:
        """Nothing is to be launched yet."""
        self._edges = edges
        self._shared: Shared[_Place, _Start, Launched] = Shared(self._launch, most=launch.MOST_RUNS)

    async def launch(self, order: Order, ready: Ready) -> Launched:
        """What stands in the run folder then.

        Raises `CannotStart`, and what `edges.run` raises; with `TermUncertain` nothing was started.
        """
        start = _start(order, ready, self._edges.term)
        place = (order.run.host, launch.together(start.command))
        launched = await self._shared.ask(place, start)
        if launched.message:
            raise CannotStart(Failure.NO_CAPACITY, launched.message)
        return launched

    async def close(self) -> None:
        """Leave every launch where it is."""
        await self._shared.close()

    async def _launch(self, place: _Place, starts: Sequence[_Start]) -> Sequence[Launched | Exception]:
        await asyncio.to_thread(_keep, self._edges, starts)
        launched: dict[str, Launched] = {}
        for some in _carried(starts):
            if self._edges.lead is not None:
                self._edges.lead.insist()
            command = launch.launch([start.command for start in some])
            answer = await self._edges.run(place[0], some[0].order.host.value, command)
            launched |= launch.parse_launch(answer)
        untold = ProtocolError("launch: the answer says nothing of the run")
        return [launched.get(start.order.name, untold) for start in starts]


def _carried(starts: Sequence[_Start]) -> Iterator[Sequence[_Start]]:
    """The same, in order, in parts of what one command is to carry."""
    part: list[_Start] = []
    size = 0
    for start in starts:
        more = len(start.command.meta_json) + len(start.command.prompt)
        if part and size + more > MOST_BYTES:
            yield part
            part, size = [], 0
        part.append(start)
        size += more
    yield part


def _start(order: Order, ready: Ready, term: int) -> _Start:
    prepared = ready.prepared
    reviews = rounds.about(order.seen, order.run.epoch)
    missed = ending.missed(order.seen)
    text = prompt.build(order.task, order.adapter, base=prepared.base, reviews=reviews, missed=missed)
    meta = _meta(order, prepared, text)
    command = replace(_command(order, meta, text), make=ready.make, term=term)
    return _Start(order=order, meta=meta, text=text, command=command)


def _meta(order: Order, prepared: prepare.Prepared, text: str) -> Meta:
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


def _keep(edges: Edges, starts: Sequence[_Start]) -> None:
    """Write down what runs are given: for this program when it adopts them, and for people who look at it."""
    edges.journal.keep_metas({start.meta.run_id: start.command.meta_json.decode() for start in starts})
    for start in starts:
        order = start.order
        given.keep(edges.fleet, order.task_id, order.run.epoch, _given(order, start.meta, start.text))


def _given(order: Order, meta: Meta, text: str) -> Given:
    """What people can look at afterwards; a clone only where it is on this machine."""
    if order.host.value.transport != "local" or order.task.repository is None:
        return Given(prompt=text)
    clone = prepare.clone_of(meta.run_dir, order.task.repository)
    return Given(prompt=text, clone=clone, branch=meta.branch, base_sha=meta.base_sha)


def _command(order: Order, meta: Meta, text: str) -> launch.Launch:
    adapter, host = order.adapter, order.host.value
    try:
        filled = launch.Launch(
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
        )
        launch.check(filled)
    except ValueError as error:
        raise CannotStart(Failure.CONFIG, str(error)) from error
    return filled


def words(adapter: Adapter, meta: Meta, text: str) -> tuple[str, ...]:
    """The agent's argv; ValueError where a value is missing or the adapter does not know the task's profile."""
    profile = meta.task.permissions
    if adapter.permissions and profile not in adapter.permissions:
        message = f"the adapter {meta.adapter_id} has no permissions profile {profile}: add it, or choose another"
        raise ValueError(message)
    permitted = adapter.permissions[profile] if adapter.permissions and profile is not None else ()
    template = adapter.resume if meta.session is not None and adapter.resume is not None else adapter.run
    return argv.fill(template, argv.values(meta) | {"prompt": text}, permitted)
