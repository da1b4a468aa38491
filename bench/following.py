"""Measures following live runs on one ssh host: connections, the program's CPU, and how fast a large output comes over.

The runs print a line a second. The output is one run's, against `ssh host cat` of the same bytes. It tests nothing.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from bench import frame, stage
from bench.figures import Figures, Goal, Part, interleaved, rows
from tests.contract.sshd import Sshd
from tests.e2e.fleets import Fleet
from tests.waiting import until

ROUNDS = 3
RUNS = 200
WATCHED_S = 15.0
OUTPUT_MB = 100
PRINTING = "i=0; while [ $i -lt 3600 ]; do echo working on it $i; sleep 1; i=$((i + 1)); done"


def measure(rounds: int) -> list[Figures]:
    """Two tables: what following costs, and what an output takes."""
    with stage.folder("following") as place, stage.server(place, LogLevel="VERBOSE") as sshd:
        cost = _cost(rounds, place, sshd)
    with stage.folder("following") as place, stage.server(place) as sshd:
        return [cost, _output(rounds, place, sshd)]


def _cost(rounds: int, place: Path, sshd: Sshd) -> Figures:
    fleet = stage.fleet(place, 0)
    fleet.ssh_host("far", sshd, slots=RUNS)
    for number in range(RUNS):
        fleet.task(f"live-{number:03}", PRINTING, host="far")
    with stage.reconciling(fleet) as process:
        until(lambda: _alive(fleet) == RUNS, seconds=stage.PATIENCE_S, every=0.5)
        time.sleep(5)
        taken = interleaved(
            rounds,
            {
                "CPU of the program, in percent of a core": lambda: cpu_percent(process),
                "connections": lambda: float(sshd.accepted()),
            },
        )
    return Figures(
        name="following",
        title=f"Following {RUNS} live runs on one host, each printing a line a second",
        unit="percent; number",
        rows=rows(taken, {}),
        goals=(
            Goal(wording="at most 5 percent of a core", of="CPU of the program, in percent of a core", at_most=5),
            Goal(wording="at most 2 connections", of="connections", at_most=2),
        ),
        note=f"CPU over {WATCHED_S:.0f} s, of user and system; what sshd and the host's sh take is not in it.",
    )


def _alive(fleet: Fleet) -> int:
    return sum((path / "stdout").exists() for path in (fleet.root / ".reconciler" / "logs").glob("live-*"))


def cpu_percent(process: subprocess.Popen[bytes]) -> float:
    """What the program takes at the moment, in percent of a core."""
    before_s, since_s = _spent_s(process.pid), time.perf_counter()
    time.sleep(WATCHED_S)
    return 100 * (_spent_s(process.pid) - before_s) / (time.perf_counter() - since_s)


def _spent_s(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _output(rounds: int, place: Path, sshd: Sshd) -> Figures:
    """Megabytes in a second of one large output, from the first byte that is here to the last."""
    large = place / "large"
    large.write_bytes(os.urandom(1024 * 1024) * OUTPUT_MB)
    fleet = stage.fleet(place, 0)
    fleet.ssh_host("far", sshd, slots=2)
    numbers = iter(range(1000))
    with stage.reconciling(fleet) as process:

        def ours() -> float:
            task = f"large-{next(numbers)}"
            fleet.task(task, f"cat {large}", host="far")
            copy = fleet.root / ".reconciler" / "logs" / f"{task}.1" / "stdout"
            until(copy.exists, seconds=stage.PATIENCE_S, every=0.002)
            before_s = time.perf_counter()
            until(lambda: copy.stat().st_size == large.stat().st_size, seconds=stage.PATIENCE_S, every=0.005)
            taken_s = time.perf_counter() - before_s
            stage.until_finished(fleet, task, process)
            return OUTPUT_MB / taken_s

        taken = interleaved(rounds, {OURS: ours, CAT: lambda: _cat(sshd, large)})
    parts: dict[str, Part] = {CAT: "peer"}
    return Figures(
        name="following_output",
        title=f"An output of {OUTPUT_MB} MB over ssh, to a file here",
        unit="MB in a second",
        rows=rows(taken, parts),
        goals=(Goal(wording="at least half of ssh host cat", of=OURS, than=CAT, at_least=0.5),),
        note="Ours is read in chunks by offset, masked, and appended to the copy; the wait for the poll is left out.",
    )


OURS = "reconciler"
CAT = "ssh host cat"


def _cat(sshd: Sshd, file: Path) -> float:
    options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")
    words = [word for option in options for word in ("-o", option)]
    place = ["-i", str(sshd.client_key_path), "-p", str(sshd.port), f"{sshd.user}@{sshd.address}"]
    copy = file.with_name("copy")
    with copy.open("wb") as sink:
        before_s = time.perf_counter()
        subprocess.run(["ssh", "-F", "none", *words, *place, f"cat {file}"], stdout=sink, check=True)
        return OUTPUT_MB / (time.perf_counter() - before_s)


if __name__ == "__main__":
    sys.exit(frame.main(["following"]))
