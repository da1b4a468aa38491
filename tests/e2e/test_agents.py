"""How each way in which an agent can end, or not end, is judged; with real processes and real limits."""

import json
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.fleets import JSONL, Fleet, git, project
from tests.waiting import until

RESULT = """printf '{"type":"result","text":"all done"}\\n'\n"""
ONCE = {"adapter": "jsonl", "max_attempts": 1}


def said(kind: str, text: str) -> str:
    return f"""printf '{{"type":"{kind}","message":"{text}"}}\\n'\n"""


def judged(fleet: Fleet, task_id: str) -> tuple[str, str, str | None, bool]:
    """A task's phase, and of its last run outcome, failure class, and whether it was charged."""
    run = fleet.last_run(task_id)
    return fleet.phase(task_id), run["outcome"], run.get("failure"), run.get("counts_as_attempt", False)


def test_every_end_of_an_agent_by_itself_has_its_outcome_and_class(fleet: Fleet) -> None:
    fleet.write("hosts/here.yaml", {"transport": "local", "slots": 6, "workdir": str(fleet.folder / "work")})
    fleet.task("error-but-exit-0", said("error", "it broke"), **ONCE)
    fleet.task("result-but-exit-3", f"{RESULT}exit 3", **ONCE)
    fleet.task("nothing-said", "true", **ONCE)
    fleet.task("text-exit-3", "echo sorry; exit 3", max_attempts=1)
    fleet.task("killed-itself", f"{said('step', 'x')}kill -9 $$", **ONCE)
    fleet.task("not-utf-8", f"printf 'a\\377\\376b\\n'; {RESULT}", **ONCE)
    fleet.task("grandchildren", f"setsid sleep 300 & setsid -f setsid sleep 300; {RESULT}", **ONCE)
    fleet.task("long-line", f"head -c 2000000 /dev/zero | tr '\\0' x; echo; {RESULT}", **ONCE)
    fleet.task("auth", said("error", "not logged in"), **ONCE)
    fleet.task("asks", said("error", "it needs an answer"), **ONCE)

    ended = fleet.until_idle(90)

    assert ended.process.returncode == 1
    expected = {
        "error-but-exit-0": ("failed", "failed", "agent_error", True),
        "result-but-exit-3": ("completed", "succeeded", None, False),
        "nothing-said": ("failed", "failed", "agent_error", True),
        "text-exit-3": ("failed", "failed", "agent_error", True),
        "killed-itself": ("failed", "failed", "agent_error", True),
        "not-utf-8": ("completed", "succeeded", None, False),
        "grandchildren": ("completed", "succeeded", None, False),
        "long-line": ("completed", "succeeded", None, False),
        "auth": ("blocked", "failed", "auth", False),
        "asks": ("blocked", "failed", "waiting_input", False),
    }
    assert {task_id: judged(fleet, task_id) for task_id in expected} == expected
    assert fleet.last_run("result-but-exit-3")["exit_code"] == 3
    assert fleet.last_run("result-but-exit-3")["summary"] == "all done"
    assert fleet.last_run("killed-itself")["exit_code"] == 137
    assert b"a\xff\xfeb\n" in fleet.kept_output("not-utf-8", 1)
    assert len(fleet.kept_output("long-line", 1)) > 2_000_000
    assert fleet.tagged("grandchildren.1") == []
    assert {fleet.observed(name)["owner"] for name in ("auth", "asks")} == {"operator", "author"}


