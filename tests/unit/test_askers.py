"""Agents that ask for work get it by the rules of all hosts, and each one task at a time."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.core import conditions, lifecycle
from reconciler.core.actions import Record
from reconciler.core.bounds import Limits
from reconciler.core.desired import Adapter, Desired, Document, Drain, Host, Settings, Task, with_settings
from reconciler.core.events import Assigned, Finished, Started
from reconciler.core.observed import Asking, Lease, Observed, ObservedTask
from reconciler.core.plan import plan
from reconciler.core.terms import ExecutionMode, Failure, Outcome, Phase, Wish
from tests.unit.lives import assigned, at, live

LEASE = Settings().lease
GRACE = Settings().lost_after.pull
TASK = with_settings("fix", Task(title="t", goal="g", execution_mode=ExecutionMode.HTTP_PULL), Settings())
PULL = Host(transport="pull", slots=9, capabilities=("gpu", "net"))
BOT = Asking(host="bot", claim="a")
HELD = live(replace(assigned(host="bot"), execution_mode=ExecutionMode.HTTP_PULL, claim="a"))


def wishes(hosts: Mapping[str, Host] | None = None, settings: Settings | None = None, **tasks: Task) -> Desired:
    return Desired(
        settings=settings or Settings(),
        tasks={name: Document(value=task, spec="s") for name, task in (tasks or {"fix": TASK}).items()},
        hosts={name: Document(value=host, spec="s") for name, host in (hosts or {"bot": PULL}).items()},
        adapters={"sh": Document(value=Adapter(run=("sh",)), spec="s")},
    )


def given(desired: Desired, *asking: Asking, **tasks: ObservedTask) -> list[tuple[str, str, str | None]]:
    """What a pass gives out: task, host, claim."""
    observed = Observed(fleet="f", tasks=tasks, asking=asking)
    events = [(one.task_id, one.event) for one in plan(desired, observed, at(0)).actions if isinstance(one, Record)]
    return [(task_id, event.host, event.claim) for task_id, event in events if isinstance(event, Assigned)]


def test_nobody_asks_and_nothing_is_given() -> None:
    assert given(wishes()) == []


def test_of_many_that_ask_one_gets_the_task() -> None:
    asking = [Asking(host="bot", claim=str(number)) for number in range(50)]
    assert given(wishes(), *asking) == [("fix", "bot", "0")]


def test_each_that_asks_gets_one_task_the_most_urgent_first() -> None:
    desired = wishes(low=TASK, high=replace(TASK, priority=1))
    assert given(desired, BOT) == [("high", "bot", "a")]
    assert given(desired, BOT, replace(BOT, claim="b")) == [("high", "bot", "a"), ("low", "bot", "b")]
    assert given(desired, BOT, replace(BOT, claim="b"), replace(BOT, claim="c")) == given(
        desired, BOT, replace(BOT, claim="b")
    )


def test_a_request_that_is_repeated_takes_nothing_more() -> None:
    assert given(wishes(one=TASK, two=TASK), BOT, BOT) == [("one", "bot", "a")]


def test_who_has_a_run_under_its_claim_takes_nothing_new_and_another_host_may_use_the_same_words() -> None:
    desired = wishes({"bot": PULL, "other": PULL}, more=TASK)
    assert given(desired, BOT, fix=HELD) == []
    assert given(desired, replace(BOT, host="other"), fix=HELD) == [("more", "other", "a")]
    ended = lifecycle.advance(HELD, Finished(at=at(9), actor="agent:bot", epoch=1, outcome=Outcome.SUCCEEDED))
    assert given(desired, BOT, fix=ended) == []


def test_agents_without_a_claim_are_as_many_as_ask() -> None:
    nameless = Asking(host="bot")
    assert given(wishes(one=TASK, two=TASK), nameless, nameless) == [("one", "bot", None), ("two", "bot", None)]


def test_a_task_goes_to_the_agent_that_can_do_it_and_least_else() -> None:
    able = Asking(host="bot", capabilities=frozenset({"gpu"}), claim="gpu")
    most = Asking(host="bot", claim="most")
    none = Asking(host="bot", capabilities=frozenset(), claim="none")
    needs = replace(TASK, requires=("gpu",))
    assert given(wishes(fix=needs), none) == []
    assert given(wishes(fix=needs), most, none, able) == [("fix", "bot", "gpu")]
    assert given(wishes(fix=needs, other=TASK), most, none, able) == [("fix", "bot", "gpu"), ("other", "bot", "none")]


def test_what_an_agent_claims_to_be_able_to_do_its_host_must_have() -> None:
    boastful = Asking(host="bot", capabilities=frozenset({"quantum"}), claim="a")
    assert given(wishes(fix=replace(TASK, requires=("quantum",))), boastful) == []


@pytest.mark.parametrize(
    "unfit",
    [
        pytest.param(wishes(fix=replace(TASK, host="other")), id="pinned to another host"),
        pytest.param(wishes({"bot": replace(PULL, drain=Drain(reason="r"))}), id="drained"),
        pytest.param(replace(wishes(), retired_hosts=frozenset({"bot"})), id="its host file is gone"),
        pytest.param(wishes({"bot": Host(transport="local")}), id="no pull host"),
        pytest.param(wishes({"other": PULL}), id="no host"),
        pytest.param(wishes(fix=replace(TASK, desired=Wish.HOLD)), id="on hold"),
        pytest.param(wishes(fix=replace(TASK, depends_on=("x",))), id="depends on another"),
        pytest.param(wishes(settings=Settings(limits=Limits(running=0))), id="enough run"),
        pytest.param(replace(wishes(), refused={"fix": "why"}), id="its file is refused"),
        pytest.param(wishes(fix=replace(TASK, execution_mode=ExecutionMode.SSH_CLI, adapter="sh")), id="dispatched"),
    ],
)
def test_nothing_is_given_that_would_not_be_given_to_any_host(unfit: Desired) -> None:
    assert given(unfit, BOT) == []


def test_live_runs_fill_the_slots_and_reviews_the_limit() -> None:
    one = {"bot": replace(PULL, slots=1)}
    other = replace(BOT, claim="b")
    assert given(wishes(one, more=TASK), other, fix=HELD) == []
    reviewed = ObservedTask(phase=Phase.REVIEW_PENDING)
    assert given(wishes(settings=Settings(limits=Limits(review=1))), BOT, other=reviewed) == []
    waits = ObservedTask(not_before=at(1))
    assert given(wishes(), BOT, fix=waits) == []


def test_the_least_loaded_of_the_hosts_that_ask_takes_it() -> None:
    hosts = {"bot": PULL, "free": PULL}
    free = replace(BOT, host="free")
    assert given(wishes(hosts, more=TASK), replace(BOT, claim="b"), free, fix=HELD) == [("more", "free", "a")]


def test_secrets_of_the_reconciler_do_not_keep_a_task_whose_agent_brings_its_own() -> None:
    assert given(wishes(fix=replace(TASK, secrets=("TOKEN",))), BOT) == [("fix", "bot", "a")]


def test_a_lease_that_ran_out_long_ago_loses_the_run_and_nothing_before() -> None:
    def after(span: timedelta, lease: Lease | None) -> list[object]:
        leases = {"fix": lease} if lease is not None else {}
        observed = Observed(fleet="f", tasks={"fix": HELD}, leases=leases)
        planned = plan(wishes(), observed, at(0) + span)
        assert planned.actions or planned.wake_at is not None
        return [one.event for one in planned.actions if isinstance(one, Record)]

    lease = Lease(epoch=1, until=at(0) + LEASE)
    assert after(LEASE + GRACE - timedelta(seconds=1), lease) == []
    assert after(timedelta(days=9), None) == []
    assert after(timedelta(days=9), replace(lease, epoch=2)) == []
    (lost,) = after(LEASE + GRACE, lease)
    assert isinstance(lost, Finished)
    assert (lost.outcome, lost.failure, lost.cancel) == (Outcome.LOST, Failure.HOST_LOST, None)
    ended = lifecycle.advance(HELD, lost)
    assert (ended.phase, ended.attempts) == (Phase.CREATED, 0)


def test_the_planner_wakes_when_a_run_is_lost() -> None:
    lease = Lease(epoch=1, until=at(0))
    observed = Observed(fleet="f", tasks={"fix": HELD}, leases={"fix": lease})
    due = at(0) + GRACE
    assert plan(wishes(), observed, due - timedelta(seconds=5)).wake_at == due


def test_what_was_cancelled_is_cancelled_when_its_agent_is_lost() -> None:
    begun = lifecycle.advance(HELD, Started(at=at(1), actor="agent:bot", epoch=1))
    observed = Observed(fleet="f", tasks={"fix": begun}, leases={"fix": Lease(epoch=1, until=at(0))})
    planned = plan(wishes(fix=replace(TASK, desired=Wish.CANCEL)), observed, at(0) + GRACE)
    (action,) = planned.actions
    assert isinstance(action, Record)
    assert lifecycle.advance(begun, action.event).phase is Phase.CANCELLED


def test_the_board_says_which_agent_a_task_waits_for() -> None:
    def note(desired: Desired, seen: ObservedTask | None = None, lease: Lease | None = None) -> str | None:
        tasks = {"fix": seen} if seen is not None else {}
        observed = Observed(fleet="f", tasks=tasks, leases={"fix": lease} if lease is not None else {})
        found = conditions.awaited("fix", desired, observed, at(0))
        return found.why if found is not None else None

    known = {name: replace(PULL, token_sha256=("0" * 64,)) for name in ("bot", "free")}
    assert note(wishes(known)) == "it waits for an agent of bot or free to ask for it"
    assert note(wishes()) == "no agent of bot has a token yet: make one with `reconciler token bot`"
    assert note(wishes({"bot": Host(transport="local")})) is None
    assert note(wishes(known, fix=replace(TASK, execution_mode=ExecutionMode.SSH_CLI))) is None
    assert note(wishes(known, fix=replace(TASK, desired=Wish.HOLD))) is None
    assert note(Desired()) is None
    assert note(wishes(known), ObservedTask(phase=Phase.REVIEW_PENDING)) is None
    assert note(wishes(known), HELD) is None
    assert note(wishes(known), HELD, Lease(epoch=1, until=at(1))) is None
    unheard = "its agent on bot is unreachable since its lease ran out: the run is lost after that"
    assert note(wishes(known), HELD, Lease(epoch=1, until=at(0))) == unheard
    assert note(wishes(known), live(assigned()), Lease(epoch=1, until=at(0))) is None
    reasons = conditions.waiting(
        "fix",
        wishes(known),
        Observed(fleet="f", tasks={"fix": HELD}, leases={"fix": Lease(epoch=1, until=at(0))}),
        at(0),
    )
    assert (reasons[-1].why, reasons[-1].who, reasons[-1].until) == (unheard, "agent", at(0) + GRACE)
