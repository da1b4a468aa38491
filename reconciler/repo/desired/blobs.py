"""Blob ids of bytes, and putting files of the work tree into git's object store in one go.

Never applies a filter, and never touches the index.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from reconciler.repo import git
from reconciler.repo.desired import fleetfiles

FEW = 20
"""So many are written without asking git whether it has them: to write what is there changes nothing."""


def blob_id(content: bytes, algorithm: str) -> str:
    """The id that git gives to these bytes in a repository whose objects are named by `sha1` or `sha256`."""
    digest = hashlib.new(algorithm, b"blob %d\0" % len(content), usedforsecurity=False)
    digest.update(content)
    return digest.hexdigest()


def store(root: Path, wanted: Mapping[str, str], algorithm: str) -> frozenset[str]:
    """Write those files (path -> blob id) that git does not have yet; the paths whose content was another by then.

    Raises GitFailed when the object store cannot be written.
    """
    missing = [*wanted] if len(wanted) <= FEW else _missing(root, wanted)
    if not missing:
        return frozenset()
    plain = [path for path in missing if "\n" not in path and not path.startswith('"')]
    lines = "".join(f"{path}\n" for path in plain).encode(errors="surrogateescape")
    written = git.run(root, "hash-object", "-w", "--stdin-paths", "--no-filters", stdin=lines, check=False)
    ids = dict(zip(plain, written.stdout.decode().split(), strict=False))
    left = [path for path in missing if ids.get(path) != wanted[path]]
    return frozenset(path for path in left if not _stored_alone(root, path, wanted[path], algorithm))


def _stored_alone(root: Path, path: str, wanted: str, algorithm: str) -> bool:
    try:
        content = fleetfiles.read(root, path)
    except OSError:
        return False
    return blob_id(content, algorithm) == wanted and git.write_blob(root, content) == wanted


def _missing(root: Path, wanted: Mapping[str, str]) -> list[str]:
    asked = "".join(f"{blob}\n" for blob in wanted.values()).encode()
    answers = git.run(root, "cat-file", "--batch-check=%(objecttype)", stdin=asked).stdout.splitlines()
    return [path for path, answer in zip(wanted, answers, strict=True) if answer != b"blob"]