def test_an_agent_beyond_a_limit_is_stopped_and_charged(fleet: Fleet) -> None:
    fleet.write("hosts/here.yaml", {"transport": "local", "slots": 6, "workdir": str(fleet.folder / "work")})
    fleet.task("too-long", "echo working; while :; do sleep 0.2; echo more; done", timeout="3s", max_attempts=1)
    fleet.task("silent", "setsid sleep 300 & sleep 300", idle_timeout="3s", max_attempts=1)
    fleet.task("busy", "i=0; while [ $i -lt 3000000 ]; do i=$((i+1)); done", idle_timeout="3s", max_attempts=1)
    fleet.task("loops", said("refused", "the link") * 5 + "sleep 300", **ONCE)
    with fleet.reconciling() as reconciler:
        reconciler.until_phase("too-long", "failed")
        reconciler.until_phase("silent", "failed")
        until(lambda: fleet.first_run("loops").get("outcome"))
        reconciler.until_phase("busy", "completed", "failed")
    assert judged(fleet, "too-long") == ("failed", "failed", "timed_out", True)
    assert judged(fleet, "silent") == ("failed", "failed", "stalled", True)
    assert (fleet.first_run("loops")["outcome"], fleet.first_run("loops")["failure"]) == ("failed", "provider")
    assert fleet.observed("loops").get("attempts", 0) == 0
    assert judged(fleet, "busy") == ("completed", "succeeded", None, False)
    assert fleet.tagged("silent.1") == []


def test_a_killed_agent_is_retried_with_backoff_until_its_attempts_are_used_up(fleet: Fleet) -> None:
    fleet.task("dies", f"{fleet.ran}exec sleep 300", max_attempts=2)
    with fleet.reconciling() as reconciler:
        kill_sleeper(fleet, "dies.1")
        seen = reconciler.until_phase("dies", "created")
        assert seen["attempts"] == 1
        assert 0 < (moment(seen["not_before"]) - moment(seen["runs"][0]["finished_at"])).total_seconds() <= 11
        fleet.move_clock(11)
        kill_sleeper(fleet, "dies.2")
        reconciler.until_phase("dies", "failed")
    assert fleet.runs() == ["dies.1", "dies.2"]
    assert [run["counts_as_attempt"] for run in fleet.observed("dies")["runs"]] == [True, True]
    assert fleet.observed("dies")["owner"] == "author"


def test_a_usage_limit_waits_for_its_reset_and_is_not_charged(fleet: Fleet) -> None:
    resets = (datetime.now(UTC) + timedelta(hours=2)).replace(microsecond=0)
    stamp = resets.strftime("%Y-%m-%dT%H:%M:%SZ")
    refusal = said("error", f"limit reached, resets at {stamp}")
    goal = f"{fleet.ran}if [ -e {fleet.folder}/reset ]; then {RESULT}\nelse {refusal}\nfi"
    fleet.task("limited", goal, **ONCE)
    fleet.until_idle()
    seen = fleet.observed("limited")
    assert judged(fleet, "limited") == ("created", "failed", "usage_limit", False)
    assert moment(seen["not_before"]) == resets
    (fleet.folder / "reset").touch()
    fleet.move_clock(2 * 3600 + 60)
    fleet.until_idle()
    assert judged(fleet, "limited") == ("completed", "succeeded", None, False)
    assert fleet.runs() == ["limited.1", "limited.2"]


@pytest.mark.fault
def test_a_login_that_fails_blocks_until_the_adapter_changes(fleet: Fleet) -> None:
    fleet.write("adapters/mine.yaml", JSONL)
    goal = f'{fleet.ran}if [ -n "$LOGIN" ]; then {RESULT}\nelse {said("error", "not logged in")}\nfi'
    fleet.task("login", goal, adapter="mine")
    with fleet.reconciling() as reconciler:
        reconciler.until_phase("login", "blocked")
        fleet.wake()
        fleet.write("adapters/mine.yaml", {**JSONL, "env": {"LOGIN": "yes"}})
        reconciler.until_phase("login", "completed")
    assert fleet.runs() == ["login.1", "login.2"]
    assert fleet.observed("login").get("attempts", 0) == 0


def test_work_that_is_not_delivered_twice_blocks_and_a_changed_task_goes_on(fleet: Fleet) -> None:
    bare = project(fleet.folder)
    fleet.task("idle", fleet.ran, repository=str(bare))
    with fleet.reconciling() as reconciler:
        until(lambda: fleet.last_run("idle").get("failure") == "not_delivered")
        reconciler.until_phase("idle", "created")
        fleet.move_clock(11)
        reconciler.until_phase("idle", "blocked")
        assert fleet.observed("idle")["reason"] == "not_delivered"
        fleet.task("idle", f"{fleet.ran}echo >new", repository=str(bare))
        reconciler.until_phase("idle", "completed")
    assert fleet.observed("idle").get("attempts", 0) == 0


