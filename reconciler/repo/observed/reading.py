"""Reading the branch `observed`: all of its records, for the one who writes it and for everybody who only looks.

It never writes the branch, except to take it up once in a new clone, from where the clone came from.
"""

import hashlib
from collections.abc import Callable, Mapping

from reconciler.repo import git
from reconciler.repo.fleet import OBSERVED, Fleet
from reconciler.repo.observed import records
from reconciler.repo.observed.branch import BranchFailed, BranchMoved
from reconciler.repo.observed.records import Recorded, UnreadableRecord


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


def load(fleet: Fleet, files: Mapping[str, str]) -> Recorded:
    """The records among the branch's files (path -> blob id). Raises UnreadableRecord."""
    wanted = {path: blob for path, blob in files.items() if records.belongs(path)}
    contents = git.read_blobs(fleet.top, wanted.values())
    if lost := [path for path, blob in wanted.items() if blob not in contents]:
        raise UnreadableRecord(
            f"{lost[0]}: its content is not in the repository; run `git fsck` and fetch what is lost"
        )
    return records.decode({path: contents[blob] for path, blob in wanted.items()})


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
