"""A fleet that lives on a remote: what is pushed runs, what happened arrives there, and one of several leads."""

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.contract.web import Answer, request, signed
from tests.e2e import program
from tests.e2e.clones import Clones, reconciling, start
from tests.e2e.fleets import Fleet, git
from tests.e2e.pullers import Agent, Pull
from tests.forge.server import FakeForge
from tests.remotes import WAITING, Bare
from tests.waiting import until

LOCAL = {"LISTEN": "127.0.0.1:0"}
USUAL = {"PACE": "1"}
SLOW = {"PACE": "0.1"}
"""Nothing is looked at, and no term runs out, while a test lasts."""


@pytest.fixture
def clones(tmp_path: Path) -> Iterator[Clones]:
    made = Clones.make(tmp_path)
    yield made
    made.end()


def waits(clones: Clones, name: str) -> str:
    """A goal that notes its run and waits for `go`."""
    return f"{clones.people.ran}until [ -e {clones.folder}/go.{name} ]; do sleep 0.05; done"


def go(clones: Clones, name: str) -> None:
    (clones.folder / f"go.{name}").touch()


def board(fleet: Fleet) -> dict[str, Any]:
    done = program.run("status", "--json", cwd=fleet.root)
    found: dict[str, Any] = done.json
    return found


def problems(fleet: Fleet) -> list[str]:
    return [str(problem["message"]) for problem in board(fleet)["problems"]]


def why(fleet: Fleet, task_id: str) -> str:
    return program.run("why", task_id, cwd=fleet.root).out


def test_what_is_pushed_runs_and_what_happened_arrives_with_its_term(clones: Clones) -> None:
    one = clones.clone("one")
    with reconciling(one, **LOCAL) as leader:
        leader.until_said("leading in term 1, on origin")
        clones.people.task("a", waits(clones, "a"))
        clones.push()
        clones.until_phase("a", "running")
        assert (one.root / "state/tasks/a.yaml").exists()
        edited = one.write("state/tasks/a.yaml", {"title": "Mine", "goal": "false", "adapter": "shell"})
        one.write("state/tasks/mine.yaml", {"title": "Mine", "goal": "true", "adapter": "shell"})
        leader.until_said("problem state/tasks/a.yaml: edited in this clone: only what is committed and pushed")
        leader.until_said("problem state/tasks/mine.yaml: edited in this clone")
        clones.people.task("b", clones.people.ran, title="Theirs")
        clones.push()
        clones.until_phase("b", "completed")
        assert json.loads(edited.read_text())["title"] == "Mine"
        go(clones, "a")
        clones.until_phase("a", "completed")
        shown = board(one)
        assert {task["id"]: task["phase"] for task in shown["tasks"]} == {"a": "completed", "b": "completed"}
        assert (shown["remote"]["role"], shown["remote"]["term"], shown["remote"]["behind"]) == ("leader", 1, 0)
        assert "leads in term 1; this reconciler leads; heard " in program.run("status", cwd=one.root).out
        role = leader.ask("/leader")
        assert (role.status, role.json["role"], role.json["term"]) == (200, "leader", 1)
        ready = leader.ask("/readyz").json
        assert ready["checks"]["remote"]["status"] == "leading", ready
        metrics = leader.ask("/metrics").body.decode()
        assert {"reconciler_leader 1.0", "reconciler_term 1.0", "reconciler_main_refused 0.0"} <= set(
            metrics.splitlines()
        )
        assert float(re.findall(r"^reconciler_push_lag_seconds (\S+)$", metrics, re.MULTILINE)[0]) < 60
        edited.unlink()
        git(one.root, "checkout", "-q", "--", "state/tasks/a.yaml")
        (one.root / "state/tasks/mine.yaml").unlink()
        leader.until_said("mended state/tasks/mine.yaml")
        until(lambda: git(one.root, "rev-parse", "main") == git(clones.bare.path, "rev-parse", "main"))
    assert set(clones.terms()) == {"1"}
    assert sorted(clones.people.runs()) == ["a.1", "b.1"]
    clones.linear()
    assert board(one)["remote"]["leader"] is None


