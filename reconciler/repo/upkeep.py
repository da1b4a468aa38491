"""Tends the fleet's clone while a reconciler runs: one chore of git at a time, bounded, at the lowest priority.

It never holds up a commit, never works beside somebody's `git gc` or `git maintenance`, and decides nothing about when.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from reconciler.core import chores
from reconciler.core.chores import Chore, Past
from reconciler.repo import git
from reconciler.repo.fleet import Fleet
from reconciler.repo.journal import Journal, JournalFailed

LOOK_EVERY = timedelta(seconds=10)
BOUND_S = 600.0
WHOLE_BOUND_S = 3600.0
TERM_S = 5.0
POLL_S = 0.1
PEOPLES_GC_S = 12 * 3600.0
"""After so long git itself takes the mark of a running `git gc` for one that a crash left."""
MAX_MARK_BYTES = 300
MAX_COMPLAINT_BYTES = 8192
AGE = "2.weeks.ago"
"""What nothing needs stays at least so long: whoever writes it now may need it in a moment."""
CRUFT_PACKS = (2, 37)
WINDOW = "--window=250"
"""With how many others an object is compared: those of one folder's history stand far apart, with hosts and records
between them. A tenth part less is kept, for some CPU at the lowest priority.
"""

_COMMANDS = {
    Chore.PACKS: ("repack", "--geometric=2", "-d", "-n", "--quiet", WINDOW),
    Chore.GRAPH: ("commit-graph", "write", "--reachable", "--split", "--changed-paths", "--no-progress"),
    Chore.REFS: ("pack-refs", "--all", "--prune"),
    Chore.PRUNE: ("prune", f"--expire={AGE}"),
    Chore.WHOLE: ("repack", "-d", "-l", "--quiet", WINDOW),
}
"""What each chore is, never `git gc`: that takes the index of a pack which appears while it looks at the folder for one
whose pack is lost, and removes it (seen with git 2.39); then nothing that was just written can be read.
"""


class Upkeep:
    """The chores of one fleet's clone. `now` is the clock; `warn` is told in one line what went wrong, once.

    Raises JournalFailed.
    """

    def __init__(
        self, fleet: Fleet, journal: Journal, now: Callable[[], datetime], warn: Callable[[str], None]
    ) -> None:
        self._fleet = fleet
        self._journal = journal
        self._now = now
        self._warn = warn
        self._past = Past(done=_kept(journal, now()))
        self._told: set[Chore] = set()
        self._looked: datetime | None = None
        self._work: threading.Thread | None = None
        self._stop = threading.Event()

    def look(self) -> None:
        """Begin what is due, unless something is under way; returns at once. Cheap enough for every turn."""
        now = self._now()
        if self._is_busy() or (self._looked is not None and abs(now - self._looked) < LOOK_EVERY):
            return
        self._looked = now
        chore = chores.due(self._past, foldable_packs(self._fleet.common), now)
        if chore is None or is_tended(self._fleet.common):
            return
        self._work = threading.Thread(target=self._do, args=(chore,), name="upkeep", daemon=True)
        self._work.start()

    def wait(self, at_most_s: float) -> None:
        """Until nothing is under way, or the time is over."""
        if self._work is not None:
            self._work.join(at_most_s)

    def close(self) -> None:
        """End what is under way, and begin nothing more."""
        self._stop.set()
        if self._work is not None:
            self._work.join()

    def _is_busy(self) -> bool:
        return self._stop.is_set() or (self._work is not None and self._work.is_alive())

    def _do(self, chore: Chore) -> None:
        try:
            complaint = self._complaint(chore)
            if complaint == "":
                at = self._now()
                _keep(self._journal, chore, at)
                self._past = replace(self._past, done={**self._past.done, chore: at})
                self._told.discard(chore)
        except (git.GitFailed, JournalFailed, OSError) as error:
            complaint = str(error)
        if complaint:
            self._past = replace(self._past, failed={**self._past.failed, chore: self._now()})
            if chore not in self._told:
                self._told.add(chore)
                self._warn(f"upkeep of {self._fleet.top}: {complaint}; it goes on without, and tries again")

    def _complaint(self, chore: Chore) -> str | None:
        """Do the chore: what git complained about, empty when it went well, None when it was not to be done now."""
        with _lock(self._fleet.local / "upkeep.lock") as mine, tempfile.TemporaryFile() as said:
            if mine is None:
                return None
            words = words_of(chore, git.version(self._fleet.top))
            before = () if chore is Chore.REFS else tuple(_gently())
            child = _start(self._fleet.top, [*before, *git.command(*words)], mine, said)
            bound_s = WHOLE_BOUND_S if chore is Chore.WHOLE else BOUND_S
            ended = self._ended(child, bound_s)
            if ended:
                said.seek(0)
                return _verdict(child.returncode, said.read(MAX_COMPLAINT_BYTES), words)
            return None if self._stop.is_set() else f"git {git.name(words)} was stopped after {bound_s:g} s"

    def _ended(self, child: subprocess.Popen[bytes], bound_s: float) -> bool:
        """Whether the child has ended by itself; one that is too late, or is to stop, is ended here."""
        deadline = time.monotonic() + bound_s
        while child.poll() is None:
            if self._stop.wait(POLL_S) or time.monotonic() > deadline:
                _end(child)
                return False
        return True


def words_of(chore: Chore, version: tuple[int, ...]) -> tuple[str, ...]:
    """The git command that does the chore, by a git of this version."""
    if chore is not Chore.WHOLE:
        return _COMMANDS[chore]
    # without cruft packs every object that nothing needs becomes a file of its own
    rest = ("--cruft", f"--cruft-expiration={AGE}") if version >= CRUFT_PACKS else ("-A", f"--unpack-unreachable={AGE}")
    return (*_COMMANDS[chore], *rest)


def foldable_packs(common: Path) -> int:
    """How many packs there are that nobody keeps as they are."""
    try:
        names = [path.name for path in (common / "objects" / "pack").iterdir()]
    except FileNotFoundError:
        return 0
    packs, kept = ({name.partition(".")[0] for name in names if name.endswith(end)} for end in (".pack", ".keep"))
    return len(packs - kept)


def is_tended(common: Path) -> bool:
    """Whether somebody's `git gc` or `git maintenance` is at work there, as git itself judges it."""
    pid = common / "gc.pid"
    marks = (common / "gc.pid.lock", common / "objects" / "maintenance.lock")
    return any(_is_fresh(mark) for mark in marks) or (_is_fresh(pid) and _is_alive(pid))


