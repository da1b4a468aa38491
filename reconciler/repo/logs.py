"""Local copies of what agents printed, byte for byte but for secrets, under `.reconciler/logs/<task>.<epoch>/`.

The size of a copy is the offset to go on from, so nothing is lost or doubled; it never asks a host for anything.
"""

import errno
import fcntl
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler.core.mask import Blot
from reconciler.repo.fleet import Fleet

CHUNK_BYTES = 1024 * 1024
"""How much of a copy is read at once."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
"""What a kept file may be called: nothing that leads out of its folder."""

EXTRA = "files"
"""The folder for the adapter's `output.files` in a run's log folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """Which copy is meant: `stream` is `stdout` or `stderr`."""

    task_id: str
    epoch: int
    stream: str


def size(fleet: Fleet, task_id: str, epoch: int, stream: str) -> int:
    """How many bytes of `stdout` or `stderr` are here."""
    try:
        return os.stat(fleet.log(task_id, epoch, stream)).st_size  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return 0


def append(fleet: Fleet, copy: Copy, offset: int, data: bytes | memoryview, blot: Blot) -> None:
    """Add what follows from `offset` on, a secret that it completes blotted out. Only the owner may read it.

    What is here by then stays as it is: a write that nobody waits for any more may come to its end while the same bytes
    come again. OSError where the copy ends before the offset.
    """
    folder = fleet.logs(copy.task_id, copy.epoch)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / copy.stream
    path.touch(mode=0o600)
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        here = file.seek(0, os.SEEK_END)
        if here < offset:
            raise OSError(errno.ESPIPE, f"it was cut to {here} bytes while it was written from {offset} on", str(path))
        new = data[here - offset :]
        file.seek(max(here - max(blot.longest - 1, 0), 0))
        overlap = file.read()
        file.seek(-len(overlap), os.SEEK_END)
        file.write(blot.out(overlap + new) if blot.longest else new)


def read(fleet: Fleet, task_id: str, epoch: int, stream: str, offset: int = 0) -> Iterator[bytes]:
    """The bytes that are here, from the offset on, in chunks of at most `CHUNK_BYTES`."""
    try:
        file = open(fleet.log(task_id, epoch, stream), "rb")  # noqa: PTH123, SIM115 - in use below, where it is there
    except (FileNotFoundError, NotADirectoryError):
        return
    with file:
        file.seek(offset)
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def part(fleet: Fleet, copy: Copy, offset: int, most: int) -> bytes:
    """At most so many of the bytes that are here, from the offset on."""
    path = fleet.logs(copy.task_id, copy.epoch) / copy.stream
    if not path.exists():
        return b""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(most)


def keep_file(fleet: Fleet, task_id: str, epoch: int, name: str, data: bytes) -> None:
    """Keep one of the adapter's output files under its name there; ValueError for a name that is none."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a file: letters, digits, '.', '_' and '-', at most 63")
    folder = fleet.logs(task_id, epoch) / EXTRA
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / f"{name}.new").write_bytes(data)
    (folder / f"{name}.new").replace(folder / name)


def files(fleet: Fleet, task_id: str, epoch: int) -> dict[str, Path]:
    """The adapter's output files that were kept, by name."""
    folder = fleet.log(task_id, epoch, EXTRA)
    return {path.name: path for path in sorted(Path(folder).iterdir())} if os.path.isdir(folder) else {}  # noqa: PTH112
