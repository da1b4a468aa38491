"""What was read of every file, brought up to date with what stands there; valid versions are put where they last.

Never decides which version is in force; it adds blobs to the object store and notes to the journal.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from reconciler.core.desired import Settings, Task
from reconciler.repo.desired import entries
from reconciler.repo.desired.blobs import Store
from reconciler.repo.desired.entries import Entry, Read, Stale
from reconciler.repo.desired.filling import Filling
from reconciler.repo.desired.fleetfiles import Place, Stamp
from reconciler.repo.desired.goodversions import GoodVersions
from reconciler.repo.desired.readings import Readings
from reconciler.repo.desired.tip import Tip

Listed = Mapping[str, tuple[Place, Stamp]]
Contents = Mapping[str, bytes]


@dataclass(slots=True, kw_only=True)
class Catalogue:
    """The entries of the files of the fleet at `root`.

    Those that are `unsettled` have to be read again, the `broken` ones are not valid as they stand.
    """

    root: Path
    good: GoodVersions
    store: Store
    readings: Readings | None
    entries: dict[str, Entry] = field(default_factory=dict)
    unsettled: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    filling: Filling = field(default_factory=lambda: Filling(Settings()))

    def update(
        self, listed: Listed, tip: Tip, now: datetime, *, committed: bool, paths: Collection[str] | None = None
    ) -> set[str]:
        """Bring these entries up to date with what is listed, without `paths` all; the paths of those that changed.

        `committed`: what is listed is what stands at the tip.
        """
        old = self.entries
        if not old:
            stale, left = listed, []
        elif paths is None:
            stale = {path: found for path, found in listed.items() if entries.differs(old.get(path), found)}
            left = [path for path in old if path not in listed]
        else:
            here = {path: listed[path] for path in paths if path in listed}
            stale = {path: found for path, found in here.items() if entries.differs(old.get(path), found)}
            left = [path for path in paths if path in old and path not in listed]
        read, contents = self._read(stale, tip, now, committed=committed)
        gone = {*left, *(path for path in stale if path in old and path not in read)}
        fresh = {path: entry for path, entry in read.items() if not entries.same(old.get(path), entry)} if old else read
        for path in self._keep(fresh, tip, None if committed else contents):
            read[path] = replace(read[path], stamp=None)
        changed = {*fresh, *gone}
        self._take(read, gone)
        return changed

    def fill_in(self, settings: Settings) -> None:
        """Have all tasks filled in by these settings."""
        if settings == self.filling.settings:
            return
        self.filling = Filling(settings)
        for path, entry in self.entries.items():
            if isinstance(entry.value, Task) and entry.left is not None:
                task = self.filling.again(entry.place.id, entry.value, entry.left)
                self.entries[path] = replace(entry, value=task)

    def flush(self) -> None:
        """Let the next start find what was read."""
        if self.readings is not None:
            self.readings.flush()

    def _take(self, read: Mapping[str, Entry], gone: Collection[str]) -> None:
        for path in gone:
            del self.entries[path]
        self.entries.update(read)
        self.unsettled -= {*gone, *read}
        self.unsettled.update(path for path, entry in read.items() if entry.stamp is None)
        self.broken -= {*gone, *read}
        self.broken.update(path for path, entry in read.items() if entry.value is None)
        if self.readings is not None:
            self.readings.keep((), gone)

    def _read(self, stale: Stale, tip: Tip, now: datetime, *, committed: bool) -> tuple[dict[str, Entry], Contents]:
        """The entries of these files: from what was kept of an earlier start, as far as it goes, else read now.

        Also the contents of those that were read last.
        """
        known: dict[str, Entry] = {}
        contents: Contents = {}
        reader = entries.Reader(
            root=self.root,
            algorithm=self.store.algorithm,
            old=self.entries,
            filling=self.filling,
            committed=tip.blob,
        )
        if self.readings is not None and not self.entries:
            known, useless = reader.remembered(stale, self.readings.known())
            self.readings.keep((), useless)
        left = {path: found for path, found in stale.items() if path not in known} if known else stale
        for some in entries.portions(left):
            read: Read = (
                reader.from_commit(some) if committed else reader.from_work_tree(some, int(now.timestamp() * 1e9))
            )
            known |= read.entries
            contents = read.contents
            if self.readings is not None:
                self.readings.keep(read.readings)
        return known, contents

    def _keep(self, fresh: Mapping[str, Entry], tip: Tip, contents: Contents | None) -> frozenset[str]:
        """Put the valid versions where they can be found again; the paths that changed meanwhile are left for later.

        `contents` are those at hand, None where what was read is committed.
        """
        valid = {path: entry.blob for path, entry in fresh.items() if entry.value is not None}
        new = {path: blob for path, blob in valid.items() if blob != tip.blob(path)}
        changed = frozenset[str]() if contents is None else self.store.keep(new, contents)
        self.good.keep({path: blob for path, blob in valid.items() if path not in changed}, tip.blob)
        return changed
