"""Which commits count by `settings.trust`, and which versions of files are in force where some do not.

Never asks git or the journal: what git says of commits is handed in.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.core import printable
from reconciler.core.desired import Problem, Trust

MOST_SUBJECT = 100
MOST_AUTHOR = 100
ABBREVIATED = 10

_NAME_AND_ADDRESS = re.compile(r"([^<>]*)<([^<>]+)>\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a commit did to one path: its blob before and after, `None` for no plain file."""

    path: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit with its author, and what it changed against its first parent."""

    id: str
    name: str
    email: str
    subject: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A path whose version in force, `blob` or none, is not the newest one, and whose commit that is, printable.

    `deleted`: the newest version is none.
    """

    blob: str | None
    deleted: bool
    commit: str
    author: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the history up to `commit` puts in force.

    `rules` are those for the next commit, `settings` the newest valid version of the settings that was in force,
    `signers` the version in force of the fleet's file of allowed signers. `untrusted` are the commits that did not
    count. `machine` has a digest of every file outside of the history that was asked.
    """

    commit: str | None = None
    rules: Trust | None = None
    settings: str | None = None
    signers: str | None = None
    held: Mapping[str, Held] = field(default_factory=dict)
    untrusted: frozenset[str] = frozenset()
    machine: Mapping[str, str] = field(default_factory=dict)


def is_listed(trust: Trust, commit: Commit) -> bool:
    """Whether the commit's author is one of those that the settings list."""
    return any(_is_author(entry, commit) for entry in trust.authors)


def apply(held: dict[str, Held], commit: Commit, *, trusted: bool) -> None:
    """Bring what is held up to date with the next commit."""
    for change in commit.changes:
        before = held.get(change.path)
        in_force = change.old if before is None else before.blob
        if trusted or change.new == in_force:
            held.pop(change.path, None)
        else:
            held[change.path] = Held(
                blob=in_force,
                deleted=change.new is None,
                commit=commit.id[:ABBREVIATED],
                author=printable.short(f"{commit.name} <{commit.email}>", MOST_AUTHOR),
                subject=printable.short(commit.subject, MOST_SUBJECT),
            )


def in_force(files: Mapping[str, str], held: Mapping[str, Held]) -> dict[str, str]:
    """The versions in force, path -> blob id, of a commit with these files."""
    rest = {path: blob for path, blob in files.items() if path not in held}
    return rest | {path: one.blob for path, one in held.items() if one.blob is not None}


def problem(path: str, held: Held) -> Problem:
    """Why a path's newest version is not in force."""
    if held.blob is None:
        kept = "the file is not in force"
    else:
        kept = "the file it removed stays in force" if held.deleted else "the version before it stays in force"
    said = f"commit {held.commit} by {held.author} is not trusted: {held.subject or '(no subject)'}"
    todo = "have somebody of settings.trust commit it, or revert it"
    return Problem(file=path, line=0, column=0, message=f"{said}; {kept}: {todo}")


def _is_author(entry: str, commit: Commit) -> bool:
    if both := _NAME_AND_ADDRESS.fullmatch(entry):
        name = both[1].strip()
        return name in {"", commit.name} and _same_address(both[2], commit.email)
    return _same_address(entry, commit.email) if "@" in entry else entry.strip() == commit.name


def _same_address(one: str, other: str) -> bool:
    return one.strip().casefold() == other.casefold()
