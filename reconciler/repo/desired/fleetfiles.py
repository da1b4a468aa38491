"""Which files of a fleet people's wishes stand in, in the work tree or in a commit, and how to read them.

Never looks into a file for its meaning, and never follows a symbolic link.
"""

import os
import re
import stat
import struct
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path, PurePosixPath

from reconciler.core.desired import Problem
from reconciler.repo import git
from reconciler.repo.desired import checks
from reconciler.repo.yaml import yamlbytes

SETTINGS = "state/settings.yaml"
SUFFIX = ".yaml"
_READ_BYTES = 64 * 1024
ID_RULE = "a-z, 0-9, _ and -, at most 63, the first a letter or digit"

_FOLDERS = {"hosts": "host", "adapters": "adapter"}
FOLDERS = ("state", *_FOLDERS)

_ORDINARY = re.compile(r"(state/tasks/(?:[^./#][^/]*/)*|hosts/|adapters/)([a-z0-9][a-z0-9_-]{0,62})\.yaml")
Stamp = bytes | str
"""What tells one version of a file from another: packed times, size and inode, or the blob id."""
RACY_NS = 100_000_000
"""What changed so shortly before it was looked at may change again within the same tick of its clock."""
_name = attrgetter("name")
_STAMP = struct.Struct("<qqQQ")


Look = tuple[int, int] | None
"""What tells a folder from itself with other names in it. None: it changed so lately that it might do so unseen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a path stands for: the kind of its file (`archived` for a task that was put away) and its id."""

    kind: str
    id: str


@dataclass(slots=True)
class Listing:
    """The files that there are, and those that have no good name.

    Of a work tree: `folders` are those of tasks that were looked into, as they looked before that, `beside` the others
    that have names of files; `shared` the files that are no tasks: they are few, and what they say is about many tasks.
    """

    files: dict[str, tuple[Place, Stamp]] = field(default_factory=dict)
    archived: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    folders: dict[str, Look] = field(default_factory=dict)
    beside: dict[str, Look] = field(default_factory=dict)
    shared: Mapping[str, tuple[Place, Stamp]] = field(default_factory=dict)

    def add(self, path: str, stamp: Stamp) -> None:
        """Take in one path; names of no interest are passed over."""
        match classify(path):
            case Problem() as problem:
                self.problems.append(problem)
            case Place(kind="archived", id=name):
                self.archived.add(name)
            case Place() as place:
                self.files[path] = (place, stamp)
            case None:
                return


def classify(path: str) -> Place | Problem | None:
    """What a path relative to the fleet stands for: None for other files, a Problem for a name that cannot be used."""
    if found := _ORDINARY.fullmatch(path):
        return _ordinary(found)
    pure = PurePosixPath(path)
    parts, suffix = pure.parts, pure.suffix
    kind = _kind(parts)
    if kind is None or any(part.startswith((".", "#")) for part in parts) or suffix.lower() not in (SUFFIX, ".yml"):
        return None
    if suffix != SUFFIX:
        return _bad_name(path, f"the name ends in {suffix}: rename to .yaml") if kind != "archived" else None
    if kind != "settings" and not checks.ID.fullmatch(pure.stem):
        return _bad_name(path, f"the name is no id ({ID_RULE}): rename the file") if kind != "archived" else None
    return Place(kind=kind, id=pure.stem)


def _ordinary(found: re.Match[str]) -> Place:
    folder, name = found.groups()
    return Place(kind=_FOLDERS.get(folder[:-1], "task"), id=name)


def kind(path: str) -> str | None:
    """The kind of file that a path stands for, None for other files and names that cannot be used."""
    found = classify(path)
    return found.kind if isinstance(found, Place) else None


def work_tree(root: Path, before: Listing | None = None) -> Listing:
    """The files of the work tree; what stood there `before` as it stands now is taken over."""
    known = before.files if before is not None else {}
    listing = _shared(root, known)
    listing.shared = dict(listing.files)
    listing.beside["state"] = look(f"{root}/state")
    _scan(root, "state/tasks", (listing, known), deep=True)
    for base, _, names in os.walk(root / "state" / "archive"):
        where = Path(base).relative_to(root).as_posix()
        listing.beside[where] = look(base)
        for name in names:
            listing.add(f"{where}/{name}", "")
    return listing


def is_shared_as_listed(root: Path, listing: Listing) -> bool:
    """Whether hosts, adapters and settings stand in the work tree as they were listed."""
    return _shared(root, listing.shared).files == listing.shared


def _shared(root: Path, known: Mapping[str, tuple[Place, Stamp]]) -> Listing:
    listing = Listing()
    for folder in (*_FOLDERS, "state"):
        _scan(root, folder, (listing, known), deep=False)
    return listing


def committed(blobs: Mapping[str, str]) -> Listing:
    """The files of a commit, from path -> blob id."""
    listing = Listing()
    for path, blob in blobs.items():
        listing.add(path, blob)
    return listing


def prefix(root: Path) -> str:
    """What stands before the fleet's paths in its repository: empty, or a path that ends with a slash."""
    return os.fsdecode(git.run(root, "rev-parse", "--show-prefix").stdout.rstrip(b"\n"))


def at(root: Path, ref: str, folders: Iterable[str]) -> dict[str, str]:
    """Path relative to the fleet -> blob id, for every file in these folders at `ref`."""
    before = prefix(root)
    found: dict[str, str] = {}
    for folder in folders:
        files = git.ls_tree(root, ref, f"{before}{folder}")
        found |= {sys.intern(path.removeprefix(before)): blob for path, blob in files.items()}
    return found


