"""What the planner decides: each document in `plans/` is named for the rule that it shows."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

from reconciler.core import digests
from reconciler.core.actions import Action, Collect, GiveUp, Launch, Publish, Record, Stop
from reconciler.core.breaker import Breaker, Switch
from reconciler.core.desired import Adapter, Desired, Document, Host, Settings, Task, with_settings
from reconciler.core.events import Assigned, Event, Finished, Regenerated, Released
from reconciler.core.observed import ForgeSeen, Observed, ObservedHost, ObservedTask, Sighting
from reconciler.core.plan import plan
from reconciler.core.standing import Halt
from reconciler.repo import storage
from reconciler.repo.yaml import documents

T = TypeVar("T")
CASES = sorted((Path(__file__).parent / "plans").glob("*.yaml"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_the_plan_of(case: Path) -> None:
    data = cast("dict[str, Any]", documents.parse(case.read_bytes(), case.name).data)
    now = datetime.fromisoformat(data["now"])
    desired = desired_of(data["desired"])
    planned = plan(desired, observed_of(data["observed"], desired), now)
    assert [said(action) for action in planned.actions] == data["plan"]["actions"]
    wake_at = data["plan"].get("wake_at")
    assert planned.wake_at == (datetime.fromisoformat(wake_at) if wake_at else None)


def test_a_digest_changes_with_the_adapter_the_host_and_the_secrets() -> None:
    def digest(adapter: str = "a", host: str = "h", value: str = "x") -> str:
        desired = Desired(
            adapters={"sh": Document(value=Adapter(run=("sh",), secrets=("TOKEN",)), spec=adapter)},
            hosts={"one": Document(value=Host(transport="local"), spec=host)},
            secrets={"TOKEN": value},
        )
        return digests.config(Task(title="t", goal="g", adapter="sh"), "one", desired)

    assert len({digest(), digest(adapter="b"), digest(host="i"), digest(value="y")}) == 4
    assert digest() == digest()
    assert digests.config(Task(title="t", goal="g"), "none", Desired())


def desired_of(data: Mapping[str, Any]) -> Desired:
    settings = storage.structure(Settings, data.get("settings", {}))
    tasks = {
        task_id: Document(value=with_settings(task_id, document.value, settings), spec=document.spec)
        for task_id, document in in_force(Task, data.get("tasks", {})).items()
    }
    return Desired(
        settings=settings,
        tasks=tasks,
        hosts=in_force(Host, data.get("hosts", {})),
        adapters=in_force(Adapter, data.get("adapters", {"sh": {"run": ["sh"]}})),
        refused=data.get("refused", {}),
        absent=moments(data.get("absent", {})),
        retired_hosts=frozenset(data.get("retired_hosts", ())),
        since=moments(data.get("since", {})),
        secrets=data.get("secrets", {}),
    )


def observed_of(data: Mapping[str, Any], desired: Desired) -> Observed:
    """What the document says; hosts that it does not name answer."""
    answering = {
        host_id: {"reachable": True, "since": "2026-01-01T00:00:00Z", "spec": document.spec}
        for host_id, document in desired.hosts.items()
    }
    hosts = answering | dict(data.get("hosts", {}))
    return Observed(
        fleet="f",
        tasks={name: storage.structure(ObservedTask, task) for name, task in data.get("tasks", {}).items()},
        hosts={name: storage.structure(ObservedHost, host) for name, host in hosts.items()},
        sightings={name: storage.structure(Sighting, seen) for name, seen in data.get("sightings", {}).items()},
        silent=moments(data.get("silent", {})),
        forge=storage.structure(ForgeSeen, data["forge"]) if "forge" in data else None,
        breakers={(one := storage.structure(Breaker, kept)).name: one for kept in data.get("breakers", ())},
        halts=tuple(storage.structure(Halt, halt) for halt in data.get("halts", ())),
        unpushed=frozenset(data.get("unpushed", ())),
    )


def in_force(cls: type[T], data: Mapping[str, Any]) -> dict[str, Document[T]]:
    """The documents of one folder; `spec` beside the keys of the file is its blob id."""
    found = {}
    for name, keys in data.items():
        value = {key: keys[key] for key in keys if key != "spec"}
        found[name] = Document(value=storage.structure(cls, value), spec=keys.get("spec", "spec"))
    return found


def moments(data: Mapping[str, str]) -> dict[str, datetime]:
    return {name: datetime.fromisoformat(text) for name, text in data.items()}


def said(action: Action) -> str:  # noqa: PLR0911 - one line for each action
    """The action in a few words, the way the documents write it."""
    match action:
        case Record():
            return recorded(action.task_id, action.event)
        case Launch():
            words = f"launch {action.task_id}.{action.run.epoch}"
            return words if action.reuse else f"{words} in a new workspace"
        case GiveUp():
            return because(f"give up {action.task_id}.{action.run.epoch}", action.cancel)
        case Stop():
            return f"stop {action.task_id}.{action.run.epoch}: {action.reason}"
        case Collect():
            what = "collect" if action.wanted else "collect without delivery"
            return because(f"{what} {action.task_id}.{action.run.epoch}", action.cancel)
        case Switch():
            return switched(action)
        case Publish():
            return f"publish {action.publication.key}"


def switched(action: Switch) -> str:
    one = action.breaker
    until = f" until {one.until:%H:%M:%S}" if one is not None and one.is_open else ""
    return f"switch {action.name}: {one.state if one is not None else 'gone'}{until}, {action.why}"


def recorded(task_id: str, event: Event) -> str:
    match event:
        case Assigned():
            kind = f"{event.kind}, resuming {event.resumed}" if event.resumed else str(event.kind)
            return f"assign {task_id}.{event.epoch} to {event.host} ({kind})"
        case Finished():
            words = f"record {task_id}: {event.outcome}, {event.error}, max_reviews {event.max_reviews}"
            return because(words, event.cancel)
        case Released() | Regenerated():
            return f"record {task_id}: {type(event).__name__.lower()}, {event.why}"
        case _:
            return f"record {task_id}: {type(event).__name__.lower()}"


def because(words: str, cancel: str | None) -> str:
    return f"{words} ({cancel})" if cancel else words


def test_ten_thousand_waiting_tasks_are_planned_without_looking_at_every_host_for_each() -> None:
    """A full fleet is the common case: a quadratic planner would ask a million times whether a host is free."""
    tasks = {f"t{number}": Document(value=Task(title="t", goal="g", adapter="sh"), spec="s") for number in range(2000)}
    hosts = {f"h{number}": Document(value=Host(transport="local"), spec="s") for number in range(100)}
    desired = Desired(tasks=tasks, hosts=hosts, adapters={"sh": Document(value=Adapter(run=("sh",)), spec="s")})
    now = datetime.fromisoformat("2026-01-01T12:00:00Z")
    planned = plan(desired, observed_of({}, desired), now)
    assert len(planned.actions) == len(hosts)
    assert planned.wake_at == now + timedelta(seconds=30)
