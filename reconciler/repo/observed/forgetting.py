"""Cuts the history of `observed`: it begins anew at the state of a day, every later commit as it was on top of that.

It changes no file of the branch, nor `main`, index, HEAD or work tree, and throws nothing away: a tag keeps what was.
"""

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from reconciler.core.desired import Identity
from reconciler.repo import git
from reconciler.repo.fleet import OBSERVED, Fleet
from reconciler.repo.remote import termcommits

REF = f"refs/heads/{OBSERVED}"
SCRATCH = "refs/reconciler/forgetting"
AT_ONCE = 1000
BOUND_S = 3600.0

Publish = Callable[[str, str, str], None]
"""Replaces the branch on the remote, only as it was seen there, by the new tip, and puts the tag there for the old one.

It is called with old tip, new tip and tag. What it raises leaves the fleet's own branch as it was.
"""

_DURABLY = ("-c", "core.fsync=committed,reference", "-c", "fastimport.unpackLimit=0")


class NothingForgotten(Exception):
    """The branch stays as it is; the message says why, and what can be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """The tips before and after, the tag that keeps the old one, and how many commits were cut and kept."""

    old: str
    new: str
    tag: str
    cut: int
    kept: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A commit of the branch and when it was made, in seconds since 1970."""

    id: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _History:
    """The branch, oldest commit first: what goes, up to the state that is the new beginning, and what stays."""

    gone: Sequence[Step]
    rest: Sequence[Step]

    @property
    def tip(self) -> str:
        return (*self.gone[-1:], *self.rest[-1:])[-1].id


def forget(fleet: Fleet, day: date, now: datetime, identity: Identity, publish: Publish | None = None) -> Forgotten:
    """Have the branch begin at the state in which that day (UTC) found it.

    Whoever calls holds the fleet's lock, so that no reconciler is at work. The same call leads to the same commits, so
    it may be repeated, whatever interrupted it; up to its last step the branch is the old one. Raises NothingForgotten,
    GitFailed, and what `publish` raises.
    """
    if day > now.astimezone(UTC).date():
        raise NothingForgotten(f"{day} is in the future; name a day up to today")
    history = _history(fleet, day)
    old, tag = history.tip, f"{OBSERVED}-until-{day}"
    new = _rewritten(fleet, history, _root(fleet, history.gone, day, identity))
    _keep(fleet, tag, old)
    if publish is not None:
        publish(old, new, tag)
    _move(fleet, REF, old=old, new=new)
    _forget_moves(fleet)
    return Forgotten(old=old, new=new, tag=tag, cut=len(history.gone), kept=len(history.rest))


def _history(fleet: Fleet, day: date) -> _History:
    """The branch up to the first commit of that day or later, and from it on: a wrong clock cuts too little."""
    if git.tip(fleet.top, REF) is None:
        raise NothingForgotten(f"there is no branch {OBSERVED} here; nothing has happened yet")
    listing = git.run(fleet.top, "rev-list", "--first-parent", "--reverse", "--timestamp", REF, timeout_s=BOUND_S).text
    steps = [Step(at=int(at), id=commit) for at, _, commit in (line.partition(" ") for line in listing.splitlines())]
    limit = datetime.combine(day, time(), UTC).timestamp()
    first = next((number for number, step in enumerate(steps) if step.at >= limit), len(steps))
    if first <= 1:
        begins = datetime.fromtimestamp(steps[0].at, UTC).date()
        raise NothingForgotten(f"nothing is to be cut before {day}: {OBSERVED} begins at {begins}")
    return _History(gone=steps[:first], rest=steps[first:])


def _rewritten(fleet: Fleet, history: _History, root: bytes) -> str:
    """The tip of the new history. Its commits are stored, and no branch or tag has them yet."""
    with tempfile.TemporaryFile() as stream:
        stream.write(b"feature done\n" + root)
        for start in range(0, len(history.rest), AT_ONCE):
            ids = [step.id for step in history.rest[start : start + AT_ONCE]]
            commits = git.read_blobs(fleet.top, ids)
            stream.writelines(_replayed(commits[one]) for one in ids)
        stream.write(b"get-mark :1\nreset %s\nfrom %s\n\ndone\n" % (SCRATCH.encode(), b"0" * len(history.tip)))
        stream.seek(0)
        words = (*_DURABLY, "fast-import", "--quiet", "--date-format=raw-permissive", "--done")
        return git.run(fleet.top, *words, stdin=stream, timeout_s=BOUND_S).text


def _root(fleet: Fleet, gone: Sequence[Step], day: date, identity: Identity) -> bytes:
    """The new first commit, as of the last one that goes: so that a second call makes the same one."""
    last = gone[-1]
    tree = git.run(fleet.top, "rev-parse", "--verify", f"{last.id}^{{tree}}").text
    first_day, last_day = (datetime.fromtimestamp(step.at, UTC).date() for step in (gone[0], last))
    message = (
        f"Forget what happened before {day}\n\n"
        f"{len(gone)} commits of {first_day} to {last_day} are cut; the files are as the last of them left them,\n"
        f"{last.id}.\n\n"
        f"{_term(fleet, last)}Actor: person:archive\nEvent: Forgotten\n"
    )
    signed = f"{git.who(identity)} {last.at} +0000".encode()
    lines = [b"author " + signed, b"committer " + signed]
    return _commit(tree.encode(), lines, message.encode())


def _term(fleet: Fleet, last: Step) -> str:
    """The newest term that the commits that go tell of: whoever leads next has to take a later one."""
    number = termcommits.highest(fleet.top, last.id)
    return f"Term: {number}\n" if number else ""


def _replayed(commit: bytes) -> bytes:
    """The same commit on top of whatever came before it in the stream; a signature would not be one of this one."""
    head, _, message = commit.partition(b"\n\n")
    lines = head.split(b"\n")
    tree = next(line.removeprefix(b"tree ") for line in lines if line.startswith(b"tree "))
    return _commit(
        tree, [line for line in lines if line.startswith((b"author ", b"committer ", b"encoding "))], message
    )


def _commit(tree: bytes, lines: Sequence[bytes], message: bytes) -> bytes:
    head = b"commit %s\nmark :1\n%s\ndata %d\n" % (SCRATCH.encode(), b"\n".join(lines), len(message))
    return b'%s%s\nM 040000 %s ""\n\n' % (head, message, tree)


def _keep(fleet: Fleet, tag: str, old: str) -> None:
    """Have the tag keep the old tip, before anything else lets go of it."""
    ref = f"refs/tags/{tag}"
    kept = git.tip(fleet.top, ref)
    if kept is not None and git.run(fleet.top, "merge-base", "--is-ancestor", kept, old, check=False).exit != 0:
        raise NothingForgotten(f"the tag {tag} keeps another history; if that may go: `git tag -d {tag}`")
    if kept != old:
        _move(fleet, ref, old=kept or "0" * len(old), new=old)


def _move(fleet: Fleet, ref: str, *, old: str, new: str) -> None:
    """Move a branch or tag from the one commit to the other, or raise GitFailed with it as it was."""
    left = fleet.common / f"{ref}.lock"
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if left.read_text("ascii").strip() == new:  # by a call that was killed: the fleet's lock says that it is over
            left.unlink()
    git.run(fleet.top, *_DURABLY, "update-ref", "-m", "archive --forget", ref, new, old)


def _forget_moves(fleet: Fleet) -> None:
    """Drop the branch's log of its moves, which would keep what the tag keeps beyond the tag."""
    if git.run(fleet.top, "reflog", "exists", REF, check=False).exit == 0:
        git.run(fleet.top, "reflog", "expire", "--expire=all", REF)
