"""Keeps a page for a moment, so that many who look make no more work than one. Safe for many threads.

It never keeps many, and none for longer than it says.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

STANDS_S = 0.5
"""How long a page stands, unless it is said otherwise: nobody sees one that is older."""
MOST = 32


class Kept:
    """Pages by what they show."""

    def __init__(self, clock: Callable[[], float], stands_s: float = STANDS_S) -> None:
        """`clock` counts seconds, and never backwards."""
        self._clock = clock
        self._stands_s = stands_s
        self._lock = threading.Lock()
        self._pages: OrderedDict[Hashable, tuple[float, bytes]] = OrderedDict()

    def page(self, shows: Hashable, make: Callable[[], bytes]) -> bytes:
        """The page, made where none stands. One is made at a time: whoever comes meanwhile waits for it."""
        with self._lock:
            made_s, body = self._pages.pop(shows, (0.0, b""))
            if not body or self._clock() - made_s >= self._stands_s:
                body, made_s = make(), self._clock()
            self._pages[shows] = (made_s, body)
            if len(self._pages) > MOST:
                self._pages.popitem(last=False)
            return body
