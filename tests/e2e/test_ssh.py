"""Fleets whose hosts are reached through a real sshd: one connection, hosts that refuse, hang, vanish and come back."""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.sshd import Sshd, free_port, make_key, required_tool
from tests.e2e.fleets import Fleet, git, project
from tests.e2e.test_edits import let_go, waits
from tests.waiting import until


@pytest.fixture
def remote(fleet: Fleet, sshd: Sshd) -> Fleet:
    """A fleet with the one host `far`."""
    (fleet.root / "hosts" / "here.yaml").unlink()
    fleet.ssh_host("far", sshd, slots=10)
    fleet.commit("Use a far host")
    return fleet


@pytest.fixture
def second_sshd(tmp_path: Path) -> Iterator[Sshd]:
    server = Sshd.start(tmp_path / "second")
    yield server
    server.stop()


def test_ten_tasks_on_one_host_share_one_connection(remote: Fleet, sshd: Sshd) -> None:
    bare = project(remote.folder)
    for number in range(10):
        remote.task(f"task-{number}", f"{remote.ran}echo {number} >new-{number}", repository=str(bare))
    before = sshd.accepted()
    ended = remote.until_idle(120)
    assert ended.process.returncode == 0, ended.said()
    assert {remote.phase(f"task-{number}") for number in range(10)} == {"completed"}
    assert sshd.accepted() - before == 1
    assert sorted(remote.runs()) == [f"task-{number}.1" for number in range(10)]
    assert len(git(bare, "branch", "--list", "task/*").splitlines()) == 10


def test_a_cut_connection_loses_no_byte_and_charges_nothing(remote: Fleet, sshd: Sshd) -> None:
    lines = "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); sleep 0.01; done"
    remote.task("one", f"{remote.ran}{lines}")
    with remote.reconciling() as reconciler:
        for _ in range(3):
            reconciler.until_phase("one", "running", "completed")
            sshd.kill_sessions()
        sshd.restart()
        seen = reconciler.until_phase("one", "completed", seconds=60)
    assert remote.kept_output("one", 1).decode().splitlines() == [f"line {number}" for number in range(300)]
    assert (len(seen["runs"]), seen.get("attempts", 0)) == (1, 0)
    assert remote.runs() == ["one.1"]


@pytest.mark.fault
def test_a_host_that_is_away_keeps_its_runs_and_others_go_on(remote: Fleet, sshd: Sshd) -> None:
    remote.write("hosts/here.yaml", {"transport": "local", "workdir": str(remote.folder / "work")})
    remote.task("one", waits(remote, "one"), host="far")
    with remote.reconciling() as reconciler:
        reconciler.until_phase("one", "running")
        sshd.stop()
        until(lambda: is_told(remote), seconds=30, every=0.5)
        remote.task("two", remote.ran, host="here")
        reconciler.until_phase("two", "completed")
        remote.move_clock(20 * 60)
        remote.task("three", remote.ran, host="here")
        reconciler.until_phase("three", "completed")
        assert remote.phase("one") == "running"
        let_go(remote, "one")
        sshd.restart()
        seen = reconciler.until_phase("one", "completed", seconds=90)
    assert (len(seen["runs"]), seen.get("attempts", 0)) == (1, 0)


def is_told(fleet: Fleet) -> bool:
    """Whether the branch says that the host is away; each look moves the clock, for that is said after a while."""
    fleet.move_clock(3)
    return not reachable(fleet)


def reachable(fleet: Fleet) -> bool:
    return bool(fleet.observed_host("far").get("reachable", True))


def test_a_run_that_was_lost_and_comes_back_is_stopped_and_its_result_refused(remote: Fleet, sshd: Sshd) -> None:
    bare = project(remote.folder)
    remote.write("state/settings.yaml", {"lost_after": {"ssh": "30m"}})
    remote.task("one", waits(remote, "one", "echo $RECONCILER_RUN >new"), repository=str(bare))
    remote.write("hosts/here.yaml", {"transport": "local", "drain": {"reason": "wait"}})
    with remote.reconciling() as reconciler:
        reconciler.until_phase("one", "running")
        assert remote.observed("one")["assigned_host"] == "far"
        sshd.stop()
        until(lambda: is_told(remote), seconds=30, every=0.5)
        remote.move_clock(31 * 60)
        until(lambda: remote.first_run("one").get("outcome") == "lost")
        remote.write("hosts/here.yaml", {"transport": "local", "workdir": str(remote.folder / "work")})
        remote.move_clock(11)
        until(lambda: remote.runs() == ["one.1", "one.2"], seconds=30)
        assert remote.tagged("one.1") != []
        sshd.restart()
        remote.move_clock(1)
        until(lambda: remote.tagged("one.1") == [], seconds=60)
        let_go(remote, "one")
        seen = reconciler.until_phase("one", "completed", seconds=60)
    assert [run["outcome"] for run in seen["runs"]] == ["lost", "succeeded"]
    assert seen.get("attempts", 0) == 0
    assert git(bare, "show", "task/one:new").endswith(".one.2")


