"""One orphan branch, written commit by commit through `git fast-import`, each only on top of the tip that was known.

It never touches an index, HEAD or a work tree, never forces a branch, and never says a commit landed before it has.
"""

import contextlib
import logging
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.core.desired import Identity
from reconciler.repo import git
from reconciler.repo.observed.fastimport import Change, Importer, ImporterGone, nothing

log = logging.getLogger(__name__)

ATTEMPTS = 5
COMMITS_PER_CHILD = 500
"""A child keeps the packs that it wrote from being folded until it ends."""
STALE_LOCK_S = 1.0
ABANDONED_LOCK_S = 10.0
INDEX_S = 600.0
MAX_FOREIGN = 1000
MAX_REF_BYTES = 200

_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class BranchFailed(Exception):
    """A commit could not be made; the branch is as it was. The message says what to mend."""


class BranchMoved(Exception):
    """Somebody took the branch back, rewrote it or deleted it; nothing is written until a person has looked."""


class BranchAdvanced(Exception):
    """Somebody committed on top of the known tip: read the branch again, then commit again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which branch, and how it is written.

    `writer` is unique to this process; `shares` are descriptors for the child.
    """

    repository: Path
    common: Path
    name: str
    identity: Identity
    writer: str
    shares: tuple[int, ...] = ()


class Branch:
    """The branch and the one child that writes it. Not for two threads at a time."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._ref = f"refs/heads/{place.name}"
        self._loose = place.common / self._ref
        self.identity = place.identity
        """Who makes the commits; another one may come to do so at any time."""
        self._importer: Importer | None = None
        self._made = 0
        self._number = 0
        _remove_stale_keeps(place.common / "objects" / "pack")
        _restore_indexes(place)
        self.tip = self._read_tip()
        self._clear_own_lock(after_death=False)

    @property
    def child(self) -> int | None:
        """The process id of the child that writes, None between two."""
        return self._importer.pid if self._importer else None

    def commit(self, change: Change, meanwhile: Callable[[], None] = nothing) -> str:
        """Commit on top of `tip`, and the new tip's id once it is on disk and the branch points there.

        `meanwhile` is called while git works, at each attempt, and may not fail. Raises BranchAdvanced, BranchMoved or
        BranchFailed; then nothing of the change is on the branch.
        """
        self._number += 1
        token = f"Writer: {self._place.writer}-{self._number}"
        signed = replace(change, message=f"{change.message}\n{token}")
        complaint = ""
        for _ in range(ATTEMPTS):
            self._refuse_moved()
            stored, complaint = self._store(signed, meanwhile)
            landed = stored if stored and self._read_tip() == stored else self._settle(token, died=stored is None)
            if landed:
                self.tip = landed
                return landed
        raise BranchFailed(self._advice(complaint))

    def follow(self) -> str | None:
        """Take the branch's present tip as the one to build on; the caller has to read its files again."""
        self._drop()
        self.tip = self._read_tip()
        return self.tip

    def files(self) -> dict[str, str]:
        """Every file at `tip`: path -> blob id."""
        return git.ls_tree(self._place.repository, self.tip) if self.tip else {}

    def close(self) -> None:
        """End the child: cleanly where the branch is as it left it, for at its end it writes the branch once more."""
        if self._read_tip() == self.tip:
            self._end()
        else:
            self._drop()

    def _store(self, change: Change, meanwhile: Callable[[], None]) -> tuple[str | None, str]:
        """The id of the stored commit, or None; and what git complained about."""
        identity = self.identity
        if self._made >= COMMITS_PER_CHILD or (self._importer is not None and self._importer.identity != identity):
            self._end()
        try:
            if self._importer is None:
                self._importer = Importer(self._place.repository, self._ref, identity, self._place.shares)
            self._made += 1
            return self._importer.commit(change, self.tip, meanwhile), self._importer.complaint()
        except ImporterGone as error:
            return None, str(error)

    def _settle(self, token: str, *, died: bool) -> str | None:
        """After a commit in doubt: the child is gone for good, and the commit's id if it is on the branch after all."""
        self._drop()
        # the same commit sent again makes a pack of the same name, which its own leftover mark would refuse
        _remove_stale_keeps(self._place.common / "objects" / "pack")
        self._clear_own_lock(after_death=died)
        now = self._read_tip()
        if now is None or now == self.tip:
            return None
        span = f"{self.tip}..{now}" if self.tip else now
        log = git.run(
            self._place.repository,
            "log",
            f"--max-count={MAX_FOREIGN}",
            "--format=%H%n%B",
            "-z",
            span,
            "--",
            check=False,
        ).stdout.decode(errors="replace")
        ours = (entry.splitlines() for entry in log.split("\0") if token in entry.splitlines())
        return next((lines[0] for lines in ours), None)

    def _refuse_moved(self) -> None:
        now = self._read_tip()
        if now == self.tip:
            return
        name, known = self._place.name, self.tip
        if now is None:
            raise BranchMoved(f"the branch {name} is gone; put it back with `git branch {name} {known}` and restart")
        if known is None or self._contains(now, known):
            raise BranchAdvanced(f"the branch {name} has moved on to {now}")
        raise BranchMoved(
            f"the branch {name} was rewritten: {now} does not contain {known}; "
            f"put it back with `git branch --force {name} {known}`, or restart to accept what is there"
        )

    def _contains(self, now: str, known: str) -> bool:
        return git.run(self._place.repository, "merge-base", "--is-ancestor", known, now, check=False).exit == 0

    def _read_tip(self) -> str | None:
        """The branch's tip. A loose file counts where there is one; git is asked for every other way to keep it."""
        text = _said(self._loose)
        return text if _ID.fullmatch(text) else git.tip(self._place.repository, self._ref)

    def _drop(self) -> None:
        if self._importer is not None:
            self._importer.kill()
            self._importer, self._made = None, 0

    def _end(self) -> None:
        if self._importer is not None:
            self._importer.end()
            self._importer, self._made = None, 0

    def _clear_own_lock(self, *, after_death: bool) -> None:
        """Remove the branch's lock file that a killed child left, once it has been left alone for a while.

        It names a commit by this program, or is empty still: then it counts right after the child's death, or when it
        is older than any git command takes to fill it.
        """
        path = self._loose.with_name(f"{self._loose.name}.lock")
        before = _signature(path)
        if before is None:
            return
        _, written_ns, size = before
        abandoned = after_death or time.time() - written_ns / 1e9 > ABANDONED_LOCK_S
        if not (abandoned if size == 0 else self._names_own_commit(path)):
            return
        deadline = time.monotonic() + STALE_LOCK_S
        while time.monotonic() < deadline:
            time.sleep(STALE_LOCK_S / 10)
            if _signature(path) != before:
                return
        path.unlink(missing_ok=True)

    def _names_own_commit(self, path: Path) -> bool:
        try:
            text = path.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            return False
        if not _ID.fullmatch(text):
            return False
        commit = git.run(self._place.repository, "cat-file", "commit", text, check=False)
        lines = commit.stdout.decode(errors="replace").splitlines()
        parents = [line.removeprefix("parent ") for line in lines if line.startswith("parent ")]
        return parents == ([self.tip] if self.tip else []) and any(line.startswith("Writer: ") for line in lines)

    def _advice(self, complaint: str) -> str:
        name, lock = self._place.name, self._loose.with_name(f"{self._loose.name}.lock")
        failed = f"the branch {name} could not be written ({complaint or 'git gave no reason'})"
        if self._loose.is_dir() and any(path.is_file() for path in self._loose.rglob("*")):
            return f"{failed}; rename the branches below {name}/, they block its name"
        if lock.exists():
            return f"{failed}; if no git command is running here, remove {lock}"
        return f"{failed}; see that the disk has room and that {self._place.common} may be written"


