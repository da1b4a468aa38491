"""Text of others without anything that a terminal would act on: on one line, cut to a length, or on its own lines.

It takes nothing out of what can be seen; for text that becomes Markdown there is `markdown`.
"""

LOOKED_AT = 10
"""How many times as much as is kept is looked at: a text may be megabytes of spaces."""


def line(text: str) -> str:
    """The whole text on one line."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def short(text: str, most: int) -> str:
    """The text on one line of at most so many characters, with dots where it was cut."""
    whole = line(text[: LOOKED_AT * most])
    return whole if len(whole) <= most else f"{whole[: max(0, most - 3)].rstrip()}..."


def lines(text: str) -> str:
    """The text with its ends of lines and its tabs."""
    return "".join(letter for letter in text if letter.isprintable() or letter in "\n\t")
