"""The leases of pull agents: all of them in memory as the journal has them, and many renewals written as one.

It gives none by itself, and answers nothing that is not on disk.
"""

import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from reconciler.core.observed import Lease
from reconciler.core.overlay import Overlay

_KEEP = """
INSERT INTO leases
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(?)
WHERE true ON CONFLICT (task) DO UPDATE
SET epoch = excluded.epoch, until = excluded.until
WHERE (excluded.epoch, excluded.until) > (epoch, until)
"""
_SOME = """
SELECT json_group_array(json_array(task, epoch, until)) FROM leases WHERE task IN (SELECT value FROM json_each(?))
"""
"""All of them as one row: for each row by itself the thread would let the interpreter go, and wait for it again."""


@dataclass(slots=True, eq=False)
class _Batch:
    """Renewals that one change of the journal takes in, and what came of them."""

    members: int = 0
    wanted: dict[str, Lease] = field(default_factory=dict)
    done: threading.Event = field(default_factory=threading.Event)
    standing: Mapping[str, Lease] = field(default_factory=dict)
    failure: BaseException | None = None

    def add(self, leases: Mapping[str, Lease]) -> bool:
        """Take these in; whether they are the first."""
        self.members += 1
        for task, lease in leases.items():
            before = self.wanted.get(task)
            if before is None or (before.epoch, before.until) < (lease.epoch, lease.until):
                self.wanted[task] = lease
        return self.members == 1


class LeaseBook:
    """The newest lease on each task. Safe for many threads."""

    def __init__(
        self,
        rows: Callable[..., list[tuple[object, ...]]],
        writing: Callable[[], AbstractContextManager[sqlite3.Connection]],
        writer: threading.RLock,
    ) -> None:
        """`rows` asks the journal, `writing` changes it; whoever does either holds `writer`."""
        self._rows, self._writing, self._writer = rows, writing, writer
        self._next, self._gathering = _Batch(), threading.Lock()
        self._turn = threading.Lock()
        self._known: Overlay[Lease] = Overlay()
        self._version: object = None

    def all(self) -> Mapping[str, Lease]:
        """The newest lease on every task that ever had one and was not dropped; does not change under the reader.

        It waits for nobody who writes: what is being written is not on disk yet.
        """
        if not self._writer.acquire(blocking=self._version is None):
            return self._known
        try:
            self._catch_up()
            return self._known
        finally:
            self._writer.release()

    def keep(self, leases: Mapping[str, Lease]) -> dict[str, Lease]:
        """Give or renew leases; those that stand then. A later epoch's is kept, and of one epoch the longer one.

        Whoever comes while others are being written is written along with all who come then.
        """
        with self._gathering:
            batch = self._next
            leads = batch.add(leases)
        if leads:
            self._lead(batch)
        else:
            batch.done.wait()
        if batch.failure is not None:
            raise batch.failure
        return {task: batch.standing[task] for task in leases}

    def drop(self, tasks: Iterable[str]) -> None:
        """Forget the leases on these tasks."""
        names = list(tasks)
        with self._writer:
            self._catch_up()
            with self._writing() as connection:
                connection.executemany("DELETE FROM leases WHERE task = ?", [(task,) for task in names])
            self._known = self._known.changed(dict.fromkeys(names))

    def _lead(self, batch: _Batch) -> None:
        """Write a batch as soon as the one before it is written; until then others join it."""
        with self._turn:
            with self._gathering:
                self._next = _Batch()
            try:
                batch.standing = self._write(batch.wanted)
            except BaseException as error:  # noqa: BLE001 - each member raises it
                batch.failure = error
        batch.done.set()

    def _write(self, wanted: Mapping[str, Lease]) -> Mapping[str, Lease]:
        values = [(task, lease.epoch, _text(lease.until)) for task, lease in wanted.items()]
        with self._writer:
            self._catch_up()
            with self._writing() as connection:
                connection.execute(_KEEP, (json.dumps(values),))
                (text,) = connection.execute(_SOME, (json.dumps([*wanted]),)).fetchone()
            standing = {task: _lease(epoch, until) for task, epoch, until in json.loads(text)}
            self._known = self._known.changed(standing)
        return standing

    def _catch_up(self) -> None:
        """Read all anew where somebody else changed the journal."""
        ((version,),) = self._rows("PRAGMA data_version")
        if version != self._version:
            found = self._rows("SELECT task, epoch, until FROM leases")
            self._known = Overlay({str(task): _lease(epoch, until) for task, epoch, until in found})
            self._version = version


def _lease(epoch: object, until: object) -> Lease:
    return Lease(epoch=int(str(epoch)), until=datetime.fromisoformat(str(until)))


def _text(at: datetime) -> str:
    """In a form of which the later is the greater, as text too."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")
