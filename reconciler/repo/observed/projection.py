"""The files under `state/observed/`: a view of the branch for people's eyes, written behind everybody's back.

It is never read back as truth: what is edited, lost or extra there is put as the branch has it. It follows no link.
"""

import errno
import os
import shutil
import stat
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.repo.observed import rewriting

COALESCE_S = 0.1
CLOSE_S = 30.0
MAX_FILE_BYTES = 1024 * 1024

Signature = tuple[int, int, int]

_KEPT = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR})
"""Why a folder is not removed that is none of ours, or not empty."""


@dataclass(slots=True)
class _Shown:
    """What a file of the view should hold, and how it looked when it last did."""

    blob: str
    signature: Signature | None = None


class Projection:
    """The view at `root` of files named by paths below it; `read` gives blobs by id, `name` a content's blob id.

    `warn` is told in one line why a file could not be written; it is tried again at the next `restore`.
    """

    def __init__(
        self,
        root: Path,
        read: Callable[[Iterable[str]], Mapping[str, bytes]],
        name: Callable[[bytes], str],
        warn: Callable[[str], None],
    ) -> None:
        self._root, self._read, self._name, self._warn = root, read, name, warn
        self._shown: dict[str, _Shown] = {}
        self._folders: Counter[str] = Counter()
        """How many files each folder of the view has, in it or below."""
        self._pending: dict[str, bytes | None] = {}
        self._changed = threading.Condition()
        self._disk = threading.RLock()
        self._hurry = self._closing = False
        self._writer = threading.Thread(target=self._run, name="projection", daemon=True)
        self._writer.start()

    def replace(self, files: Mapping[str, str]) -> list[str]:
        """Show exactly these files (path -> blob id); the paths that had to be put right."""
        with self._disk:
            with self._changed:
                self._pending.clear()
            self._shown = {path: _Shown(blob) for path, blob in files.items()}
            self._folders = Counter(folder for path in files for folder in _folders(path))
            return self._restore(None)

    def update(self, files: Mapping[str, bytes | None]) -> None:
        """Have these files shown soon; None removes one. Only the newest content of a path is written."""
        with self._changed:
            self._pending.update(files)
            self._changed.notify_all()

    def flush(self) -> None:
        """Return when everything that was handed over is shown."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
        self._write_pending()

    def restore(self, paths: Iterable[Path] = ()) -> list[str]:
        """Put back what differs among these files, or anywhere when none are named; the paths that were put back."""
        wanted = {name for name in map(self._below, paths) if name is not None}
        if not wanted:
            self._write_pending()
        with self._disk:
            with self._changed:
                due = wanted - self._pending.keys()  # the others are written anew anyway
            return self._restore(due or None) if due or not wanted else []

    def close(self) -> None:
        """Show what is pending and stop."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._writer.join(CLOSE_S)
        self._write_pending()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._closing)
                self._changed.wait_for(lambda: self._hurry or self._closing, COALESCE_S)
                self._hurry = False
                if self._closing:
                    return
            self._write_pending()

    def _write_pending(self) -> None:
        with self._disk:
            with self._changed:
                pending, self._pending = self._pending, {}
            real: set[str] = set()
            leaving = {
                path.rpartition("/")[2]: path for path, content in pending.items() if self._is_leaving(path, content)
            }
            for path, content in sorted(pending.items(), key=lambda one: one[1] is None):
                if content is None:
                    if self._shown.pop(path, None) is not None:
                        self._leave(_folders(path))
                else:
                    if path not in self._shown:
                        self._folders.update(_folders(path))
                    self._shown[path] = _Shown(self._name(content))
                self._put(path, content, real, leaving.get(path.rpartition("/")[2]))

    def _is_leaving(self, path: str, content: bytes | None) -> bool:
        """Whether a file is to go that still is the one which was written."""
        shown = self._shown.get(path)
        return content is None and shown is not None and shown.signature == _signature(f"{self._root}/{path}")

    def _leave(self, folders: Iterable[str]) -> None:
        for folder in folders:
            self._folders[folder] -= 1
            if not self._folders[folder]:
                del self._folders[folder]

    def _below(self, path: Path) -> str | None:
        text, above = str(path), f"{self._root}/"
        return text.removeprefix(above) if text.startswith(above) else None

    def _restore(self, only: set[str] | None) -> list[str]:
        """Compare the files (all of them when `only` is None) and put back what differs."""
        everything = only is None or any(self._may_be_extra(path) for path in only - self._shown.keys())
        asked = self._shown if everything or only is None else only & self._shown.keys()
        folders = self._folders.keys() if everything else {folder for path in asked for folder in _folders(path)}
        links = {folder for folder in folders if (self._root / folder).is_symlink()}
        found = self._found(self._folders.keys()) if everything and _real_folder(self._root) else set()
        extra = [path for path in found if path not in self._shown]
        damaged = [path for path in asked if not self._intact(path, links)]
        contents = self._read(self._shown[path].blob for path in damaged) if damaged else {}
        for path in extra:
            self._put(path, None, set())
        real: set[str] = set()
        for path in damaged:
            content = contents.get(self._shown[path].blob)
            if content is None:
                self._warn(f"{self._root / path}: its content is not in the repository; run `git fsck`")
            else:
                self._put(path, content, real)
        return sorted(extra + damaged)

    def _may_be_extra(self, path: str) -> bool:
        """Whether what is no file of the view stands there, or a folder of the view came or went as a whole."""
        return path in self._folders or os.path.lexists(self._root / path)

    def _found(self, folders: Collection[str]) -> set[str]:
        """Everything in the view that is none of these folders: files, links, and folders that do not belong."""
        found, open_folders = set(), ["."]
        while open_folders:
            folder = open_folders.pop()
            for entry in os.scandir(self._root / folder):
                name = entry.name if folder == "." else f"{folder}/{entry.name}"
                if entry.is_dir(follow_symlinks=False) and name in folders:
                    open_folders.append(name)
                else:
                    found.add(name)
        return found

    def _intact(self, path: str, links: set[str]) -> bool:
        shown, file = self._shown[path], f"{self._root}/{path}"
        if links and not links.isdisjoint(_folders(path)):
            return False
        signature = _signature(file)
        if signature is None:
            return False
        if signature != shown.signature:
            content = _content(file)
            if content is None or self._name(content) != shown.blob:
                return False
            shown.signature = signature
        return True

    def _put(self, path: str, content: bytes | None, real: set[str], leaving: str | None = None) -> None:
        """Put a file as the branch has it; `real` are the folders that were seen to be no links since this began.

        `leaving` is one of the same name that goes from another folder: it may come from there.
        """
        try:
            if content is None:
                file = self._root / path
                _remove(file)
                _remove_empty(self._root, file.parent)
            else:
                self._shown[path].signature = _write(self._root, path, content, real, leaving)
        except OSError as error:
            self._warn(f"{self._root / path} could not be put as the branch has it: {error.strerror}")


