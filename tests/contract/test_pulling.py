"""Agents that ask for work, over a real fleet: who gets what, for how long, and what becomes of it without them."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from reconciler.agents import leasing
from reconciler.core import conditions
from reconciler.core.events import Finished, Started
from reconciler.core.lifecycle import Superseded
from reconciler.core.observed import Lease
from reconciler.core.terms import Failure, Outcome, Phase
from reconciler.loop import Options
from reconciler.repo import git
from reconciler.repo.fleet import Fleet
from tests.pulling import HOST, LONG_S, TASK, Clock, Working, working, write
from tests.recording import new_fleet
from tests.recording import own_git_config as own_git_config  # noqa: PLC0414 - a fixture for every test here
from tests.waiting import until

LEASE = timedelta(seconds=180)
GRACE = timedelta(minutes=15)
SECOND = timedelta(seconds=1)


@pytest.fixture(name="fleet")
def _fleet(tmp_path: Path) -> Fleet:
    fleet = new_fleet(tmp_path / "fleet")
    write(fleet, host="bot", text=HOST)
    write(fleet, task="fix", text=TASK)
    return fleet


@pytest.fixture(name="clock")
def _clock() -> Clock:
    return Clock()


@pytest.fixture(name="work")
def _work(fleet: Fleet, clock: Clock) -> Iterator[Working]:
    with working(fleet, clock) as work:
        yield work


def finished(epoch: int, outcome: Outcome = Outcome.SUCCEEDED, failure: Failure | None = None) -> Finished:
    return Finished(at=Clock().now(), actor="agent:bot", epoch=epoch, outcome=outcome, failure=failure)


def started(epoch: int) -> Started:
    return Started(at=Clock().now(), actor="agent:bot", epoch=epoch)


def lease_of(work: Working) -> Lease:
    found = work.edges.journal.lease("fix")
    assert found is not None
    return found


def test_of_fifty_agents_that_ask_for_one_task_one_gets_it(fleet: Fleet, work: Working) -> None:
    write(fleet, host="bot", text=HOST + "slots: 50\n")
    answers = [work.asks() for _ in range(50)]
    got = [answer.result(LONG_S) for answer in answers]
    assert [one.task_id for one in got if one is not None] == ["fix"]
    log = git.run(fleet.top, "log", "--format=%s", "refs/heads/observed").text
    assert log.count("created -> assigned") == 1
    assert work.seen("fix").epoch == 1


def test_no_agent_has_more_tasks_than_its_host_has_slots(fleet: Fleet, work: Working) -> None:
    write(fleet, host="bot", text=HOST + "slots: 2\n")
    for name in ("b", "c", "d"):
        write(fleet, task=name, text=TASK + f"branch: {name}\n")
    got = [answer.result(LONG_S) for answer in [work.asks() for _ in range(4)]]
    assert sum(one is not None for one in got) == 2
    assert work.gets() is None
    done = next(one for one in got if one is not None)
    work.says(done.task_id, finished(done.run.epoch))
    assert work.gets() is not None


def test_an_agent_that_waits_gets_what_is_written_meanwhile(fleet: Fleet, work: Working) -> None:
    assert work.gets() is not None
    write(fleet, host="bot", text=HOST + "slots: 2\n")
    answer = work.asks(wait_s=LONG_S)
    until(lambda: work.edges.view.latest().observed.asking)
    write(fleet, task="later", text=TASK)
    got = answer.result(LONG_S)
    assert got is not None
    assert got.task_id == "later"


def test_a_host_that_is_drained_or_unfit_gets_nothing(fleet: Fleet, work: Working) -> None:
    write(fleet, host="other", text=HOST)
    write(fleet, host="bot", text=HOST + "drain: {reason: it moves}\n")
    write(fleet, task="fix", text=TASK + "requires: [gpu]\n")
    assert work.gets("nobody") is None
    assert work.edges.view.latest().desired.hosts["bot"].value.drain
    assert work.gets() is None
    assert work.gets("other") is None
    write(fleet, host="other", text=HOST + "capabilities: [gpu]\n")
    assert work.gets("other", wait_s=LONG_S) is not None


def test_the_lease_stands_before_the_agent_hears_of_its_task(work: Working, clock: Clock) -> None:
    before = clock.now()
    assert work.gets() is not None
    assert before + LEASE <= lease_of(work).until <= clock.now() + LEASE
    assert lease_of(work).epoch == 1


def test_the_same_key_gives_the_same_run_also_after_a_restart_and_after_its_end(fleet: Fleet, clock: Clock) -> None:
    with working(fleet, clock) as work:
        first = work.gets(key="k")
        assert first is not None
        assert first == work.gets(key="k")
    with working(fleet, clock) as work:
        again = work.gets(key="k")
        assert again is not None
        assert again.run.run_id == first.run.run_id
        work.says("fix", finished(1))
        ended = work.gets(key="k")
        assert ended is not None
        assert ended.run.outcome is Outcome.SUCCEEDED
        assert work.gets(key="another") is None


def test_a_lease_that_is_renewed_keeps_the_task_for_ever(work: Working, clock: Clock) -> None:
    assert work.gets() is not None
    for _ in range(5):
        clock.ahead += LEASE
        lease = leasing.renew(work.edges, "fix", 1)
        assert lease.until > clock.now()
    assert work.gets() is None
    assert work.seen("fix").live_run is not None


def test_an_agent_that_is_gone_for_long_loses_its_task_and_comes_too_late(work: Working, clock: Clock) -> None:
    assert work.gets() is not None
    work.says("fix", started(1))
    forward(work, clock, LEASE + GRACE + SECOND)
    lost = until(lambda: work.seen("fix").runs[0].outcome)
    assert lost is Outcome.LOST
    assert work.seen("fix").runs[0].failure is Failure.HOST_LOST
    assert work.seen("fix").attempts == 0
    clock.ahead += timedelta(minutes=5)
    second = work.gets(wait_s=LONG_S)
    assert second is not None
    assert second.run.epoch == 2
    assert leasing.renew(work.edges, "fix", 1).epoch == 2
    with pytest.raises(Superseded):
        work.says("fix", finished(1))
    assert work.seen("fix").phase is Phase.ASSIGNED


def test_an_agent_that_comes_back_in_time_goes_on(work: Working, clock: Clock) -> None:
    assert work.gets() is not None
    forward(work, clock, LEASE + GRACE - timedelta(minutes=1))
    picture = work.edges.view.latest()
    whys = [one.why for one in conditions.waiting("fix", picture.desired, picture.observed, clock.now())]
    assert any("bot is unreachable since its lease ran out" in why for why in whys)
    assert leasing.renew(work.edges, "fix", 1).until > clock.now()
    clock.ahead += GRACE
    assert work.gets() is None
    assert work.says("fix", finished(1)).phase is Phase.COMPLETED


def test_a_task_that_was_cancelled_meanwhile_is_cancelled_when_its_agent_is_lost(
    fleet: Fleet, work: Working, clock: Clock
) -> None:
    assert work.gets() is not None
    write(fleet, task="fix", text=TASK + "desired: cancel\n")
    assert work.gets() is None
    assert work.edges.view.latest().desired.tasks["fix"].value.desired == "cancel"
    assert work.seen("fix").phase is Phase.ASSIGNED
    forward(work, clock, LEASE + GRACE + SECOND)
    assert until(lambda: work.seen("fix").phase is Phase.CANCELLED)


def test_a_reconciler_that_was_down_takes_nothing_away_at_once(fleet: Fleet, clock: Clock) -> None:
    with working(fleet, clock) as work:
        assert work.gets() is not None
    clock.ahead += timedelta(days=1)
    with working(fleet, clock) as work:
        until(lambda: lease_of(work).until > clock.now())
        assert work.gets() is None
        assert work.seen("fix").live_run is not None


def test_a_machine_that_slept_takes_nothing_away_at_once(work: Working, clock: Clock) -> None:
    assert work.gets() is not None
    clock.ahead += timedelta(days=1)
    work.edges.changed()
    until(lambda: lease_of(work).until > clock.now())
    assert work.seen("fix").live_run is not None


def test_a_lost_journal_gives_every_agent_a_fresh_lease(fleet: Fleet, clock: Clock) -> None:
    with working(fleet, clock) as work:
        assert work.gets() is not None
    for path in fleet.local.glob("journal*"):
        path.unlink()
    with working(fleet, clock) as work:
        until(lambda: work.edges.journal.lease("fix"))
        assert lease_of(work).until > clock.now()
        assert lease_of(work).epoch == 1
        assert work.says("fix", finished(1)).phase is Phase.COMPLETED


def test_old_leases_are_forgotten_and_late_ones_never_take_the_place_of_newer_ones(work: Working, clock: Clock) -> None:
    assert work.gets() is not None
    journal, now = work.edges.journal, clock.now()
    newer = Lease(epoch=3, until=now)
    assert journal.keep_leases({"x": newer}) == {"x": newer}
    assert journal.keep_leases({"x": Lease(epoch=2, until=now + LEASE)}) == {"x": newer}
    assert journal.keep_leases({"x": Lease(epoch=3, until=now - LEASE)}) == {"x": newer}
    clock.ahead += timedelta(days=1) + SECOND
    work.edges.changed()
    until(lambda: journal.lease("x") is None)
    assert journal.lease("fix") is not None


def test_with_only_tasks_for_agents_an_idle_loop_ends_and_says_what_it_waits_for(fleet: Fleet, clock: Clock) -> None:
    with working(fleet, clock, Options(until_idle=True)) as work:
        ended = work.ended.result(LONG_S)
    assert dict(ended.waiting) == {"fix": "it waits for an agent of bot to ask for it"}
    assert ended.unsettled == ()


def test_a_reconciler_that_agents_cannot_reach_takes_nothing_away_and_does_not_wait_for_them(
    fleet: Fleet, clock: Clock
) -> None:
    with working(fleet, clock) as work:
        assert work.gets() is not None
    clock.ahead += timedelta(days=1)
    with working(fleet, clock, Options(until_idle=True), reachable=False) as work:
        ended = work.ended.result(LONG_S)
        assert work.seen("fix").live_run is not None
    said = "its agent on bot has it, and nothing listens here: say --listen ADDR"
    assert dict(ended.waiting) == {"fix": said}


def forward(work: Working, clock: Clock, span: timedelta) -> None:
    """Let time pass while the loop goes on turning."""
    step = leasing.ABSENT - 10 * SECOND
    while span > timedelta(0):
        before = work.edges.view.latest().observed.silent
        clock.ahead += min(step, span)
        span -= step
        work.edges.changed()
        until(partial(_turned_since, work, before))


def _turned_since(work: Working, before: Mapping[str, datetime]) -> bool:
    return work.edges.view.latest().observed.silent is not before
