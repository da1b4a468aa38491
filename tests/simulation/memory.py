"""What outlives the program's process: the branch and the journal, on a disk that refuses, and a git that moves.

The funnel, the drafts, the records and the journal's tables are the program's own; only the disk below is simulated.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from reconciler.core.breaker import Breaker
from reconciler.repo import git, journal, storage
from reconciler.repo.git import GitResult
from reconciler.repo.journal import Journal, JournalFailed
from reconciler.repo.observed import records
from reconciler.repo.observed.branch import Branch, BranchAdvanced, BranchFailed
from reconciler.repo.observed.fastimport import Change, nothing
from reconciler.repo.observed.funnel import ObservedBranch, Setting
from reconciler.repo.observed.grouping import Group
from reconciler.repo.observed.projection import Projection
from reconciler.repo.observed.records import Recorded
from reconciler.repo.observed.requests import Request
from reconciler.repo.yaml import documents
from tests.simulation.life import Life

REFUSES, MOVES, LOSES = "git refuses a commit", "somebody commits on the branch", "the journal is lost"
FULL = "the disk refuses the journal"
BREAKERS = f"{records.ROOT}/breakers/"


@dataclass
class Disk:
    """What is durable. `files` are those of the branch; `blobs` what task files ever said, by blob id.

    `switched` is told what a commit says of a breaker: its name, and the breaker where it is not removed.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    commits: int = 0
    losses: int = 0
    journal: sqlite3.Connection | None = None
    blobs: dict[str, bytes] = field(default_factory=dict)
    switched: Callable[[str, Breaker | None], None] = lambda *_: None
    _read: dict[str, tuple[bytes, Recorded]] = field(default_factory=dict)

    def recorded(self) -> Recorded:
        """What the branch says, by the program's own reader; a file that says what it said is not read again."""
        for path, content in self.files.items():
            if path not in self._read or self._read[path][0] is not content:
                self._read[path] = (content, records.decode({path: content}))
        parts = [self._read[path][1] for path in sorted(self.files)]
        together = Recorded(
            fleet=next((one.fleet for one in parts if one.fleet is not None), None),
            tasks={name: task for one in parts for name, task in one.tasks.items()},
            hosts={name: host for one in parts for name, host in one.hosts.items()},
            breakers={name: breaker for one in parts for name, breaker in one.breakers.items()},
            paths={name: path for one in parts for name, path in one.paths.items()},
        )
        return together if len(together.paths) == sum(len(one.paths) for one in parts) else records.decode(self.files)

    def write(self, files: Mapping[str, bytes | None]) -> None:
        """Make a commit; `None`: the file is removed."""
        for path, content in files.items():
            if content is None:
                self.files.pop(path, None)
            else:
                self.files[path] = content
            if path.startswith(BREAKERS):
                name = path.removeprefix(BREAKERS).removesuffix(".yaml")
                said = documents.parse(content, path).data if content is not None else None
                self.switched(name, storage.structure(Breaker, said) if said is not None else None)
        self.commits += 1

    def deliveries(self) -> int:
        """How many webhooks are remembered."""
        if self.journal is None:
            return 0
        return int(self.journal.execute("SELECT count(*) FROM deliveries").fetchone()[0])

    def lose_journal(self) -> None:
        if self.journal is not None:
            self.journal.close()
        self.journal = None
        self.losses += 1


class SimulatedJournal(Journal):
    """The journal in memory, which outlives the process."""

    def __init__(self, disk: Disk, life: Life) -> None:
        self._disk, self._life = disk, life
        super().__init__(Path(":memory:"))

    def _open(self) -> sqlite3.Connection:
        if self._disk.journal is None:
            self._disk.journal = journal._connect(Path(":memory:"))  # noqa: SLF001 - its tables, in memory
        elif self._disk.journal.in_transaction:
            self._disk.journal.execute("ROLLBACK")
        return self._disk.journal

    def close(self) -> None:
        """The connection stays: it is the disk."""

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        self._life.may_end("before", "a journal write")
        weather = self._life.weather
        if weather.strikes(FULL, 0.0003 * weather.deadly, weather.numbered("journal write"), self._life.clock.now_s):
            raise JournalFailed("journal.sqlite3: database or disk is full")
        with super().writing() as connection:
            yield connection
        self._life.may_end("after", "a journal write")


