"""Text of others without anything that a terminal would act on: on one line, cut to a length, or on its own lines.

It takes nothing out of what can be seen; for text that becomes Markdown there is `markdown`.
"""

import re

LOOKED_AT = 10
"""How many times as much as is kept is looked at: a text may be megabytes of spaces."""


_COMMANDS = re.compile(r"\x1b(?!\[[0-9;]*m)|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]")
"""What a terminal acts on, but for colours, ends of lines, returns and tabs."""

_COLOURS = re.compile(r"(\x1b\[[0-9;]*m)")


def coloured(text: str) -> str:
    """The text as it was printed, with its colours and without what else a terminal would act on."""
    return _COMMANDS.sub("", text)


def coloured_line(text: str) -> str:
    """What was printed on one line, with its tabs and with its colours, which end where it does.

    All else that cannot be seen is a space, so that nothing leaves its place behind what stands before the line.
    """
    if text.isprintable():
        return text
    pieces = _COLOURS.split(text)
    seen = "".join(piece if number % 2 else _with_tabs(piece) for number, piece in enumerate(pieces))
    return f"{seen}\x1b[0m" if len(pieces) > 1 else seen


def line(text: str) -> str:
    """The whole text on one line."""
    if text.isprintable():
        return " ".join(text.split())
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def short(text: str, most: int) -> str:
    """The text on one line of at most so many characters, with dots where it was cut."""
    whole = line(text[: LOOKED_AT * most])
    return whole if len(whole) <= most else f"{whole[: max(0, most - 3)].rstrip()}..."


def lines(text: str) -> str:
    """The text with its ends of lines and its tabs."""
    return "".join(letter for letter in text if letter.isprintable() or letter in "\n\t")


def _with_tabs(text: str) -> str:
    return "".join(letter if letter.isprintable() or letter == "\t" else " " for letter in text)
