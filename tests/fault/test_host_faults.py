"""Hosts that fail in every way a machine can: cut off for a while, booted anew, full, read-only, with another key."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract.sshd import Sshd, make_key, required_tool
from tests.e2e.fleets import Fleet, project
from tests.e2e.test_edits import let_go, waits
from tests.fault.test_link_faults import Link, cable
from tests.waiting import until

pytestmark = pytest.mark.fault

SAMPLED = "FAULT_SAMPLE" in os.environ
LONG_S = 6.0 if SAMPLED else 30.0
LINES = 400 if SAMPLED else 2000
PRINTS = f"i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); sleep 0.01; done"
BOOT = "/proc/sys/kernel/random/boot_id"
WHOLE = pytest.mark.skipif(SAMPLED, reason="only in the whole suite")
AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="mounts need root")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A host at the end of its own cable."""

    name: str
    link: Link
    sshd: Sshd


@contextmanager
def machines(folder: Path, *names: str) -> Iterator[list[Machine]]:
    with ExitStack() as closing:
        made = []
        for number, name in enumerate(names):
            link = closing.enter_context(cable(number))
            inside = (required_tool("ip"), "netns", "exec", link.name)
            sshd = Sshd.start(folder / name, address=link.far, inside=inside)
            closing.callback(sshd.stop)
            made.append(Machine(name=name, link=link, sshd=sshd))
        yield made


def cut_for(machine: Machine, seconds: float) -> threading.Timer:
    """Drop the machine's packets, and mend that later; the timer tells when."""
    machine.link.cut()
    timer = threading.Timer(seconds, machine.link.mend)
    timer.start()
    return timer


def test_several_hosts_cut_off_for_different_times_each_finish_their_one_run(fleet: Fleet, tmp_path: Path) -> None:
    with machines(tmp_path / "machines", "blink", "while", "long") as hosts, fleet.reconciling() as reconciler:
        for host in hosts:
            fleet.ssh_host(host.name, host.sshd)
            fleet.task(f"on-{host.name}", fleet.ran + PRINTS, host=host.name)
        for host in hosts:
            reconciler.until_phase(f"on-{host.name}", "running")
        timers = [cut_for(hosts[0], 1), cut_for(hosts[1], LONG_S), cut_for(hosts[2], LONG_S)]
        fleet.move_clock(5 * 60)  # as if it had been five minutes
        for number in range(3):
            fleet.task(f"near-{number}", "true", host="here")
            reconciler.until_phase(f"near-{number}", "completed", seconds=10)
        for timer in timers:
            timer.join()
        for host in hosts:
            reconciler.until_phase(f"on-{host.name}", "completed", seconds=120)
        assert "Traceback" not in reconciler.said()
    assert sorted(fleet.runs()) == ["on-blink.1", "on-long.1", "on-while.1"]
    for host in hosts:
        seen = fleet.observed(f"on-{host.name}")
        assert (len(seen["runs"]), seen.get("attempts", 0)) == (1, 0)
        kept = fleet.kept_output(f"on-{host.name}", 1).decode().splitlines()
        assert kept == [f"line {number}" for number in range(LINES)]


@pytest.fixture
def boot(tmp_path: Path) -> Path:
    """What the host of `booted` shows as its boot id."""
    path = tmp_path / "boot"
    path.write_text("11111111-0000-4000-8000-000000000000\n")
    return path


@pytest.fixture
def booted(tmp_path: Path, boot: Path) -> Iterator[Sshd]:
    """An sshd in a mount namespace of its own, where a file stands in for the kernel's boot id."""
    words = ("unshare", "--mount", "sh", "-c", f'mount --bind "$0" {BOOT} && exec "$@"', str(boot))
    server = Sshd.start(tmp_path / "booted", inside=words)
    yield server
    server.stop()


def power_off(fleet: Fleet, sshd: Sshd, workdir: str) -> None:
    """Kill everything at once: supervisors before agents, so that none can write how its agent ended."""
    sshd.stop()
    for started in (fleet.folder / workdir).glob("*/runs/*/started"):
        with suppress(ProcessLookupError, ValueError):
            os.kill(int(started.read_text().split()[0]), signal.SIGKILL)
    fleet.end_runs()
    until(lambda: not fleet.tagged())


@AS_ROOT
def test_a_host_that_was_booted_anew_has_lost_its_runs_and_does_them_again_for_nothing(
    fleet: Fleet, booted: Sshd, boot: Path
) -> None:
    bare = project(fleet.folder)
    fleet.ssh_host("far", booted)
    fleet.task("one", waits(fleet, "one", "echo >new"), host="far", repository=str(bare), max_attempts=1)
    with fleet.reconciling() as reconciler:
        reconciler.until_phase("one", "running")
        assert (fleet.run_folder("one", 1, "work-far") / "started").read_text().split()[2] == boot.read_text().strip()
        until(lambda: fleet.runs() == ["one.1"])
        power_off(fleet, booted, "work-far")
        boot.write_text("22222222-0000-4000-8000-000000000000\n")
        booted.restart()
        until(lambda: fleet.first_run("one").get("outcome"), seconds=60)
        until(lambda: move_until_runs(fleet, ["one.1", "one.2"]), seconds=60, every=0.5)
        let_go(fleet, "one")
        seen = reconciler.until_phase("one", "completed", seconds=60)
    assert [(run["outcome"], run.get("failure")) for run in seen["runs"]] == [
        ("lost", "host_lost"),
        ("succeeded", None),
    ]
    assert seen.get("attempts", 0) == 0


