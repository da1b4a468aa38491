"""The real CLIs through the whole program, offline: cancelled, killed, refused, and with a model that fails."""

import os
import signal
from pathlib import Path
from subprocess import Popen

import pytest

from tests.cli.stage import TASK, Stage, lives
from tests.waiting import until

pytestmark = pytest.mark.cli

MAY_RUN_COMMANDS = {"codex": "workspace", "claude-code": "full"}
"""The profile that lets each run a command: Codex has a sandbox of its own for it, Claude Code has none."""


def test_cancelling_ends_the_agent_and_the_tools_in_sessions_of_their_own(stage: Stage) -> None:
    stage.model.start("bashsleep")
    stage.ask(permissions=MAY_RUN_COMMANDS[stage.cli])
    reconciler = stage.starts_to_work()
    tools = until(lambda: sleeping_tools(stage), seconds=60)
    agent = stage.agent()
    assert lives(agent)
    assert all(os.getsid(tool) != os.getsid(agent) for tool in tools)
    stage.command("cancel", TASK)
    assert stage.end(reconciler) == 0, stage.said()
    seen = stage.fleet.observed(TASK)
    assert (seen["phase"], seen["reason"], len(seen["runs"])) == ("cancelled", "requested", 1)
    assert (seen["runs"][0]["outcome"], seen.get("attempts", 0)) == ("cancelled", 0)
    assert [pid for pid in (agent, *tools) if lives(pid)] == []
    assert stage.fleet.tagged() == []


@pytest.mark.parametrize("place", ["local"])
def test_an_agent_that_is_killed_is_an_attempt_and_the_next_epoch_does_the_work(stage: Stage) -> None:
    stage.model.start("hang")
    stage.ask()
    reconciler = stage.starts_to_work()
    agent = stage.agent()
    os.kill(agent, signal.SIGKILL)
    run = stage.until_judged(reconciler)
    assert (run["outcome"], run["failure"], run["exit_code"]) == ("failed", "agent_error", 137)
    assert run["counts_as_attempt"]
    assert stage.fleet.tagged(f"{TASK}.1") == []
    assert_done_at_the_second_try(stage, reconciler, attempts=1)


@pytest.mark.parametrize("place", ["local"])
def test_a_refused_key_blocks_the_task_until_somebody_mends_the_login(stage: Stage) -> None:
    stage.model.start("http401")
    stage.ask()
    assert stage.reconcile() == 1
    seen = stage.fleet.observed(TASK)
    assert (seen["phase"], seen["reason"], seen["owner"], len(seen["runs"])) == ("blocked", "auth", "operator", 1)
    assert seen["runs"][0]["error"]
    assert not seen["runs"][0].get("counts_as_attempt", False)


@pytest.mark.parametrize("place", ["local"])
@pytest.mark.parametrize("outage", ["http500", "refused"])
def test_an_outage_of_the_model_costs_no_attempt_and_is_tried_again(stage: Stage, outage: str) -> None:
    if outage == "refused":
        stage.model.stop()
    else:
        stage.model.start(outage)
    stage.ask()
    reconciler = stage.start()
    run = stage.until_judged(reconciler)
    assert (run["outcome"], run["failure"]) == ("failed", "provider")
    assert not run.get("counts_as_attempt", False)
    assert stage.fleet.tagged(f"{TASK}.1") == []
    assert_done_at_the_second_try(stage, reconciler, attempts=0)


def assert_done_at_the_second_try(stage: Stage, reconciler: Popen[bytes], *, attempts: int) -> None:
    stage.model.start("edit")
    assert stage.end(reconciler) == 0, stage.said()
    seen = stage.fleet.observed(TASK)
    assert (seen["phase"], seen["epoch"], seen.get("attempts", 0)) == ("completed", 2, attempts)
    assert stage.pushed("hello.txt") == "hello from mock"


def sleeping_tools(stage: Stage) -> list[int]:
    """The processes of the command that the scripted model asked for."""
    return [pid for pid in stage.fleet.tagged() if is_sleeping_tool(Path(f"/proc/{pid}"))]


def is_sleeping_tool(process: Path) -> bool:
    try:
        return b"time.sleep(" in (process / "cmdline").read_bytes() and (process / "comm").read_text()[:6] == "python"
    except OSError:
        return False
