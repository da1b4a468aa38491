"""What was read of each file: its stamp, its blob id, its value or problems; read again only when its stamp moved.

Never decides which version is in force.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.core.desired import Problem
from reconciler.repo import git
from reconciler.repo.desired import blobs, fleetfiles, loading
from reconciler.repo.desired.fleetfiles import Place, Stamp
from reconciler.repo.desired.loading import Loaded

RACY_NS = 100_000_000
"""A file that changed so shortly before it was read may change again within the same tick of its clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What was last read of one file. Without a stamp it is read again."""

    place: Place
    stamp: Stamp | None
    blob: str
    loaded: Loaded


Stale = Mapping[str, tuple[Place, Stamp]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads files; content that was read before is not parsed again."""

    root: Path
    algorithm: str
    old: Mapping[str, Entry]

    def from_commit(self, stale: Stale) -> dict[str, Entry]:
        """The files whose stamps are blob ids."""
        contents = git.read_blobs(self.root, (str(stamp) for _, stamp in stale.values()))
        return {
            path: self._entry(path, place, stamp, contents[str(stamp)])
            for path, (place, stamp) in stale.items()
            if stamp in contents
        }

    def from_work_tree(self, stale: Stale, now_ns: int) -> dict[str, Entry]:
        """The files of the work tree; one that is gone by now is left out, one that cannot be read is a problem."""
        read = {}
        for path, (place, stamp) in stale.items():
            try:
                content = fleetfiles.read(self.root, path)
            except FileNotFoundError:
                continue
            except OSError as error:
                problem = Problem(file=path, line=0, column=0, message=f"cannot be read: {error.strerror}")
                read[path] = Entry(place=place, stamp=None, blob="", loaded=Loaded(problems=(problem,)))
                continue
            racy = isinstance(stamp, tuple) and stamp[0] > now_ns - RACY_NS
            read[path] = self._entry(path, place, None if racy else stamp, content)
        return read

    def _entry(self, path: str, place: Place, stamp: Stamp | None, content: bytes) -> Entry:
        blob = blobs.blob_id(content, self.algorithm)
        old = self.old.get(path)
        loaded = old.loaded if old and old.blob == blob else loading.load(place.kind, content, path)
        return Entry(place=place, stamp=stamp, blob=blob, loaded=loaded)


def differs(entry: Entry | None, found: tuple[Place, Stamp]) -> bool:
    """Whether a file must be read again."""
    return entry is None or entry.stamp is None or entry.stamp != found[1]


def same(old: Entry | None, new: Entry) -> bool:
    """Whether reading a file again brought nothing new."""
    return old is not None and old.blob == new.blob and old.loaded.problems == new.loaded.problems