class SimulatedBranch(Branch):
    """The branch as a value that is replaced at once or not at all."""

    def __init__(self, disk: Disk, life: Life) -> None:
        self._disk, self._life = disk, life
        self.tip = str(disk.commits)

    @property
    def child(self) -> int | None:
        return None

    def commit(self, change: Change, meanwhile: Callable[[], None] = nothing) -> str:
        """What is done meanwhile comes first at one commit, and last at the next."""
        self._life.may_end("before", "a commit", 0.003)
        weather, now_s = self._life.weather, self._life.clock.now_s
        name = weather.numbered("commit")
        if weather.strikes(REFUSES, 0.001 * weather.deadly, name, now_s):
            raise BranchFailed("the branch observed could not be written (simulated)")
        if self._disk.commits and weather.strikes(MOVES, 0.004, name, now_s):
            self._disk.commits += 1
        if self.tip != str(self._disk.commits):
            raise BranchAdvanced("the branch observed has moved on")
        first = self._disk.commits % 2
        if first:
            meanwhile()
        self._disk.write(change.files)
        self.tip = str(self._disk.commits)
        self._life.may_end("after", "a commit", 0.003)
        if not first:
            meanwhile()
        return self.tip

    def follow(self) -> str | None:
        self.tip = str(self._disk.commits)
        return self.tip

    def files(self) -> dict[str, str]:
        return dict.fromkeys(self._disk.files, "")

    def close(self) -> None:
        """There is no child."""


class _NoView(Projection):
    """Nobody looks at the files under `state/observed/`."""

    def __init__(self) -> None:
        self.updates = 0

    def update(self, files: Mapping[str, bytes | None]) -> None:
        self.updates += len(files)

    def restore(self, paths: Iterable[Path] = ()) -> list[str]:  # noqa: ARG002 - nothing is laid out
        return []

    def close(self) -> None:
        """There is no thread."""


class SimulatedRecord(ObservedBranch):
    """The funnel over the simulated branch; whoever records something makes the commit itself."""

    def __init__(self, setting: Setting, at: datetime, disk: Disk, life: Life) -> None:
        self._setting, self._disk, self._life = setting, disk, life
        self._branch = SimulatedBranch(disk, life)
        self._view = _NoView()
        self._group = Group()
        self._claims = {}
        self._recorded = self._load()
        if self._recorded.fleet is None:
            self._begin(setting.new_id(), at)
        self.put_back: list[str] = []

    def close(self) -> None:
        self._group.close()

    def _enqueue(self, waiting: Sequence[Request]) -> None:
        self._life.check()
        super()._enqueue(waiting)
        while self._group.waiting:
            self._commit(self._group.take())

    def _load(self) -> Recorded:
        found = self._disk.recorded()
        for task_id, task in found.tasks.items():
            self._index(task_id, task)
        return found

    def _show_all(self) -> list[str]:
        return []


@contextmanager
def git_door(disk: Disk) -> Iterator[None]:
    """As long as the block lasts, the program's one door to git opens on the simulated disk."""

    def run(_: Path, *args: str, **__: Any) -> GitResult:  # noqa: ANN401
        return GitResult(exit=0, stdout=b"ada" if args[:1] == ("config",) else b"", stderr=b"")

    answers: dict[str, Callable[..., object]] = {
        "run": run,
        "tip": lambda *_: None,
        "read_blobs": lambda _, ids: {one: disk.blobs[one] for one in ids if one in disk.blobs},
    }
    kept = {name: getattr(git, name) for name in answers}
    for name, answer in answers.items():
        setattr(git, name, answer)
    try:
        yield
    finally:
        for name, answer in kept.items():
            setattr(git, name, answer)


def blob_id(content: bytes) -> str:
    """The id under which git would store a content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
