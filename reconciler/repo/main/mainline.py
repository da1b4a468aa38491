"""Where people's files count and how a commit of single paths gets there: the work tree, or the tip of a remote's main.

It decides nothing about tasks.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from reconciler.repo import git
from reconciler.repo.desired import fleetfiles
from reconciler.repo.fleet import BRANCH, Fleet
from reconciler.repo.git import Signature
from reconciler.repo.main import commits
from reconciler.repo.main.commits import Edit
from reconciler.repo.main.origin import Origin


class Moved(Exception):
    """Somebody else's commit came first: nothing was written, and all is to be decided anew on what is there now."""


class Protected(Exception):
    """Nobody may push to `main` there. The commit was made, and stands nowhere yet; `origin` takes it elsewhere."""

    def __init__(self, commit: str, origin: Origin) -> None:
        super().__init__(f"{BRANCH} is protected on the remote")
        self.commit = commit
        self.origin = origin


class Mainline(Protocol):
    """The files of one fleet as they count. Paths are relative to the fleet. For one thread at a time."""

    @property
    def fleet(self) -> Fleet:
        """Whose files they are."""

    def begin(self, *, strictly: bool) -> None:
        """Look at what there is now. Raises Refused where nothing could be committed; if not `strictly`, later."""

    def tip(self) -> str | None:
        """The commit on which the next one will stand; None where there is none yet."""

    def task_paths(self) -> Mapping[str, Sequence[str]]:
        """Task id -> the files that carry it; more than one is an error of the fleet."""

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""

    def read(self, path: str) -> bytes:
        """The bytes of a file, at most one more than a document may have; OSError where it cannot be read."""

    def commit(self, edits: Sequence[Edit], message: str, signed: Signature) -> str:
        """Commit exactly these edits; the new commit, which counts from now on.

        Raises Refused where it would get in a person's way, GitFailed, RemoteFailed, Moved and Protected; then nothing
        was changed.
        """


class WorkTree:
    """The work tree and the branch that is checked out in it: people edit the very same files."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet

    def begin(self, *, strictly: bool) -> None:
        """Look at what there is now; Refused, if `strictly`, where a person's work is in the way."""
        if strictly:
            git.refuse_unready(self.fleet.top, BRANCH)

    def tip(self) -> str | None:
        """The commit at the branch's tip."""
        return git.tip(self.fleet.top, self.fleet.ref)

    def task_paths(self) -> Mapping[str, Sequence[str]]:
        """Task id -> the files that carry it, committed or not."""
        return fleetfiles.task_paths(fleetfiles.work_tree(self.fleet.root))

    def exists(self, path: str) -> bool:
        """Whether the file is there, committed or not."""
        return (self.fleet.root / path).is_file()

    def read(self, path: str) -> bytes:
        """The bytes of the file as it is there."""
        return fleetfiles.read(self.fleet.root, path)

    def commit(self, edits: Sequence[Edit], message: str, signed: Signature) -> str:
        """Write the files and commit them on the branch."""
        for edit in edits:
            if edit.old is None:
                _sweep(self.fleet.root / edit.path)
        return commits.commit(self.fleet, edits, message, signed)


def is_committed(mainline: Mainline, path: str) -> bool:
    """Whether the commit that the next one will stand on has the file."""
    tip = mainline.tip()
    return tip is not None and git.has(mainline.fleet.top, tip, mainline.fleet.prefix + path)


def blob(mainline: Mainline, path: str) -> str | None:
    """The blob id of a file in that commit, None where it is not there."""
    place = f"{mainline.tip()}:{mainline.fleet.prefix}{path}"
    found = git.run(mainline.fleet.top, "rev-parse", "--verify", "--quiet", place, check=False)
    return found.text if found.exit == 0 else None


def trailers(mainline: Mainline, path: str, key: str, *words: str) -> list[str]:
    """What this trailer says in the commits of a file, newest first; `words` are more options for `git log`."""
    tip = mainline.tip()
    if tip is None:
        return []
    shape = f"--format=%(trailers:key={key},valueonly)"
    said = git.run(mainline.fleet.top, "log", shape, *words, tip, "--", mainline.fleet.prefix + path).text
    return said.split()


def _sweep(target: Path) -> None:
    """Remove what a process that died while it wrote this file left beside it."""
    for left in target.parent.glob(f".{target.name}.*.new"):
        left.unlink(missing_ok=True)
