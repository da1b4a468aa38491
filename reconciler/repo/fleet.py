"""Where a fleet's files are: its root, its repository, and what the program keeps beside them.

It never makes a fleet, and never writes anything but what git is to leave alone there.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.repo import git

BRANCH = "main"
IN_FORCE = "refs/reconciler/main"
"""The tip of a followed remote's branch that is in force; only the reconciler moves it, and only forward."""

OBSERVED = "observed"
_NO_GC = {"gc.auto": "0", "maintenance.auto": "false"}
LOCAL = ".reconciler"
EXCLUDED = ("state/observed/", f"{LOCAL}/")


class NoFleet(Exception):
    """There is no fleet where one was looked for; the message says how to get one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """A fleet's places, all absolute.

    `root` holds `state/`, `top` is the work tree's top (the same, but for a fleet in a subfolder of a repository),
    `common` is the repository's folder with objects and branches, shared by its linked worktrees. `ref` is the full
    name of the ref from which people's wishes are read where only what is committed counts.
    """

    root: Path
    top: Path
    common: Path
    ref: str = f"refs/heads/{BRANCH}"

    @property
    def prefix(self) -> str:
        """What stands before the fleet's paths in the repository: empty, or a path that ends with a slash."""
        inside = self.root.relative_to(self.top).as_posix()
        return "" if inside == "." else f"{inside}/"

    @property
    def state(self) -> Path:
        """The folder of desired and observed state."""
        return self.root / "state"

    @property
    def observed(self) -> Path:
        """The folder in which the branch `observed` is laid out as plain files."""
        return self.state / "observed"

    @property
    def local(self) -> Path:
        """The folder of what belongs to this machine alone."""
        return self.root / LOCAL

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.local / "journal.sqlite3"

    @property
    def lock(self) -> Path:
        """The file that the one reconciler of this fleet holds."""
        return self.local / "lock"

    @property
    def shared_lock(self) -> Path:
        """Its like for the repository: linked worktrees have one branch `observed` between them."""
        return self.common / "reconciler-lock"

    def logs(self, task: str, epoch: int) -> Path:
        """The folder with a run's `stdout` and `stderr`."""
        return self.local / "logs" / f"{task}.{epoch}"

    def log(self, task: str, epoch: int, name: str) -> str:
        """A file in that folder; as text, for it is asked for so often that a path would take longer than the look."""
        return f"{self.root}/{LOCAL}/logs/{task}.{epoch}/{name}"


def find(start: Path, explicit: Path | None = None) -> Fleet:
    """The fleet at `explicit`, else at `start` or its nearest parent with `state/`; NoFleet where there is none."""
    root = _named(explicit) if explicit is not None else _nearest(start)
    top = git.top_level(root)
    if top is None:
        raise NoFleet(
            f"{root} is in no git repository; run `git init` there, or `reconciler init PATH` for a new fleet"
        )
    return as_it_counts(Fleet(root=root, top=top.resolve(), common=git.common_dir(root).resolve()))


def as_it_counts(fleet: Fleet) -> Fleet:
    """The fleet with the ref from which people's wishes are read now."""
    in_force = git.tip(fleet.top, IN_FORCE) is not None
    return replace(fleet, ref=IN_FORCE if in_force else f"refs/heads/{BRANCH}")


def leave_remote(fleet: Fleet) -> None:
    """Have people's wishes be those of the work tree and of its own branch from now on."""
    git.run(fleet.top, "update-ref", "-d", IN_FORCE)


def keep_gc_away(fleet: Fleet) -> None:
    """Have git begin no `git gc` by itself here: beside a writer it can lose what was just written. May be repeated.

    Upkeep does that work. What somebody has set for this repository stays.
    """
    words = ("config", "--local", "--name-only", "--get-regexp", r"^(gc|maintenance)\.auto$")
    said = git.run(fleet.top, *words, check=False).text.split()
    for key, value in _NO_GC.items():
        if key not in said:
            git.run(fleet.top, "config", "--local", key, value)


def exclude(fleet: Fleet) -> None:
    """Have git leave the fleet's machine-made folders alone, in every worktree of its repository. May be repeated."""
    path = git.git_path(fleet.top, "info/exclude")
    before = path.read_bytes() if path.exists() else b""
    known = set(before.splitlines())
    missing = [line for line in map(_pattern, (fleet.prefix + name for name in EXCLUDED)) if line not in known]
    if not missing:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    ended = before if not before or before.endswith(b"\n") else before + b"\n"
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    temporary.write_bytes(ended + b"".join(line + b"\n" for line in missing))
    temporary.replace(path)


def _named(path: Path) -> Path:
    root = path.resolve()
    if not (root / "state").is_dir():
        raise NoFleet(f"{path} is no fleet: it has no folder `state`; make one with `reconciler init {path}`")
    return root


def _nearest(start: Path) -> Path:
    here = start.resolve()
    for folder in (here, *here.parents):
        if (folder / "state").is_dir():
            return folder
    raise NoFleet(f"no fleet at {start} or above it; make one with `reconciler init PATH`, or name one with --fleet")


def _pattern(path: str) -> bytes:
    special = b"\\*?[ "
    return b"/" + b"".join(b"\\" + bytes([byte]) if byte in special else bytes([byte]) for byte in os.fsencode(path))