def _is_fresh(mark: Path) -> bool:
    try:
        return time.time() - mark.stat().st_mtime < PEOPLES_GC_S
    except FileNotFoundError:
        return False


def _is_alive(mark: Path) -> bool:
    """Whether the process that the mark names may live; one on another machine may."""
    try:
        words = mark.read_bytes()[:MAX_MARK_BYTES].decode(errors="replace").split()
    except FileNotFoundError:
        return False
    if len(words) != 2 or not words[0].isdecimal() or words[1] != os.uname().nodename:  # noqa: PLR2004 - pid and host
        return True
    try:
        os.kill(int(words[0]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[int | None]:
    """The lock of upkeep, None when it is held: by a chore that outlived a killed reconciler."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _start(top: Path, words: list[str], shares: int, complaints: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        words,
        cwd=top,
        env=git.environment(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=complaints,
        pass_fds=(shares,),
        start_new_session=True,
    )


def _gently() -> Iterator[str]:
    """The words that have a command work only when nothing else does, as far as this machine has them."""
    for words in (("nice", "-n", "19"), ("ionice", "-t", "-c", "3")):
        if shutil.which(words[0]):
            yield from words


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child and all that it started; first so that git can remove its locks."""
    _send(child, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(TERM_S)
    _send(child, signal.SIGKILL)
    child.wait()


def _send(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)


def _verdict(code: int, said: bytes, words: tuple[str, ...]) -> str:
    return "" if code == 0 else f"git {git.name(words)}: {git.first_line(said) or f'exit {code}'}"


def _kept(journal: Journal, now: datetime) -> dict[Chore, datetime]:
    """When each chore was last done; one that never was counts from now on."""
    with journal.writing() as connection:
        rows = [(chore.value, now.astimezone(UTC).isoformat()) for chore in Chore]
        connection.executemany("INSERT OR IGNORE INTO upkeep VALUES (?, ?)", rows)
    known = {str(chore): str(at) for chore, at in journal.rows("SELECT chore, at FROM upkeep")}
    return {chore: datetime.fromisoformat(known[chore.value]) for chore in Chore}


def _keep(journal: Journal, chore: Chore, at: datetime) -> None:
    with journal.writing() as connection:
        connection.execute("INSERT OR REPLACE INTO upkeep VALUES (?, ?)", (chore.value, at.astimezone(UTC).isoformat()))
