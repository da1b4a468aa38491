"""Where a ref points, asked of git only where the files that it is kept in changed.

Never moves one.
"""

from pathlib import Path

from reconciler.repo import git

Look = tuple[bytes | None, tuple[int, int, int] | None]
NOWHERE: Look = (None, None)


class Ref:
    """One ref of the repository at `root`, by its full name."""

    def __init__(self, root: Path, name: str) -> None:
        self._root, self._name = root, name
        self._loose, self._packed = git.git_path(root, name), git.git_path(root, "packed-refs")
        self._look: Look | None = None
        self._tip: str | None = None

    def is_still(self) -> bool:
        """Whether the files that it is kept in are as they were, and git need not be asked."""
        return self._look not in {None, NOWHERE} and self._looked() == self._look

    def tip(self) -> str | None:
        """The commit that it points at, None where it is not there."""
        look = self._looked()
        if look != self._look or look == NOWHERE:
            self._tip = git.tip(self._root, self._name)
            self._look = look
        return self._tip

    def _looked(self) -> Look:
        return _content(self._loose), _stamp(self._packed)


def _content(path: Path) -> bytes | None:
    """A small file, read each time: that costs less than git, and no stamp could hide a change."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What tells the file of all packed refs from its successor: git puts another file in its place."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
