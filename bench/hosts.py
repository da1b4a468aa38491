"""Measures a thousand ssh hosts with one connection each: a first task on every one, and what they cost afterwards.

All hosts are one sshd on this machine, which the program does not know. Beside it, bare asyncssh opens as many
connections and runs `true` over each. It tests nothing.
"""

import asyncio
import shutil
import sys
import time
from pathlib import Path

from bench import frame, stage
from bench.figures import Figures, Goal, Row, rows
from bench.following import cpu_percent
from bench.wakeup import connected
from tests.contract.sshd import Sshd
from tests.waiting import until

ROUNDS = 1
HOSTS = 1000
TOGETHER = 50
OURS = "reconciler: known, looked over, a task done on each"
BARE = f"bare asyncssh, {TOGETHER} at a time: a connection and a command"
CONNECTIONS = "connections for each host"
MEGABYTES = "memory, with all of them open"
IDLE = "CPU while nothing runs, all of them open"


def measure(rounds: int) -> list[Figures]:
    """Two tables: how fast hosts are taken up, and what they cost."""
    taken: dict[str, list[float]] = {name: [] for name in (OURS, BARE, CONNECTIONS, MEGABYTES, IDLE)}
    for _ in range(rounds):
        with stage.folder("hosts") as place, stage.server(place, LogLevel="VERBOSE", MaxStartups="3000") as sshd:
            for name, value in _ours(place / "ours", sshd).items():
                taken[name].append(value)
            taken[BARE].append(asyncio.run(_bare(sshd)))
    found = {name: tuple(values) for name, values in taken.items()}
    fast = {name: found[name] for name in (OURS, BARE)}
    return [
        Figures(
            name="hosts",
            title=f"{HOSTS:,} ssh hosts, seen for the first time, a task on each",
            unit="hosts in a second",
            rows=rows(fast, {OURS: "this", BARE: "limit"}),
            note="Server, hosts and program share this machine's cores.",
        ),
        Figures(
            name="hosts_cost",
            title=f"What {HOSTS:,} connected hosts cost",
            unit="number; MB; percent of a core",
            rows=tuple(Row(name=name, part="this", values=found[name]) for name in (CONNECTIONS, MEGABYTES, IDLE)),
            goals=(Goal(wording="one connection each", of=CONNECTIONS, at_most=1),),
        ),
    ]


def _ours(here: Path, sshd: Sshd) -> dict[str, float]:
    """One fleet, from its start until every host has done a task; then at rest."""
    here.mkdir()
    try:
        fleet = stage.fleet(here, 0)
        for number in range(HOSTS):
            fleet.ssh_host(f"h-{number:04}", sshd, slots=1)
            fleet.task(f"t-{number:04}", "nothing", host=f"h-{number:04}", adapter="noop")
        accepted = sshd.accepted()
        before_s = time.perf_counter()
        with stage.reconciling(fleet) as process:
            until(lambda: len(stage.finished(fleet)) == HOSTS, seconds=2 * stage.PATIENCE_S, every=0.2)
            took_s = time.perf_counter() - before_s
            resident = next(
                line for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if "VmRSS" in line
            )
            return {
                OURS: HOSTS / took_s,
                CONNECTIONS: (sshd.accepted() - accepted) / HOSTS,
                MEGABYTES: int(resident.split()[1]) / 1024,
                IDLE: cpu_percent(process),
            }
    finally:
        shutil.rmtree(here)


async def _bare(sshd: Sshd) -> float:
    """Hosts in a second, each connected to and asked to run `true`; all connections stay open till the end."""
    gate = asyncio.Semaphore(TOGETHER)
    open_ones = []

    async def one() -> None:
        async with gate:
            connection = await connected(sshd)
            open_ones.append(connection)
            await connection.run("true", check=True)

    before_s = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(HOSTS)))
    took_s = time.perf_counter() - before_s
    for connection in open_ones:
        connection.close()
    return HOSTS / took_s


if __name__ == "__main__":
    sys.exit(frame.main(["hosts"]))
