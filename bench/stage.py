"""What measurements are made on: a fleet with tasks on hold, a real sshd, and the program as a process of its own.

It measures nothing, and leaves nothing behind but what is in its folder, which is thrown away.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.contract.sshd import Sshd
from tests.e2e.fleets import PROJECT, Fleet, environment, git
from tests.waiting import until

PER_FOLDER = 256
PATIENCE_S = 180.0
PROGRAM = ("-m", "reconciler")


@contextlib.contextmanager
def folder(name: str) -> Iterator[Path]:
    """A folder for as long as a measurement takes; git of this process reads no configuration meanwhile."""
    os.environ.update(GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM="1")
    with tempfile.TemporaryDirectory(prefix=f"{name}-", ignore_cleanup_errors=True) as made:
        yield Path(made)


@contextlib.contextmanager
def server(place: Path, **settings: str) -> Iterator[Sshd]:
    """A running sshd with the given settings over those of the tests, and a home without start-up files."""
    fixed = {"MaxSessions": "2000", "LogLevel": "ERROR", "SetEnv": f"HOME={place}"}
    running = Sshd.start(place / "sshd", {**fixed, **settings})
    try:
        yield running
    finally:
        running.stop()


def fleet(place: Path, held: int, *, slots: int = 50) -> Fleet:
    """A fleet with the local host `here`, an adapter that does nothing, and so many tasks on hold, all committed."""
    made = Fleet.make(place, slots=slots)
    git(made.root, "config", "gc.auto", "0")
    made.write("adapters/noop.yaml", {"run": ["true"], "prompt": "file", "prompt_text": "goal"})
    made.write("adapters/clock.yaml", {"run": ["date", "+%s%N"], "prompt": "file", "prompt_text": "goal"})
    for number in range(held):
        task = {"title": f"Held {number}", "goal": "nothing", "adapter": "noop", "desired": "hold"}
        path = made.root / "state" / "tasks" / f"{number // PER_FOLDER:03}" / f"held-{number:06}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(task))
    made.commit("Hold tasks")
    return made


@contextlib.contextmanager
def reconciling(
    of: Fleet, words: Sequence[str] = ("--no-listen",), program: Sequence[str] = PROGRAM
) -> Iterator[subprocess.Popen[bytes]]:
    """The program at work on the fleet; `program` is what Python is given to run it."""
    with (of.folder / "said").open("ab") as sink:
        process = subprocess.Popen(
            [sys.executable, *program, "--fleet", str(of.root), "reconcile", *words],
            cwd=of.folder,
            env={**environment(of.folder), "PYTHONPATH": str(PROJECT)},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE_S)
        finally:
            process.kill()
            of.end_runs()


def finished(of: Fleet) -> set[str]:
    """The tasks of which the view says that they are over."""
    return {path.stem for path in (of.root / "state" / "observed" / "done").glob("*/*.yaml")}


def until_finished(of: Fleet, task: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a task is over; AssertionError with what the program said where it is not."""

    def look() -> bool:
        assert process.poll() is None, (of.folder / "said").read_text()  # noqa: S101 - as the tests do
        return any((of.root / "state" / "observed" / "done").glob(f"*/{task}.yaml"))

    try:
        until(look, seconds=PATIENCE_S, every=0.02)
    except AssertionError as error:
        raise AssertionError((of.folder / "said").read_text()[-3000:]) from error
