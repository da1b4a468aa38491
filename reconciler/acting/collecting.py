"""Collects an ended run: judges what it left, delivers its work, and says so in one event.

It starts nothing; until the event is recorded, collecting again gives the same.
"""

import asyncio
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.acting import sweeping
from reconciler.acting.belonging import fleet_of, host_of
from reconciler.acting.sweeping import Sweeper
from reconciler.core import mask, output, report
from reconciler.core.actions import Collect
from reconciler.core.desired import Desired, Host
from reconciler.core.events import Finished
from reconciler.core.observed import Meta, Sighting
from reconciler.core.output import Events, RawOutput
from reconciler.core.script import deliver
from reconciler.core.terms import Delivery, Failure, Outcome
from reconciler.core.verdict import Result
from reconciler.edges import Edges
from reconciler.repo import logs, metas

RETRIED = frozenset({Failure.TRANSPORT})
"""Failures to deliver after which the delivery, not the run, is tried again."""


class DeliveryDelayed(Exception):
    """The host answers, but what it delivers to does not; to be tried again with the same run."""


async def collect(  # noqa: PLR0913 - what an effect is given, and what it shares with others
    edges: Edges, desired: Desired, action: Collect, sighting: Sighting, sweeper: Sweeper, *, last: bool
) -> Finished:
    """What became of the run; with `last`, a delivery that cannot be made now is a failure.

    Raises `Unreachable`, `Misconfigured` and `DeliveryDelayed`: to be repeated; `Fenced` where another one leads.
    """
    host = host_of(desired, action.run).value
    run_name = f"{action.task_id}.{action.run.epoch}"
    meta = sighting.meta
    if meta is None:
        return finished(edges.now(), action, desired, Ending(result=_unknown("it left no readable meta.json")))
    if sighting.rebooted:
        return finished(edges.now(), action, desired, Ending(result=_REBOOTED, meta=meta))
    result = await asyncio.to_thread(judge, edges, action, meta, sighting)
    await sweeper.sweep(place(host, action, meta), run_name)
    head_sha = None
    if meta.task.repository is not None and meta.task.delivery is Delivery.NONE:
        head_sha = await _head(edges, desired, action, meta)
    elif action.wanted and result.outcome is Outcome.SUCCEEDED and meta.task.repository is not None:
        head_sha, missed = await _deliver(edges, desired, action, meta, last=last)
        if missed is not None:
            result = replace(result, outcome=Outcome.FAILED, failure=missed.failure, error=missed.error)
    return finished(edges.now(), action, desired, Ending(result=result, meta=meta, head_sha=head_sha))


