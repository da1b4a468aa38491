"""Wake-ups: which files of a fleet changed, as they change, and a full scan now and then.

It never says what a change means, and losing one costs time only: an empty set asks for a look at everything.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, suppress
from pathlib import Path

from watchfiles import Change, awatch
from watchfiles._rust_notify import WatchfilesRustInternalError

from reconciler.repo import git
from reconciler.repo.fleet import Fleet

SCAN_EVERY_S = 30.0
TICK_S = 1.0
PAUSE_S = 5.0
DEBOUNCE_MS = 50
STEP_MS = 5

Look = tuple[int, int, int] | None


class _Stop:
    """Set when `stop` is set; the watcher sets only this one when it is cancelled, not the caller's."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop, self._own = stop, False

    def is_set(self) -> bool:
        return self._own or self._stop.is_set()

    def set(self) -> None:
        self._own = True

    async def wait(self) -> None:
        await self._stop.wait()


async def changes(
    fleet: Fleet, stop: asyncio.Event, scan_every_s: float = SCAN_EVERY_S
) -> AsyncGenerator[frozenset[Path]]:
    """What changed among the fleet's files, until `stop` is set; an empty set when everything should be looked at.

    That is at first, after a pause of the process, and when a watched folder came or went. Every `scan_every_s` seconds
    `fleet.state` itself stands for all in it: events may have been lost. The branch people use is looked at once a
    second, by the files that git keeps it in: a move gives the path of its ref.
    """
    refs = await asyncio.to_thread(_ref_files, fleet)
    refs_before, scanned, polling = _looks(refs), time.monotonic(), False
    while not stop.is_set():
        watched, fresh, ticked = _looks(_folders(fleet)), True, time.monotonic()
        try:
            async with aclosing(_batches(watched, stop, polling=polling)) as batches:
                async for batch in batches:
                    now, refs_now = time.monotonic(), _looks(refs)
                    moved = {refs[0]} if refs_now != refs_before else set()
                    replaced = _looks(_folders(fleet)) != watched
                    whole, due = fresh or replaced or now - ticked > PAUSE_S, now - scanned >= scan_every_s
                    if whole:
                        yield frozenset()
                    elif due:
                        moved.add(fleet.state)
                    if batch | moved:
                        yield frozenset(batch | moved)
                    scanned = now if whole or due else scanned
                    refs_before, fresh, ticked = refs_now, False, now
                    if replaced:
                        break
        except (OSError, WatchfilesRustInternalError):
            # no watch is left for this user, or a folder went between the look and the watch; polling needs neither
            polling = True
            await _pause(stop)


async def _batches(watched: dict[Path, Look], stop: asyncio.Event, *, polling: bool) -> AsyncGenerator[set[Path]]:
    """Changed files as they come, an empty set each `TICK_S` without any."""
    folders = [folder for folder, look in watched.items() if look is not None]
    if not folders:
        await _pause(stop)
        yield set()
        return
    watcher = awatch(
        *folders,
        watch_filter=_counts,
        debounce=DEBOUNCE_MS,
        step=STEP_MS,
        stop_event=_Stop(stop),
        rust_timeout=int(TICK_S * 1000),
        yield_on_timeout=True,
        force_polling=polling,
    )
    async with aclosing(watcher) as found:
        async for batch in found:
            yield {Path(path) for _, path in batch}


async def _pause(stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(TICK_S):
            await stop.wait()


def _folders(fleet: Fleet) -> tuple[Path, ...]:
    """Folders of documents, never the repository's root: that would be told of every object that git writes."""
    return (fleet.state, fleet.root / "hosts", fleet.root / "adapters")


def _ref_files(fleet: Fleet) -> tuple[Path, ...]:
    return (
        git.git_path(fleet.top, fleet.ref),
        git.git_path(fleet.top, "packed-refs"),
        git.git_path(fleet.top, "HEAD"),
    )


def _counts(_: Change, path: str) -> bool:
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
    return (found.st_ino, 0, 0) if path.is_dir() else (found.st_ino, found.st_size, found.st_mtime_ns)
