"""What git says of the commits that made a ref what it is: who made them, and what they changed.

Never judges a commit. It follows first parents: what a merge brought in is the merge's own change.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from reconciler.repo import git
from reconciler.repo.desired.trust import Change, Commit, Judged
from reconciler.repo.git import GitFailed

TIMEOUT_S = 600.0
"""A first look at a long history takes longer than git's other commands do."""

_PLAIN = (b"100644", b"100755", b"100664")
_ALONE = ("--no-replace-objects", "log", "--first-parent", "--no-show-signature", "--no-follow", "--encoding=UTF-8")
_RAW = ("--raw", "--no-abbrev", "--no-renames", "--no-ext-diff", "-z")
_SHAPE = "--format=%H%x00%an%x00%ae%x00%s"


def commits(root: Path, prefix: str, span: str, paths: Sequence[str]) -> list[Commit]:
    """The commits of a span (`old..new`, or `new` for all) that changed these paths of the fleet, oldest first."""
    words = (*_ALONE, "--diff-merges=first-parent", "--root", "--reverse", *_RAW, _SHAPE, span, "--", *paths)
    said = iter(git.run(root, *words, timeout_s=TIMEOUT_S).stdout.split(b"\0"))
    found: list[Commit] = []
    word = next(said, b"")
    while word:
        name, email, subject = (next(said, b"").decode(errors="replace") for _ in range(3))
        changes: list[Change] = []
        first = word.decode(errors="replace")
        while (word := next(said, b"")).lstrip(b"\n").startswith(b":"):
            changes.append(_change(word, next(said, b""), prefix))
        found.append(
            Commit(
                id=_commit_id(first),
                name=name,
                email=email,
                subject=subject,
                changes=tuple(changes),
            )
        )
    if any(said):
        raise GitFailed(f"git log: its answer about {span} cannot be read to its end")
    return found


def between(root: Path, prefix: str, old: str, new: str, paths: Sequence[str]) -> tuple[Change, ...]:
    """How the files of the fleet in these folders differ between two commits, whatever lies between them."""
    words = ("diff-tree", "-r", *_RAW, old, new, "--", *(f"{prefix}{path}" for path in paths))
    said = iter(git.run(root, "--no-replace-objects", *words, timeout_s=TIMEOUT_S).stdout.split(b"\0"))
    return tuple(_change(word, next(said, b""), prefix) for word in said if word)


def follows(root: Path, old: str, new: str) -> bool:
    """Whether the way from `new` back along first parents comes to `old`."""
    if old == new:
        return True
    words = (*_ALONE, "--reverse", "--format=%P", f"{old}..{new}")
    said = git.run(root, *words, check=False, timeout_s=TIMEOUT_S)
    first = said.stdout.partition(b"\n")[0].split()
    return said.exit == 0 and first[:1] == [old.encode()]


def contains(root: Path, old: str, new: str) -> bool:
    """Whether `old` is among the commits that made `new` what it is, by whatever parents."""
    return git.run(root, "merge-base", "--is-ancestor", old, new, check=False).exit == 0


def versions(root: Path, judged: Judged, path: str) -> tuple[str, ...]:
    """The blob ids that a path of the fleet had by commits that counted, newest first."""
    made = commits(root, "", judged.commit, (path,)) if judged.commit is not None else ()
    counted = (change for one in reversed(made) if one.id not in judged.untrusted for change in one.changes)
    return tuple(change.new for change in counted if change.new is not None)


def blob(root: Path, prefix: str, commit: str, path: str) -> str | None:
    """The blob of a plain file of the fleet in a commit."""
    return git.ls_tree(root, commit, prefix + path).get(prefix + path)


def _change(head: bytes, path: bytes, prefix: str) -> Change:
    words = head.strip().lstrip(b":").split()
    if len(words) != 5 or not path:  # noqa: PLR2004 - two modes, two blobs, and what was done
        raise GitFailed(f"git log: {head[:80]!r} is no change of a file")
    old_mode, new_mode, old, new, _ = words
    return Change(
        path=os.fsdecode(path).removeprefix(prefix),
        old=old.decode() if old_mode in _PLAIN else None,
        new=new.decode() if new_mode in _PLAIN else None,
    )


def _commit_id(word: str) -> str:
    if len(word) not in {40, 64} or not all(letter in "0123456789abcdef" for letter in word):
        raise GitFailed(f"git log: {word[:80]!r} is no commit id")
    return word
