"""The lock of a fleet: one reconciler writes its branch `observed`, and a second one is refused.

It is never broken by force: it is free when its holder, and the git process that the holder lent it to, are gone.
"""

import fcntl
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path

GRACE_S = 2.0
LOOK_EVERY_S = 0.02
MAX_HOLDER_BYTES = 300


class Locked(Exception):
    """Another reconciler works on this fleet; the message names it and says what to do."""


@dataclass(frozen=True, slots=True)
class Lock:
    """The held lock. Only a child that is given `descriptors` by `pass_fds` shares it."""

    descriptors: tuple[int, ...]

    def release(self) -> None:
        """Let go; a child that still has the descriptors goes on holding it."""
        for descriptor in self.descriptors:
            os.close(descriptor)


def acquire(path: Path, *others: Path) -> Lock:
    """Take the lock, which is all of these files, or raise Locked.

    A holder that lives is refused at once. Where it has died, its git process may be about to end: that is waited for,
    at most `GRACE_S`.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    held = Lock(())
    for one in (path, *others):
        try:
            held = Lock((*held.descriptors, _held(one)))
        except BaseException:
            held.release()
            raise
    return held


def holder(path: Path) -> str | None:
    """Who holds the lock, in words; None where nobody does."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return None if _taken(descriptor) else _named(_holder(descriptor))
    finally:
        os.close(descriptor)


def _held(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _take(descriptor, path)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _take(descriptor: int, path: Path) -> None:
    deadline = time.monotonic() + GRACE_S
    while not _taken(descriptor):
        holder = _holder(descriptor)
        if _lives(holder) or time.monotonic() > deadline:
            raise Locked(f"{_named(holder)} already works on this fleet; stop it first ({path} is its lock)")
        time.sleep(LOOK_EVERY_S)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> tuple[int | None, str]:
    words = os.pread(descriptor, MAX_HOLDER_BYTES, 0).decode(errors="replace").split()
    known = len(words) == 2 and words[0].isdecimal()  # noqa: PLR2004 - pid and host
    return (int(words[0]), words[1]) if known else (None, "")


def _lives(holder: tuple[int | None, str]) -> bool:
    pid, host = holder
    if pid is None or pid == os.getpid():
        return False
    if host != socket.gethostname():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _named(holder: tuple[int | None, str]) -> str:
    pid, host = holder
    if pid is None:
        return "another reconciler"
    return f"a reconciler (process {pid} on {host})" if _lives(holder) else f"the git process of reconciler {pid}"