def test_a_restart_of_the_same_clone_leads_at_once_and_takes_up_its_runs(clones: Clones) -> None:
    one = clones.clone("one")
    first = start(one, PACE="1")
    clones.people.task("a", waits(clones, "a"))
    clones.push()
    first.until_said("leading in term 1", "assigned -> running", seconds=60)
    first.process.kill()
    began = time.monotonic()
    with reconciling(one, PACE="1") as second:
        second.until_said("leading in term 2")
        assert time.monotonic() - began < 30  # a term stands for 60 s
        go(clones, "a")
        clones.until_phase("a", "completed")
    assert clones.people.runs() == ["a.1"]
    assert sorted(set(clones.terms())) == ["1", "2"]


def test_a_standby_answers_reads_refuses_writes_and_leads_when_the_leader_stops(clones: Clones) -> None:
    one, two = clones.clone("one"), clones.clone("two")
    clones.people.task("a", waits(clones, "a"))
    clones.push()
    with reconciling(one, **LOCAL) as leader:
        leader.until_said("assigned -> running")
        with reconciling(two, PACE="1", **LOCAL) as standby:
            standby.until_said(f":{one.root} leads in term 1")
            until(lambda: standby.ask("/api/v1/tasks/a").json.get("phase") == "running", seconds=30)
            board_page, task_page = (standby.ask(path).body.decode() for path in ("/", "/tasks/a"))
            assert "standing by" in board_page
            assert 'id="t-a"' in board_page
            assert "the agent was seen" in task_page
            refused = standby.ask("/leader")
            assert (refused.status, refused.json["role"]) == (503, "standby")
            assert str(one.root) in refused.json["leader"]
            ready = standby.ask("/readyz")
            assert (ready.status, ready.json["checks"]["remote"]["status"]) == (200, "standing by")
            assert "reconciler_leader 0.0" in standby.ask("/metrics").body.decode()
            assert request(standby.listens(), "POST", "/webhooks/forgejo", b"{}", signed(b"{}")).status == 503
            assert board(two)["remote"]["role"] == "standby"
            assert f"{one.root} leads in term 1; this reconciler stands by" in program.run("status", cwd=two.root).out
            leader.process.stop()
            began = time.monotonic()
            standby.until_said("leading in term 2")
            print(f"takeover after a clean stop: {time.monotonic() - began:.1f} s")  # noqa: T201 - a figure to be read
            go(clones, "a")
            clones.until_phase("a", "completed")
            until(lambda: standby.ask("/leader").status == 200)
            with reconciling(one, **LOCAL) as again:
                again.until_said(f":{two.root} leads in term 2")
    assert clones.people.runs() == ["a.1"]
    clones.linear()


def test_a_rewritten_main_is_one_problem_and_stops_only_what_is_new(clones: Clones) -> None:
    one = clones.clone("one")
    clones.people.task("a", waits(clones, "a"))
    clones.push()
    with reconciling(one) as leader:
        clones.until_phase("a", "running")
        kept = git(clones.people.root, "rev-parse", "main")
        git(clones.people.root, "reset", "-q", "--hard", "main~1")
        clones.people.task("b", clones.people.ran)
        clones.push(force=True)
        leader.until_said("problem state/settings.yaml: main on origin was rewritten: ")
        assert len(problems(one)) == 1
        assert "reset --keep" in problems(one)[0]
        assert git(one.root, "rev-parse", "main") == kept
        go(clones, "a")
        clones.until_phase("a", "completed")
        git(clones.people.root, "reset", "-q", "--hard", kept)
        clones.people.task("c", clones.people.ran)
        clones.push(force=True)
        leader.until_said("mended state/settings.yaml: main on origin was rewritten: ")
        clones.until_phase("c", "completed")
        assert problems(one) == []
    assert sorted(clones.people.runs()) == ["a.1", "c.1"]


def test_a_record_that_was_deleted_is_put_back_and_one_that_was_rewritten_stops_new_work(clones: Clones) -> None:
    one = clones.clone("one")
    clones.people.task("a", "true")
    clones.push()
    with reconciling(one, **LOCAL) as leader:
        clones.until_phase("a", "completed")
        clones.bare.git("update-ref", "-d", "refs/heads/observed")
        leader.until_said("warning the record was deleted on origin; it is put back")
        clones.until_phase("a", "completed")
        kept = git(one.root, "rev-parse", "observed")
        made = clones.bare.rewrite("refs/heads/observed")
        clones.people.task("b", "true")
        clones.push()
        said = leader.until_said("problem state/settings.yaml: observed on origin was rewritten by somebody")
        assert leader.ask("/leader").status == 503
        assert leader.ask("/readyz").status == 503
        assert "observed on origin was rewritten" in why(one, "b")
        assert git(clones.bare.path, "rev-parse", "observed") == made
        (words,) = set(re.findall(r"`git (push [^`]*observed)`", said))
        git(one.root, *words.split())
        clones.until_phase("b", "completed")
        assert git(clones.bare.path, "merge-base", "--is-ancestor", kept, "observed") == ""
        until(lambda: leader.ask("/leader").status == 200)


