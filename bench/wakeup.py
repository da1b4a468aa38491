"""Measures how long it takes from a saved task file to the agent's process, on this machine and over warm ssh.

The agent is `date`: what it prints is when it runs. In between an assignment is committed, durably. Beside it, in the
same rounds, are measured the three things that cannot be left out: an inotify wake-up, a durable commit by
`git fast-import`, and an empty command over one channel, each after the same rest as an edit. It tests nothing.
"""

import asyncio
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import asyncssh

from bench import frame, stage
from bench.figures import Figures, Goal, Row
from reconciler.core.desired import Identity
from reconciler.repo import git
from reconciler.repo.observed.fastimport import Change, Importer
from tests.contract.sshd import Sshd
from tests.e2e.fleets import Fleet
from tests.recording import new_fleet

ROUNDS = 5
SAMPLES = 20
HELD = (100, 10_000)
IN_MOVED_TO = 0x80
TAIL = 0.99
CHOSEN = "aes128-gcm@openssh.com"
"""The cipher that the program asks for first."""


def measure(rounds: int) -> Iterator[Figures]:
    """One table for each size of the fleet."""
    for held in HELD:
        with stage.folder("wakeup") as place, stage.server(place) as sshd:
            yield _figures(held, rounds, place / str(held), sshd)


def _figures(held: int, rounds: int, place: Path, sshd: Sshd) -> Figures:
    place.mkdir()
    fleet = stage.fleet(place, held)
    fleet.ssh_host("far", sshd, slots=50)
    limits = _Limits(place, sshd)
    taken: dict[str, list[list[float]]] = {}
    with stage.reconciling(fleet) as process:
        edits = {"local": _Edits(fleet, "here", process), "warm ssh": _Edits(fleet, "far", process)}
        for edit in edits.values():
            edit.take(3)
        for _ in range(rounds):
            for name, edit in edits.items():
                taken.setdefault(name, []).append(edit.take(SAMPLES))
            for name, values in limits.take(SAMPLES).items():
                taken.setdefault(name, []).append(values)
    return _table(held, taken)


def _table(held: int, taken: dict[str, list[list[float]]]) -> Figures:
    medians = {name: [statistics.median(values) for values in rounds] for name, rounds in taken.items()}
    rows, goals = [], []
    for name, channel in (("local", "a child"), ("warm ssh", "a channel")):
        every = sorted(value for values in taken[name] for value in values)
        tail = every[min(int(len(every) * TAIL), len(every) - 1)]
        parts = zip(medians["inotify"], medians["commit"], medians[channel], strict=True)
        total = f"inotify + commit + {channel}"
        rows += [
            Row(name=f"{name}: median", part="this", values=tuple(medians[name])),
            Row(name=f"{name}: 99 of 100 are faster", part="this", values=(tail,)),
            Row(name=total, part="limit", values=tuple(map(sum, parts))),
        ]
        goals += [
            Goal(wording=f"{name}: at most 3 times the limit", of=f"{name}: median", than=total, at_most=3),
            Goal(wording=f"{name}: 99 of 100 under 100 ms", of=f"{name}: 99 of 100 are faster", at_most=100),
        ]
    rows += [
        Row(name=name, part="limit", values=tuple(medians[name]))
        for name in ("inotify", "commit", "a child", "a channel")
    ]
    return Figures(
        name=f"wakeup_{held}",
        title=f"From a saved file to the agent's process, {held:,} tasks on hold",
        unit="ms",
        rows=tuple(rows),
        goals=tuple(goals),
        note=f"{SAMPLES} edits in each round, each after the one before was over.",
    )


