"""Launching and preparing while processes are killed, calls fail and disks are full."""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reconciler.core.command import Command, command_line, stdin
from reconciler.core.desired import Identity
from reconciler.core.script import launch, poll, prepare, read, stop
from reconciler.core.script.launch import Launch
from reconciler.core.script.prepare import Preparation, Prepared
from reconciler.core.terms import StopReason
from tests.contract import runner
from tests.waiting import until

SAMPLED = "FAULT_SAMPLE" in os.environ
MOMENTS = ("before", "after")


def _fleet(tmp_path: Path) -> str:
    return hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]


def _cut(host: runner.Runner, command: Command, after_s: float) -> bool:
    """Run the command and kill its whole group after some seconds; true when it was faster than that."""
    with tempfile.TemporaryFile() as given:
        given.write(stdin(command))
        given.seek(0)
        process = subprocess.Popen(
            [*host.words, "-c", command_line(command)],
            stdin=given,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(host.env),
            start_new_session=True,
        )
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return False
        return True


def _storm(tmp_path: Path, shell: str, launchers: int) -> None:
    host = runner.host(tmp_path, runner.installed(shell))
    fleet = _fleet(tmp_path)
    count = tmp_path / "count"
    order = Launch(
        workdir="~/w",
        fleet=fleet,
        run="t.1",
        workspace=str(tmp_path),
        meta_json=b"{}",
        prompt=b"once",
        words=("sh", "-c", f"cat >>'{count}'; echo >>'{count}'"),
        variables={"A": "b"},
    )
    command = launch.launch([order])
    dice = random.Random(7)  # noqa: S311 - a test's dice
    waits = [dice.uniform(0.0, 0.25) if dice.random() < 0.6 else 20.0 for _ in range(launchers)]
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda wait: _cut(host, command, wait), waits))
    until(lambda: launch.parse_launch(host.run(command))["t.1"].state in {"alive", "ended", "gone"})
    polled = poll.poll("~/w", fleet, ["t.1"])
    until(lambda: poll.parse_poll(host.run(polled)).runs["t.1"].state == "ended")
    assert count.read_text() == "once\n"
    assert not (Path(host.env["HOME"]) / "w" / fleet / "runs/t.1/env").exists()


@pytest.mark.parametrize("shell", ["dash", "busybox"])
def test_launchers_killed_at_random_moments_run_the_agent_exactly_once(tmp_path: Path, shell: str) -> None:
    _storm(tmp_path, shell, 30)


@pytest.mark.fault
@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_many_launchers_killed_at_random_run_the_agent_exactly_once(tmp_path: Path, shell: str) -> None:
    _storm(tmp_path, shell, 60 if SAMPLED else 200)


def _project(host: runner.Runner, tmp_path: Path) -> Path:
    project = tmp_path / "project.git"
    for words in (
        ("init", "-q", "-b", "main", str(tmp_path / "seed")),
        ("-C", str(tmp_path / "seed"), "commit", "-q", "--allow-empty", "-m", "first"),
        ("clone", "-q", "--bare", str(tmp_path / "seed"), str(project)),
    ):
        subprocess.run(["git", *words], env=dict(host.env), check=True, capture_output=True)
    return project


def _shim(tmp_path: Path, program: str) -> Path:
    """A folder with a program of that name that kills its caller before or after call number $AT."""
    real = shutil.which(program)
    folder = tmp_path / "shim"
    folder.mkdir()
    (folder / program).write_text(
        f"#!/bin/sh\nread -r n <'{tmp_path}/calls'\nn=$((n + 1))\necho $n >'{tmp_path}/calls'\n"
        f'if [ "$AT" = "before $n" ]; then kill -KILL 0; fi\n{real} "$@"\ncode=$?\n'
        'if [ "$AT" = "after $n" ]; then kill -KILL 0; fi\nexit $code\n'
    )
    (folder / program).chmod(0o755)
    return folder