def test_what_waits_to_be_pushed_for_five_minutes_is_a_problem_and_comes_in_order(clones: Clones) -> None:
    one = clones.clone("one")
    clones.people.task("a", waits(clones, "a"))
    clones.push()
    away = clones.bare.path.with_name("away.git")
    with reconciling(one, **LOCAL) as leader:
        clones.until_phase("a", "running")
        clones.people.task("b", clones.people.ran)
        clones.push()
        clones.until_phase("b", "completed")
        clones.bare.path.rename(away)
        go(clones, "a")
        leader.process.until_phase("a", "completed")
        leader.until_said("could not be renewed in time, so nothing new starts; runs go on: origin: git ls-remote: ")
        one.move_clock(301)
        leader.until_said("waits to be pushed to origin: origin: git ls-remote: ", seconds=60)
        shown = board(one)["remote"]
        assert shown["behind"] >= 1
        assert shown["lag_seconds"] >= 0
        assert "commits of observed wait to be pushed" in program.run("status", cwd=one.root).out
        ready = leader.ask("/readyz")
        assert (ready.status, ready.json["checks"]["remote"]["status"]) == (503, "silent")
        metrics = leader.ask("/metrics").body.decode()
        assert float(re.findall(r"^reconciler_push_lag_seconds (\S+)$", metrics, re.MULTILINE)[0]) > 300
        assert "reconciler_leader 0.0" in metrics
        assert leader.ask("/leader").status == 503
        away.rename(clones.bare.path)
        clones.until_phase("a", "completed")
        clones.people.task("c", clones.people.ran)
        clones.push()
        clones.until_phase("c", "completed")
        until(lambda: leader.ask("/readyz").status == 200)
        assert problems(one) == []
    clones.linear()


def test_a_signed_push_webhook_of_the_fleets_repository_fetches_at_once(tmp_path: Path) -> None:
    with FakeForge.running(tmp_path / "forge", "acme/fleet") as forge:
        about = {"kind": "forgejo", "url": forge.url, "webhook_secret_env": "HOOK_SECRET"}
        clones = Clones.make(tmp_path, Bare(path=forge.only.bare.path), forge=about)
        one = clones.clone("one")
        try:
            with reconciling(one, **LOCAL, **SLOW, HOOK_SECRET="of the hook") as leader:  # noqa: S106 - a test's own
                leader.until_said("leading in term 1")
                url = f"http://127.0.0.1:{leader.listens()}/webhooks/forgejo"
                forge.hook(url, "of the hook")
                clones.people.task("a", clones.people.ran)
                clones.push()
                clones.until_phase("a", "completed")
        finally:
            clones.end()
        assert clones.people.runs() == ["a.1"]


def test_once_and_until_idle_take_their_turn_or_say_who_leads(clones: Clones) -> None:
    one, two = clones.clone("one"), clones.clone("two")
    clones.people.task("a", clones.people.ran)
    clones.push()
    done = program.run("reconcile", "--until-idle", cwd=two.root)
    assert (done.exit, clones.origin.phase("a")) == (0, "completed")
    assert program.run("reconcile", "--once", cwd=two.root).exit == 0
    with reconciling(one) as leader, ThreadPoolExecutor(2) as others:
        leader.until_said("leading in term 3")
        words = {"--once": two, "--until-idle": clones.clone("three")}
        refused = others.map(lambda word: program.run("reconcile", word, cwd=words[word].root), words)
        for done in refused:
            assert done.exit == 1
            assert f"{one.root} leads this fleet; it does what can be done, or stop it first" in done.complaint
    git(one.root, "remote", "remove", "origin")
    done = program.run("reconcile", "--once", cwd=one.root)
    assert done.exit == 1
    assert done.complaint.endswith("there is no remote origin in this clone: `git remote add origin URL`")


