"""Tells when something happened in some folders, and which file became whole there by itself (inotify).

It never says how a file changed, and a hint that is lost costs time only: whoever waits for one looks now and then
anyway.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

try:
    from inotify_simple import INotify, flags
except ImportError:  # it is there on Linux alone
    INotify = None
else:
    WHOLE = flags.CLOSE_WRITE | flags.MOVED_TO
    COME, FOLDER, FORGOTTEN = flags.CREATE | flags.MOVED_TO, int(flags.ISDIR), int(flags.IGNORED)
    WATCHED = WHOLE | flags.CREATE | flags.DELETE | flags.MOVED_FROM | flags.ONLYDIR | flags.DONT_FOLLOW

APART_S = 0.05
"""What comes so long after anything else comes by itself."""


class Hint(NamedTuple):
    """Where something happened; `alone`: files became whole, and nothing else happened of late."""

    paths: frozenset[str] = frozenset()
    alone: bool = False


class Hints:
    """Hints from some folders and all below them, new ones too. Not for two tasks at a time.

    Where they are not `complete`, the kernel watches no folders for this process, or not all of these.
    """

    def __init__(self, folders: Iterable[Path], counts: Callable[[str], bool]) -> None:
        """`counts` says of the path of a file or folder whether it is of interest."""
        self._counts = counts
        self._came = asyncio.Event()
        self._paths: set[str] = set()
        self._whole = True
        self._last_s = time.monotonic()
        self._folders: dict[int, str] = {}
        self._queue: Any = None
        self.complete = INotify is not None
        if INotify is not None:
            self._open(folders)

    def __enter__(self) -> Self:
        if self._queue is not None:
            asyncio.get_running_loop().add_reader(self._queue.fileno(), self._read)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._queue is not None:
            asyncio.get_running_loop().remove_reader(self._queue.fileno())
            self._queue.close()

    async def wait(self, most_s: float) -> Hint:
        """What happened, once something did, or after so long; at once where hints are not complete."""
        if self.complete:
            with suppress(TimeoutError):
                async with asyncio.timeout(most_s):
                    await self._came.wait()
        if not self._came.is_set():
            return Hint()
        last_s, self._last_s = self._last_s, time.monotonic()
        hint = Hint(frozenset(self._paths), alone=self._whole and self._last_s - last_s > APART_S)
        self._came.clear()
        self._paths, self._whole = set(), True
        return hint

    def _open(self, folders: Iterable[Path]) -> None:
        try:
            self._queue = INotify()
        except OSError:  # this user has as many queues as the system allows
            self.complete = False
            return
        for folder in folders:
            self._watch(str(folder))

    def _watch(self, top: str) -> None:
        """Watch a folder and all below it."""
        folders = [top]
        while folders:
            folders.extend(self._watch_one(folders.pop()))

    def _watch_one(self, folder: str) -> list[str]:
        """Watch one folder; the paths of those in it."""
        try:
            self._folders[self._queue.add_watch(folder, WATCHED)] = folder
            with os.scandir(folder) as entries:
                return [one.path for one in entries if one.is_dir(follow_symlinks=False) and self._counts(one.path)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError:  # as many folders are watched for this user as the system allows
            self.complete = False
            return []

    def _read(self) -> None:
        """Take in what the kernel has to tell; of a file that is new there is more to come."""
        for event in self._queue.read(timeout=0):
            path, is_folder = f"{self._folders.get(event.wd, '')}/{event.name}", bool(event.mask & FOLDER)
            if event.mask & FORGOTTEN:
                self._folders.pop(event.wd, None)
            elif self._counts(path) and (is_folder or not event.mask & flags.CREATE):
                if is_folder and event.mask & COME:
                    self._watch(path)
                self._whole &= not is_folder and bool(event.mask & WHOLE)
                self._paths.add(path)
                self._came.set()
