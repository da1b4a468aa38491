"""Which host takes a task, and why another does not."""

from dataclasses import replace

import pytest

from reconciler.core import placement
from reconciler.core.desired import Adapter, Desired, Document, Drain, Host, Task, Version
from reconciler.core.observed import Observed, ObservedHost, ObservedTask
from reconciler.core.terms import ExecutionMode
from tests.unit import lives

TASK = Task(title="t", goal="g", adapter="sh")


def fleet(**hosts: Host) -> Desired:
    return Desired(hosts={host_id: Document(value=host, spec="s") for host_id, host in hosts.items()})


def why(task: Task, host: Host, seen: ObservedHost | None = None, *, retired: bool = False) -> str | None:
    desired = Desired(
        hosts={"one": Document(value=host, spec="s")}, retired_hosts=frozenset({"one"} if retired else ())
    )
    known = seen or ObservedHost(reachable=True, since=lives.NOON, spec="s")
    unfit = placement.unfit(task, "one", desired, Observed(fleet="f", hosts={"one": known}), lives.NOON)
    return unfit.why if unfit is not None else None


def answered(*, reachable: bool, misconfigured: bool = False, reason: str | None = None) -> ObservedHost:
    return ObservedHost(reachable=reachable, since=lives.NOON, misconfigured=misconfigured, reason=reason, spec="s")


def test_a_host_that_answers_and_has_everything_fits() -> None:
    assert why(TASK, Host(transport="local")) is None


def test_a_pull_host_needs_no_answer() -> None:
    pull = Task(title="t", goal="g", execution_mode=ExecutionMode.HTTP_PULL)
    assert why(pull, Host(transport="pull", adapters=("codex",)), answered(reachable=False)) is None
    named = replace(pull, adapter="sh")
    assert why(named, Host(transport="pull", adapters=("codex",))) == "one does not allow the adapter sh"
    assert why(pull, Host(transport="local")) == "one has transport local, the task's execution_mode is http_pull"


@pytest.mark.parametrize(
    ("task", "host", "expected"),
    [
        (Task(title="t", goal="g", host="two"), Host(transport="local"), "the task is pinned to two"),
        (
            Task(title="t", goal="g", requires=("gpu", "linux", "ram")),
            Host(transport="local", capabilities=("linux",)),
            "one lacks gpu, ram",
        ),
        (TASK, Host(transport="local", adapters=("codex",)), "one does not allow the adapter sh"),
        (TASK, Host(transport="local", drain=Drain(reason="kernel")), "one is drained: kernel"),
    ],
)
def test_an_unfit_host_says_why(task: Task, host: Host, expected: str) -> None:
    assert why(task, host) == expected


def test_a_host_out_of_reach_says_why() -> None:
    host = Host(transport="ssh", address="a")
    assert why(TASK, host, retired=True) == "hosts/one.yaml is gone or broken: it takes nothing new"
    assert why(TASK, host, answered(reachable=False)) == "one does not answer: no answer"
    misconfigured = answered(reachable=False, misconfigured=True, reason="no git")
    assert why(TASK, host, misconfigured) == "one is misconfigured: no git"
    assert why(TASK, host, ObservedHost(reachable=True, since=lives.NOON, spec="old")) == "one was not asked yet"
    unfit = placement.unfit(TASK, "one", fleet(one=host), Observed(fleet="f", silent={"one": lives.NOON}), lives.NOON)
    assert unfit == placement.Unfit(why="one does not answer", who="operator", passing=True)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ("1.9.3", "one has sh 1.9.3, and the adapter needs 1.10 or newer"),
        ("1.10.0", None),
        (None, None),
    ],
)
def test_a_host_whose_cli_is_older_than_the_minimum_does_not_fit(found: str | None, expected: str | None) -> None:
    adapter = Adapter(run=("sh",), version=Version(run=("sh",), pattern="(x)", minimum="1.10"))
    desired = replace(fleet(one=Host(transport="local")), adapters={"sh": Document(value=adapter, spec="a")})
    seen = replace(answered(reachable=True), versions={} if found is None else {"sh": found})
    unfit = placement.unfit(TASK, "one", desired, Observed(fleet="f", hosts={"one": seen}), lives.NOON)
    assert (unfit.why if unfit else None) == expected


def test_a_full_host_says_how_full() -> None:
    desired = fleet(one=Host(transport="local", slots=2))
    full = placement.full("one", desired, {"one": 2})
    assert full is not None
    assert full.why == "one is full: 2 of 2 slots in use"
    assert placement.full("one", desired, {"one": 1}) is None


def test_every_live_run_counts_whatever_the_phase_of_its_task() -> None:
    tasks = {
        "a": lives.ASSIGNED,
        "b": lives.live(lives.merged(), task=lives.RUNNING),
        "c": lives.live(lives.opened(), task=lives.RUNNING),
        "d": lives.COMPLETED,
        "e": ObservedTask(),
    }
    assert placement.load(Observed(fleet="f", tasks=tasks)) == {"h": 3}