def test_a_remote_may_be_added_renamed_and_taken_away_while_it_runs(clones: Clones) -> None:
    one, two = clones.clone("one"), clones.clone("two")
    clones.settings["remote"] = None
    clones.people.write("state/settings.yaml", {})
    clones.push()
    for fleet in (one, two):
        git(fleet.root, "pull", "-q")
        git(fleet.root, "remote", "add", "other", str(clones.bare.path))
    with reconciling(one) as first:
        one.task("a", clones.people.ran)
        until(lambda: one.phase("a") == "completed", seconds=30)  # alone: the work tree counts
        assert git(clones.bare.path, "branch", "--list", "observed") == ""
        one.write("state/settings.yaml", {"remote": "origin"})
        one.commit("Live on a remote")
        git(one.root, "push", "-q", "origin", "main")
        first.until_said("leading in term 1, on origin")
        clones.until_phase("a", "completed")
        for fleet in (clones.people, two):
            git(fleet.root, "pull", "-q", "origin", "main")
        with reconciling(two) as second:
            second.until_said(f"{one.root} leads in term 1")
            for number, settings in enumerate(({"remote": "other"}, {}), 2):
                clones.people.write("state/settings.yaml", settings)
                clones.people.task(f"t{number}", clones.people.ran)
                clones.push()
                if settings:
                    until(lambda: clones.origin.phase("t2") == "completed", seconds=40)
                    until(lambda: ", on other" in first.said() + second.said(), seconds=40)
            until(lambda: "completed" in {one.phase("t3"), two.phase("t3")}, seconds=40)
            alone, other = (first, second) if one.phase("t3") == "completed" else (second, first)
            other.until_said("warning the settings name no remote any more: ")
            assert "the settings name no remote any more" in "".join(problems(other.process.fleet))
            alone.process.fleet.task("u", clones.people.ran)
            until(lambda: alone.process.fleet.phase("u") == "completed", seconds=30)
            assert other.process.fleet.phase("u") == "created"
    again = program.run("reconcile", "--once", cwd=other.process.fleet.root)
    assert again.exit == 1
    assert "the settings name no remote any more" in again.complaint
    assert sorted(clones.people.runs()) == ["a.1", "t2.1", "t3.1", "u.1"]


@pytest.fixture
def bot(clones: Clones) -> Agent:
    agent = Pull(fleet=clones.people).agent("bot")
    agent.pull.task("p")
    clones.push()
    return agent


def test_an_agent_is_handed_nothing_before_the_remote_knows_and_keeps_its_run_in_a_fail_over(
    clones: Clones, bot: Agent
) -> None:
    one, two = clones.clone("one"), clones.clone("two")
    clones.bare.hook("pre-receive", WAITING)
    blocked = clones.bare.path / "blocked"
    with reconciling(one, **LOCAL, **USUAL) as leader:
        leader.until_said("leading in term 1")
        with reconciling(two, **LOCAL, **USUAL) as standby:
            standby.until_said(f"{one.root} leads in term 1")
            bot.pull.port = standby.listens()
            until(lambda: standby.ask("/api/v1/tasks/p").status == 200)
            assert refused(bot.dequeue(wait=0)) == refused(bot.heartbeat("p", 1))
            bot.pull.port = leader.listens()
            blocked.touch()
            assert bot.dequeue(wait=1, idempotency_key="k").status == 204
            assert clones.origin.phase("p") == "created"
            blocked.unlink()
            given = bot.gets(idempotency_key="k")
            assert (given["task"], given["epoch"]) == ("p", 1)
            assert clones.origin.phase("p") == "assigned"
            assert bot.status("p", 1, "running").status == 200
            clones.until_phase("p", "running")
            leader.process.stop()
            standby.until_said("leading in term 2")
            bot.pull.port = standby.listens()
            assert bot.heartbeat("p", 1).status == 200
            blocked.touch()
            early = bot.status("p", 1, "completed", summary="Done.")  # what nobody else knows may still be overtaken
            assert (early.status, clones.origin.phase("p")) == (503, "running")
            blocked.unlink()
            assert bot.status("p", 1, "completed", summary="Done.").status == 200
            assert clones.origin.phase("p") == "completed"
    assert [run["epoch"] for run in clones.origin.observed("p")["runs"]] == [1]


def refused(answer: Answer) -> str:
    """Who leads, as the standby says."""
    assert (answer.status, answer.headers["Retry-After"]) == (503, "10")
    return str(answer.json["detail"])
