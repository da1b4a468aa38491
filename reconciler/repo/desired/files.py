"""The files that people wrote, as values in force: what changed is read again, what broke keeps its last good version.

Never writes a file of the work tree or moves a branch; it adds blobs to the object store and notes to the journal.
"""

import functools
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path

from reconciler.core.desired import Desired, Document, Host, Problem, Settings
from reconciler.repo import digestkey
from reconciler.repo.desired import entries, fleetfiles, loading
from reconciler.repo.desired.absence import Absence
from reconciler.repo.desired.assembly import Assembly, Files, Resolved
from reconciler.repo.desired.blobs import Store
from reconciler.repo.desired.bulk import bulk, give_back
from reconciler.repo.desired.catalogue import Catalogue
from reconciler.repo.desired.checks import Value
from reconciler.repo.desired.entries import Entry
from reconciler.repo.desired.fleetfiles import SETTINGS, Listing
from reconciler.repo.desired.glance import Glance
from reconciler.repo.desired.goodversions import Good, GoodVersions
from reconciler.repo.desired.news import News, Record
from reconciler.repo.desired.positions import Positions
from reconciler.repo.desired.readings import Readings
from reconciler.repo.desired.tip import Tip, Tips
from reconciler.repo.fleet import BRANCH
from reconciler.repo.journal import Journal
from reconciler.repo.yaml.yamlnodes import Path as KeyPath