def observed(root: Path) -> tuple[frozenset[str], frozenset[str]]:
    """The ids of tasks with an observed file in the work tree, and those among them that are finished."""
    folder = root / "state" / "observed"
    done = frozenset(path.stem for path in folder.glob(f"done/*/*{SUFFIX}"))
    return done | {path.stem for path in folder.glob(f"tasks/*{SUFFIX}")}, done


def read(root: Path, path: str) -> bytes:
    """The bytes of a file of the work tree, at most one more than a document may have; OSError as the system has it."""
    descriptor = os.open(f"{root}/{path}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        content = b""
        while len(content) <= yamlbytes.MAX_BYTES and (more := os.read(descriptor, _READ_BYTES)):
            content += more
        return content[: yamlbytes.MAX_BYTES + 1]
    finally:
        os.close(descriptor)


def sorted_out(places: Mapping[str, Place]) -> tuple[dict[str, tuple[str, ...]], list[tuple[str, Place]]]:
    """Task id -> the paths that carry it; and all that are no tasks."""
    tasks: dict[str, tuple[str, ...]] = {}
    others = []
    for path in places:
        place = places[path]
        if place.kind == "task":
            tasks[place.id] = (*tasks[place.id], path) if place.id in tasks else (path,)
        else:
            others.append((path, place))
    return tasks, others


def task_paths(listing: Listing) -> dict[str, list[str]]:
    """Task id -> the files that carry it; more than one is an error of the fleet."""
    tasks, _ = sorted_out({path: place for path, (place, _) in listing.files.items()})
    return {name: list(paths) for name, paths in tasks.items()}


def _kind(parts: tuple[str, ...]) -> str | None:
    match parts:
        case ("state", "settings.yaml" | "settings.yml"):
            return "settings"
        case ("state", "tasks", _, *_):
            return "task"
        case ("state", "archive", _, *_):
            return "archived"
        case (folder, _) if folder in _FOLDERS:
            return _FOLDERS[folder]
        case _:
            return None


def _bad_name(path: str, message: str) -> Problem:
    return Problem(file=path, line=0, column=0, message=message)


def look_again(root: Path, listing: Listing, path: str) -> bool:
    """Bring a listing of the work tree up to date with one path; whether that can be done for this path alone.

    It can for a plain file of a task in a known folder.
    """
    folder, _, name = path.rpartition("/")
    place = classify(path)
    if folder not in listing.folders or not isinstance(place, Place):
        return path not in listing.folders and not (root / path).is_dir() and not name.endswith((SUFFIX, ".yml"))
    try:
        found = os.lstat(f"{root}/{path}")
    except FileNotFoundError:
        listing.files.pop(path, None)
        return True
    if not stat.S_ISREG(found.st_mode) or any(problem.file == path for problem in listing.problems):
        return False
    listing.files[path] = (place, stamp(found))
    return True


Scan = tuple[Listing, Mapping[str, tuple[Place, Stamp]]]


def _scan(root: Path, folder: str, scan: Scan, *, deep: bool) -> None:
    listing, _ = scan
    where = f"{root}/{folder}"
    if os.path.islink(where):  # noqa: PTH114 - a path would be made anew for each folder, in every turn
        listing.problems.append(_bad_name(folder, "a link and not a folder: put the folder itself here"))
        return
    if deep:
        listing.folders[folder] = look(where)
    for name, entry in _entries(where):
        path = sys.intern(f"{folder}/{name}")
        if entry.is_dir(follow_symlinks=False):
            if deep and not name.startswith("."):
                _scan(root, path, scan, deep=True)
        else:
            _take(path, entry, scan)


def _take(path: str, entry: os.DirEntry[str], scan: Scan) -> None:
    """Take in what is no folder."""
    listing, known = scan
    if not entry.is_file(follow_symlinks=False):
        if isinstance(classify(path), Place):
            listing.problems.append(_bad_name(path, "not a plain file: put the file itself here, not a link to it"))
    elif path in known or path.endswith((SUFFIX, ".yml")) or classify(path) is not None:
        try:
            found = stamp(entry.stat(follow_symlinks=False))
        except FileNotFoundError:
            return
        old = known.get(path)
        if old is not None and old[1] == found:
            listing.files[path] = old
        elif ordinary := _ORDINARY.fullmatch(path):
            listing.files[path] = (_ordinary(ordinary), found)
        else:
            listing.add(path, found)


def look(folder: str) -> Look:
    """What a folder looks like now; OSError as the system has it, but for one that is not there."""
    try:
        found = os.lstat(folder)
    except FileNotFoundError:
        return (0, 0)
    return None if found.st_mtime_ns > time.time_ns() - RACY_NS else (found.st_mtime_ns, found.st_ino)


def stamp(found: os.stat_result) -> Stamp:
    """What tells this version of a file from another."""
    return _STAMP.pack(found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)


def changed_at_ns(stamp: bytes) -> int:
    """When the file with that stamp changed last, by either of its times."""
    written, changed, _, _ = _STAMP.unpack(stamp)
    return int(max(written, changed))


def _entries(folder: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    try:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=_name):
                yield entry.name, entry
    except (FileNotFoundError, NotADirectoryError):
        return
