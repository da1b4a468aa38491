"""Writes files of the branch that people use, as ordinary commits of exactly their paths, comments kept.

It decides nothing about tasks: what a file leads to is for the reconciler to see.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.core.desired import Identity, Settings
from reconciler.repo import git
from reconciler.repo.desired import fleetfiles, loading
from reconciler.repo.fleet import BRANCH, Fleet
from reconciler.repo.git import GitFailed, Refused, Signature
from reconciler.repo.yaml import documents
from reconciler.repo.yaml.documents import InvalidDocument

Change = Callable[[Mapping[str, object]], Mapping[str, object]]
"""From a document's data to the top-level keys that shall be different."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One file to be changed: path from the top of the work tree, the bytes it is known to hold, those it shall hold.

    `old` is None for a file that is not there, `new` for one that is to go.
    """

    path: str
    old: bytes | None
    new: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file after an edit: its path in the fleet, and the commit, None where nothing was to be changed."""

    path: str
    commit: str | None


def settings(fleet: Fleet) -> Settings:
    """The fleet's settings as the work tree has them; the defaults where the file is missing or broken."""
    if not (fleet.root / fleetfiles.SETTINGS).is_file():
        return Settings()
    loaded = loading.load("settings", fleetfiles.read(fleet.root, fleetfiles.SETTINGS), fleetfiles.SETTINGS)
    return loaded.value if isinstance(loaded.value, Settings) else Settings()


def edited(kind: str, path: str, old: bytes, change: Change) -> bytes:
    """The file after an edit; InvalidDocument when it is broken before or after: it would not come into force."""
    new = documents.edit(old, change(documents.parse(old, path).data))
    problems = loading.load(kind, new, path).problems
    if problems:
        raise InvalidDocument(problems)
    return new


def edit(fleet: Fleet, kind: str, path: str, change: Change, message: str) -> Written:
    """Edit one file and commit exactly that path; Refused where that would get in the person's way.

    Raises what `edited` raises.
    """
    old = fleetfiles.read(fleet.root, path)
    new = edited(kind, path, old, change)
    if new == old:
        git.refuse_unready(fleet.top, BRANCH)
        return Written(path=path, commit=None)
    return Written(path=path, commit=commit(fleet, [Edit(path=path, old=old, new=new)], message))


def edit_settings(fleet: Fleet, change: Change, message: str) -> Written:
    """Edit the fleet's settings as `edit` does, or begin them."""
    path = fleetfiles.SETTINGS
    if (fleet.root / path).exists():
        return edit(fleet, "settings", path, change, message)
    new = documents.dump(change({}))
    return Written(path=path, commit=commit(fleet, [Edit(path=path, old=None, new=new)], message))


def commit(fleet: Fleet, edits: Sequence[Edit], message: str, signed: Signature | None = None) -> str:
    """Write and commit edits whose paths are relative to the fleet; the new commit's id.

    `signed`: by whom, where that is not whom the settings of the work tree name for commits.
    """
    placed = [Edit(path=fleet.prefix + one.path, old=one.old, new=one.new) for one in edits]
    return commit_paths(fleet.top, BRANCH, placed, message + "\n", signed or settings(fleet).commit)


def commit_paths(top: Path, branch: str, edits: Sequence[Edit], message: str, identity: Identity | Signature) -> str:
    """Write the edits and commit exactly these paths on the person's branch; the new commit's id.

    Nothing else that is staged or edited gets in. A new file that stands there already, or is staged, as it shall be
    and not yet committed, is taken for one whose commit was cut off. Raises Refused before anything is written,
    GitFailed with the files put back. The message is taken as it is: it must not hold text that could pass for a
    trailer.
    """
    paths = [edit.path for edit in edits]
    written = {edit.path for edit in edits if edit.old is None and _is_cut_off(top, branch, edit)}
    git.refuse_unready(top, branch, *(path for path in paths if path not in written))
    for edit in edits:
        if edit.path not in written and _content(top / edit.path) != edit.old:
            raise Refused(f"{edit.path} was changed meanwhile; look at it and try again")
    added = [edit.path for edit in edits if edit.old is None]
    try:
        for edit in edits:
            _put(top / edit.path, edit.new)
        if added:
            git.run(top, "add", "--", *added)
        git.run(
            top, *git.identity_words(identity), "commit", "--quiet", "--no-verify", "--cleanup=verbatim", "--file=-",
            "--only", "--", *paths, stdin=message.encode(),
        )  # fmt: skip
    except (GitFailed, OSError) as error:
        for edit in edits:
            _put(top / edit.path, edit.old)
        if added:
            git.run(top, "rm", "--quiet", "--cached", "--ignore-unmatch", "--", *added, check=False)
        raise GitFailed(f"{', '.join(paths)} could not be committed: {error}") from error
    return git.run(top, "rev-parse", "HEAD").text


def _is_cut_off(top: Path, branch: str, edit: Edit) -> bool:
    """Whether a new file was written, or only staged, but never committed."""
    if edit.new is None or git.has(top, f"refs/heads/{branch}", edit.path):
        return False
    there = _content(top / edit.path)
    return there == edit.new if there is not None else _is_staged(top, edit.path, edit.new)


def _is_staged(top: Path, path: str, content: bytes) -> bool:
    """Whether the index has exactly this: what is left where git could neither commit a file nor unstage it."""
    entry = git.run(top, "ls-files", "--stage", "--", path).text.split()
    return bool(entry) and entry[1] == git.run(top, "hash-object", "--stdin", f"--path={path}", stdin=content).text


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _put(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    temporary.write_bytes(content)
    temporary.replace(path)
