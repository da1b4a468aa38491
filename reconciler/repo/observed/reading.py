"""Reading the branch `observed`: all of its records, for the one who writes it and for everybody who only looks.

It never writes the branch, except to take it up once in a new clone, from where the clone came from.
"""

import hashlib
from collections.abc import Callable, Mapping

from reconciler.repo import git
from reconciler.repo.fleet import OBSERVED, Fleet
from reconciler.repo.observed import records
from reconciler.repo.observed.branch import BranchFailed, BranchMoved
from reconciler.repo.observed.records import Record, Recorded, UnreadableRecord


def read(fleet: Fleet, commit: str | None = None) -> Recorded:
    """What the branch says now, or in a commit; empty where there is none. Raises UnreadableRecord. Needs no lock."""
    commit = commit or git.tip(fleet.top, f"refs/heads/{OBSERVED}")
    return load(fleet, git.ls_tree(fleet.top, commit) if commit is not None else {})


def newest(fleet: Fleet) -> str | None:
    """The newest commit of the branch that this clone has: its own, or one that was fetched and goes on from that."""
    own = git.tip(fleet.top, f"refs/heads/{OBSERVED}")
    listing = git.run(fleet.top, "for-each-ref", "--format=%(objectname)", f"refs/remotes/*/{OBSERVED}").text
    for fetched in dict.fromkeys(listing.split()):
        if own is None or (
            fetched != own and git.run(fleet.top, "merge-base", "--is-ancestor", own, fetched, check=False).exit == 0
        ):
            own = fetched
    return own


def tasks(fleet: Fleet) -> tuple[frozenset[str], frozenset[str]]:
    """The ids of all tasks that the newest commit has a record of, and of the finished ones; no record is read."""
    commit = newest(fleet)
    return records.tasks(git.ls_tree(fleet.top, commit) if commit is not None else ())


def load(fleet: Fleet, files: Mapping[str, str]) -> Recorded:
    """The records among the branch's files (path -> blob id). Raises UnreadableRecord."""
    return records.decode(_contents(fleet, {path: blob for path, blob in files.items() if records.belongs(path)}))


class Following:
    """Reads the branch again and again; a record that is as it was is not read again."""

    def __init__(self, fleet: Fleet) -> None:
        """Read the branch of this fleet."""
        self._fleet = fleet
        self._tip: str | None = None
        self._blobs: Mapping[str, str] = {}
        self._found: dict[str, Record] = {}
        self._recorded = Recorded()

    def read(self) -> Recorded:
        """What its newest commit says; the same value while there is no newer one. Raises UnreadableRecord."""
        tip = newest(self._fleet)
        if tip != self._tip:
            self._take(git.ls_tree(self._fleet.top, tip) if tip is not None else {})
            self._recorded, self._tip = records.gathered(self._found), tip
        return self._recorded

    def _take(self, files: Mapping[str, str]) -> None:
        wanted = {path: blob for path, blob in files.items() if records.belongs(path)}
        fresh = {path: blob for path, blob in wanted.items() if self._blobs.get(path) != blob}
        contents = _contents(self._fleet, fresh)
        read = {path: records.record(path, content) for path, content in contents.items()}
        kept = {path: one for path, one in self._found.items() if path in wanted}
        self._found, self._blobs = kept | read, wanted


def adopt(fleet: Fleet) -> None:
    """Start the branch from the remote's, in a clone that has none of its own yet.

    Raises BranchMoved when the branch was there and is gone: a new one would have every task done again.
    """
    if git.tip(fleet.top, f"refs/heads/{OBSERVED}"):
        return
    listing = git.run(fleet.top, "for-each-ref", "--format=%(objectname) %(refname)", "refs/remotes/").text
    entries = {ref: commit for commit, _, ref in (line.partition(" ") for line in listing.splitlines())}
    found = {ref: commit for ref, commit in entries.items() if ref.count("/") == 3 and ref.endswith(f"/{OBSERVED}")}  # noqa: PLR2004 - refs/remotes/NAME/observed
    commit = found.get(f"refs/remotes/origin/{OBSERVED}") or (next(iter(found.values())) if len(found) == 1 else None)
    if commit:
        git.run(fleet.top, "update-ref", "--create-reflog", f"refs/heads/{OBSERVED}", commit, "0" * len(commit))
    elif found:
        raise BranchFailed(
            f"several remotes have a branch {OBSERVED}; choose one: `git branch {OBSERVED} REMOTE/{OBSERVED}`"
        )
    elif (fleet.root / records.FLEET).exists():
        raise BranchMoved(
            f"the branch {OBSERVED} is gone, and {records.ROOT} still shows what it held; put it back with "
            f"`git branch {OBSERVED} COMMIT`, or remove {records.ROOT} to have every task start anew"
        )


def namer(object_format: str) -> Callable[[bytes], str]:
    """A function from a content to the id under which git stores it."""

    def name(content: bytes) -> str:
        return hashlib.new(object_format, b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()

    return name


def _contents(fleet: Fleet, wanted: Mapping[str, str]) -> dict[str, bytes]:
    """The bytes of these files (path -> blob id). Raises UnreadableRecord where one is lost."""
    contents = git.read_blobs(fleet.top, wanted.values())
    if lost := [path for path, blob in wanted.items() if blob not in contents]:
        raise UnreadableRecord(
            f"{lost[0]}: its content is not in the repository; run `git fsck` and fetch what is lost"
        )
    return {path: contents[blob] for path, blob in wanted.items()}