def move_until_runs(fleet: Fleet, runs: list[str]) -> bool:
    """Let the pauses before the next try go by."""
    fleet.move_clock(11)
    return fleet.runs() == runs


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a megabyte."""
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)], check=True)
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


@AS_ROOT
def test_a_run_on_a_full_disk_is_no_success_and_the_host_goes_on_when_there_is_room(fleet: Fleet, disk: Path) -> None:
    fleet.write("hosts/small.yaml", {"transport": "local", "workdir": str(disk / "w")})
    fleet.task("fills", f"{fleet.ran}cat /dev/zero; exit 0", host="small", max_attempts=1)
    with fleet.reconciling() as reconciler:
        seen = reconciler.until_phase("fills", "failed", "blocked", "created", seconds=30)
        until(lambda: fleet.first_run("fills").get("outcome"), seconds=30)
        assert fleet.first_run("fills")["outcome"] != "succeeded", seen
        fleet.task("near", "true", host="here")
        reconciler.until_phase("near", "completed", seconds=15)
        remount(disk, "size=64m")
        fleet.task("after", f"{fleet.ran}true", host="small")
        until(lambda: has_moved_on(fleet, "after"), seconds=60, every=0.5)
        assert "Traceback" not in reconciler.said()
    assert fleet.runs().count("after.1") <= 1


def has_moved_on(fleet: Fleet, task_id: str) -> bool:
    """Whether the task is completed; each look lets the pauses of its host go by."""
    fleet.move_clock(11)
    return fleet.phase(task_id) == "completed"


@AS_ROOT
def test_a_read_only_disk_starts_nothing_and_is_said_and_mended(fleet: Fleet, disk: Path) -> None:
    fleet.write("hosts/small.yaml", {"transport": "local", "workdir": str(disk / "w")})
    remount(disk, "ro")
    fleet.task("one", f"{fleet.ran}true", host="small")
    with fleet.reconciling() as reconciler:
        until(lambda: fleet.observed_host("small").get("misconfigured"), seconds=30)
        assert "workdir" in fleet.observed_host("small")["reason"]
        assert fleet.phase("one") == "created"
        remount(disk, "rw")
        fleet.write("hosts/small.yaml", {"transport": "local", "workdir": str(disk / "w"), "slots": 2})
        reconciler.until_phase("one", "completed")
    assert fleet.runs() == ["one.1"]


def test_a_run_whose_exit_cannot_be_written_is_no_success(fleet: Fleet) -> None:
    fleet.task("one", waits(fleet, "one", "exit 0"), host="here", max_attempts=1)
    with fleet.reconciling() as reconciler:
        reconciler.until_phase("one", "running")
        (fleet.run_folder("one", 1) / "exit.tmp").mkdir()
        let_go(fleet, "one")
        until(lambda: fleet.first_run("one").get("outcome"), seconds=30)
    run = fleet.first_run("one")
    assert (run["outcome"], run["failure"]) == ("failed", "unknown")
    assert "exit_code" not in run


@WHOLE
def test_a_host_with_another_key_is_left_alone_and_its_run_is_taken_up_with_the_right_one(
    fleet: Fleet, sshd: Sshd
) -> None:
    fleet.ssh_host("far", sshd)
    fleet.task("one", waits(fleet, "one"), host="far")
    with fleet.reconciling() as reconciler:
        reconciler.until_phase("one", "running")
        for half in ("host_key", "host_key.pub"):
            (sshd.folder / half).unlink()
        make_key(sshd.folder / "host_key")
        sshd.restart()
        until(lambda: fleet.observed_host("far").get("misconfigured"), seconds=60)
        asked = sshd.connections()
        fleet.task("near", "true", host="here")
        reconciler.until_phase("near", "completed", seconds=15)
        assert (sshd.connections(), fleet.phase("one")) == (asked, "running")
        sshd.host_key_public = (sshd.folder / "host_key.pub").read_text().strip()
        fleet.ssh_host("far", sshd)
        until(lambda: fleet.observed_host("far").get("reachable") is True, seconds=30)
        let_go(fleet, "one")
        seen = reconciler.until_phase("one", "completed")
    assert (fleet.runs(), len(seen["runs"]), seen.get("attempts", 0)) == (["one.1"], 1, 0)


@WHOLE
def test_a_clock_that_jumps_either_way_ends_no_run(fleet: Fleet, sshd: Sshd) -> None:
    """The reconciler's clock jumps; the host's is always hours off, which its scripts never look at."""
    shims = fleet.folder / "host-bin"
    shims.mkdir()
    (shims / "date").write_text('#!/bin/sh\nexec /bin/date -d "3 hours ago" "$@"\n')
    (shims / "date").chmod(0o755)
    fleet.ssh_host("far", sshd, env={"PATH": f"{shims}:/usr/bin:/bin"})
    fleet.task("one", waits(fleet, "one", "date +%s"), host="far", timeout="5m", idle_timeout="5m")
    with fleet.reconciling() as reconciler:
        reconciler.until_phase("one", "running")
        for seconds in (600, -1800, 1200):
            fleet.move_clock(seconds)
            name = f"after-{'back' if seconds < 0 else seconds}"
            fleet.task(name, "true", host="here")
            reconciler.until_phase(name, "completed", seconds=20)
            assert fleet.phase("one") == "running"
        let_go(fleet, "one")
        seen = reconciler.until_phase("one", "completed")
        assert "Traceback" not in reconciler.said()
    assert (fleet.runs(), [run["outcome"] for run in seen["runs"]]) == (["one.1"], ["succeeded"])
