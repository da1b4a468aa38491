"""External agents that fall silent, come back, are cancelled or outlive a reconciler: no work is lost or done twice."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.contract.web import Answer, request
from tests.e2e import program
from tests.e2e.pullers import Agent, Pull, pulling
from tests.waiting import until

SHORT = {"lease": "2s", "lost_after": {"pull": "2s"}}
AT_ONCE = 50


@pytest.fixture(name="pull")
def _pull(tmp_path: Path) -> Iterator[Pull]:
    with pulling(tmp_path) as pull:
        yield pull


@pytest.fixture(name="brief")
def _brief(tmp_path: Path) -> Iterator[Pull]:
    """Agents are missed after two seconds, and lost after four."""
    with pulling(tmp_path, **SHORT) as pull:
        yield pull


def refused(answer: Answer, status: int) -> str:
    """The detail of a refusal."""
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json"), answer
    return str(answer.json["detail"])


def superseded(answer: Answer) -> None:
    assert refused(answer, 409)
    assert answer.json["code"] == "superseded"


def lease(answer: Answer) -> datetime:
    assert answer.status == 200, answer
    return datetime.fromisoformat(answer.json["lease_expires_at"])


def keep(agent: Agent, task_id: str, epoch: int, stop: threading.Event) -> list[int]:
    """Heartbeats until told to stop; their statuses."""
    said = []
    while not stop.wait(0.5):
        said.append(agent.heartbeat(task_id, epoch).status)
    return said


def test_a_task_goes_from_asking_to_completed_and_its_history_says_who_did_it(pull: Pull) -> None:
    bot = pull.agent("bot")
    pull.task("fix", goal="Mend it.", constraints=["Be quick."], validation=["It works."])
    pull.start()
    given = bot.gets()
    assert (given["task"], given["epoch"], given["branch"]) == ("fix", 1, "task/fix")
    assert (given["goal"], given["constraints"], given["validation"]) == ("Mend it.", ["Be quick."], ["It works."])
    assert given["run_id"].endswith(".fix.1")
    assert "Mend it." in given["prompt"]
    assert pull.fleet.observed("fix")["assigned_host"] == "bot"
    assert bot.status("fix", 1, "running").status == 200
    assert pull.fleet.phase("fix") == "running"
    usage = {"input_tokens": 70, "output_tokens": 7, "cost_usd": 0.5}
    assert bot.status("fix", 1, "completed", summary="Mended.", usage=usage).status == 200
    run = pull.fleet.last_run("fix")
    assert (pull.fleet.phase("fix"), run["outcome"], run["host"]) == ("completed", "succeeded", "bot")
    assert {key: run[key] for key in usage} == usage
    assert run["summary"] == "Mended."
    assert len(pull.fleet.log("fix")) <= 8


def test_of_many_that_ask_at_once_for_one_task_one_gets_it(pull: Pull) -> None:
    bot = pull.agent("bot", slots=AT_ONCE)
    pull.start()
    pull.task("fix")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda _: bot.dequeue().status, range(AT_ONCE)))
        while 200 not in answers:
            answers = list(pool.map(lambda _: bot.dequeue().status, range(AT_ONCE)))
    assert sorted(answers) == [200] + [204] * (AT_ONCE - 1)
    assert pull.fleet.observed("fix")["epoch"] == 1


def test_silence_costs_the_task_only_when_it_was_long_and_what_comes_later_changes_nothing(brief: Pull) -> None:
    one, two = brief.agent("one"), brief.agent("two")
    brief.task("fix")
    brief.start()
    given = one.gets()
    assigned = time.monotonic()
    until(lambda: "unreachable" in program.run("why", "fix", cwd=brief.fleet.root).out, seconds=4)
    assert brief.outcomes("fix") == [("one", None)]
    until(lambda: brief.outcomes("fix")[0] == ("one", "lost"))
    assert time.monotonic() - assigned > 3.5
    assert two.gets(wait=25)["epoch"] == 2
    assert brief.fleet.observed("fix").get("attempts", 0) == 0

    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        beats = pool.submit(keep, two, "fix", 2, stop)
        try:
            before = brief.tip()
            for phase in ("completed", "running", "failed"):
                superseded(one.status("fix", given["epoch"], phase, reason="late"))
            superseded(one.heartbeat("fix", 1))
            superseded(one.status("fix", 3, "completed"))
            refused(one.status("fix", 2, "completed"), 403)
            refused(one.heartbeat("fix", 2), 403)
            assert brief.tip() == before
        finally:
            stop.set()
        assert set(beats.result()) <= {200}
    brief.restart()
    before = brief.tip()
    superseded(one.status("fix", 1, "completed"))
    assert brief.tip() == before
    assert two.status("fix", 2, "completed").status == 200
    assert brief.outcomes("fix") == [("one", "lost"), ("two", "succeeded")]


def test_a_stale_epoch_of_the_same_agent_is_superseded(brief: Pull) -> None:
    bot = brief.agent("bot")
    brief.task("fix")
    brief.start()
    assert bot.gets(idempotency_key="first")["epoch"] == 1
    until(lambda: brief.outcomes("fix")[0] == ("bot", "lost"))
    assert bot.gets(wait=25, idempotency_key="second")["epoch"] == 2
    before = brief.tip()
    for phase in ("running", "completed", "failed", "blocked"):
        superseded(bot.status("fix", 1, phase, reason="late"))
    superseded(bot.heartbeat("fix", 1))
    assert brief.tip() == before
    brief.restart()
    superseded(bot.status("fix", 1, "completed"))
    assert brief.tip() == before
    assert bot.status("fix", 2, "completed").status == 200


def test_an_owner_that_comes_back_in_time_goes_on(tmp_path: Path) -> None:
    with pulling(tmp_path, lease="1s", lost_after={"pull": "1m"}) as pull:
        bot, other = pull.agent("bot"), pull.agent("other")
        pull.task("fix")
        pull.start()
        expires = datetime.fromisoformat(bot.gets()["lease_expires_at"])
        until(lambda: datetime.now(UTC) > expires + timedelta(seconds=1))
        assert other.dequeue().status == 204
        renewed = bot.heartbeat("fix", 1)
        assert lease(renewed) > expires
        assert renewed.json["cancel"] is False
        assert bot.status("fix", 1, "completed").status == 200
        assert pull.outcomes("fix") == [("bot", "succeeded")]


def test_a_lost_journal_takes_nobodys_work_away(brief: Pull) -> None:
    one, two = brief.agent("one"), brief.agent("two")
    brief.task("fix")
    brief.task("mend")
    brief.start()
    tasks = {agent.name: agent.gets()["task"] for agent in (one, two)}
    brief.stop()
    brief.forget()
    stopped = datetime.now(UTC)
    until(lambda: datetime.now(UTC) > stopped + timedelta(seconds=5))
    brief.start()
    for agent in (one, two):
        assert lease(agent.heartbeat(tasks[agent.name], 1)) > datetime.now(UTC)
        assert agent.status(tasks[agent.name], 1, "completed").status == 200
        assert brief.outcomes(tasks[agent.name]) == [(agent.name, "succeeded")]


def test_time_in_which_nobody_could_renew_does_not_count(brief: Pull) -> None:
    bot = brief.agent("bot")
    brief.task("fix")
    brief.start()
    bot.gets()
    brief.kill()
    killed = datetime.now(UTC)
    until(lambda: datetime.now(UTC) > killed + timedelta(seconds=5))
    brief.start()
    assert lease(bot.heartbeat("fix", 1)) > datetime.now(UTC)
    assert bot.status("fix", 1, "completed").status == 200
    assert brief.outcomes("fix") == [("bot", "succeeded")]


@pytest.mark.parametrize("end", ["failed", "completed"])
def test_a_cancel_reaches_the_agent_by_its_heartbeat_and_then_the_task_is_gone(pull: Pull, end: str) -> None:
    bot = pull.agent("bot")
    pull.task("fix")
    pull.start()
    bot.gets()
    assert bot.status("fix", 1, "running").status == 200
    assert bot.heartbeat("fix", 1).json["cancel"] is False
    pull.task("fix", desired="cancel")
    until(lambda: bot.heartbeat("fix", 1).json["cancel"])
    assert pull.fleet.phase("fix") == "running"
    assert bot.status("fix", 1, end, reason="told to stop").status == 200
    assert pull.fleet.phase("fix") == "cancelled"
    assert refused(bot.heartbeat("fix", 1), 410)
    assert refused(bot.status("fix", 1, "running"), 410)
    assert bot.dequeue().status == 204


def test_a_reconciler_killed_between_commit_and_answer_gives_the_same_run_again(pull: Pull) -> None:
    """Somebody holds the journal, so that it stands still after the commit, before there is a lease to answer with."""
    bot = pull.agent("bot", slots=3)
    pull.task("fix")
    pull.start()
    until(lambda: request(pull.port, "GET", "/readyz").status == 200)
    with closing(sqlite3.connect(pull.fleet.root / ".reconciler" / "journal.sqlite3", isolation_level=None)) as journal:
        journal.execute("BEGIN IMMEDIATE")
        connection = bot.ask("POST", "dequeue", {"wait": 30, "idempotency_key": "mine"})
        until(lambda: pull.fleet.phase("fix") == "assigned")
        pull.kill()
        with pytest.raises(ConnectionError):
            connection.getresponse()
        connection.close()
    pull.task("another")
    pull.start()
    given = bot.gets(idempotency_key="mine")
    assert (given["task"], given["epoch"]) == ("fix", 1)
    again = bot.gets(idempotency_key="mine")
    assert {**again, "lease_expires_at": given["lease_expires_at"]} == given
    assert bot.gets(idempotency_key="other")["task"] == "another"
    assert bot.status("fix", 1, "completed").status == 200
    assert pull.outcomes("fix") == [("bot", "succeeded")]


def test_an_end_whose_answer_was_lost_is_answered_alike_after_a_kill(pull: Pull) -> None:
    bot = pull.agent("bot")
    pull.task("fix")
    pull.start()
    bot.gets()
    body = {"epoch": 1, "phase": "completed", "summary": "Done."}
    with closing(bot.ask("POST", "tasks/fix/status", body)):
        until(lambda: pull.fleet.phase("fix") == "completed")
        pull.kill()
    pull.start()
    before = pull.tip()
    first, again = bot.call("POST", "tasks/fix/status", body), bot.call("POST", "tasks/fix/status", body)
    assert (first.status, first.json) == (200, again.json)
    assert pull.tip() == before
    assert refused(bot.status("fix", 1, "failed", reason="no"), 409)
    assert pull.tip() == before