@pytest.mark.fault
def test_a_host_that_refuses_us_is_misconfigured_and_not_asked_again_until_its_file_changes(
    remote: Fleet, sshd: Sshd, second_sshd: Sshd
) -> None:
    wrong = str(make_key(remote.folder / "wrong"))
    remote.ssh_host("wrong-key", second_sshd, identity_file=wrong)
    remote.ssh_host("wrong-user", second_sshd, user="nobody-here")
    remote.ssh_host("wrong-host-key", second_sshd, host_keys=[sshd.host_key_public])
    remote.ssh_host("nobody-listens", second_sshd, port=free_port())
    names = ("wrong-key", "wrong-user", "wrong-host-key")
    remote.task("one", remote.ran, host="far")
    remote.task("two", remote.ran, host="wrong-key")
    with remote.reconciling() as reconciler:
        reconciler.until_phase("one", "completed")
        for name in names:
            until(lambda name=name: remote.observed_host(name).get("misconfigured"))  # type: ignore[misc]  # a name of its own
        until(lambda: remote.observed_host("nobody-listens").get("reachable") is False)
        assert not remote.observed_host("nobody-listens").get("misconfigured", False)
        asked = second_sshd.connections()
        remote.task("three", f"{remote.ran}sleep 3", host="far")
        reconciler.until_phase("three", "completed")
        assert second_sshd.connections() == asked
        assert remote.phase("two") == "created"
        remote.ssh_host("wrong-key", second_sshd)
        reconciler.until_phase("two", "completed")
    assert remote.runs() == ["one.1", "three.1", "two.1"]


@pytest.mark.fault
def test_a_hung_host_delays_no_other(remote: Fleet, sshd: Sshd, second_sshd: Sshd) -> None:
    remote.ssh_host("hung", second_sshd)
    remote.task("stays", waits(remote, "stays"), host="hung")
    with remote.reconciling() as reconciler:
        reconciler.until_phase("stays", "running")
        second_sshd.signal_sessions(signal.SIGSTOP)
        begun = time.monotonic()
        remote.task("one", remote.ran, host="far")
        reconciler.until_phase("one", "completed")
        assert time.monotonic() - begun < 10
        second_sshd.signal_sessions(signal.SIGCONT)
        let_go(remote, "stays")
        reconciler.until_phase("stays", "completed")
    assert sshd.accepted() == 1


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """The socket of an ssh agent without keys."""
    socket = tmp_path / "agent"
    words = [required_tool("ssh-agent"), "-D", "-a", str(socket)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    until(socket.exists)
    yield str(socket)
    process.kill()
    process.wait()


@pytest.mark.fault
def test_the_ssh_agent_is_lent_over_a_second_short_connection_and_never_to_a_run(
    remote: Fleet, sshd: Sshd, agent: str
) -> None:
    bare = project(remote.folder)
    remote.ssh_host("far", sshd, forward_agent=True, slots=2)
    goal = f'{remote.ran}printf %s "$SSH_AUTH_SOCK" >{remote.folder}/socket; echo >new'
    remote.task("one", goal, repository=str(bare))
    before = sshd.accepted()
    remote.env["SSH_AUTH_SOCK"] = agent
    ended = remote.until_idle()
    assert ended.process.returncode == 0, ended.said()
    assert (remote.folder / "socket").read_text() == ""
    assert sshd.accepted() - before == 3


@pytest.mark.fault
def test_a_host_that_wants_an_agent_that_is_not_there_blocks_its_task_and_says_why(remote: Fleet, sshd: Sshd) -> None:
    bare = project(remote.folder)
    remote.ssh_host("far", sshd, forward_agent=True)
    remote.task("one", f"{remote.ran}echo >new", repository=str(bare))
    with remote.reconciling() as reconciler:
        seen = reconciler.until_phase("one", "blocked")
        assert (seen["reason"], seen["runs"][0]["outcome"]) == ("config", "not_started")
        assert "SSH_AUTH_SOCK" in seen["runs"][0]["error"]
        remote.ssh_host("far", sshd)
        reconciler.until_phase("one", "completed")
    assert remote.runs() == ["one.2"]
