"""What YAML said in each file when it was last read, so that a start need not read and parse it again; safe to delete.

Never believed where a file differs from it in any mark, and never more than what the text says: that is judged anew.
"""

import json
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from reconciler.repo.fleet import LOCAL

log = logging.getLogger(__name__)

FORMAT = 2
"""To be raised with every change of what a text means."""
BUSY_S = 1.0
MANY = 500
"""So many new readings are not held back any longer."""
NAME = "readings.sqlite3"

_decode = json.JSONDecoder().raw_decode


class Reading(NamedTuple):
    """A file's mark and blob id when it was read, and the values in it as JSON: a row, for there are very many."""

    path: str
    mark: bytes | str
    blob: str
    data: str


class Readings:
    """The readings of one fleet, in a file beside it. A file that cannot be used is begun anew, or done without."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fresh: dict[str, Reading | None] = {}
        self._connection: sqlite3.Connection | None = None

    @classmethod
    def beside(cls, root: Path) -> "Readings | None":
        """Those of the fleet at `root`; None where it has no folder of this machine's own that can be written."""
        folder = root / LOCAL
        return cls(folder / NAME) if os.access(folder, os.W_OK) else None

    def known(self) -> Iterator[Reading]:
        """Everything that was written, one after the other: all of it at once would be large."""
        try:
            with closing(_connected(self._path)) as connection:
                yield from map(Reading._make, connection.execute("SELECT path, mark, blob, data FROM reading"))
        except sqlite3.DatabaseError as error:
            self._give_up(error)

    def keep(self, fresh: Iterable[Reading], gone: Iterable[str] = ()) -> None:
        """Take these in place of what was known of their files; they are written by `flush`, or once they are many."""
        self._fresh.update({one.path: one for one in fresh})
        self._fresh.update(dict.fromkeys(gone))
        if len(self._fresh) >= MANY:
            self._write()

    def flush(self) -> None:
        """Write what is new, so that the next start finds it."""
        if not self._fresh and self._connection is None:
            return
        self._write()
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                with closing(connection):
                    connection.commit()
            except sqlite3.DatabaseError as error:
                self._give_up(error)

    def _write(self) -> None:
        """Hand over what is new; it counts once it is committed, all together."""
        rows = [one for one in self._fresh.values() if one is not None]
        gone = [(path,) for path, one in self._fresh.items() if one is None]
        self._fresh = {}
        try:
            self._connection = self._connection or _connected(self._path)
            self._connection.executemany("INSERT OR REPLACE INTO reading VALUES (?, ?, ?, ?)", rows)
            self._connection.executemany("DELETE FROM reading WHERE path = ?", gone)
        except sqlite3.DatabaseError as error:
            self._give_up(error)

    def _give_up(self, error: sqlite3.DatabaseError) -> None:
        """Go on without: the files can be read as well. A damaged file is taken away."""
        log.info("%s cannot be used now: %s", self._path, error)
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        if not isinstance(error, sqlite3.OperationalError):
            self._path.unlink(missing_ok=True)


def values(text: str) -> dict[str, object] | None:
    """The values in a reading; None where they are none."""
    try:
        data, end = _decode(text)
    except ValueError:
        return None
    return data if isinstance(data, dict) and end == len(text) else None


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_S, check_same_thread=False)
    try:
        connection.execute("PRAGMA synchronous = OFF")
        (known,) = connection.execute("PRAGMA user_version").fetchone()
        if known != FORMAT:
            connection.execute("DROP TABLE IF EXISTS reading")
            connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS reading"
            " (path TEXT PRIMARY KEY, mark NOT NULL, blob TEXT NOT NULL, data TEXT NOT NULL) WITHOUT ROWID"
        )
    except sqlite3.Error:
        connection.close()
        raise
    return connection
