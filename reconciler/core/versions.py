"""Finds a CLI's version in what it prints and compares it with a minimum. Never runs anything."""

import re

from reconciler.core.desired import Version

MOST_TEXT = 4096
"""How many characters of what a CLI prints are looked at: as many as a probe brings."""

_NUMBERS = re.compile(r"[^0-9]*(\d+(?:\.\d+)*)(-?)")


def extract(pattern: str, text: str) -> str | None:
    """The first group of `pattern` in the text, `None` where it does not match or has no group."""
    found = re.search(pattern, text[:MOST_TEXT])
    return found.group(1) if found and found.re.groups else None


def at_least(version: str, minimum: str) -> bool:
    """Whether a version reaches a minimum, number by number.

    `1.2` equals `1.2.0`, and `1.2.0-beta` comes before it. A version without a number reaches nothing.
    """
    return _order(version) >= _order(minimum)


def below_minimum(wanted: Version | None, found: str | None) -> bool:
    """Whether a version is known and does not reach the minimum that an adapter asks for."""
    if wanted is None or wanted.minimum is None or found is None:
        return False
    return not at_least(found, wanted.minimum)


def _order(version: str) -> tuple[bool, tuple[int, ...], bool]:
    found = _NUMBERS.match(version)
    if found is None:
        return False, (), False
    numbers = [int(number) for number in found.group(1).split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return True, tuple(numbers), not found.group(2)
