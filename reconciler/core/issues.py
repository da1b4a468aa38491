"""Turns an issue of the forge into a task: its id, and the keys of its file.

It writes nothing, and it trusts nobody: whose issues count is decided elsewhere.
"""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.core import names, sections

MAX_ID = 63
ROOM = 6
"""Letters kept free for a number, where an id with the owner in front is taken too."""

MAX_TITLE = 200
MAX_BODY = 256 * 1024
"""Letters of an issue's text that are read at all."""

MAX_GOAL_BYTES = 64 * 1024
MAX_ENTRIES = 50
MAX_ENTRY_BYTES = 4 * 1024
MAX_LIST_BYTES = 16 * 1024
"""So bounded, a task's file stays below 256 KiB however its text has to be written in YAML."""

_SECTIONS = ("constraints", "validation")
_KEPT = frozenset("\n\t\u200c\u200d")
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_NONCHARACTER = re.compile("[\ufdd0-\ufdef]|[\ufffe\uffff]")
_BLANK_LINES = re.compile(r"^[^\S\n]+$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """One issue as the forge showed it at `updated_at`; `repository` is `owner/name`, `clone_url` where it is had.

    `vouched`: the forge said, in a signed delivery, that whoever caused it may write to the repository.
    """

    repository: str
    number: int
    url: str
    title: str
    body: str
    author: str
    labels: tuple[str, ...] = ()
    open: bool = True
    clone_url: str | None = None
    updated_at: datetime | None = None
    vouched: bool = False

    @property
    def name(self) -> str:
        """What people call it: `owner/name#number`, in one line."""
        return f"{one_line(self.repository)}#{self.number}"


def task_data(issue: Issue, repository: str) -> Mapping[str, object]:
    """The keys of the task's file: title, goal, constraints, validation, repository, issue.

    The goal is the text without the sections that became lists; the title where nothing is left of it.
    """
    title = _title(issue)
    url = one_line(issue.url)
    rest, found = sections.split(clean(issue.body[:MAX_BODY]), _SECTIONS)
    goal = rest.strip("\n").rstrip() if sections.without_comments(rest).strip() else title
    note = f"\n\n(The text of the issue is longer and was cut here; the rest stands at {url}.)"
    goal = goal + note if len(issue.body) > MAX_BODY else goal
    lists = {name: _bounded(found[name], url) for name in _SECTIONS if found.get(name)}
    return {"title": title, "goal": _cut(goal, MAX_GOAL_BYTES, note), **lists, "repository": repository, "issue": url}


def task_id(issue: Issue, taken: Collection[str]) -> str:
    """The id for the issue's task: `<repository>-<number>`, with the owner in front where another task has that.

    The same issue and the same `taken` always give the same id.
    """
    owner, _, name = issue.repository.rpartition("/")
    room = MAX_ID - len(str(issue.number)) - 1
    short = f"{names.slug(name, room)}-{issue.number}"
    if short not in taken:
        return short
    return names.unused(f"{names.slug(f'{owner}-{name}', room - ROOM)}-{issue.number}", taken)


def same_url(one: str) -> str:
    """What is equal for two URLs of one issue: forges do not tell capital letters apart."""
    return one.strip().partition("#")[0].rstrip("/").casefold()


def clean(text: str) -> str:
    """The text with plain ends of lines and without what cannot be seen: controls, surrogates, direction marks."""
    plain = _NONCHARACTER.sub("", _LINE_ENDS.sub("\n", text))
    seen = "".join(letter for letter in plain if letter in _KEPT or unicodedata.category(letter) not in _UNSEEN)
    return _BLANK_LINES.sub("", seen)


def one_line(text: str) -> str:
    """The text on one line, cleaned."""
    return " ".join(clean(text).split())


_UNSEEN = frozenset({"Cc", "Cf", "Cs"})


def _title(issue: Issue) -> str:
    title = one_line(issue.title)
    if not title.strip("\u200c\u200d "):
        return f"Issue {issue.name}"
    return title if len(title) <= MAX_TITLE else f"{title[: MAX_TITLE - 3].rstrip()}..."


def _bounded(entries: Sequence[str], url: str) -> list[str]:
    """At most so many entries, and so many bytes of them; the last one says where the rest stands."""
    kept: list[str] = []
    left = MAX_LIST_BYTES
    for entry in entries:
        short = _cut(entry, MAX_ENTRY_BYTES, " (cut)")
        left -= len(short.encode())
        if left < 0 or (len(kept) == MAX_ENTRIES - 1 and len(entries) > MAX_ENTRIES):
            return [*kept[: MAX_ENTRIES - 1], f"(There is more in the issue; the rest stands at {url}.)"]
        kept.append(short)
    return kept


def _cut(text: str, most: int, note: str) -> str:
    """The text where it has at most so many bytes, else its beginning with the note behind it."""
    whole = text.encode()
    return text if len(whole) <= most else whole[:most].decode(errors="ignore").rstrip() + note
