"""Puts text of others into Markdown so that it stays text: it cannot leave its place, address people or hide.

It knows no task and no forge.
"""

import re

ZERO_WIDTH = "\N{ZERO WIDTH SPACE}"
CUT = " [...]"
HIDDEN = frozenset((*range(0x20), *range(0x7F, 0xA0)))
"""Control characters: some forges cannot even keep them."""


def fence(text: str, *, most: int) -> str:
    """At most so many characters of the text, between fences that it cannot close."""
    return fenced(cut(harmless(text).strip("\n"), most))


def code(text: str, *, most: int) -> str:
    """At most so many characters of the text in one line, as a code span that it cannot leave."""
    return span(cut(one_line(text), most))


def fenced(body: str, language: str = "text") -> str:
    """The body as it is between fences that it cannot close: longer than any run of backticks in it."""
    ticks = "`" * max(3, _longest_run(body) + 1)
    return f"{ticks}{language}\n{body}\n{ticks}"


def span(name: str) -> str:
    """A name of one line as it is, as a code span that it cannot leave."""
    ticks = "`" * (_longest_run(name) + 1)
    return f"`{name}`" if len(ticks) == 1 else f"{ticks} {name} {ticks}"


def one_line(text: str) -> str:
    """The text in one line, without what cannot be seen."""
    return " ".join(harmless(text).split())


def harmless(text: str) -> str:
    """The text without control characters, and without the beginning of a hidden comment."""
    seen = "".join(character for character in plain_ends(text) if character in "\n\t" or ord(character) not in HIDDEN)
    return seen.replace("<!--", f"<{ZERO_WIDTH}!--")


def plain_ends(text: str) -> str:
    """The text with a line feed, and nothing else, at the end of each line."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def cut(text: str, most: int) -> str:
    """The text, or as much of its beginning as fits with the sign that it was cut."""
    return text if len(text) <= most else text[: most - len(CUT)] + CUT


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