def place(host: Host, action: Collect, meta: Meta) -> sweeping.Place:
    """Where the run left something."""
    return sweeping.Place(host_id=action.run.host, host=host, workdir=metas.workdir(meta), fleet=fleet_of(action.run))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Missed:
    """Why good work did not reach the remote."""

    failure: Failure
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What is known of an ended run."""

    result: Result
    meta: Meta | None = None
    head_sha: str | None = None


def judge(edges: Edges, action: Collect, meta: Meta, sighting: Sighting) -> Result:
    """What the run's output says of it. It may be large: not for the loop's own thread."""
    raw = _output(edges, action, meta, sighting)
    result = report.judge(meta.adapter, raw, stop=sighting.stopping, resumed=report.resumed(meta), now=edges.now())
    return replace(result, warnings=(*sighting.unread, *result.warnings))


def _output(edges: Edges, action: Collect, meta: Meta, sighting: Sighting) -> RawOutput:
    """Everything that the run left, from the local copies, with its secrets masked before anything is cut."""
    fleet, task_id, epoch = edges.fleet, action.task_id, action.run.epoch
    names = (*meta.task.secrets, *meta.adapter.secrets)
    secrets = edges.hidden(names)
    events = Events(meta.adapter.output.format)
    for chunk in _masked(logs.read(fleet, task_id, epoch, "stdout"), secrets):
        events.feed(chunk)
    errors_from = max(logs.size(fleet, task_id, epoch, "stderr") - 2 * output.TAIL_BYTES, 0)
    errors = b"".join(_masked(logs.read(fleet, task_id, epoch, "stderr", errors_from), secrets))
    paths = logs.files(fleet, task_id, epoch)
    return replace(
        events.read(ended=True),
        stderr_tail=output.tail(errors),
        files={
            name: output.file_value(b"".join(_masked([path.read_bytes()], secrets))) for name, path in paths.items()
        },
        exit_code=sighting.exit_code,
        signal=output.signal_name(sighting.exit_code),
    )


def _masked(chunks: Iterable[bytes], secrets: Collection[str]) -> Iterator[bytes]:
    masking = mask.Masking(secrets)
    for chunk in chunks:
        yield masking.feed(chunk)
    yield masking.finish()


async def _deliver(
    edges: Edges, desired: Desired, action: Collect, meta: Meta, *, last: bool
) -> tuple[str | None, _Missed | None]:
    """The commit that the remote's branch holds after the push, or why there is none."""
    order = deliver.Delivery(
        workdir=metas.workdir(meta),
        fleet=fleet_of(action.run),
        workspace=meta.workspace,
        repository=meta.task.repository or "",
        branch=meta.branch,
        base_sha=meta.base_sha or "",
        start_sha=meta.start_sha,
        message=_message(meta),
        identity=desired.settings.commit,
        term=edges.term,
    )
    host = host_of(desired, action.run).value
    answer = deliver.parse_deliver(await edges.run(action.run.host, host, deliver.deliver(order)))
    match answer:
        case deliver.Delivered():
            return answer.head_sha, None
        case deliver.NotDelivered():
            return answer.head_sha, _Missed(failure=Failure.NOT_DELIVERED, error=answer.reason)
        case deliver.DeliverFailed():
            if answer.failure in RETRIED and not last:
                raise DeliveryDelayed(answer.message)
            return None, _Missed(failure=answer.failure, error=answer.message)


async def _head(edges: Edges, desired: Desired, action: Collect, meta: Meta) -> str | None:
    """What the workspace stands at, where nothing is to be delivered."""
    command = deliver.inspect(metas.workdir(meta), fleet_of(action.run), meta.workspace)
    host = host_of(desired, action.run).value
    return deliver.parse_inspect(await edges.run(action.run.host, host, command))


def _message(meta: Meta) -> str:
    """The message of a commit of what the agent left uncommitted."""
    subject = " ".join((meta.task.pr_title or meta.task.title).split())
    return f"{subject}\n\nTask: {meta.task_id}\nRun: {meta.run_id}\n"


_REBOOTED = Result(outcome=Outcome.LOST, failure=Failure.HOST_LOST, error="its host was booted anew while it ran")


def _unknown(error: str) -> Result:
    return Result(outcome=Outcome.FAILED, failure=Failure.UNKNOWN, error=error)


def finished(at: datetime, action: Collect, desired: Desired, ending: Ending) -> Finished:
    """The fact that the run has ended so."""
    meta, result = ending.meta, ending.result
    document = desired.tasks.get(action.task_id)
    limits = document.value if document is not None else meta.task if meta is not None else None
    return Finished(
        at=at,
        actor=f"host:{action.run.host}",
        epoch=action.run.epoch,
        outcome=result.outcome,
        failure=result.failure,
        exit_code=result.exit_code,
        delivery=(meta.task.delivery if meta is not None else None) or Delivery.NONE,
        max_attempts=limits.max_attempts if limits is not None else 1,
        max_reviews=limits.max_reviews if limits is not None else 0,
        cancel=action.cancel,
        resets_at=result.resets_at,
        session=result.session,
        input_tokens=result.input_tokens,
        output_tokens=result.output_tokens,
        cost_usd=result.cost_usd,
        head_sha=ending.head_sha,
        summary=result.summary,
        error=result.error,
        warnings=result.warnings,
    )