def test_a_base_that_is_not_there_blocks_as_config_before_anything_runs(fleet: Fleet) -> None:
    bare = project(fleet.folder)
    fleet.task("lost", fleet.ran, repository=str(bare), base="nowhere")
    fleet.task("away", fleet.ran, repository=str(fleet.folder / "no-such.git"))
    with fleet.reconciling() as reconciler:
        seen = reconciler.until_phase("lost", "blocked")
        reconciler.until_phase("away", "blocked")
        fleet.task("lost", f"{fleet.ran}echo >new", repository=str(bare), base="main")
        reconciler.until_phase("lost", "completed")
    assert (seen["reason"], seen["runs"][0]["outcome"], seen.get("attempts", 0)) == ("config", "not_started", 0)
    assert "nowhere" in seen["runs"][0]["error"]
    assert fleet.runs() == ["lost.2"]


def test_a_push_of_somebody_else_meanwhile_is_never_overwritten(fleet: Fleet) -> None:
    bare = project(fleet.folder)
    os.mkfifo(fleet.folder / "go")
    fleet.task("one", f"{fleet.ran}cat {fleet.folder}/go; echo mine >file.txt", repository=str(bare))
    with fleet.reconciling() as reconciler:
        reconciler.until_phase("one", "running")
        theirs = git(bare, "commit-tree", "-p", "main", "-m", "Theirs", "main^{tree}")
        git(bare, "update-ref", "refs/heads/task/one", theirs)
        (fleet.folder / "go").write_text("go")
        until(lambda: fleet.first_run("one").get("outcome"))
        assert git(bare, "rev-parse", "task/one") == theirs
    run = fleet.first_run("one")
    assert (run["outcome"], run["failure"], run.get("counts_as_attempt", False)) == ("failed", "not_delivered", False)
    assert fleet.phase("one") == "created"


@pytest.mark.fault
def test_a_repository_that_cannot_be_reached_is_tried_six_times_and_never_charged(fleet: Fleet) -> None:
    fleet.task("one", fleet.ran, repository="http://127.0.0.1:1/nothing.git")
    with fleet.reconciling() as reconciler:
        for launches in range(1, 7):
            until(lambda launches=launches: ended_runs(fleet, "one") == launches, seconds=30)  # type: ignore[misc]  # a value of its own
            fleet.move_clock(301)
        seen = reconciler.until_phase("one", "blocked")
    assert (seen["owner"], seen.get("attempts", 0)) == ("operator", 0)
    assert {run["failure"] for run in seen["runs"]} == {"transport"}
    assert fleet.runs() == []


@pytest.mark.fault
def test_no_task_is_launched_more_than_six_times_an_hour(fleet: Fleet) -> None:
    fleet.task("one", f"{fleet.ran}exit 1", max_attempts=20)
    with fleet.reconciling() as reconciler:
        for launches in range(1, 7):
            until(lambda launches=launches: ended_runs(fleet, "one") == launches, seconds=30)  # type: ignore[misc]  # a value of its own
            fleet.move_clock(301)
        fleet.task("other", fleet.ran)
        reconciler.until_phase("other", "completed")
        assert len(fleet.runs()) == 7
        fleet.move_clock(3600)
        until(lambda: len(fleet.runs()) == 8)


