"""Which tasks there ever were: the ids and issues in every version of the task files that the branch has known.

It answers from git alone, and it is asked only before a file is added.
"""

import os
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from reconciler.core import issues
from reconciler.repo import checks, documents, git
from reconciler.repo.documents import InvalidDocument
from reconciler.repo.fleet import BRANCH, Fleet

FOLDERS = ("state/tasks", "state/archive")
BLOBS_AT_ONCE = 1000
"""Versions of files that are in memory together; each has at most 256 KiB, and most have one."""

_LINE = re.compile(rb"^\s{0,8}[\"']?issue[\"']?\s{0,8}:\s{0,8}[\"']?(https?://[^\s\"',}]+)", re.MULTILINE)
_URL = re.compile(rb"https?://[^\s\"'<>,}\]]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The ids that files ever had, and which of the issues that were asked about ever had a task."""

    ids: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()


def read(fleet: Fleet, urls: Collection[str], specs: Iterable[str] = ()) -> Past:
    """What there ever was, on the branch and in the versions `specs` that runs used; GitFailed as git has it.

    The URLs are to be given, and come back, in the form of `issues.same_url`.
    """
    versions = list(_versions(fleet))
    blobs = list(dict.fromkeys((*(blob for _, blob in versions if blob), *specs)))
    found: set[str] = set()
    for start in range(0, len(blobs), BLOBS_AT_ONCE):
        contents = git.read_blobs(fleet.top, blobs[start : start + BLOBS_AT_ONCE]).values()
        found.update(issue(content) for content in contents if any(url in urls for url in _mentioned(content)))
    ids = (PurePosixPath(path).stem for path, _ in versions)
    return Past(
        ids=frozenset(name for name in ids if checks.ID.fullmatch(name)), urls=frozenset(found.intersection(urls))
    )


def issue(content: bytes) -> str:
    """The issue that a task's file names, broken or not, in the form of `issues.same_url`; empty for none."""
    try:
        named = documents.parse(content, "").data.get("issue")
    except InvalidDocument:
        line = _LINE.search(content)
        named = line[1].decode(errors="replace") if line else None
    return issues.same_url(named) if isinstance(named, str) else ""


def _mentioned(content: bytes) -> Iterator[str]:
    return (issues.same_url(one.decode(errors="replace")) for one in _URL.findall(content))


def _versions(fleet: Fleet) -> Iterator[tuple[str, str]]:
    """Path and blob of every change of a task's file, also in merges and on branches that came to nothing."""
    if git.tip(fleet.top, f"refs/heads/{BRANCH}") is None:
        return
    said = git.run(
        fleet.top, "log", "--format=", "--raw", "--no-abbrev", "--no-renames", "--no-ext-diff", "--full-history", "-m",
        "-z", f"refs/heads/{BRANCH}", "--", *(fleet.prefix + folder for folder in FOLDERS),
    )  # fmt: skip
    words = iter(said.stdout.split(b"\0"))
    for word in words:
        head = word.strip().split()
        if word.strip().startswith(b":") and len(head) > 4:  # noqa: PLR2004 - two modes, two blobs, and what was done
            blob = head[3].decode()
            yield os.fsdecode(next(words, b"")), "" if set(blob) == {"0"} else blob
