"""What open breakers keep waiting, and whose account a task uses."""

from dataclasses import replace
from datetime import timedelta

from reconciler.core import conditions, digests
from reconciler.core.breaker import Breaker
from reconciler.core.desired import Adapter, Desired, Document, Host, Task
from reconciler.core.observed import Observed, ObservedHost, ObservedTask
from reconciler.core.terms import ExecutionMode, Scope
from tests.unit import lives

CHORE = Task(title="t", goal="g", adapter="sh")
DESIRED = Desired(
    tasks={"fix": Document(value=CHORE, spec="s"), "task": Document(value=CHORE, spec="s")},
    hosts={"h": Document(value=Host(transport="local", slots=9), spec="s")},
    adapters={"sh": Document(value=Adapter(run=("sh",), env={"HOME": "a"}, secrets=("TOKEN",)), spec="s")},
    secrets={"TOKEN": "digest"},
)
BREAKER = Breaker(
    scope=Scope.FLEET,
    state="open",
    reason="many died",
    needs="mend it",
    opened_at=lives.at(0),
    since=lives.at(0),
    until=lives.at(600),
)


def why(breaker: Breaker, when: float, running: ObservedTask | None = None) -> list[tuple[str, str]]:
    """What keeps the task `fix`, while another one of that name runs or does not."""
    seen = Observed(
        fleet="f",
        tasks={"task": running} if running is not None else {},
        hosts={"h": ObservedHost(reachable=True, since=lives.NOON, spec="s")},
        breakers={breaker.name: breaker},
    )
    return [(one.why, one.who) for one in conditions.waiting("fix", DESIRED, seen, lives.at(when))]


def test_an_open_breaker_keeps_a_task_until_its_time_and_then_while_one_run_tries() -> None:
    trying = lives.live(lives.assigned(when=700), lives.started(when=701))
    of_host = replace(BREAKER, scope=Scope.HOST, id="h")
    for breaker in (BREAKER, of_host):
        assert why(breaker, 599) == [(f"the breaker {breaker.name} is open: many died; mend it", "operator")]
        assert why(breaker, 600) == []
        waits = f"the breaker {breaker.name} waits for the run that it let through: many died"
        assert why(breaker, 702, trying) == [(waits, "nobody")]
        before = lives.live(lives.assigned(when=-5), lives.started(when=-4))
        assert why(breaker, 702, before) == []
        assert why(replace(breaker, state="closed"), 599) == []


def test_a_breaker_of_another_host_adapter_or_account_keeps_nothing() -> None:
    account = digests.account(CHORE, DESIRED)
    usage = replace(BREAKER, scope=Scope.USAGE, id="sh", account=account)
    assert why(usage, 1) != []
    assert why(replace(usage, account="0" * 12), 1) == []
    assert why(replace(usage, id="codex"), 1) == []
    assert why(replace(BREAKER, scope=Scope.ADAPTER, id="sh"), 1) != []
    assert why(replace(BREAKER, scope=Scope.ADAPTER, id="codex"), 1) == []
    assert why(replace(BREAKER, scope=Scope.HOST, id="other"), 1) == []


def test_an_account_is_told_by_the_variables_and_secrets_that_the_agent_gets() -> None:
    def account(task: Task = CHORE, kept: str = "digest") -> str | None:
        return digests.account(task, replace(DESIRED, secrets={"TOKEN": kept}))

    assert account() == account(replace(CHORE, title="another", goal="another", env={"HOME": "a"}))
    others = {
        account(kept="renewed"),
        account(replace(CHORE, env={"HOME": "b"})),
        account(replace(CHORE, env={"WHO": "me"})),
        account(replace(CHORE, secrets=("MINE",))),
    }
    assert len(others | {account()}) == 5
    assert account(replace(CHORE, execution_mode=ExecutionMode.HTTP_PULL)) is None
    assert account(replace(CHORE, adapter="codex")) is None


def test_a_breaker_holds_tries_and_is_closed() -> None:
    until = BREAKER.until
    assert (BREAKER.holds(until - timedelta(seconds=1)), BREAKER.holds(until)) == (True, False)
    assert (BREAKER.tries(until - timedelta(seconds=1)), BREAKER.tries(until)) == (False, True)
    assert not replace(BREAKER, trial=False).tries(until)
    closed = replace(BREAKER, state="closed")
    assert (closed.is_open, closed.holds(lives.NOON), closed.tries(until)) == (False, False, False)
    named = replace(BREAKER, scope=Scope.USAGE, id="codex", account="0123456789ab")
    assert [BREAKER.name, named.name] == ["fleet", "usage/codex.0123456789ab"]
