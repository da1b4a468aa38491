"""Passes lines on to a log, a bounded number per minute; of the others it tells how many there were.

Whoever sends rubbish must not be able to fill a disk with it.
"""

import threading
from collections.abc import Callable

MOST = 10
WITHIN_S = 60.0


class Bounded:
    """A log with a bound. Safe for many threads."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float]) -> None:
        """`clock` counts seconds."""
        self._say = say
        self._clock = clock
        self._lock = threading.Lock()
        self._began = clock()
        self._lines = 0

    def __call__(self, line: str) -> None:
        """Say the line, or only count it."""
        with self._lock:
            if self._clock() - self._began >= WITHIN_S:
                self.close()
                self._began, self._lines = self._clock(), 0
            self._lines += 1
            if self._lines <= MOST:
                self._say(line)

    def close(self) -> None:
        """Tell of those that were only counted."""
        if self._lines > MOST:
            self._say(f"{self._lines - MOST} more requests were refused meanwhile")
