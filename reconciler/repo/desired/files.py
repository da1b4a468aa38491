"""The files that people wrote, as values in force: what changed is read again, what broke keeps its last good version.

Never writes a file of the work tree or moves a branch; it adds blobs to the object store and notes to the journal.
"""

import functools
import hashlib
import hmac
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from reconciler.core.desired import Desired, Document, Host, Settings
from reconciler.repo import git
from reconciler.repo.desired import assembly, blobs, entries, fleetfiles, loading
from reconciler.repo.desired.assembly import Files, Resolved
from reconciler.repo.desired.bulk import bulk
from reconciler.repo.desired.checks import Value
from reconciler.repo.desired.entries import Entry, Stale
from reconciler.repo.desired.fleetfiles import SETTINGS, Listing
from reconciler.repo.desired.goodversions import Good, GoodVersions
from reconciler.repo.desired.readings import Readings
from reconciler.repo.desired.tip import Tip, Tips
from reconciler.repo.fleet import BRANCH
from reconciler.repo.journal import Journal
from reconciler.repo.yaml import documents
from reconciler.repo.yaml.documents import InvalidDocument
from reconciler.repo.yaml.yamlnodes import Path as KeyPath

_MAX_PLACES = 10_000


class DesiredFiles:
    """The desired side of the fleet at `root`, read again by `refresh` as far as it changed.

    `secret` gives the value of a secret's name, or None; only digests under `key` are kept. With `remote` in the
    settings (of the work tree or at `ref`) everything is read from the commit at `ref`, else from the work tree. What
    was read is kept for the next start where the fleet has a folder for what belongs to this machine.
    """

    def __init__(
        self,
        root: Path,
        *,
        journal: Journal,
        secret: Callable[[str], str | None],
        key: bytes,
        ref: str = f"refs/heads/{BRANCH}",
    ) -> None:
        self._root = root
        self._secret = secret
        self._key = key
        self._readings = Readings.beside(root)
        self._good = GoodVersions(root=root, journal=journal, ref=ref)
        self._algorithm = git.object_format(root)
        self._tips = Tips(root, journal=journal, ref=ref)
        self._tip = Tip()
        self._entries: dict[str, Entry] = {}
        self._resolved = Resolved()
        self._positions: dict[tuple[str, KeyPath], tuple[int, int]] = {}
        self._gone: dict[str, datetime] = {}
        self._last: tuple[object, Desired] | None = None

    def refresh(
        self,
        now: datetime,
        *,
        observed_ids: Collection[str] = (),
        finished_ids: Collection[str] = frozenset(),
        live_hosts: Collection[str] = (),
    ) -> Desired:
        """Everything in force at this moment.

        `observed_ids` are the tasks with an observed file, `finished_ids` those in a terminal phase, `live_hosts` the
        hosts of live runs: the last good version of such a host is kept when its file is gone.
        """
        self._tip = self._tips.look()
        self._good.go_by(self._tip.judged)
        committed = self._reads_commits()
        listing = self._tip.listing if committed else fleetfiles.work_tree(self._root)
        changed = self._read(listing, now, committed=committed)
        known = frozenset(observed_ids)
        finished = frozenset(finished_ids)
        others = (known, finished, frozenset(live_hosts))
        state = (self._tip.commit, tuple(listing.problems), frozenset(listing.archived), others)
        if changed or self._last is None or self._last[0] != state:
            self._last = (state, self._assembled(listing, known, finished, live_hosts))
        desired = self._last[1]
        ids = {entry.place.id for entry in self._entries.values() if entry.place.kind == "task"}
        absent, waiting = self._absent(known - finished - ids, now, committed=committed)
        names = {name for task in desired.tasks.values() for name in task.value.secrets}
        names.update(name for adapter in desired.adapters.values() for name in adapter.value.secrets)
        refused = {**desired.refused, **waiting}
        return replace(desired, absent=absent, refused=refused, secrets=self._digests(names))

    def host(self, host_id: str) -> Host | None:
        """The host that was in force at the last refresh."""
        document = self._last[1].hosts.get(host_id) if self._last is not None else None
        return document.value if document is not None else None

    def _reads_commits(self) -> bool:
        """Whether only what is committed counts: a remote is set at the tip or in the work tree."""
        try:
            return self._remote(self._tip.settings) or self._remote(fleetfiles.read(self._root, SETTINGS))
        except OSError:
            return False

    def _remote(self, content: bytes) -> bool:
        value = _settings(content)
        if value is None and (good := self._good.find("settings", SETTINGS, self._tip.commit)):
            value = good.value
        return isinstance(value, Settings) and value.remote is not None

    def _read(self, listing: Listing, now: datetime, *, committed: bool) -> bool:
        """Bring the entries up to date with the listing; whether anything changed."""
        old = self._entries
        stale = {path: found for path, found in listing.files.items() if entries.differs(old.get(path), found)}
        gone = old.keys() - listing.files.keys()
        with bulk(len(stale)):
            read = self._read_stale(stale, now, committed=committed)
        fresh = {path: entry for path, entry in read.items() if not entries.same(old.get(path), entry)}
        for path in self._keep(fresh, committed=committed):
            read[path] = replace(read[path], stamp=None)
        kept = {path: entry for path, entry in old.items() if path not in gone and path not in stale}
        self._entries = kept | read
        if self._readings is not None:
            self._readings.keep((), gone)
            self._readings.flush()
        return bool(fresh or gone or stale.keys() - read.keys())

    def _read_stale(self, stale: Stale, now: datetime, *, committed: bool) -> dict[str, Entry]:
        """The entries of these files: from what was kept of an earlier start, as far as it goes, else read now."""
        known: dict[str, Entry] = {}
        if self._readings is not None and not self._entries:
            known, useless = entries.remembered(stale, self._readings.known())
            self._readings.keep((), useless)
        left = {path: found for path, found in stale.items() if path not in known}
        reader = entries.Reader(root=self._root, algorithm=self._algorithm, old=self._entries)
        read = reader.from_commit(left) if committed else reader.from_work_tree(left, int(now.timestamp() * 1e9))
        if self._readings is not None:
            self._readings.keep(read.readings)
        return known | read.entries

    def _keep(self, fresh: Mapping[str, Entry], *, committed: bool) -> frozenset[str]:
        """Put the valid versions where they can be found again; the paths that changed meanwhile are left for later."""
        valid = {path: entry.blob for path, entry in fresh.items() if entry.loaded.value is not None}
        new = {path: blob for path, blob in valid.items() if blob != self._tip.blob(path)}
        changed = frozenset[str]() if committed else blobs.store(self._root, new, self._algorithm)
        stored = {path: blob for path, blob in valid.items() if path not in changed}
        self._good.keep(stored, self._tip.blob)
        return changed

    def _assembled(
        self, listing: Listing, known: frozenset[str], finished: frozenset[str], live_hosts: Collection[str]
    ) -> Desired:
        good = {path: self._in_force(path, entry) for path, entry in self._entries.items()}
        problems = {path: entry.loaded.problems for path, entry in self._entries.items() if entry.loaded.problems}
        for problem in listing.problems:
            problems[problem.file] = (*problems.get(problem.file, ()), problem)
        places = {path: entry.place for path, entry in self._entries.items()}
        files = Files(places=places, good=good, problems=problems, known=known | listing.archived, finished=finished)
        made = assembly.assemble(files, self._resolved, self._locate)
        retired = self._retired(live_hosts, made.hosts)
        return Desired(
            settings=made.settings,
            tasks=made.tasks,
            hosts=made.hosts | retired,
            adapters=made.adapters,
            refused={**self._not_in_force(made.tasks), **made.refused},
            retired_hosts=frozenset(retired) | (self._broken_hosts() & made.hosts.keys()),
            archived=frozenset(listing.archived),
            problems=made.problems,
        )

    def _not_in_force(self, tasks: Collection[str]) -> dict[str, str]:
        """Why tasks are none that somebody committed who is not trusted."""
        return {name: why for name, why in self._tip.refused.items() if name not in tasks}

    def _in_force(self, path: str, entry: Entry) -> Good | None:
        if entry.loaded.value is not None:
            return Good(blob=entry.blob, value=entry.loaded.value)
        return self._good.find(entry.place.kind, path, self._tip.commit)

    def _broken_hosts(self) -> frozenset[str]:
        entries = self._entries.values()
        return frozenset(one.place.id for one in entries if one.place.kind == "host" and one.loaded.value is None)

    def _retired(self, live_hosts: Collection[str], hosts: Mapping[str, Document[Host]]) -> dict[str, Document[Host]]:
        """Hosts whose file is gone while runs live there, in their last good version."""
        retired = {}
        for name in live_hosts:
            good = None if name in hosts else self._good.find("host", f"hosts/{name}.yaml", self._tip.commit)
            if good is not None and isinstance(good.value, Host):
                retired[name] = Document(value=good.value, spec=good.blob)
        return retired

    def _locate(self, path: str, key: KeyPath) -> tuple[int, int]:
        """Where a key stands in the version that was last read; the start of the file when that is no longer there."""
        entry = self._entries[path]
        place = (entry.blob, key)
        if place not in self._positions:
            if len(self._positions) >= _MAX_PLACES:
                self._positions.clear()
            content = git.read_blobs(self._root, (entry.blob,)).get(entry.blob) if entry.loaded.value else None
            self._positions[place] = position(content, path, key)
        return self._positions[place]

    def _absent(
        self, missing: Collection[str], now: datetime, *, committed: bool
    ) -> tuple[dict[str, datetime], dict[str, str]]:
        """Since when ids are certainly gone, and why the others without a file may not start."""
        if not missing:
            self._gone = {}
            return {}, {}
        busy = self._busy(committed=committed)
        at_tip = {place.id for place, _ in self._tip.listing.files.values() if place.kind == "task"}
        certain = () if busy else [name for name in missing if name not in at_tip]
        self._gone = {name: self._gone.get(name, now) for name in certain}
        said = f"the file is gone, and {busy} is under way: finish it" if busy else _STILL_COMMITTED
        return dict(self._gone), {name: said for name in missing if name not in self._gone}

    def _busy(self, *, committed: bool) -> str | None:
        """What makes it uncertain whether a file is gone."""
        if committed:
            return None if self._tip.commit else "a change of the branch"
        if step := git.in_progress(self._root):
            return f"a {step}"
        return "a git command" if git.index_locked(self._root) else None

    def _digests(self, names: Iterable[str]) -> dict[str, str]:
        found = {name: self._secret(name) for name in sorted(names)}
        return {
            name: hmac.new(self._key, value.encode(errors="surrogateescape"), hashlib.sha256).hexdigest()
            for name, value in found.items()
            if value is not None
        }


@functools.lru_cache(maxsize=4)
def _settings(content: bytes) -> Value | None:
    return loading.load("settings", content, SETTINGS).value


_STILL_COMMITTED = "the file is gone from the work tree but still committed: commit its removal, or restore it"


def position(content: bytes | None, path: str, key: KeyPath) -> tuple[int, int]:
    """Line and column of a key in a file with this content; the start where it cannot be found."""
    if content is None:
        return 1, 1
    try:
        return documents.parse(content, path).value(key)
    except InvalidDocument:
        return 1, 1
