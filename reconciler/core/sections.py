"""Takes the sections with known headings out of a Markdown text, as lists, and leaves the rest as it is.

It renders nothing: a text that is no good Markdown has no sections.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

MAX_LEVEL = 4
"""The deepest heading that begins a section; a deeper one of the same name is text."""
LEVELS = 6
MAX_INDENT = 3
"""Spaces before a heading; with more of them it is code."""

_FENCE = re.compile(r"[ \t]*(?:(?:[-*+]|[0-9]{1,9}[.)])[ \t]+)?(`{3,}(?=[^`]*$)|~{3,})")
_BULLET = re.compile(r"([ \t]*)(?:[-*+]|[0-9]{1,9}[.)])(?:[ \t]+(?:\[[ xX]\](?:[ \t]+|$))?(.*))?")
_RULE = re.compile(r"[ \t]*([-*_])(?:[ \t]*\1){2,}[ \t]*")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_EMPTY = frozenset({"", "_no response_"})
"""What stands in a section that nobody filled in; the second is what issue forms write."""


def split(text: str, names: Collection[str]) -> tuple[str, Mapping[str, tuple[str, ...]]]:
    """The text without its sections, and each section's entries; `names` are headings in lower case.

    A section ends at the next heading of the same or a higher level. Headings inside of fenced code do not count.
    """
    rest: list[str] = []
    inside: dict[str, list[str]] = {}
    lines, level = rest, 0
    for line, depth, title in _lines(text):
        if 0 < depth <= MAX_LEVEL and title in names:
            lines, level = inside.setdefault(title, []), depth
            lines.append("")
            continue
        if depth and lines is not rest and depth <= level:
            lines = rest
        lines.append(line)
    return "\n".join(rest), {name: tuple(_entries("\n".join(found))) for name, found in inside.items()}


def without_comments(text: str) -> str:
    """The text without what a reader of the page does not see."""
    return _COMMENT.sub("", text)


def _lines(text: str) -> Iterator[tuple[str, int, str]]:
    """Each line, with level and title of the heading that it is; level 0 where it is none."""
    fence = ""
    for line in text.split("\n"):
        fence, fenced = _fence_after(fence, line)
        depth, title = (0, "") if fenced else _heading(line)
        yield line, depth, title.strip(" \t*_:").lower()


def _heading(line: str) -> tuple[int, str]:
    """Level and title of a heading; level 0 where the line is none."""
    text = line.lstrip(" ")
    title = text.lstrip("#")
    depth = len(text) - len(title)
    if len(line) - len(text) > MAX_INDENT or not 0 < depth <= LEVELS or title[:1] not in ("", " ", "\t"):
        return 0, ""
    bare = title.strip()
    unclosed = bare.rstrip("#")
    return depth, unclosed.rstrip() if unclosed[-1:] in ("", " ", "\t") else bare


def _fence_after(fence: str, line: str) -> tuple[str, bool]:
    """The fence that is open behind the line, and whether the line belongs to fenced code."""
    if fence:
        ends = line.strip().startswith(fence) and not line.strip().strip(fence[0])
        return ("" if ends else fence), True
    found = _FENCE.match(line)
    return (found[1], True) if found else ("", False)


@dataclass(slots=True)
class _Gathering:
    """Entries while they are read: the last one is open until a blank line or the next bullet."""

    done: list[str] = field(default_factory=list)
    bullet: int | None = None
    blank: bool = True
    code: bool = False

    def begin(self, text: str, bullet: int | None) -> None:
        self.done.append(text)
        self.bullet, self.blank, self.code = bullet, False, False

    def add(self, text: str, *, own_line: bool, code: bool = False) -> None:
        between = "\n" if own_line or code or self.code else " "
        self.done[-1] = f"{self.done[-1]}{between}{text}" if self.done[-1] else text
        self.blank, self.code = False, code

    def continues(self, line: str) -> bool:
        """Whether a line that is no bullet belongs to the last entry."""
        return bool(self.done) and (not self.blank or (self.bullet is not None and _indent(line) > self.bullet))


def _entries(text: str) -> Iterator[str]:
    """Bullets, numbered points, checkboxes and paragraphs, one entry each; code stays with what stands before it."""
    gathering, fence = _Gathering(), ""
    for line in without_comments(text).split("\n"):
        inside = fence
        fence, fenced = _fence_after(fence, line)
        if fenced:
            _code(gathering, line, opens=not inside)
        elif not line.strip() or _RULE.fullmatch(line):
            gathering.blank = True
        else:
            _prose(gathering, line)
    return (entry.strip() for entry in gathering.done if entry.strip().lower() not in _EMPTY)


def _code(gathering: _Gathering, line: str, *, opens: bool) -> None:
    bullet = _BULLET.fullmatch(line) if opens else None
    if bullet:
        gathering.begin(bullet[2] or "", _indent(line))
        gathering.code = True
    elif opens and not gathering.continues(line):
        gathering.begin(line, None)
        gathering.code = True
    else:
        gathering.add(line.rstrip(), own_line=True, code=True)


def _prose(gathering: _Gathering, line: str) -> None:
    depth, title = _heading(line)
    if depth:
        gathering.begin(title, None)
        gathering.blank = True
        return
    bullet = _BULLET.fullmatch(line)
    nested = bullet and gathering.bullet is not None and _indent(line) > gathering.bullet + 1
    if bullet and not nested:
        gathering.begin((bullet[2] or "").strip(), _indent(line))
    elif gathering.continues(line):
        gathering.add(line.strip(), own_line=bool(nested))
    else:
        gathering.begin(line.strip(), None)


def _indent(line: str) -> int:
    expanded = line.expandtabs(4)
    return len(expanded) - len(expanded.lstrip(" "))
