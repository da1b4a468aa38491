"""Turns signals into facts that a loop looks at between two steps, so that no step is cut in the middle.

It ends nothing by itself, but when it is asked to a second time.
"""

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self, TypeVar

from reconciler.repo.git import GitFailed

T = TypeVar("T")

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
EXIT = 128
"""What shells add to the number of the signal that ended a program."""


class Signals:
    """While it is entered: which signal asked for the end, and which others came. For the main thread."""

    def __init__(self, *others: signal.Signals) -> None:
        """Take those that ask for the end, and these; one that whoever started us has ignored stays ignored."""
        self._taken = [one for one in (*ENDING, *others) if signal.getsignal(one) is not signal.SIG_IGN]
        self._woken = threading.Event()
        self._came: set[signal.Signals] = set()
        self._ended_by: signal.Signals | None = None

    def __enter__(self) -> Self:
        self._before = {one: signal.signal(one, self._receive) for one in self._taken}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)

    @property
    def code(self) -> int:
        """The exit code of a program that a signal ended, 0 where none did."""
        return EXIT + self._ended_by if self._ended_by is not None else 0

    def ended(self) -> bool:
        """Whether one asked for the end by now."""
        return self._ended_by is not None

    def wait(self, seconds: float) -> frozenset[signal.Signals]:
        """Wait so long, or until a signal comes; those that came since the last call and do not ask for the end."""
        self._woken.wait(seconds)
        self._woken.clear()
        came, self._came = frozenset(self._came), set()
        return came

    def unless_ended(self, look: Callable[[], T]) -> T | None:
        """What `look` gives; None where a signal asked for the end: a terminal sends it to git as well."""
        try:
            found = look()
        except GitFailed:
            if not self.ended():
                raise
            return None
        return None if self.ended() else found

    def stop_here(self) -> None:
        """Stop as the terminal asked to, until somebody has the process go on."""
        before = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, before)

    def _receive(self, number: int, _: FrameType | None) -> None:
        one = signal.Signals(number)
        if one not in ENDING:
            self._came.add(one)
        elif self._ended_by is not None:
            raise KeyboardInterrupt
        else:
            self._ended_by = one
        self._woken.set()
