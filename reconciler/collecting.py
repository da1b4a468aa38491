"""Collects an ended run: judges what it left, delivers its work, and says so in one event.

It starts nothing; until the event is recorded, collecting again gives the same.
"""

import asyncio
from dataclasses import replace
from datetime import datetime

from reconciler.core import mask, output, report
from reconciler.core.actions import Collect
from reconciler.core.desired import Desired, Host
from reconciler.core.events import Finished
from reconciler.core.observed import Meta, Sighting
from reconciler.core.output import Events, RawOutput
from reconciler.core.report import Result
from reconciler.core.script import deliver, stop
from reconciler.core.terms import Delivery, Failure, Outcome
from reconciler.edges import Edges
from reconciler.repo import logs
from reconciler.transport import Unreachable

RETRIED = frozenset({Failure.TRANSPORT})
"""Failures to deliver after which the delivery, not the run, is tried again."""


class DeliveryDelayed(Exception):
    """The host answers, but what it delivers to does not; to be tried again with the same run."""


async def collect(edges: Edges, desired: Desired, action: Collect, sighting: Sighting, *, last: bool) -> Finished:
    """What became of the run; with `last`, a delivery that cannot be made now is a failure.

    Raises `Unreachable`, `Misconfigured` and `DeliveryDelayed`: to be repeated.
    """
    host = _host(desired, action.run.host)
    run_name = f"{action.task_id}.{action.run.epoch}"
    meta = sighting.meta
    if meta is None:
        return _finished(edges.now(), action, desired, _unknown("its run folder has no readable meta.json"))
    result = await asyncio.to_thread(_judge, edges, action, meta, sighting)
    workdir = meta.run_dir.removesuffix(f"/{_fleet(meta)}/runs/{run_name}")
    await edges.run(action.run.host, host, stop.sweep(workdir, _fleet(meta), run_name))
    head_sha = None
    if action.wanted and result.outcome is Outcome.SUCCEEDED and meta.task.repository is not None:
        result, head_sha = await _deliver(edges, desired, action, meta, result, last=last)
    return _finished(edges.now(), action, desired, result, meta=meta, head_sha=head_sha)


def _host(desired: Desired, host_id: str) -> Host:
    if host_id not in desired.hosts:
        raise Unreachable(f"{host_id}: hosts/{host_id}.yaml is gone: bring it back")
    return desired.hosts[host_id].value


def _fleet(meta: Meta) -> str:
    return meta.run_id.partition(".")[0]


def _judge(edges: Edges, action: Collect, meta: Meta, sighting: Sighting) -> Result:
    names = (*meta.task.secrets, *meta.adapter.secrets)
    secrets = [value for name in names if (value := edges.secret(name)) is not None]
    raw = _output(edges, action, meta, sighting)
    result = report.judge(meta.adapter, raw, stop=sighting.stopping, resumed=report.resumed(meta), now=edges.now())
    return replace(
        result,
        summary=mask.mask(result.summary, secrets) if result.summary is not None else None,
        error=mask.mask(result.error, secrets) if result.error is not None else None,
    )


def _output(edges: Edges, action: Collect, meta: Meta, sighting: Sighting) -> RawOutput:
    """Everything that the run left, from the local copies."""
    fleet, task_id, epoch = edges.fleet, action.task_id, action.run.epoch
    events = Events(meta.adapter.output.format)
    for chunk in logs.read(fleet, task_id, epoch, "stdout"):
        events.feed(chunk)
    errors_from = max(logs.size(fleet, task_id, epoch, "stderr") - output.TAIL_BYTES, 0)
    errors = b"".join(logs.read(fleet, task_id, epoch, "stderr", errors_from))
    files = {name: output.file_value(path.read_bytes()) for name, path in logs.files(fleet, task_id, epoch).items()}
    return replace(
        events.read(ended=True),
        stderr_tail=output.tail(errors),
        files=files,
        exit_code=sighting.exit_code,
        signal=output.signal_name(sighting.exit_code),
    )


async def _deliver(
    edges: Edges, desired: Desired, action: Collect, meta: Meta, result: Result, *, last: bool
) -> tuple[Result, str | None]:
    """The result after its work was pushed and seen at the remote, and the commit that the remote's branch holds."""
    command = deliver.deliver(
        deliver.Delivering(
            workdir=meta.run_dir.removesuffix(f"/{_fleet(meta)}/runs/{action.task_id}.{action.run.epoch}"),
            fleet=_fleet(meta),
            run=f"{action.task_id}.{action.run.epoch}",
            workspace=meta.workspace,
            branch=meta.branch,
            base_sha=meta.base_sha,
            start_sha=meta.start_sha,
            message=_message(meta),
            identity=desired.settings.commit,
            push=meta.task.delivery is not Delivery.NONE,
        )
    )
    host = _host(desired, action.run.host)
    answer = deliver.parse_deliver(await edges.run(action.run.host, host, command))
    match answer:
        case deliver.Delivered():
            return result, answer.head_sha
        case deliver.NotDelivered():
            if answer.failure in RETRIED and not last:
                raise DeliveryDelayed(answer.message)
            return replace(result, outcome=Outcome.FAILED, failure=answer.failure, error=answer.message), None


def _message(meta: Meta) -> str:
    """The message of a commit of what the agent left uncommitted."""
    subject = " ".join((meta.task.pr_title or meta.task.title).split())
    return f"{subject}\n\nTask: {meta.task_id}\nRun: {meta.run_id}\n"


def _unknown(error: str) -> Result:
    return Result(outcome=Outcome.FAILED, failure=Failure.UNKNOWN, error=error)


def _finished(
    at: datetime,
    action: Collect,
    desired: Desired,
    result: Result,
    *,
    meta: Meta | None = None,
    head_sha: str | None = None,
) -> Finished:
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
        head_sha=head_sha,
        summary=result.summary,
        error=result.error,
        warnings=result.warnings,
    )
