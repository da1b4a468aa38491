"""Which tasks there ever were: the ids and issues in every version of the task files that the branch has known.

It answers from git alone, and it is asked only before a file is added.
"""

import os
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from reconciler.core import issues
from reconciler.repo import git
from reconciler.repo.desired import checks
from reconciler.repo.fleet import Fleet
from reconciler.repo.yaml import documents
from reconciler.repo.yaml.documents import InvalidDocument

FOLDERS = ("state/tasks", "state/archive")
BLOBS_AT_ONCE = 1000
"""Versions of files that are in memory together; each has at most 256 KiB, and most have one."""

_LINE = re.compile(rb"^\s{0,8}[\"']?issue[\"']?\s{0,8}:\s{0,8}[\"']?(https?://[^\s\"',}]+)", re.MULTILINE)
_URL = re.compile(rb"https?://[^\s\"'<>,}\]]+")


@dataclass(slots=True)
class Past:
    """What the branch has known up to a commit: read on from there, as far as it grew. Not for two threads at a time.

    `ids` are those that files ever had.
    """

    ids: set[str] = field(default_factory=set)
    _tip: str | None = None
    _read: set[str] = field(default_factory=set)
    _mentions: dict[str, set[str]] = field(default_factory=dict)

    def catch_up(self, fleet: Fleet, tip: str | None) -> None:
        """Read what was committed up to `tip` since the last time; GitFailed as git has it."""
        if tip is None or tip == self._tip:
            return
        known = self._tip if self._tip is not None and _is_ancestor(fleet, self._tip, tip) else None
        versions = list(_versions(fleet, f"{known}..{tip}" if known else tip))
        self._mention(fleet, (blob for _, blob in versions if blob))
        names = (PurePosixPath(path).stem for path, _ in versions)
        self.ids.update(name for name in names if checks.ID.fullmatch(name))
        self._tip = tip

    def named(self, fleet: Fleet, urls: Collection[str], specs: Iterable[str]) -> frozenset[str]:
        """Which of these issues ever had a task, on the branch or in the versions `specs` that runs used.

        The URLs are to be given, and come back, in the form of `issues.same_url`.
        """
        self._mention(fleet, specs)
        blobs = {blob for url in urls for blob in self._mentions.get(url, ())}
        found = {issue(content) for content in git.read_blobs(fleet.top, blobs).values()}
        return frozenset(found.intersection(urls))

    def _mention(self, fleet: Fleet, blobs: Iterable[str]) -> None:
        """Remember which versions mention which URLs: those alone are read again when one is asked about."""
        fresh = [blob for blob in dict.fromkeys(blobs) if blob not in self._read]
        for start in range(0, len(fresh), BLOBS_AT_ONCE):
            some = fresh[start : start + BLOBS_AT_ONCE]
            for blob, content in git.read_blobs(fleet.top, some).items():
                for url in _URL.findall(content):
                    self._mentions.setdefault(issues.same_url(url.decode(errors="replace")), set()).add(blob)
            self._read.update(some)


def issue(content: bytes) -> str:
    """The issue that a task's file names, broken or not, in the form of `issues.same_url`; empty for none."""
    try:
        named = documents.parse(content, "").data.get("issue")
    except InvalidDocument:
        line = _LINE.search(content)
        named = line[1].decode(errors="replace") if line else None
    return issues.same_url(named) if isinstance(named, str) else ""


def _is_ancestor(fleet: Fleet, one: str, other: str) -> bool:
    return git.run(fleet.top, "merge-base", "--is-ancestor", one, other, check=False).exit == 0


def _versions(fleet: Fleet, commits: str) -> Iterator[tuple[str, str]]:
    """Path and blob of every change of a task's file, also in merges and on branches that came to nothing."""
    said = git.run(
        fleet.top, "log", "--format=", "--raw", "--no-abbrev", "--no-renames", "--no-ext-diff", "--full-history", "-m",
        "-z", commits, "--", *(fleet.prefix + folder for folder in FOLDERS),
    )  # fmt: skip
    words = iter(said.stdout.split(b"\0"))
    for word in words:
        head = word.strip().split()
        if word.strip().startswith(b":") and len(head) > 4:  # noqa: PLR2004 - two modes, two blobs, and what was done
            blob = head[3].decode()
            yield os.fsdecode(next(words, b"")), "" if set(blob) == {"0"} else blob
