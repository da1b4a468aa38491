"""Finds what changed in a work tree though nobody told: folders in which names changed, and some of all files in turn.

Never reads a file, and never says what a change means; it is for what the watcher lost.
"""

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler.repo.desired import fleetfiles
from reconciler.repo.desired.fleetfiles import SUFFIX, Listing

PORTION = 10_000
"""So many files are looked at each time; where there are more, a file that keeps its name may wait for its turn."""


@dataclass(slots=True)
class Glance:
    """Looks at the work tree at `root`, at a part of it each time."""

    root: Path
    _next: int = 0

    def look(self, listing: Listing, folder: str | None = None) -> set[str] | None:
        """The paths of tasks' files, those in one folder or anywhere, that may be other than listed.

        None where anything may be.
        """
        if folder is not None:
            return self._names(folder, listing)
        if self._changed(listing.beside):
            return None
        found = set(self._portion(listing))
        for name, look in self._changed(listing.folders).items():
            names = self._names(name, listing)
            if names is None:
                return None
            found |= names
            listing.folders[name] = look
        return found

    def _changed(self, folders: dict[str, fleetfiles.Look]) -> dict[str, fleetfiles.Look]:
        """The folders in which names may have changed, as they are now."""
        now = {folder: fleetfiles.look(f"{self.root}/{folder}") for folder in folders}
        return {folder: look for folder, look in now.items() if look is None or look != folders[folder]}

    def _portion(self, listing: Listing) -> Iterator[str]:
        """Those of the next files that are not as they are listed."""
        begin = self._next if self._next < len(listing.files) else 0
        self._next = begin + PORTION
        for path, (_, stamp) in itertools.islice(listing.files.items(), begin, self._next):
            try:
                if fleetfiles.stamp(os.lstat(f"{self.root}/{path}")) != stamp:
                    yield path
            except FileNotFoundError:
                yield path

    def _names(self, folder: str, listing: Listing) -> set[str] | None:
        """The files that are or were in a folder; None where there is a folder in it that was not looked into."""
        try:
            with os.scandir(f"{self.root}/{folder}") as entries:
                here = {f"{folder}/{one.name}": one.is_dir(follow_symlinks=False) for one in entries}
        except (FileNotFoundError, NotADirectoryError):
            return None
        if any(is_folder and path not in listing.folders for path, is_folder in here.items() if "/." not in path):
            return None
        there = {path for path in listing.files if path.rpartition("/")[0] == folder}
        return there | {path for path, is_folder in here.items() if not is_folder and path.endswith((SUFFIX, ".yml"))}
