"""What each channel was told, how often it failed and until when it is left alone; kept in the journal.

Losing it costs messages about the last hour's causes, said once more.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import replace

from reconciler.core.notifications import Notified
from reconciler.repo import storage
from reconciler.repo.journal import Journal


class Channels:
    """The channels of one fleet, over its journal. Raises JournalFailed."""

    def __init__(self, journal: Journal) -> None:
        """Read nothing yet."""
        self._journal = journal

    def known(self, names: Collection[str]) -> dict[str, Notified]:
        """What is known of these channels; of one that nobody looked at yet, nothing."""
        if not names:
            return {}
        rows = self._journal.rows("SELECT channel, json FROM channels")
        kept = {str(name): str(text) for name, text in rows}
        return {name: self._with_told(name, kept[name]) for name in names if name in kept}

    def keep(self, name: str, before: Notified | None, now: Notified) -> None:
        """Keep what is known of a channel now, where `before` was kept; all of it, or nothing."""
        old = before.told if before is not None else {}
        gone = [(name, key) for key in old if key not in now.told]
        fresh = [(name, key, was) for key, was in now.told.items() if old.get(key) is not was]
        text = json.dumps(storage.unstructure(replace(now, told={})))
        with self._journal.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO channels VALUES (?, ?)", (name, text))
            connection.executemany("DELETE FROM told WHERE channel = ? AND key = ?", gone)
            connection.executemany("INSERT OR REPLACE INTO told VALUES (?, ?, ?)", fresh)

    def drop_others(self, names: Iterable[str]) -> None:
        """Forget the channels that the settings name no more."""
        kept = json.dumps(sorted(names))
        with self._journal.writing() as connection:
            for table in ("channels", "told"):
                query = f"DELETE FROM {table} WHERE channel NOT IN (SELECT value FROM json_each(?))"  # noqa: S608 - the names of our own tables
                connection.execute(query, (kept,))

    def _with_told(self, name: str, text: str) -> Notified:
        rows = self._journal.rows("SELECT key, told FROM told WHERE channel = ?", name)
        told = {str(key): bool(was) for key, was in rows}
        return replace(storage.structure(Notified, json.loads(text)), told=told)
