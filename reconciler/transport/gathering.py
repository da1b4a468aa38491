"""Gathers what one command sends back, up to a bound, and tells when all of it has come.

It never starts, stops or waits for anything.
"""

import asyncio
import signal
from typing import Protocol

from reconciler.core.command import Completed

MAX_STDOUT_BYTES = 64 * 1024 * 1024
MAX_STDERR_BYTES = 4 * 1024 * 1024

TAIL_BYTES = 64
_SIGNAL_EXIT = 128


class Sink(Protocol):
    """Where the output of something that runs goes, piece by piece, and then its end."""

    exit: int | None
    exited: asyncio.Future[None]

    def add(self, data: bytes, *, to_stderr: bool) -> None:
        """It printed this."""
        ...

    def end(self, error: Exception | None = None) -> None:
        """Nothing more will come."""
        ...


class Gathered:
    """The output of one command as it comes in.

    `ended` is done when the last byte and the exit have come; `exited`, for a local child, once it was reaped.
    """

    def __init__(self) -> None:
        self.exit: int | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.exited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stdout = bytearray()
        self._stderr = bytearray()

    def add(self, data: bytes, *, to_stderr: bool) -> None:
        """Keep the bytes; more than the bound ends the command with a `ValueError` in `ended`."""
        kept, limit = (self._stderr, MAX_STDERR_BYTES) if to_stderr else (self._stdout, MAX_STDOUT_BYTES)
        if len(kept) + len(data) > limit:
            self.end(ValueError(f"it sent more than {limit} bytes to {'stderr' if to_stderr else 'stdout'}"))
        else:
            kept += data

    def tail(self, *, to_stderr: bool) -> bytes:
        """The last bytes of what was kept."""
        return bytes((self._stderr if to_stderr else self._stdout)[-TAIL_BYTES:])

    def cut(self, size: int, *, to_stderr: bool) -> None:
        """Drop so many bytes at the end."""
        kept = self._stderr if to_stderr else self._stdout
        del kept[len(kept) - size :]

    def end(self, error: Exception | None = None) -> None:
        """Nothing more will come. The first word counts."""
        if self.ended.done():
            return
        if error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(error)
            # Looked at here, so that asyncio does not report it where the command was given up before.
            self.ended.exception()

    def completed(self) -> Completed | None:
        """The result; `None` when the end came without an exit status."""
        if self.exit is None:
            return None
        return Completed(exit=self.exit, stdout=bytes(self._stdout), stderr=bytes(self._stderr))


def exit_of_signal(number: int) -> int:
    """The exit status that stands for a death by this signal."""
    return _SIGNAL_EXIT + number


def exit_of_signal_name(name: str) -> int:
    """The same for a name as ssh sends it (`KILL`); a name that this system does not know becomes 255."""
    known = {known.name.removeprefix("SIG"): known.value for known in signal.Signals}
    return exit_of_signal(known.get(name, 127))