def _said(loose: Path) -> str:
    """What the branch's own file says, empty where there is none; by as few system calls as can be, for each waits."""
    try:
        source = os.open(loose, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(source, MAX_REF_BYTES).decode("ascii", "replace").strip()
    except OSError:
        return ""
    finally:
        os.close(source)


def _remove_stale_keeps(packs: Path) -> None:
    """Killed children leave their packs marked as not to be repacked, for ever; the lock says that none lives.

    One that was killed before it had written into the mark left an empty one, and no pack yet that it could keep.
    """
    for keep in packs.glob("pack-*.keep"):
        with contextlib.suppress(FileNotFoundError):  # its own git, or another writer, was faster
            said = keep.read_bytes().strip()
            if said == b"fast-import" or (not said and not keep.with_suffix(".pack").exists()):
                keep.unlink()


def _restore_indexes(place: Place) -> None:
    """Make anew the index of each pack that has none: a `git gc` of somebody, beside a writer, may have removed it."""
    for pack in (place.common / "objects" / "pack").glob("pack-*.pack"):
        if pack.with_suffix(".idx").exists():
            continue
        made = git.run(place.repository, "index-pack", str(pack), check=False, timeout_s=INDEX_S)
        if made.exit == 0:
            log.warning("%s had lost its index, which was made anew; leave git gc to the reconciler", pack)
        else:
            log.warning("%s has no index and cannot be read: %s", pack, git.first_line(made.stderr))


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