def _folders(path: str) -> list[str]:
    """The folders that a file of the view is in, the nearest first; `.` is the view itself."""
    parts = path.split("/")[:-1]
    return [*("/".join(parts[:count]) for count in range(len(parts), 0, -1)), "."]


def _write(root: Path, path: str, content: bytes, real: set[str], leaving: str | None) -> Signature:
    """Write the file, its folders made where they are missing; how it looks now."""
    for name in reversed(_folders(path)):
        if name not in real:
            folder = root / name
            if not _real_folder(folder):
                _remove(folder)
                folder.mkdir(parents=True, exist_ok=True)
            real.add(name)
    file = f"{root}/{path}"
    found = rewriting.rewrite(file, content)
    if found is None and leaving is not None and leaving != path:
        found = rewriting.move(f"{root}/{leaving}", file, content)
    return _looks(found or rewriting.replace(file, content))


def _remove(path: Path) -> None:
    if _real_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _remove_empty(root: Path, folder: Path) -> None:
    """Remove the folder, and those above it, as far as nothing is in them."""
    while folder != root:
        try:
            folder.rmdir()
        except OSError as error:
            if error.errno not in _KEPT:
                raise
            return
        folder = folder.parent


def _real_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _signature(path: str) -> Signature | None:
    """Inode, size and time of a plain file; None for anything else. A link is no plain file."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _looks(found) if stat.S_ISREG(found.st_mode) else None


def _looks(found: os.stat_result) -> Signature:
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def _content(path: str) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read(MAX_FILE_BYTES)
