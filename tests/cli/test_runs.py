"""The real CLIs through the whole program, offline: first run, review round, and a reconciler that dies in between."""

import json

import pytest

from reconciler.core import versions
from tests.cli.stage import KEY, TASK, Stage, lives
from tests.contract import captures
from tests.e2e.fleets import git
from tests.waiting import until

pytestmark = pytest.mark.cli
FINAL = "MOCK-FINAL: wrote the file as asked."
GREETING = "hello from mock"
TOKENS = {"codex": (2400, 68), "claude-code": (2000, 68)}
"""Input and output of two answers of the scripted model; for Codex what was cached is input too."""


def test_an_edit_of_the_agent_reaches_the_branch_and_is_recorded(stage: Stage) -> None:
    stage.ask()
    assert stage.reconcile() == 0, stage.said()
    seen = stage.fleet.observed(TASK)
    (run,) = seen["runs"]
    assert (seen["phase"], run["outcome"], run["summary"]) == ("completed", "succeeded", FINAL)
    assert stage.pushed("hello.txt") == GREETING
    assert git(stage.bare, "rev-parse", f"task/{TASK}") == run["head_sha"]
    assert git(stage.bare, "diff", "--name-only", "main", f"task/{TASK}") == "hello.txt"
    assert run["session"]
    assert (run["input_tokens"], run["output_tokens"]) == TOKENS[stage.cli]
    asked = captures.adapter(stage.cli).version
    assert asked
    assert asked.minimum
    assert versions.at_least(run["adapter_version"], asked.minimum)
    assert "warnings" not in run
    assert KEY not in git(stage.fleet.root, "log", "-p", "--all")
    assert stage.fleet.tagged() == []
    assert FINAL in stage.command("logs", TASK)


def test_a_review_round_goes_on_in_the_same_session_and_workspace(stage: Stage) -> None:
    stage.ask(delivery="pull_request")
    assert stage.reconcile() == 0, stage.said()
    assert stage.fleet.phase(TASK) == "review_pending"
    stage.review(body="Please greet a second time, in a file of its own.")
    assert stage.fleet.phase(TASK) == "created"
    stage.model.start(file="again.txt")
    assert stage.reconcile() == 0, stage.said()
    seen = stage.fleet.observed(TASK)
    first, second = seen["runs"]
    assert (seen["phase"], seen["review_count"], seen["epoch"]) == ("review_pending", 1, 2)
    assert (first["kind"], second["kind"], second["outcome"]) == ("implement", "address_review", "succeeded")
    assert first["session"] == second["resumed"] == second["session"]
    assert (second["input_tokens"], second["output_tokens"]) == (first["input_tokens"], first["output_tokens"])
    assert second.get("cost_usd", 0.0) <= first.get("cost_usd", 0.0) * 1.01
    assert stage.pushed("hello.txt") == stage.pushed("again.txt") == GREETING
    assert git(stage.bare, "rev-parse", f"task/{TASK}~1") == first["head_sha"]
    workspaces = {json.loads((stage.run_folder(epoch) / "meta.json").read_text())["workspace"] for epoch in (1, 2)}
    assert len(workspaces) == 1
    assert "Please greet a second time" in (stage.run_folder(2) / "prompt").read_text()


def test_a_run_is_adopted_by_the_next_reconciler_while_its_agent_works(stage: Stage) -> None:
    stage.model.start("hang")
    stage.ask()
    stage.starts_to_work().kill()
    agent = stage.agent()
    second = stage.starts_to_work()
    assert stage.agent() == agent
    assert lives(agent)
    stage.model.start("edit")
    assert stage.end(second) == 0, stage.said()
    assert_done_once(stage)


def test_a_run_that_ends_while_no_reconciler_looks_is_collected_by_the_next(stage: Stage) -> None:
    stage.model.start("hang")
    stage.ask()
    stage.starts_to_work().kill()
    stage.model.start("edit")
    until((stage.run_folder() / "exit").exists, seconds=120)
    assert stage.reconcile() == 0, stage.said()
    assert_done_once(stage)


def assert_done_once(stage: Stage) -> None:
    seen = stage.fleet.observed(TASK)
    assert (seen["phase"], seen["epoch"], len(seen["runs"])) == ("completed", 1, 1)
    assert (seen["runs"][0]["outcome"], seen["runs"][0]["summary"]) == ("succeeded", FINAL)
    assert stage.pushed("hello.txt") == GREETING
    assert sum(" -> completed " in subject for subject in stage.fleet.log(TASK)) == 1
    assert stage.fleet.tagged() == []


@pytest.mark.parametrize("place", ["local"])
def test_the_profile_read_only_lets_the_agent_change_nothing(stage: Stage) -> None:
    stage.ask(permissions="read_only")
    process = stage.start()
    run = stage.until_judged(process)
    assert (run["outcome"], run["failure"]) == ("failed", "not_delivered")
    assert (stage.model.workdir / "readme").exists()
    assert not (stage.model.workdir / "hello.txt").exists()