@pytest.mark.fault
def test_a_reboot_of_the_host_is_never_taken_for_a_live_run_and_charges_nothing(fleet: Fleet) -> None:
    fleet.task("one", f"{fleet.ran}[ -e {fleet.folder}/second ] || exec sleep 300")
    with fleet.reconciling() as reconciler:
        reconciler.until_phase("one", "running")
    started = fleet.run_folder("one", 1) / "started"
    words = started.read_text().split()
    fleet.end_runs()
    forget_exit(fleet.run_folder("one", 1))
    started.write_text(" ".join([str(os.getpid()), words[1], "another-boot", *words[3:]]) + "\n")
    (fleet.folder / "second").touch()
    with fleet.reconciling() as reconciler:
        until(lambda: fleet.first_run("one").get("outcome"))
        fleet.move_clock(11)
        seen = reconciler.until_phase("one", "completed")
    assert (seen["runs"][0]["outcome"], seen["runs"][0]["failure"]) == ("lost", "host_lost")
    assert seen.get("attempts", 0) == 0
    assert fleet.runs() == ["one.1", "one.2"]


def test_a_reused_pid_is_never_taken_for_a_live_run_and_no_exit_is_never_a_success(fleet: Fleet) -> None:
    fleet.task("one", f"{fleet.ran}exec sleep 300", max_attempts=1)
    with fleet.reconciling() as reconciler:
        reconciler.until_phase("one", "running")
    folder = fleet.run_folder("one", 1)
    words = (folder / "started").read_text().split()
    fleet.end_runs()
    forget_exit(folder)
    (folder / "started").write_text(" ".join([str(os.getpid()), *words[1:]]) + "\n")
    (folder / "agent").write_text(f"{os.getpid()} {words[1]}\n")
    fleet.until_idle()
    assert judged(fleet, "one") == ("failed", "failed", "unknown", True)


def forget_exit(folder: Path) -> None:
    """Take away what the supervisor of a killed agent notes as its last act."""
    until((folder / "exit").exists)
    (folder / "exit").unlink()


def ended_runs(fleet: Fleet, task_id: str) -> int:
    return sum("outcome" in run for run in fleet.observed(task_id).get("runs", []))


@pytest.mark.fault
def test_an_agent_that_lingers_after_its_result_is_stopped_and_the_result_stands(fleet: Fleet) -> None:
    fleet.task("lingers", f"{RESULT}setsid sleep 600 & exec sleep 600", **ONCE)
    with fleet.reconciling() as reconciler:
        reconciler.until_phase("lingers", "completed", seconds=120)
    assert judged(fleet, "lingers") == ("completed", "succeeded", None, False)
    assert fleet.tagged("lingers.1") == []


@pytest.mark.fault
def test_an_agent_that_ignores_the_request_to_end_is_killed_after_the_grace(fleet: Fleet) -> None:
    goal = f"{fleet.ran}trap '' TERM HUP INT; while :; do sleep 1; done"
    fleet.task("stubborn", goal, timeout="2s", max_attempts=1)
    with fleet.reconciling() as reconciler:
        reconciler.until_phase("stubborn", "failed", seconds=60)
    assert judged(fleet, "stubborn") == ("failed", "failed", "timed_out", True)
    assert fleet.tagged("stubborn.1") == []


@pytest.mark.fault
def test_a_hundred_megabytes_and_a_line_of_twenty_are_kept_whole(fleet: Fleet) -> None:
    size = 100_000_000
    line = json.dumps({"type": "step", "text": "x" * 200})
    fleet.task("loud", f"yes '{line}' | head -c {size}; echo; {RESULT}", **ONCE)
    fleet.task("wide", f"head -c 20000000 /dev/zero | tr '\\0' x; echo; {RESULT}", **ONCE)
    fleet.until_idle(240)
    assert judged(fleet, "loud") == ("completed", "succeeded", None, False)
    assert judged(fleet, "wide") == ("completed", "succeeded", None, False)
    assert len(fleet.kept_output("loud", 1)) == size + 1 + len('{"type":"result","text":"all done"}\n')
    assert len(fleet.kept_output("wide", 1)) == 20_000_001 + len('{"type":"result","text":"all done"}\n')


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def kill_sleeper(fleet: Fleet, run: str) -> None:
    (pid,) = until(lambda: sleepers(fleet, run))
    os.kill(pid, signal.SIGKILL)


def sleepers(fleet: Fleet, run: str) -> list[int]:
    """The processes of a run that sleep."""
    return [pid for pid in fleet.tagged(run) if command_name(pid) == "sleep"]


def command_name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
