"""Reads a JSON document that came from outside, within bounds. Pure.

Nothing that it lets through can make a later reader run out of stack.
"""

import json
import re
from typing import NoReturn

DEEPEST = 100

_MARKS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
"""A whole string, or the beginning or end of something nested; each character is looked at once."""

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""The escape of half a character, which alone is none."""


class Unreadable(Exception):
    """The bytes are no JSON object that this program reads; the message says why in a few words."""


def read(body: bytes) -> dict[str, object]:
    """The object that the bytes hold; raises Unreadable."""
    found = value(body)
    if not isinstance(found, dict):
        raise Unreadable("the body is not a JSON object")
    return found


def value(body: bytes) -> object:
    """Whatever the bytes hold; raises Unreadable. In it is no text that cannot be written as UTF-8."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Unreadable("the body is not UTF-8") from error
    if _is_deep(text):
        raise Unreadable(f"the body is nested deeper than {DEEPEST}")
    try:
        found: object = json.loads(text, parse_constant=_no_number)
        if _HALF.search(text):
            json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise Unreadable("the body holds half a character (an unpaired surrogate)") from error
    except ValueError as error:
        raise Unreadable("the body is not JSON") from error
    return found


def _is_deep(text: str) -> bool:
    depth = 0
    for mark in _MARKS.finditer(text):
        first = text[mark.start()]
        if first in "[{":
            depth += 1
            if depth > DEEPEST:
                return True
        elif first in "]}":
            depth -= 1
    return False


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")
