"""How the fleet stands with its remote, kept in the journal for the other processes of this place.

What is kept is only as new as the process that wrote it; losing it costs nothing but what `status` shows.
"""

import json
from dataclasses import replace
from datetime import timedelta

from reconciler.core.standing import Standing
from reconciler.repo import storage
from reconciler.repo.journal import Journal

OLD = timedelta(seconds=30)
"""How old the kept time of the last answer may get while nothing else changes."""


class Standings:
    """The newest standing."""

    def __init__(self, journal: Journal) -> None:
        """Read what is known."""
        self._journal = journal
        self._kept = read(journal)

    def keep(self, standing: Standing) -> None:
        """Keep this one, where it is news. Raises JournalFailed."""
        before = self._kept
        if before is not None and replace(before, heard_at=standing.heard_at) == standing:
            heard, now = before.heard_at, standing.heard_at
            if heard is None or now is None or now - heard < OLD:
                return
        text = json.dumps(storage.unstructure(standing))
        with self._journal.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO standing VALUES (1, ?)", (text,))
        self._kept = standing

    def drop(self) -> None:
        """Forget it: the fleet lives on no remote any more."""
        with self._journal.writing() as connection:
            connection.execute("DELETE FROM standing")
        self._kept = None


def read(journal: Journal) -> Standing | None:
    """The standing that was kept last; `None` where there is none."""
    rows = journal.rows("SELECT json FROM standing")
    return storage.structure(Standing, json.loads(str(rows[0][0]))) if rows else None
