"""What a branch changed, read out of a clone of its project: the beginning of the diff, within bounds.

It runs no code of the project, changes nothing there, and never waits long.
"""

import os
import re
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from reconciler.repo import git
from reconciler.repo.git import GitFailed

MOST_BYTES = 512 * 1024
TIMEOUT_S = 10.0

_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_INERT = (
    "-c", "core.attributesFile=" + os.devnull, "diff", "--no-color", "--no-ext-diff",
    "--no-textconv", "--no-renames", "--ignore-submodules", "--end-of-options",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """A diff as git says it, and whether that is all of it."""

    text: str
    whole: bool


def between(clone: Path, base: str, head: str) -> Changes:
    """What the commits from `base` up to `head` changed, given by their ids. Raises GitFailed."""
    if not _COMMIT.fullmatch(base) or not _COMMIT.fullmatch(head):
        raise GitFailed("git diff: commits are named by their whole ids")
    said = _beginning(clone, *_INERT, base, head)
    return Changes(text=said[:MOST_BYTES].decode(errors="replace"), whole=len(said) <= MOST_BYTES)


def _beginning(clone: Path, *words: str) -> bytes:
    """The first bytes of what git says, one more than may be shown; then it is ended."""
    process = subprocess.Popen(
        git.command(*words),
        cwd=clone,
        env=git.environment(os.environ) | {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    late = threading.Timer(TIMEOUT_S, process.kill)
    late.start()
    try:
        said = process.stdout.read(MOST_BYTES + 1) if process.stdout is not None else b""
        if len(said) > MOST_BYTES:
            process.kill()
            return said
        if process.wait() != 0:
            raise GitFailed(f"git diff: it ended with {process.returncode}")
        return said
    finally:
        late.cancel()
        process.kill()
        process.communicate()
