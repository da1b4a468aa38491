"""What waits for the next commit: all that came by then share it, and those who shared the last one are waited for.

It commits nothing. It keeps nobody waiting who was alone.
"""

import threading
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Generic, TypeVar

MOST = 1000
"""How many facts one commit takes in."""
SHARE = 100
"""How many of them may come from one asker while others wait as well: the rest of a large number goes later."""
GATHER_S = 0.01
"""The longest that a commit is put off for others; never longer than the one before took."""

R = TypeVar("R")


class Closed(Exception):
    """Nothing more is taken."""


class Group(Generic[R]):
    """Requests of many threads, for one that serves all of them at once.

    Threads that got their answers together come again together: a commit for the first of them alone would have all
    others wait for a second one. So as many askers are awaited as shared the last commit, for a moment.
    """

    def __init__(self, clock: Callable[[], float] = monotonic, gather_s: float = GATHER_S) -> None:
        """`clock` counts seconds."""
        self._clock, self._gather_s = clock, gather_s
        self._changed = threading.Condition()
        self._waiting: list[Sequence[R]] = []
        self._askers = 0
        self._enough = 1
        """With so many who ask, whoever serves them is woken."""
        self._shared = 1
        self._taken_s = 0.0
        self._closed = False

    @property
    def waiting(self) -> bool:
        """Whether anything is to be served."""
        return bool(self._waiting)

    def put(self, requests: Sequence[R]) -> None:
        """Have these served, all at once if they are no more than a share. Raises Closed."""
        with self._changed:
            if self._closed:
                raise Closed
            if requests:
                self._waiting.append(requests)
            self._askers += 1
            if self._askers >= self._enough:
                self._changed.notify_all()

    def take(self) -> Sequence[R]:
        """What is to be served together now; waits for it. Nothing: it is closed, and all are served."""
        took_s = self._clock() - self._taken_s
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            self._enough = self._shared
            self._changed.wait_for(lambda: self._askers >= self._enough or self._closed, min(took_s, self._gather_s))
            self._shared, self._askers, self._enough = max(self._askers, 1), 0, 1
            taken = self._shared_out()
        self._taken_s = self._clock()
        return taken

    def _shared_out(self) -> list[R]:
        """What is served now: of each asker in turn what fits; what does not stays in its order."""
        share = MOST if len(self._waiting) == 1 else SHARE
        taken: list[R] = []
        left: list[Sequence[R]] = []
        for requests in self._waiting:
            room = share if len(taken) + min(share, len(requests)) <= MOST else 0
            taken += requests[:room]
            if room < len(requests):
                left.append(requests[room:])
        self._waiting = left
        return taken

    def close(self) -> None:
        """Take nothing more; what waits is still served."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
