"""The JSON of commands and of the API: every key of a record, also at its default, times and words as in files.

It chooses no task and prints nothing.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from reconciler.core import standing as standings
from reconciler.core.actions import Action, Collect, GiveUp, Launch, Publish, Record, Stop
from reconciler.core.breaker import Breaker, Switch
from reconciler.core.conditions import Condition
from reconciler.core.desired import Desired, Document, Host
from reconciler.core.observed import Observed, ObservedHost, ObservedTask
from reconciler.core.plan import Plan
from reconciler.core.standing import Standing
from reconciler.repo import storage


def plain(value: object) -> object:
    """The value as JSON has it: records with all their keys, times and durations as in the files."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    return _text(value)


def _text(value: object) -> object:
    match value:
        case StrEnum():
            return value.value
        case datetime():
            return storage.timestamp(value)
        case timedelta():
            return storage.duration_text(value)
        case _:
            return value


def record(value: object) -> dict[str, object]:
    """A record's keys and values."""
    shape = plain(value)
    if not isinstance(shape, dict):
        raise TypeError(f"{type(value).__name__} is no record")
    return shape


def task(task_id: str, desired: Desired, observed: Observed) -> dict[str, object]:
    """One task: its id, what people want, and every key of what happened."""
    document = desired.tasks.get(task_id)
    seen = observed.tasks.get(task_id, ObservedTask())
    happened = record(seen)
    if document is not None and seen.epoch == 0:
        happened |= {"generation": document.value.generation, "execution_mode": document.value.execution_mode.value}
    return {
        "id": task_id,
        "title": document.value.title if document else seen.pr_title,
        "desired": document.value.desired.value if document else None,
        **happened,
    }


def host(host_id: str, desired: Desired, observed: Observed) -> dict[str, object]:
    """One host: what its file says of load and use, and what is known of it."""
    document = desired.hosts.get(host_id)
    known = observed.hosts.get(host_id)
    running = sum(seen.live_run is not None and seen.live_run.host == host_id for seen in observed.tasks.values())
    return {
        "id": host_id,
        "slots": document.value.slots if document else 0,
        "running": running,
        "reachable": _reachable(document, known),
        **_wanted(document, retired=host_id in desired.retired_hosts),
        **_known(known),
    }


def forge(desired: Desired, observed: Observed) -> dict[str, object] | None:
    """The forge and how it fares; `reachable` is `None` where nobody asks it."""
    named, known = desired.settings.forge, observed.forge
    if named is None:
        return None
    held = known.held if known is not None else {}
    return {
        "kind": named.kind,
        "url": named.url,
        "reachable": known.silent_since is None if known is not None else None,
        "silent_since": plain(known.silent_since) if known is not None else None,
        "reason": known.reason if known is not None else None,
        "held": [{"key": key, **record(one)} for key, one in sorted(held.items())],
    }


def breakers(observed: Observed) -> list[dict[str, object]]:
    """The circuit breakers that are open."""
    return [breaker(one) for _, one in sorted(observed.breakers.items()) if one.is_open]


def breaker(one: Breaker) -> dict[str, object]:
    """One circuit breaker: its name, and every key of its record."""
    return {"name": one.name, **record(one)}


def problems(desired: Desired) -> list[object]:
    """Everything that is wrong with the files."""
    return [plain(problem) for problem in desired.problems]


def remote(standing: Standing | None, now: datetime) -> dict[str, object] | None:
    """How the fleet stands with its remote, and for how many seconds what is to be pushed has waited."""
    if standing is None:
        return None
    shape = record(standing)
    del shape["problems"]
    return shape | {"lag_seconds": int(standings.lag(standing, now).total_seconds())}


def planned(plan: Plan) -> dict[str, object]:
    """What a pass would do, and when it would look again."""
    return {"actions": [action(one) for one in plan.actions], "wake_at": plain(plan.wake_at)}


def action(one: Action) -> dict[str, object]:
    """One effect that a pass would have."""
    if isinstance(one, Switch):
        known = breaker(one.breaker) if one.breaker is not None else {"name": one.name, "state": "closed"}
        return {"action": "switch", "why": one.why, **known}
    named: dict[str, object] = {"action": type(one).__name__.lower(), "task": one.task_id}
    match one:
        case Record(event=event):
            return {**named, "event": type(event).__name__.lower(), "why": event.why, **record(event)}
        case Launch(run=run) | GiveUp(run=run) | Collect(run=run):
            return {**named, "run_id": run.run_id, "host": run.host, "epoch": run.epoch}
        case Stop(run=run, reason=reason):
            return {**named, "run_id": run.run_id, "host": run.host, "epoch": run.epoch, "reason": reason.value}
        case Publish(publication=publication):
            return {**named, "publication": type(publication).__name__.lower(), "key": publication.key}


def sentence(one: Action) -> str:
    """The same in a line for people."""
    shape = action(one)
    if isinstance(one, Switch):
        return f"breaker {one.name}: {shape['state']} ({one.why})"
    words = (f"{key} {shape[key]}" for key in ("host", "adapter", "epoch", "reason", "key") if shape.get(key))
    return f"{shape['task']}: {shape.get('event') or shape['action']} ({', '.join(words)})"


def condition(one: Condition) -> object:
    """One thing that keeps a task from moving."""
    return plain(one)


def _reachable(document: Document[Host] | None, known: ObservedHost | None) -> bool | None:
    """What was seen last; this machine is always there; `None` where nobody has asked yet."""
    if known is not None:
        return known.reachable
    return True if document is not None and document.value.transport == "local" else None


def _wanted(document: Document[Host] | None, *, retired: bool) -> dict[str, object]:
    value = document.value if document else None
    return {
        "transport": value.transport if value else None,
        "address": value.address if value else None,
        "capabilities": list(value.capabilities) if value else [],
        "adapters": list(value.adapters) if value and value.adapters is not None else None,
        "drain": plain(value.drain) if value else None,
        "retired": retired,
    }


def _known(known: ObservedHost | None) -> dict[str, object]:
    return {
        "misconfigured": known.misconfigured if known else False,
        "reason": known.reason if known else None,
        "since": plain(known.since) if known else None,
        "boot_id": known.boot_id if known else None,
        "versions": dict(known.versions) if known else {},
    }
