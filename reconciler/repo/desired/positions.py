"""Where keys stand in files, for messages about them: asked seldom, remembered for a while.

Never says what is wrong.
"""

from pathlib import Path

from reconciler.repo import git
from reconciler.repo.yaml import documents
from reconciler.repo.yaml.documents import InvalidDocument
from reconciler.repo.yaml.yamlnodes import Path as KeyPath

MOST = 10_000


class Positions:
    """Places in the versions of files that are in the object store of the repository at `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[tuple[str, KeyPath], tuple[int, int]] = {}

    def of(self, path: str, blob: str, key: KeyPath) -> tuple[int, int]:
        """Line and column of a key in that version of a file; the start where it cannot be found."""
        place = (blob, key)
        if place not in self._known:
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[place] = position(git.read_blobs(self._root, (blob,)).get(blob), path, key)
        return self._known[place]


def position(content: bytes | None, path: str, key: KeyPath) -> tuple[int, int]:
    """Line and column of a key in a file with this content; the start where it cannot be found."""
    if content is None:
        return 1, 1
    try:
        return documents.parse(content, path).value(key)
    except InvalidDocument:
        return 1, 1
