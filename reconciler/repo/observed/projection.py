"""The files under `state/observed/`: a view of the branch for people's eyes, written behind everybody's back.

It is never read back as truth: what is edited, lost or extra there is put as the branch has it. It follows no link.
"""

import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

COALESCE_S = 0.1
CLOSE_S = 30.0
MAX_FILE_BYTES = 1024 * 1024

Signature = tuple[int, int, int]


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
        self._write_pending()
        with self._disk:
            return self._restore(wanted or None)

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
            for path, content in pending.items():
                if content is None:
                    self._shown.pop(path, None)
                else:
                    self._shown[path] = _Shown(self._name(content))
                self._put(path, content)

    def _below(self, path: Path) -> str | None:
        try:
            return path.relative_to(self._root).as_posix()
        except ValueError:
            return None

    def _restore(self, only: set[str] | None) -> list[str]:
        """Compare the files (all of them when `only` is None) and put back what differs."""
        everything = only is None or bool(only - self._shown.keys())
        folders = {
            parent.as_posix()
            for folder in {path.rpartition("/")[0] for path in self._shown}
            for parent in (Path(folder), *Path(folder).parents)
        }
        links = {folder for folder in folders if (self._root / folder).is_symlink()}
        found = self._found(folders) if everything and _real_folder(self._root) else set()
        extra = [path for path in found if path not in self._shown]
        asked = self._shown if everything or only is None else only
        damaged = [path for path in asked if not self._intact(path, links)]
        contents = self._read(self._shown[path].blob for path in damaged) if damaged else {}
        for path in extra:
            self._put(path, None)
        for path in damaged:
            content = contents.get(self._shown[path].blob)
            if content is None:
                self._warn(f"{self._root / path}: its content is not in the repository; run `git fsck`")
            else:
                self._put(path, content)
        return sorted(extra + damaged)

    def _found(self, folders: set[str]) -> set[str]:
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
        shown, file = self._shown[path], self._root / path
        if links and any(parent.as_posix() in links for parent in Path(path).parents):
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

    def _put(self, path: str, content: bytes | None) -> None:
        file = self._root / path
        try:
            if content is None:
                _remove(file)
                _remove_empty(self._root, file.parent)
            else:
                _write(self._root, file, content)
                self._shown[path].signature = _signature(file)
        except OSError as error:
            self._warn(f"{file} could not be put as the branch has it: {error.strerror}")


def _write(root: Path, file: Path, content: bytes) -> None:
    for folder in (root, *reversed([parent for parent in file.parents if parent.is_relative_to(root)])):
        if not _real_folder(folder):
            _remove(folder)
            folder.mkdir(parents=True, exist_ok=True)
    if _real_folder(file):
        shutil.rmtree(file)
    temporary = file.with_name(f".{file.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.write_bytes(content)
    temporary.replace(file)


def _remove(path: Path) -> None:
    if _real_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _remove_empty(root: Path, folder: Path) -> None:
    while folder != root and _real_folder(folder) and not [*folder.iterdir()]:
        folder.rmdir()
        folder = folder.parent


def _real_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _signature(path: Path) -> Signature | None:
    """Inode, size and time of a plain file; None for anything else. A link is no plain file."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def _content(path: Path) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read(MAX_FILE_BYTES)
