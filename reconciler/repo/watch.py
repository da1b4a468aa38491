"""Wake-ups: which files of a fleet changed, as they change, and a full scan now and then.

It never says what a change means, and losing one costs time only: an empty set asks for a look at everything.
"""

import asyncio
import stat
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path

from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

from reconciler.repo import git
from reconciler.repo.fleet import Fleet
from reconciler.repo.hints import Hints

SCAN_EVERY_S = 30.0
TICK_S = 1.0
PAUSE_S = 5.0
DEBOUNCE_MS, STEP_MS = 50, 5
"""What changes in a row is taken together: until there was such a silence, or for so long."""
LATE_MS = 100
"""How long a change is waited for of which a hint came, or of which none can come."""
POLL_MS = 300

Look = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """Which folders are watched; `aside` are those in them of which nobody waits to be told, `lock` is git's."""

    folders: tuple[Path, ...]
    aside: frozenset[str]
    lock: Path
    polling: bool

    def is_hint(self, path: str) -> bool:
        """Whether what happens to a file or folder is worth to be told at once."""
        return _counts(path) and path not in self.aside


async def changes(
    fleet: Fleet, stop: asyncio.Event, scan_every_s: float = SCAN_EVERY_S
) -> AsyncGenerator[frozenset[Path]]:
    """What changed among the fleet's files, until `stop` is set; an empty set when everything should be looked at.

    That is at first, after a pause of the process, and when a watched folder came or went. Every `scan_every_s` seconds
    `fleet.state` itself stands for all in it: events may have been lost. The branch people use is looked at once a
    second, by the files that git keeps it in: a move gives the path of its ref.
    """
    refs, lock = await asyncio.to_thread(_git_files, fleet)
    folders, refs_before, scanned, polling = _folders(fleet), _looks(refs), time.monotonic(), False
    while not stop.is_set():
        watched, fresh, ticked, looked = _looks(folders), True, time.monotonic(), 0.0
        try:
            async with aclosing(_batches(_asked(fleet, watched, lock, polling=polling), stop)) as batches:
                async for batch in batches:
                    now, moved, replaced = time.monotonic(), set[Path](), False
                    if not batch or now - looked >= TICK_S:
                        refs_now, replaced, looked = _looks(refs), _looks(folders) != watched, now
                        moved.update(refs[:1] if refs_now != refs_before else ())
                        refs_before = refs_now
                    whole, due = fresh or replaced or now - ticked > PAUSE_S, now - scanned >= scan_every_s
                    if whole:
                        yield frozenset()
                    elif due:
                        moved.add(fleet.state)
                    if batch | moved:
                        yield frozenset(batch | moved)
                    scanned = now if whole or due else scanned
                    fresh, ticked = False, now
                    if replaced:
                        break
        except (OSError, WatchfilesRustInternalError):
            # no watch is left for this user, or a folder went between the look and the watch; polling needs neither
            polling = True
            await _pause(stop)


async def _batches(asked: _Asked, stop: asyncio.Event) -> AsyncGenerator[set[Path]]:
    """Changed files as they come, an empty set each `TICK_S` without any."""
    if not asked.folders:
        await _pause(stop)
        yield set()
        return
    names, ticked = [str(folder) for folder in asked.folders], time.monotonic()
    with (
        RustNotify(names, False, asked.polling, POLL_MS, True, False) as watcher,  # noqa: FBT003 - it takes no names
        Hints(asked.folders, asked.is_hint) as hints,
    ):
        asking = Asking(watcher=watcher, hints=hints, lock=asked.lock)
        while not stop.is_set():
            batch = await asking.changed()
            if batch or time.monotonic() - ticked >= TICK_S:
                yield batch
                ticked = time.monotonic()


@dataclass(slots=True, kw_only=True)
class Asking:
    """Asks watchfiles, which cannot be waited for, once there was a hint that it has something to tell.

    `awaited` is where something happened of which it told nothing yet, `passed_on` what is told of without it.
    """

    watcher: RustNotify
    hints: Hints
    lock: Path
    awaited: frozenset[str] = frozenset()
    passed_on: frozenset[str] = frozenset()

    async def changed(self) -> set[Path]:
        """What changed, soon after it did; nothing where that is nothing for `TICK_S`.

        A file that became whole by itself is told of at once, by its hint alone: watchfiles may have nothing of it
        yet, and loses it when it is asked just then. Anything else is asked for when there was silence after it.
        """
        hint = await self.hints.wait(0.0 if self.awaited else TICK_S)
        if hint.alone and _look(self.lock) is None:
            self.passed_on |= hint.paths
            told = hint.paths
        else:
            self.awaited |= hint.paths
            told = await self._asked()
        return {Path(path) for path in told if _counts(path)}

    async def _asked(self) -> frozenset[str]:
        """What watchfiles tells; where that is nothing the hint stands for it.

        It forgets what comes in the moment in which it gives up. What was passed on is no news, unless more hints came.
        """
        most_ms = LATE_MS if self.awaited or not self.hints.complete else 1
        found = _told(await asyncio.to_thread(self.watcher.watch, DEBOUNCE_MS, STEP_MS, most_ms, None))
        known, self.passed_on = frozenset[str]() if self.awaited else self.passed_on, frozenset()
        told, self.awaited = found or self.awaited, self.awaited - found if found else frozenset()
        return told - known


def _told(said: set[tuple[int, str]] | str) -> frozenset[str]:
    """The paths that watchfiles told of; where it has none it says so by a word."""
    return frozenset() if isinstance(said, str) else frozenset(path for _, path in said)


async def _pause(stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(TICK_S):
            await stop.wait()


def _folders(fleet: Fleet) -> tuple[Path, ...]:
    """Folders of documents, never the repository's root: that would be told of every object that git writes."""
    return (fleet.state, fleet.root / "hosts", fleet.root / "adapters")


def _asked(fleet: Fleet, watched: dict[Path, Look], lock: Path, *, polling: bool) -> _Asked:
    return _Asked(
        folders=tuple(folder for folder, look in watched.items() if look is not None),
        aside=frozenset({str(fleet.observed), str(fleet.state / "archive")}),
        lock=lock,
        polling=polling,
    )


def _git_files(fleet: Fleet) -> tuple[tuple[Path, ...], Path]:
    """The files in which git keeps the branch, and the one that is there while a git command changes the work tree."""
    refs, lock = (fleet.ref, "packed-refs", "HEAD"), "index.lock"
    return tuple(git.git_path(fleet.top, name) for name in refs), git.git_path(fleet.top, lock)


def _counts(path: str) -> bool:
    """Whether a changed path may be a document: editors' and this program's own temporary files are not."""
    name = path.rpartition("/")[2]
    return not name.startswith(".") and not name.endswith(("~", ".new", ".swp", ".tmp"))


def _looks(paths: Iterable[Path]) -> dict[Path, Look]:
    return {path: _look(path) for path in paths}


def _look(path: Path) -> Look:
    """What tells a file from its successor; of a folder only whether it is still the same one."""
    try:
        found = path.stat()
    except OSError:
        return None
    is_folder = stat.S_ISDIR(found.st_mode)
    return (found.st_ino, 0, 0) if is_folder else (found.st_ino, found.st_size, found.st_mtime_ns)