ALL_TOLD = "state"
"""The folder that is named in place of every file in it, where some of them may have changed though nobody told."""


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
        self._root, self._prefix = root, f"{root}/"
        self._secret = secret
        self._key = key
        self._good = GoodVersions(root=root, journal=journal, ref=ref)
        self._catalogue = Catalogue(root=root, good=self._good, store=Store.of(root), readings=Readings.beside(root))
        self._entries = self._catalogue.entries
        self._tips = Tips(root, journal=journal, ref=ref)
        self._tip = self._refreshed_at = Tip()
        self._committed = False
        self._listing = Listing()
        self._resolved = Resolved()
        self._record = Record((), (), frozenset())
        self._made: tuple[object, Assembly] | None = None
        self._recorded: tuple[frozenset[str], frozenset[str]] | None = None
        self._archived: frozenset[str] = frozenset()
        self._glance = Glance(root)
        self._positions = Positions(root)
        self._absence = Absence(root)
        self._hosts: Mapping[str, Document[Host]] = {}

    def refresh(
        self,
        now: datetime,
        *,
        observed_ids: Collection[str] = (),
        finished_ids: Collection[str] = frozenset(),
        live_hosts: Collection[str] = (),
        news: News | None = None,
    ) -> Desired:
        """Everything in force at this moment.

        `observed_ids` are the tasks with an observed file, `finished_ids` those in a terminal phase, `live_hosts` the
        hosts of live runs: the last good version of such a host is kept when its file is gone. With `news` only those
        files and tasks are looked at, where that is enough.
        """
        if self._made is None:
            give_back()
        self._tip = self._tips.look()
        before, self._refreshed_at = self._refreshed_at, self._tip
        self._good.go_by(self._tip.judged)
        self._record = Record(observed_ids, finished_ids, frozenset(live_hosts))
        others = self._tip.others(before)
        made = None
        if news is not None and not news.everything and others is not None:
            made = self._changed(news, others, now)
        return self._desired(made or self._all(news, now), now)

    def is_still(self, news: News) -> bool:
        """Whether nothing has to be read for these news: at most what is recorded is other than at the last refresh."""
        if self._made is None or news.paths or news.everything or self._absence.missing:
            return False
        return self._hosts is self._made[1].hosts and self._tips.is_still()

    def is_shared_still(self) -> bool:
        """Whether hosts, adapters and settings are as they were read; to be asked before anything is given out."""
        if self._committed:
            return True
        racy = any(fleetfiles.kind(path) != "task" for path in self._catalogue.unsettled)
        return not racy and fleetfiles.is_shared_as_listed(self._root, self._listing)

    def settings(self) -> Settings:
        """The settings in force at this moment; no other file is looked at."""
        self._tip = self._tips.look()
        self._good.go_by(self._tip.judged)
        return self._settings_now()

    def _settings_now(self) -> Settings:
        value = self._settings_of(self._tip.settings if self._reads_commits() else self._settings_here())
        return value if isinstance(value, Settings) else Settings()

    def host(self, host_id: str) -> Host | None:
        """The host that was in force at the last refresh."""
        return document.value if (document := self._hosts.get(host_id)) is not None else None

    def _changed(self, news: News, others: Collection[str], now: datetime) -> Assembly | None:
        """The fleet with these news in it, and with those others at the tip; None where all has to be looked at."""
        broken = others and self._catalogue.broken
        if self._made is None or broken or any(fleetfiles.kind(path) != "task" for path in others):
            return None
        paths = self._committed_paths(others) if self._committed else self._paths(news)
        if paths is None:
            return None
        self._take_in(self._made[1], self._update(now, paths), news)
        self._made = self._state(), self._made[1]
        return self._made[1]

    def _paths(self, news: News) -> set[str] | None:
        """The files of the work tree that may be others, their listing up to date; None where any may be.

        Among them, once all are told of, those that may have changed again unseen: till then each is told of by name.
        """
        paths = {path for one in news.paths if (path := self._below(one)) is not None}
        if ALL_TOLD in paths:
            if not self.is_shared_still():
                return None
            paths |= self._catalogue.unsettled
        folders = {path for path in paths if path == ALL_TOLD or path in self._listing.folders}
        for folder in folders:
            found = self._glance.look(self._listing, None if folder == ALL_TOLD else folder)
            if found is None:
                return None
            paths |= found
        paths -= folders
        return paths if all(fleetfiles.look_again(self._root, self._listing, path) for path in paths) else None

    def _committed_paths(self, others: Collection[str]) -> Collection[str] | None:
        """The same where only what is committed counts."""
        self._listing = self._tips.listing()
        return others if self._reads_commits() else None

    def _take_in(self, made: Assembly, read: set[str], news: News) -> None:
        if read or news.tasks:
            ids = made.change(self._files(), read, news.tasks)
            self._absence.note({*news.tasks, *ids}, self._is_missing)

    def _all(self, news: News | None, now: datetime) -> Assembly:
        """The fleet, everything looked at."""
        self._committed = self._reads_commits()
        old = Listing() if self._committed else self._listing
        self._listing = self._tips.listing() if self._committed else fleetfiles.work_tree(self._root, old)
        with bulk(len(self._listing.files) if self._made is None else 0):
            made = self._all_listed(news, now)
        self._catalogue.flush()
        return made

    def _all_listed(self, news: News | None, now: datetime) -> Assembly:
        if self._made is None:
            self._catalogue.fill_in(self._settings_now())
        read = self._update(now)
        self._catalogue.fill_in(self._settings_read())
        self._archived = frozenset(self._listing.archived)
        state = self._state()
        tasks_alone = all(fleetfiles.kind(path) == "task" for path in read)
        record = (frozenset(self._record.known), frozenset(self._record.finished)) if news is None else None
        made = self._made
        if made is not None and made[0] == state and tasks_alone and news is not None:
            self._take_in(made[1], read, news)
        elif made is None or made[0] != state or read or record is None or record != self._recorded:
            made = self._made = (state, Assembly(self._files(), self._resolved))
            self._absence.begin(name for name in self._record.known if self._is_missing(name))
        self._recorded = record
        return made[1]

    def _state(self) -> object:
        """What the fleet is made of beside its files; the commit, where its history says what is in force."""
        searched = self._tip.commit if self._catalogue.broken or self._committed else None
        return tuple(self._listing.problems), self._archived, searched

    def _update(self, now: datetime, paths: Collection[str] | None = None) -> set[str]:
        """Read what changed of these files, without any of all; the paths of those that did."""
        committed = self._committed
        return self._catalogue.update(self._listing.files, self._tip, now, committed=committed, paths=paths)

    def _desired(self, made: Assembly, now: datetime) -> Desired:
        retired = self._good.hosts(self._record.live_hosts - made.hosts.keys(), self._tip.commit)
        self._hosts = made.hosts | retired if retired else made.hosts
        at_tip = self._tips.listing() if self._absence.missing else Listing()
        absent, waiting = self._absence.since(
            now, at_tip, committed=self._committed, known=self._tip.commit is not None
        )
        untrusted = {name: why for name, why in self._tip.refused.items() if name not in made.refused}
        names = {*made.secrets, *(name for adapter in made.adapters.values() for name in adapter.value.secrets)}
        return Desired(
            settings=made.settings,
            tasks=made.tasks,
            hosts=self._hosts,
            adapters=made.adapters,
            refused=made.refused.changed({**untrusted, **waiting}),
            absent=absent,
            retired_hosts=frozenset(retired) | (made.broken_hosts & made.hosts.keys()),
            archived=self._archived,
            secrets=digestkey.digests(self._key, self._secret, names),
            problems=made.problems,
        )

    def _below(self, path: Path) -> str | None:
        """A path as the fleet names it; None outside of it."""
        found = str(path).removeprefix(self._prefix)
        return None if found == str(path) else found

    def _is_missing(self, name: str) -> bool:
        """Whether a task that is recorded and not finished has no file."""
        here = self._made is not None and self._made[1].has_file(name)
        return name in self._record.known and name not in self._record.finished and not here

    def _reads_commits(self) -> bool:
        """Whether only what is committed counts: a remote is set at the tip or in the work tree."""
        found = (self._settings_of(content) for content in (self._tip.settings, self._settings_here()) if content)
        return any(isinstance(value, Settings) and value.remote is not None for value in found)

    def _settings_here(self) -> bytes | None:
        """The settings file of the work tree: empty where there is none, None where it cannot be read."""
        try:
            return fleetfiles.read(self._root, SETTINGS)
        except FileNotFoundError:
            return b""
        except OSError:
            return None

    def _settings_of(self, content: bytes | None) -> Value | None:
        """The settings in force with a file of this content."""
        value = _settings(content) if content is not None else None
        good = self._good.find("settings", SETTINGS, self._tip.commit) if value is None else None
        return good.value if good is not None else value

    def _settings_read(self) -> Settings:
        """The settings in force as they were read last."""
        found = self._in_force(SETTINGS, self._entries[SETTINGS]) if SETTINGS in self._entries else None
        return found.value if found is not None and isinstance(found.value, Settings) else Settings()

    def _files(self) -> Files:
        """The files as they were read last."""
        misnamed = self._listing.problems

        def problems(path: str) -> tuple[Problem, ...]:
            named = tuple(one for one in misnamed if one.file == path) if misnamed else ()
            return (*self._entries[path].problems, *named)

        return Files(
            places=entries.Places(self._entries),
            good=lambda path: self._in_force(path, self._entries[path]),
            problems=problems,
            locate=self._locate,
            wrong={*self._catalogue.broken, *(one.file for one in misnamed if one.file in self._entries)},
            known=self._record.known,
            archived=self._listing.archived,
            finished=self._record.finished,
            misnamed=tuple(misnamed),
        )

    def _in_force(self, path: str, entry: Entry) -> Good | None:
        if entry.value is not None:
            return Good(blob=entry.blob, value=entry.value, filled=entry.left is not None)
        return self._good.find(entry.place.kind, path, self._tip.commit)

    def _locate(self, path: str, key: KeyPath) -> tuple[int, int]:
        """Where a key stands in the version that was last read; the start of the file when that is no longer there."""
        entry = self._entries[path]
        return self._positions.of(path, entry.blob, key) if entry.value is not None else (1, 1)


@functools.lru_cache(maxsize=4)
def _settings(content: bytes) -> Value | None:
    return loading.load("settings", content, SETTINGS).value
