"""What was read of each file: its stamp, its blob id, its value or problems; read again only when its stamp moved.

Never decides which version is in force.
"""

import itertools
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from reconciler.core.desired import Problem
from reconciler.repo import git
from reconciler.repo.desired import blobs, filling, fleetfiles, loading, readings
from reconciler.repo.desired.checks import Value
from reconciler.repo.desired.filling import Filling, Left
from reconciler.repo.desired.fleetfiles import Place, Stamp
from reconciler.repo.desired.loading import Loaded
from reconciler.repo.desired.readings import Reading

PORTION = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What was last read of one file. Without a stamp it is read again.

    `left` says what a task was filled in with. There is one of these for each file, so it holds things themselves.
    """

    place: Place
    stamp: Stamp | None
    blob: str
    value: Value | None = None
    left: Left | None = None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Places(Mapping[str, Place]):
    """What each path stands for, of the entries there are."""

    entries: Mapping[str, Entry]

    def __getitem__(self, path: str) -> Place:
        return self.entries[path].place

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


Stale = Mapping[str, tuple[Place, Stamp]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What came of reading: the entries, and what is worth to be kept of them for another start.

    Of few files of the work tree the `contents`, too.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    readings: list[Reading] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads files; content that was read before is not parsed again.

    Tasks come filled in, where `filling` is given. `committed` gives a file's blob id at the branch's tip.
    """

    root: Path
    algorithm: str
    old: Mapping[str, Entry] = field(default_factory=dict)
    filling: Filling | None = None
    committed: Callable[[str], str | None] = lambda _: None

    def from_commit(self, stale: Stale) -> Read:
        """The files whose stamps are blob ids."""
        contents = git.read_blobs(self.root, (str(stamp) for _, stamp in stale.values()))
        read = Read()
        for path, (place, stamp) in stale.items():
            if stamp in contents:
                self._take(read, path, (place, stamp), contents[str(stamp)])
        return read

    def from_work_tree(self, stale: Stale, now_ns: int) -> Read:
        """The files of the work tree; one that is gone by now is left out, one that cannot be read is a problem."""
        read = Read()
        for path, (place, stamp) in stale.items():
            try:
                content = fleetfiles.read(self.root, path)
            except FileNotFoundError:
                continue
            except OSError as error:
                problem = Problem(file=path, line=0, column=0, message=f"cannot be read: {error.strerror}")
                read.entries[path] = Entry(place=place, stamp=None, blob="", problems=(problem,))
                continue
            racy = isinstance(stamp, bytes) and fleetfiles.changed_at_ns(stamp) > now_ns - fleetfiles.RACY_NS
            self._take(read, path, (place, None if racy else stamp), content)
            if len(stale) <= blobs.FEW:
                read.contents[path] = content
        return read

    def _take(self, read: Read, path: str, found: tuple[Place, Stamp | None], content: bytes) -> None:
        place, stamp = found
        blob = blobs.blob_id(content, self.algorithm)
        old = self.old.get(path)
        if old is not None and old.blob == blob:
            read.entries[path] = replace(old, place=place, stamp=stamp)
            return
        loaded, data = loading.read(place.kind, content, path, filling.of(self.filling, place.kind, place.id))
        read.entries[path] = self._entry(path, found, blob, loaded)
        if data is not None and stamp is not None:
            read.readings.append(Reading(path=path, mark=stamp, blob=blob, data=json.dumps(data)))

    def remembered(self, stale: Stale, known: Iterable[Reading]) -> tuple[dict[str, Entry], list[str]]:
        """Those of the files that are still as they were when a reading of them was kept, and valid today.

        Also the paths of readings that are of no use any more.
        """
        entries: dict[str, Entry] = {}
        useless = []
        for path, mark, blob, text in known:
            found = stale.get(path)
            if found is None or found[1] != mark:
                useless.append(path)
                continue
            kind, data = found[0].kind, readings.values(text)
            fill = filling.of(self.filling, kind, found[0].id)
            loaded = loading.judged(kind, data, fill) if data is not None else None
            if loaded is not None:
                own = sys.intern(path)
                entries[own] = self._entry(own, found, blob, loaded)
        return entries, useless

    def _entry(self, path: str, found: tuple[Place, Stamp | None], blob: str, loaded: Loaded) -> Entry:
        committed = self.committed(path)
        return Entry(
            place=found[0],
            stamp=found[1],
            blob=committed if committed == blob else blob,
            value=loaded.value,
            left=loaded.left,
            problems=loaded.problems,
        )


def portions(stale: Stale) -> Iterator[Stale]:
    """The files in portions, so that the contents of no more than that many are in memory at once."""
    paths = iter(stale)
    while some := tuple(itertools.islice(paths, PORTION)):
        yield {path: stale[path] for path in some}


def differs(entry: Entry | None, found: tuple[Place, Stamp]) -> bool:
    """Whether a file must be read again."""
    return entry is None or entry.stamp is None or entry.stamp != found[1]


def same(old: Entry | None, new: Entry) -> bool:
    """Whether reading a file again brought nothing new."""
    return old is not None and old.blob == new.blob and old.problems == new.problems