@dataclass(kw_only=False)
class _Edits:
    """Tasks for one host, saved one after the other."""

    fleet: Fleet
    host: str
    process: subprocess.Popen[bytes]
    number: int = 0

    def take(self, samples: int) -> list[float]:
        return [self._one() for _ in range(samples)]

    def _one(self) -> float:
        self.number += 1
        task = f"{self.host}-{self.number:05}"
        _rest()
        saved_ns = time.time_ns()
        self.fleet.task(task, "nothing", host=self.host, adapter="clock")
        workdir = "work" if self.host == "here" else f"work-{self.host}"
        stage.until_finished(self.fleet, task, self.process)
        printed = (self.fleet.run_folder(task, 1, workdir) / "stdout").read_text()
        return (int(printed) - saved_ns) / 1e6


@dataclass(kw_only=False)
class _Limits:
    """What stands in between at least, each by itself."""

    place: Path
    sshd: Sshd
    commits: int = 0
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder = self.place / "limits"
        new_fleet(self.folder)

    def take(self, samples: int) -> dict[str, list[float]]:
        return {
            "inotify": self._inotify(samples),
            "commit": self._commit(samples),
            "a child": asyncio.run(_timed(samples, _child)),
            "a channel": asyncio.run(self._channel(samples)),
        }

    def _inotify(self, samples: int) -> list[float]:
        """Renames of a file in the presence of a process that waits for them."""
        watched = self.folder / "watched"
        watched.mkdir(exist_ok=True)
        reader = [sys.executable, "-c", WATCHER, str(watched)]
        with subprocess.Popen(reader, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None  # noqa: S101 - it was asked for
            child.stdout.readline()
            found = []
            for number in range(samples):
                (watched / ".new").write_text("x")
                _rest()
                before_ns = time.time_ns()
                (watched / ".new").replace(watched / f"file-{number}")
                found.append((int(child.stdout.readline()) - before_ns) / 1e6)
            child.kill()
        return found

    def _commit(self, samples: int) -> list[float]:
        importer = Importer(self.folder, "refs/heads/limit", Identity(), ())
        tip = git.tip(self.folder, "refs/heads/limit")
        found = []
        for _ in range(samples):
            _rest()
            self.commits += 1
            change = Change(
                message="One update",
                at=datetime.now(UTC),
                files={f"tasks/{self.commits}.yaml": os.urandom(300).hex().encode()},
            )
            before_s = time.perf_counter()
            tip = importer.commit(change, tip)
            found.append((time.perf_counter() - before_s) * 1e3)
        importer.end()
        return found

    async def _channel(self, samples: int) -> list[float]:
        connection = await connected(self.sshd)
        try:
            return await _timed(samples, lambda: connection.run("true"))
        finally:
            connection.close()


async def connected(
    sshd: Sshd, cipher: str | None = CHOSEN, sock: socket.socket | None = None
) -> asyncssh.SSHClientConnection:
    """A bare connection to the server; without `cipher` asyncssh chooses one."""
    return await asyncssh.connect(
        sshd.address,
        sshd.port,
        username=sshd.user,
        client_keys=[str(sshd.client_key_path)],
        known_hosts=None,
        config=None,
        sock=sock,
        encryption_algs=f"^{cipher}" if cipher is not None else (),
    )


def _rest() -> None:
    """Let the machine go idle, as it is between two edits: what is done again at once finds everything warm."""
    time.sleep(random.uniform(0.02, 0.2))


async def _child() -> None:
    child = await asyncio.create_subprocess_exec("sh", "-c", "true")
    await child.wait()


async def _timed(samples: int, act: Callable[[], Awaitable[object]]) -> list[float]:
    found = []
    for _ in range(samples):
        _rest()
        before_s = time.perf_counter()
        await act()
        found.append((time.perf_counter() - before_s) * 1e3)
    return found


WATCHER = f"""
import ctypes, os, sys, time
libc = ctypes.CDLL(None)
watch = libc.inotify_init()
libc.inotify_add_watch(watch, sys.argv[1].encode(), {IN_MOVED_TO})
print(flush=True)
while True:
    os.read(watch, 4096)
    print(time.time_ns(), flush=True)
"""
"""A process that says when it was woken, by plain inotify."""


if __name__ == "__main__":
    sys.exit(frame.main(["wakeup"]))
