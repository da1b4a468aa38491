"""The journal: what changes too often for a commit, kept in one sqlite file next to the fleet.

It never holds anything that could not be lost: without it no task is forgotten and nothing starts twice.
"""

import functools
import json
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from reconciler.core.observed import Lease
from reconciler.repo import tables
from reconciler.repo.leasebook import LeaseBook

BUSY_S = 5.0
MAX_PENDING = 256
FEW = 50
"""Of so many things each is asked for alone; of more, everything is read at once."""

_KEEP_ACTIVITY = """
INSERT INTO activity SELECT key, value FROM json_each(?) WHERE true
ON CONFLICT (task) DO UPDATE SET at = excluded.at WHERE excluded.at > at
"""
_ACTIVITIES = """
SELECT json_group_object(task, at) FROM activity WHERE task IN (SELECT value FROM json_each(?))
"""
"""All of them as one row: for each row by itself the thread would let the interpreter go, and wait for it again."""


class JournalFailed(Exception):
    """The journal could not be read or written; the message says where and why."""


class Journal:
    """The journal at `path`, made when missing. What it answers is on disk, but for `keep_activity`.

    Good versions, when tasks were first seen, and what runs were started with come there with the next change: git does
    not wait for the disk either with what the former are about, and of the last the hosts have a copy.

    A damaged file, or one of another program, is moved aside and a new one begun; `warning` then says so in one line.
    Raises JournalFailed when the folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.warning: str | None = None
        self._path = path
        self._lock = threading.RLock()
        self._activity: dict[str, str] = {}
        self._metas: dict[str, str] = {}
        self._noting = threading.Lock()
        self._leases = LeaseBook(self.rows, self.writing, self._lock)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._connection = self._open()
        except (OSError, sqlite3.Error) as error:
            raise JournalFailed(f"{path}: cannot be opened ({error}); see who may write that folder") from error

    def close(self) -> None:
        """Write what is pending and let go of the file."""
        with self.writing():
            pass
        self._connection.close()

    def good_version(self, path: str) -> str | None:
        """The blob id of the newest valid version of a file, None where none is known."""
        return self._text("SELECT blob FROM good WHERE path = ?", path)

    def good_versions(self, paths: Collection[str]) -> dict[str, str]:
        """The same of those of these files of which one is known."""
        if len(paths) <= FEW:
            return {path: blob for path in paths if (blob := self.good_version(path)) is not None}
        return {str(path): str(blob) for path, blob in self.rows("SELECT path, blob FROM good")}

    def keep_good_versions(self, blobs: Mapping[str, str]) -> None:
        """Remember the newest valid blob of each of these files, all at once."""
        with self._writing_soon() as connection:
            connection.executemany("INSERT OR REPLACE INTO good VALUES (?, ?)", blobs.items())

    def first_seen(self, tasks: Mapping[str, datetime]) -> dict[str, datetime]:
        """When each of the tasks was first seen: as was kept before, else the time given, which is kept now."""
        found = dict(tasks)
        new = set(tasks)
        for task, at in self._first_seen(tasks):
            if task in found:
                found[task] = _moment(at)
                new.discard(task)
        if new:
            values = ((task, tasks[task].astimezone(UTC).isoformat()) for task in new)
            with self._writing_soon() as connection:
                connection.executemany("INSERT OR IGNORE INTO first_seen VALUES (?, ?)", values)
        return found

    def _first_seen(self, tasks: Collection[str]) -> Iterator[tuple[str, str]]:
        """What is known of these tasks, and of others where they are many; row after row, for all would be large."""
        if len(tasks) <= FEW:
            for task in tasks:
                for one, at in self.rows("SELECT task, at FROM first_seen WHERE task = ?", task):
                    yield str(one), str(at)
        else:
            with self._lock, self._told():
                yield from self._connection.execute("SELECT task, at FROM first_seen")

    def activity(self, task: str) -> datetime | None:
        """When something last moved in a task."""
        return self.activities([task]).get(task)

    def activities(self, tasks: Iterable[str]) -> dict[str, datetime]:
        """When something last moved in each of these tasks, as far as that is known; one question for all of them."""
        names = list(tasks)
        with self._lock:
            found: dict[str, str] = json.loads(self._text(_ACTIVITIES, json.dumps(names)) or "{}")
            pending = self._activity
            found |= {task: max(pending[task], found.get(task, "")) for task in names if task in pending}
        return {task: datetime.fromisoformat(at) for task, at in found.items()}

    def keep_activity(self, task: str, at: datetime) -> None:
        """Remember that something moved; an earlier time changes nothing. Written along with whatever comes next.

        It waits for nobody who writes.
        """
        text = at.astimezone(UTC).isoformat()
        with self._noting:
            self._activity[task] = max(text, self._activity.get(task, ""))
            many = len(self._activity) >= MAX_PENDING
        if many:
            with self.writing():
                pass

    def meta(self, run_id: str) -> str | None:
        """What a run was started with, as JSON text. What this process kept itself waits for nobody who writes."""
        return self._metas.get(run_id) or self._text("SELECT json FROM meta WHERE run = ?", run_id)

    def keep_metas(self, texts: Mapping[str, str]) -> None:
        """Remember what runs were started with, by run. Their hosts have it as well."""
        with self._writing_soon() as connection:
            connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", [*texts.items()])
        self._metas.update(texts)

    def lease(self, task: str) -> Lease | None:
        """The newest lease on a task, run out or not."""
        return self._leases.all().get(task)

    def leases(self) -> Mapping[str, Lease]:
        """The newest lease on every task that ever had one and was not dropped."""
        return self._leases.all()

    def keep_leases(self, leases: Mapping[str, Lease]) -> dict[str, Lease]:
        """Give or renew leases; those that stand then. A later epoch's is kept, and of one epoch the longer one."""
        return self._leases.keep(leases)

    def drop_leases(self, tasks: Iterable[str]) -> None:
        """Forget the leases on these tasks."""
        self._leases.drop(tasks)

    def forget(self, *run_ids: str) -> None:
        """Drop the meta of runs that are over."""
        with self.writing() as connection:
            connection.executemany("DELETE FROM meta WHERE run = ?", [(run_id,) for run_id in run_ids])
        for run_id in run_ids:
            self._metas.pop(run_id, None)

    def prove(self) -> None:
        """Write something, to see that it works; raises JournalFailed where it does not."""
        with self.writing() as connection:
            connection.execute("INSERT INTO proof VALUES (coalesce((SELECT max(number) FROM proof), 0) + 1)")
            connection.execute("DELETE FROM proof WHERE number < (SELECT max(number) FROM proof)")

    def _open(self) -> sqlite3.Connection:
        try:
            return _connect(self._path)
        except _Unusable as error:
            aside = _move_aside(self._path)
            self.warning = f"{self._path.name} {error}; it was moved to {aside.name} and a new one begun"
            return _connect(self._path)

    def _text(self, query: str, *values: str) -> str | None:
        row = self._row(query, *values)
        return None if row is None else str(row[0])

    def _row(self, query: str, *values: str) -> tuple[object, ...] | None:
        with self._lock, self._told():
            row: tuple[object, ...] | None = self._connection.execute(query, values).fetchone()
            return row

    def rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        """What a question finds; for the modules that keep tables of their own here."""
        with self._lock, self._told():
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One change, whole or not at all, on disk at its end; for the modules that keep tables of their own here."""
        with self._lock, self._told():
            self._connection.execute("BEGIN IMMEDIATE")
            with self._noting:
                noted = dict(self._activity)
            try:
                if noted:
                    self._connection.execute(_KEEP_ACTIVITY, (json.dumps(noted),))
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            with self._noting:
                self._activity = {task: at for task, at in self._activity.items() if noted.get(task) != at}

    @contextmanager
    def _writing_soon(self) -> Iterator[sqlite3.Connection]:
        """The same, on disk along with the next change; it outlives this process at once."""
        with self._lock, self._told():
            self._connection.execute("PRAGMA synchronous = NORMAL")
            try:
                with self.writing() as connection:
                    yield connection
            finally:
                self._connection.execute("PRAGMA synchronous = FULL")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise JournalFailed(f"{self._path}: {error}; free the disk or move the file away, then restart") from error


@functools.lru_cache(maxsize=1024)
def _moment(text: str) -> datetime:
    """One value for all that were seen at once."""
    return datetime.fromisoformat(text)


class _Unusable(Exception):
    """The file is damaged or not a journal of this program."""


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        _examine(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        _migrate(connection)
    except sqlite3.OperationalError:
        connection.close()
        raise
    except sqlite3.DatabaseError as error:
        connection.close()
        raise _Unusable(f"is damaged ({error})") from error
    except _Unusable:
        connection.close()
        raise
    return connection


def _examine(connection: sqlite3.Connection) -> None:
    application, known, there = (
        int(connection.execute(question).fetchone()[0])
        for question in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
    )
    if there and application != tables.APPLICATION:
        raise _Unusable("belongs to another program")
    if known > len(tables.MIGRATIONS):
        raise _Unusable(f"was written by a newer version (format {known})")
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise _Unusable(f"is damaged ({str(verdict).splitlines()[0]})")


def _migrate(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    (known,) = connection.execute("PRAGMA user_version").fetchone()
    for statements in tables.MIGRATIONS[int(known) :]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {tables.APPLICATION}")
    connection.execute(f"PRAGMA user_version = {len(tables.MIGRATIONS)}")
    connection.execute("COMMIT")


def _move_aside(path: Path) -> Path:
    numbers = (path.with_name(f"{path.name}.broken-{number}") for number in range(1, 10_000))
    aside = next(name for name in numbers if not name.exists())
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.rename(aside.with_name(aside.name + suffix))
    return aside
