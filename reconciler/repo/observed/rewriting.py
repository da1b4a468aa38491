"""Gives a file another content as a whole: whoever opens it by its name reads the one before or the new one.

It follows no link, makes no folder, and syncs nothing.
"""

import fcntl
import os
import shutil
import signal
import stat

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_KNOWN = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def rewrite(file: str, content: bytes) -> os.stat_result | None:
    """Write into the file that is there, and how it looks then; None, and nothing done, where it cannot be.

    A new file beside it costs up to thirty times as much, for its inode and that of the old one. As long as the kernel
    lends the file to this process, others who open it wait; it is lent only while nobody has it open. It says to the
    borrower that somebody waits, by a signal that does nothing. A file with another name elsewhere is left as it is.
    """
    try:
        sink = os.open(file, _KNOWN)
    except OSError:
        return None
    try:
        found = os.fstat(sink)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            return None
        try:
            fcntl.fcntl(sink, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(sink, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError:
            return None
        _write(sink, content)
        os.ftruncate(sink, len(content))
        return os.fstat(sink)
    finally:
        os.close(sink)


def move(source: str, file: str, content: bytes) -> os.stat_result | None:
    """Have a file go from elsewhere to where none is, with another content; None where that cannot be.

    Then nothing stands there, and where it came from it may be gone.
    """
    temporary = _beside(file)
    try:
        os.rename(source, temporary)  # noqa: PTH104 - as many as there are updates: pathlib takes as long as the call
    except OSError:
        return None
    made = rewrite(temporary, content)
    if made is not None and not os.path.lexists(file):
        os.rename(temporary, file)  # noqa: PTH104
        return made
    return None


def replace(file: str, content: bytes) -> os.stat_result:
    """Write beside the file, then rename over whatever stands there; how it looks then."""
    temporary = _beside(file)
    sink = _created(temporary)
    try:
        _write(sink, content)
        made = os.fstat(sink)
    finally:
        os.close(sink)
    try:
        os.replace(temporary, file)  # noqa: PTH105 - as many as there are updates: pathlib takes as long as the call
    except IsADirectoryError:
        shutil.rmtree(file)
        os.replace(temporary, file)  # noqa: PTH105
    return made


def _beside(file: str) -> str:
    folder, _, name = file.rpartition("/")
    return f"{folder}/.{name}.new"


def _write(sink: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(sink, rest) :]


def _created(temporary: str) -> int:
    """A descriptor of a new file; what was left there is removed, and no link followed."""
    try:
        return os.open(temporary, _NEW, 0o666)
    except FileExistsError:
        try:
            os.unlink(temporary)  # noqa: PTH108
        except IsADirectoryError:
            shutil.rmtree(temporary)
        return os.open(temporary, _NEW, 0o666)
