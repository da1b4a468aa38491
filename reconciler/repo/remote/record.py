"""The branch `observed` here and on the remote: taking over what another leader wrote, and what the remote lacks.

It is for whoever does not write the branch at that moment. What is given up here is kept under a ref of its own.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from reconciler.repo import git
from reconciler.repo.fleet import OBSERVED, Fleet
from reconciler.repo.remote.acceptance import contains

LOCAL = f"refs/heads/{OBSERVED}"
FETCHED_OBSERVED = "refs/reconciler/fetched/observed"
SET_ASIDE = "refs/reconciler/superseded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of the branch here: whether it moved, and the ref that keeps what was given up, if anything was."""

    moved: bool = False
    aside: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """What waits to be pushed: how many commits, and from when the oldest of them is."""

    commits: int = 0
    since: datetime | None = None


def tip(fleet: Fleet) -> str | None:
    """The newest commit of the record here."""
    return git.tip(fleet.top, LOCAL)


def take_over(fleet: Fleet, theirs: str | None) -> Taken:
    """Have the branch here say what the remote's says, or more. May be repeated.

    What goes on from the remote's stays: it waits to be pushed. What does not was written after another one had begun
    to lead; it is set aside.
    """
    ours = tip(fleet)
    if theirs is None or ours == theirs or (ours is not None and contains(fleet, ours, theirs)):
        return Taken()
    aside = None
    if ours is not None and not contains(fleet, theirs, ours):
        aside = f"{SET_ASIDE}/{ours[:12]}"
        git.run(fleet.top, "update-ref", aside, ours)
    words = ("--create-reflog", "-m", "as the remote has it", LOCAL, theirs, ours or "0" * len(theirs))
    git.run(fleet.top, "update-ref", *words)
    return Taken(moved=True, aside=aside)


def goes_on(fleet: Fleet, theirs: str) -> bool:
    """Whether the record here and the remote's are one line; where the remote's is longer, the one here follows."""
    ours = tip(fleet)
    if ours is None or contains(fleet, ours, theirs):
        return True
    if not contains(fleet, theirs, ours):
        return False
    git.run(fleet.top, "update-ref", "-m", "as the remote has it", LOCAL, theirs, ours)
    return True


def has(fleet: Fleet, commit: str) -> bool:
    """Whether this clone has a commit with this id."""
    return git.tip(fleet.top, commit) is not None


def behind(fleet: Fleet, theirs: str | None) -> Behind:
    """What of the record the remote does not have."""
    ours = tip(fleet)
    if ours is None or ours == theirs:
        return Behind()
    span = f"{theirs}..{ours}" if theirs is not None else ours
    times = git.run(fleet.top, "log", "--first-parent", "--no-show-signature", "--format=%ct", span, "--").text.split()
    return Behind(commits=len(times), since=datetime.fromtimestamp(int(times[-1]), UTC) if times else None)


def portion(fleet: Fleet, theirs: str | None, most: int) -> str | None:
    """The commit up to which the record is to be pushed next, at most so many; `None` where the remote has it all."""
    ours = tip(fleet)
    if ours is None or ours == theirs:
        return None
    missing = behind(fleet, theirs).commits
    if missing <= most:
        return ours
    return git.run(fleet.top, "rev-list", "--first-parent", "--max-count=1", f"--skip={missing - most}", ours).text
