"""Remembers what was told already, so that nothing is told twice; only so much of it, and in memory alone.

It tells nobody anything.
"""

from collections.abc import Hashable


class Once:
    """What was told since the start, or since there was too much of it."""

    def __init__(self, most: int) -> None:
        """Remember at most so many things; with one more all are forgotten, and may be told again."""
        self._most = most
        self._told: set[Hashable] = set()

    def is_news(self, what: Hashable) -> bool:
        """Whether this was not asked about before."""
        if what in self._told:
            return False
        if len(self._told) >= self._most:
            self._told.clear()
        self._told.add(what)
        return True
