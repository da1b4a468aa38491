"""Blob ids of bytes, and putting files of the work tree into git's object store in one go.

Never applies a filter, and never touches the index.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.repo import git, looseobjects
from reconciler.repo.desired import fleetfiles

FEW = 20
"""So many are written without asking git whether it has them in a pack: to write what is there changes nothing."""


def blob_id(content: bytes, algorithm: str) -> str:
    """The id that git gives to these bytes in a repository whose objects are named by `sha1` or `sha256`."""
    digest = hashlib.sha256 if algorithm == "sha256" else hashlib.sha1
    return digest(b"blob %d\0%b" % (len(content), content), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """The object store of the fleet at `root`: how its objects are named, and in which folder they are."""

    root: Path
    algorithm: str
    objects: Path

    @classmethod
    def of(cls, root: Path) -> "Store":
        """The one that git uses for the fleet at `root`."""
        return cls(root=root, algorithm=git.object_format(root), objects=git.git_path(root, "objects"))

    def keep(self, wanted: Mapping[str, str], contents: Mapping[str, bytes]) -> frozenset[str]:
        """Write those files (path -> blob id) that are not there yet; the paths whose content was another by then.

        Those whose `contents` are at hand are not read again. Raises GitFailed when the object store cannot be written.
        """
        left = [*wanted] if len(wanted) <= FEW else self._left(wanted)
        return frozenset(path for path in left if not self._kept_alone(path, wanted[path], contents.get(path)))

    def _left(self, wanted: Mapping[str, str]) -> list[str]:
        """Those of these files that git could not write all at once."""
        missing = _missing(self.root, wanted)
        plain = [path for path in missing if "\n" not in path and not path.startswith('"')]
        if not plain:
            return missing
        lines = "".join(f"{path}\n" for path in plain).encode(errors="surrogateescape")
        written = git.run(self.root, "hash-object", "-w", "--stdin-paths", "--no-filters", stdin=lines, check=False)
        ids = dict(zip(plain, written.stdout.decode().split(), strict=False))
        return [path for path in missing if ids.get(path) != wanted[path]]

    def _kept_alone(self, path: str, wanted: str, content: bytes | None) -> bool:
        if content is None and looseobjects.has(self.objects, wanted):
            return True
        try:
            content = fleetfiles.read(self.root, path) if content is None else content
        except OSError:
            return False
        if blob_id(content, self.algorithm) != wanted:
            return False
        return looseobjects.write(self.objects, wanted, content) or git.write_blob(self.root, content) == wanted


def _missing(root: Path, wanted: Mapping[str, str]) -> list[str]:
    asked = "".join(f"{blob}\n" for blob in wanted.values()).encode()
    answers = git.run(root, "cat-file", "--batch-check=%(objecttype)", stdin=asked).stdout.splitlines()
    return [path for path, answer in zip(wanted, answers, strict=True) if answer != b"blob"]
