"""Blobs put into git's object store as loose objects, in the form that git gives them, and without a process for each.

Never reads one.
"""

import os
import secrets
import stat
import zlib
from contextlib import suppress
from pathlib import Path

LEVEL = 1
"""The text is small; maintenance packs it with a better one."""
MODE = 0o444


def has(objects: Path, blob: str) -> bool:
    """Whether there is an object with this id by itself, in no pack."""
    return (objects / blob[:2] / blob[2:]).exists()


def write(objects: Path, blob: str, content: bytes) -> bool:
    """Put a blob with this id into that folder of objects, whole or not at all; whether it is there.

    Where it is not git has to be asked: it has words for what is wrong. As with git's own loose objects, nobody waits
    until it is on disk.
    """
    folder = objects / blob[:2]
    new = folder / f"tmp_obj_{secrets.token_hex(6)}"
    try:
        if not folder.exists():
            _make(folder)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "wb") as file:
            file.write(zlib.compress(b"blob %d\0" % len(content) + content, LEVEL))
        new.rename(folder / blob[2:])
    except OSError:
        new.unlink(missing_ok=True)
        return False
    return True


def _make(folder: Path) -> None:
    """Make a folder as git does, which takes an empty one away: with the access of the one that it is in."""
    with suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(stat.S_IMODE(folder.parent.stat().st_mode))
