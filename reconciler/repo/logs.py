"""Local copies of what agents printed, byte for byte, under `.reconciler/logs/<task>.<epoch>/`.

The size of a copy is the offset to go on from, so nothing is lost or doubled; it never asks a host for anything.
"""

from collections.abc import Iterator
from pathlib import Path

from reconciler.repo.fleet import Fleet

CHUNK_BYTES = 1024 * 1024
"""How much of a copy is read at once."""

EXTRA = "files"
"""The folder for the adapter's `output.files` in a run's log folder."""


def size(fleet: Fleet, task_id: str, epoch: int, stream: str) -> int:
    """How many bytes of `stdout` or `stderr` are here."""
    path = fleet.logs(task_id, epoch) / stream
    return path.stat().st_size if path.exists() else 0


def append(fleet: Fleet, task_id: str, epoch: int, stream: str, data: bytes) -> None:
    """Add bytes that follow on what is here. Only the owner may read them."""
    folder = fleet.logs(task_id, epoch)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / stream).open("ab") as file:
        file.write(data)


def read(fleet: Fleet, task_id: str, epoch: int, stream: str, offset: int = 0) -> Iterator[bytes]:
    """The bytes that are here, from the offset on, in chunks of at most `CHUNK_BYTES`."""
    path = fleet.logs(task_id, epoch) / stream
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(offset)
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def keep_file(fleet: Fleet, task_id: str, epoch: int, name: str, data: bytes) -> None:
    """Keep one of the adapter's output files under its name there."""
    folder = fleet.logs(task_id, epoch) / EXTRA
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / f"{name}.new").write_bytes(data)
    (folder / f"{name}.new").replace(folder / name)


def files(fleet: Fleet, task_id: str, epoch: int) -> dict[str, Path]:
    """The adapter's output files that were kept, by name."""
    folder = fleet.logs(task_id, epoch) / EXTRA
    return {path.name: path for path in sorted(folder.iterdir())} if folder.is_dir() else {}
