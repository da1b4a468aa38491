"""Measures empty tasks over one ssh host: detached, durable, committed; beside bare channels and tools that do neither.

A task is a file that appears; it is over when its end is a commit. The peers run `true` and record nothing; the slow
ones run fewer, and what they need to start counts in, as it does for whoever runs them. A second limit are the programs
that the run protocol is made of, begun by one `sh` that knows nothing else. It tests nothing.
"""

import asyncio
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench import frame, stage
from bench.figures import Figures, Goal, Part, interleaved, rows
from bench.peers import Peers
from bench.wakeup import connected
from tests.contract.sshd import Sshd
from tests.e2e.fleets import Fleet
from tests.waiting import until

ROUNDS = 3
TASKS = 1000
FEWER = 100
SLOTS = 50
OURS = "reconciler: 1,000 tasks, durable and committed"
CHANNELS = "bare asyncssh, a channel for each command"
PROGRAMS = "the programs of the run protocol, by one sh"
PARALLEL = "GNU parallel, ControlMaster (100)"
PYINFRA = "pyinfra (100)"
ANSIBLE = "Ansible, pipelining and ControlPersist (100)"
FABRIC = "Fabric (100)"
PARALLEL_SSH = "parallel-ssh (100)"

CLAIMED = r"""
set -eu
claimed() {
  cd "$1"
  echo "$1" >claim
  ln claim started
  (exec setsid true >stdout 2>stderr)
  echo "$?" >exit.tmp
  exec mv exit.tmp exit
}
mkdir -p "$@"
for run do
  (claimed "$run") &
  [ "${run%[05]0}" = "$run" ] || wait
done
wait
"""
"""For each word a claim, an agent in a session of its own, and an exit status that is whole; 50 at a time."""


def measure(rounds: int) -> list[Figures]:
    """Tasks and commands in a second."""
    with stage.folder("noops") as place, stage.server(place) as sshd:
        peers = Peers(place, sshd)
        peers.install()
        takers: dict[str, Callable[[], float]] = {
            OURS: lambda: _ours(place, sshd),
            CHANNELS: lambda: asyncio.run(_channels(sshd)),
            PROGRAMS: lambda: _programs(sshd, place / "programs"),
            PYINFRA: lambda: peers.pyinfra(FEWER),
            FABRIC: lambda: peers.fabric(FEWER),
            PARALLEL_SSH: lambda: peers.parallel_ssh(FEWER),
            ANSIBLE: lambda: peers.ansible(FEWER),
        }
        if peers.has_parallel():
            takers[PARALLEL] = lambda: peers.parallel(FEWER)
        taken = interleaved(rounds, takers)
    parts: dict[str, Part] = dict.fromkeys(taken, "peer")
    parts |= {OURS: "this", CHANNELS: "limit", PROGRAMS: "limit"}
    return [
        Figures(
            name="noops",
            title=f"Empty tasks over one ssh host, {SLOTS} slots",
            unit="tasks in a second",
            rows=rows(taken, parts),
            goals=(
                Goal(wording="at least half of bare channels", of=OURS, than=CHANNELS, at_least=0.5),
                Goal(wording="at least 5 times GNU parallel", of=OURS, than=PARALLEL, at_least=5),
                Goal(wording="at least 10 times pyinfra", of=OURS, than=PYINFRA, at_least=10),
                Goal(wording="at least 50 times Ansible", of=OURS, than=ANSIBLE, at_least=50),
            ),
            note="The host is this machine: client, sshd and all commands share its cores.",
        )
    ]


def _ours(place: Path, sshd: Sshd) -> float:
    """Tasks in a second, from the first file that appears to the last end that is committed."""
    here = place / "ours"
    here.mkdir()
    try:
        fleet = stage.fleet(here, 0)
        fleet.ssh_host("far", sshd, slots=SLOTS)
        with stage.reconciling(fleet) as process:
            _one(fleet, process)
            before_s = time.perf_counter()
            for number in range(TASKS):
                fleet.task(f"noop-{number:04}", "nothing", host="far", adapter="noop")
            until(lambda: _over(fleet, process) > TASKS, seconds=stage.PATIENCE_S, every=0.05)
            return TASKS / (time.perf_counter() - before_s)
    finally:
        shutil.rmtree(here)


def _one(fleet: Fleet, process: subprocess.Popen[bytes]) -> None:
    """A first task, after which the host is known and the way to it open."""
    fleet.task("first", "nothing", host="far", adapter="noop")
    stage.until_finished(fleet, "first", process)


def _over(fleet: Fleet, process: subprocess.Popen[bytes]) -> int:
    assert process.poll() is None, (fleet.folder / "said").read_text()  # noqa: S101 - as the tests do
    return len(stage.finished(fleet))


async def _channels(sshd: Sshd) -> float:
    """Commands in a second over one connection, ten at a time."""
    connection = await connected(sshd)
    gate = asyncio.Semaphore(10)

    async def one() -> None:
        async with gate:
            await connection.run("true", check=True)

    try:
        before_s = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(TASKS)))
        return TASKS / (time.perf_counter() - before_s)
    finally:
        connection.close()


def _programs(sshd: Sshd, folder: Path) -> float:
    """Runs in a second of a shell that does what the protocol asks for, and is asked nothing meanwhile."""
    folder.mkdir()
    words = " ".join(str(number) for number in range(1, TASKS + 1))

    async def run() -> float:
        connection = await connected(sshd)
        try:
            before_s = time.perf_counter()
            await connection.run(f"cd {shlex.quote(str(folder))} && sh -s {words}", input=CLAIMED, check=True)
            return TASKS / (time.perf_counter() - before_s)
        finally:
            connection.close()

    try:
        return asyncio.run(run())
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(frame.main(["noops"]))
