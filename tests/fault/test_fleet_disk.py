"""The fleet's own disk full, and answering with I/O errors: it is said, nothing is lost, and the next one goes on."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.sshd import required_tool
from tests.e2e.fleets import PROGRAM, PROJECT, Fleet, environment, git
from tests.e2e.test_edits import let_go, waits
from tests.waiting import until

pytestmark = pytest.mark.fault

SAMPLED = "FAULT_SAMPLE" in os.environ
SYNCS, GITS_SYNCS, WRITES = "fsync,fdatasync", "fsync", "pwrite64"
PLACES = [
    (SYNCS, 8),
    *([] if SAMPLED else [(SYNCS, number) for number in (1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12)]),
    *([] if SAMPLED else [(GITS_SYNCS, number) for number in (1, 2, 3)]),
    *([] if SAMPLED else [(WRITES, number) for number in (1, 3, 6, 12, 24)]),
]
"""Which of a process's calls fail, from which on: syncs of git alone or of the journal too, the journal's writes."""


def went_on(fleet: Fleet) -> None:
    """The next reconciler finishes everything, once."""
    ended = fleet.until_idle()
    assert ended.process.returncode == 0, ended.said()
    assert "Traceback" not in ended.said()
    assert (fleet.phase("one"), fleet.runs()) == ("completed", ["one.1"])
    assert fleet.observed("one").get("attempts", 0) == 0
    assert git(fleet.root, "fsck", "--no-dangling", "--strict") == ""
    assert git(fleet.root, "status", "--porcelain") == ""


@pytest.mark.parametrize(("calls", "number"), PLACES)
def test_a_disk_that_answers_with_errors_ends_the_reconciler_and_loses_nothing(
    fleet: Fleet, calls: str, number: int
) -> None:
    fleet.task("one", f"{fleet.ran}echo done")
    fleet.commit("Ask for work")
    failing = [
        *(required_tool("strace"), "-f", "-qq", "-o", str(fleet.folder / "trace"), "-e", f"trace={calls}"),
        *("-e", f"inject={calls}:error=EIO:when={number}+"),
    ]
    words = [sys.executable, "-m", *PROGRAM, str(fleet.root), "reconcile", "--no-listen", "--until-idle"]
    env = {**environment(fleet.folder), "PYTHONPATH": str(PROJECT)}
    done = subprocess.run([*failing, *words], env=env, capture_output=True, text=True, check=False, timeout=120)
    assert "INJECTED" in (fleet.folder / "trace").read_text() or done.returncode == 0
    assert "Traceback" not in done.stderr, done.stderr
    if done.returncode != 0:
        assert (done.returncode, len(done.stderr.strip().splitlines())) == (1, 1), done.stderr
    went_on(fleet)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Fleet]:
    """A fleet that has a disk of its own, of eight megabytes; its host's folder is elsewhere."""
    if os.getuid() != 0:
        pytest.skip("mounting a small disk needs root")
    root = tmp_path / "fleet"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(root)], check=True)
    try:
        made = Fleet.make(tmp_path)
        yield made
        made.end_runs()
    finally:
        subprocess.run(["umount", "--lazy", str(root)], check=True)


def test_a_full_disk_is_said_and_what_happened_meanwhile_is_not_lost(small: Fleet) -> None:
    small.task("one", waits(small, "one", "echo done"))
    small.commit("Ask for work")
    filler = small.root / ".reconciler" / "filler"
    reconciler = small.start()
    reconciler.until_phase("one", "running")
    until(lambda: small.runs() == ["one.1"])
    fill(filler)
    let_go(small, "one")
    until(lambda: "No space left" in reconciler.said(), seconds=60)
    assert small.phase("one") == "running"
    filler.unlink()
    if reconciler.process.poll() is None:
        reconciler.until_phase("one", "completed")
        reconciler.stop()
    assert "Traceback" not in reconciler.said()
    went_on(small)


def fill(path: Path) -> None:
    """Take what is left of the disk."""
    with path.open("wb", buffering=0) as file:
        for size in (65536, 1024, 1):
            try:
                while file.write(bytes(size)):
                    continue
            except OSError:
                continue