def _every_cut(tmp_path: Path, program: str, dirty: bool) -> int:  # noqa: FBT001 - both ways are one test
    """Kill a preparation at every call of the program, each in a world of its own; how many there were."""
    host = runner.host(tmp_path, "dash")
    project = _project(host, tmp_path)
    shim = _shim(tmp_path, program)
    number = 0
    while True:
        number += 1
        # a sample takes turns: after one call is nearly before the next
        for moment in (MOMENTS[number % 2],) if SAMPLED else MOMENTS:
            fleet = hashlib.sha256(f"{tmp_path}{number}{moment}".encode()).hexdigest()[:12]

            def order(epoch: int, fleet: str = fleet) -> Command:
                return prepare.prepare(
                    Preparation(
                        workdir="~/w",
                        fleet=fleet,
                        task="t",
                        epoch=epoch,
                        branch="task/t",
                        repository=str(project),
                        identity=Identity(),
                    )
                )

            if dirty:
                first = prepare.parse_prepare(host.run(order(1)))
                assert isinstance(first, Prepared)
                Path(first.workspace, "left").write_text("work")
            (tmp_path / "calls").write_text("0\n")
            env = {**host.env, "PATH": f"{shim}:{host.env['PATH']}", "AT": f"{moment} {number}"}
            whole = _cut(runner.Runner(words=host.words, env=env), order(2), 60.0)
            survived = whole and int((tmp_path / "calls").read_text()) < number
            again = prepare.parse_prepare(host.run(order(2)))
            assert isinstance(again, Prepared), (moment, number, again)
            status = subprocess.run(
                ["git", "-C", again.workspace, "status", "--porcelain", "--branch"],
                env=dict(host.env),
                check=True,
                capture_output=True,
                text=True,
            )
            assert status.stdout == "## task/t\n", (moment, number)
            if dirty:
                kept = ["git", "-C", again.workspace, "show", "refs/reconciler/t.2:left"]
                assert subprocess.run(kept, check=True, capture_output=True, text=True).stdout == "work"
        if survived:
            return number


@pytest.mark.fault
@pytest.mark.parametrize("dirty", [False, True])
def test_a_preparation_killed_at_any_call_of_git_is_repeated_with_nothing_lost(
    tmp_path: Path,
    dirty: bool,  # noqa: FBT001 - both ways are one test
) -> None:
    assert _every_cut(tmp_path, "git", dirty) > 10


@pytest.mark.fault
@pytest.mark.parametrize("program", ["mv", "mkdir"])
def test_a_preparation_killed_between_its_files_is_repeated(tmp_path: Path, program: str) -> None:
    assert _every_cut(tmp_path, program, dirty=False) > 2


@pytest.mark.fault
def test_a_full_disk_is_never_a_success(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("mounting a small disk needs root")
    host = runner.host(tmp_path, "dash")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], check=True)
    try:
        fleet = _fleet(tmp_path)
        order = Launch(
            workdir=str(disk),
            fleet=fleet,
            run="t.1",
            workspace="/",
            meta_json=b"{}",
            prompt=b"",
            words=("sh", "-c", "cat /dev/zero; exit 0"),
            variables={},
        )
        host.run(launch.launch([order]))
        command = poll.poll(str(disk), fleet, ["t.1"])
        until(lambda: poll.parse_poll(host.run(command)).runs["t.1"].state in {"gone", "ended"})
        folder = read.parse_read_meta(host.run(read.read_meta(str(disk), fleet, "t.1")))
        assert folder.exit_code != 0
        big = Launch(
            workdir=str(disk),
            fleet=fleet,
            run="t.2",
            workspace="/",
            meta_json=b"{}",
            prompt=b"x" * 300_000,
            words=("true",),
            variables={},
        )
        answer = launch.parse_launch(host.run(launch.launch([big])))["t.2"]
        assert answer.state == "absent"
        assert "cannot be" in answer.message
        host.run(stop.stop(str(disk), fleet, "t.1", StopReason.CANCELLED))
    finally:
        subprocess.run(["umount", str(disk)], check=True)
