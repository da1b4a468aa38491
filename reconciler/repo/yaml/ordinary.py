"""The values of an ordinary YAML document, fast; any other is left to `documents`, which decides what a text means.

Never says what is wrong with a text, and never gives a value of which it is not sure: rare things are passed on.
"""

import re

import yaml12

from reconciler.repo.yaml import yamlbytes
from reconciler.repo.yaml.yamlnodes import Flaw

_SIGN = re.compile(r"[&*!%@`?|>]")
_BLOCK = re.compile(r"[|>][-+]?\n")
_OTHER_BLANK = re.compile(r"[^\S\n ]")
"""Tabs, and what is the end of a line to one reader and text to another."""
_BIG = re.compile(r"0[xo][0-9A-Fa-f]{13}")
_INNER_KEY = re.compile(r"^ +[^\n]*:(?: |$)", re.MULTILINE)
_MOST = 1 << 53


def read(text: bytes) -> dict[str, object] | None:
    """The values that `documents.parse` gives, or None where it has to be asked."""
    try:
        whole = yamlbytes.decoded(text)
        keys = _keys(whole)
        if not keys or _is_rare(whole):
            return None
        data: object = yaml12.parse_yaml(whole)
    except (Flaw, ValueError):
        return None
    return data if isinstance(data, dict) and len(data) == keys and _is_sure(data, whole) else None


def _keys(text: str) -> int:
    """How many keys stand at the margin; 0 where something else does that is neither an item nor a comment.

    A key that stands twice is counted twice, and is one of the values: that tells it.
    """
    keys = 0
    for line in text.split("\n"):
        first = line[:1]
        if first == " ":
            if not keys or line.isspace():
                return 0
        elif first.isalpha() or first == "_":
            keys += 1
        elif first not in ("", "#") and not line.startswith("- "):
            return 0
    return keys


def _is_rare(text: str) -> bool:
    """Whether anything stands in the text that readers of YAML do not see alike, or that has to be judged."""
    if text[-1] != "\n" or "<<" in text or ("\\" in text and '"' in text):
        return True
    if "\t" in text or "\r" in text or (not text.isascii() and _OTHER_BLANK.search(text)):
        return True
    if ("0x" in text or "0o" in text) and _BIG.search(text):
        return True
    return any(_begins_something(found.start(), text) for found in _SIGN.finditer(text))


def _begins_something(place: int, text: str) -> bool:
    """Whether a sign stands where it would begin more than text: an alias, a tag, a key of several words.

    It may begin a block of lines, and be the mark of an item in prose.
    """
    before = text[text.rfind("\n", 0, place) + 1 : place].rstrip(" ")
    if not before:
        return not text.startswith("* ", place)
    if before[-1] in ":-" and _BLOCK.match(text, place):
        return False
    return before[-1] in ":-?,[{"


def _is_sure(data: dict[object, object], text: str) -> bool:
    """Whether every value is one that all readers of YAML 1.2 see alike, and every key inside stands once."""
    inner = 0
    for key, value in data.items():
        if not isinstance(key, str):
            return False
        if isinstance(value, dict):
            inner += len(value)
            if not all(isinstance(name, str) and _is_plain(one) for name, one in value.items()):
                return False
        elif not (all(map(_is_plain, value)) if isinstance(value, list) else _is_plain(value)):
            return False
    return not inner or ("{" not in text and len(_INNER_KEY.findall(text)) == inner)


def _is_plain(value: object) -> bool:
    if isinstance(value, int):
        return -_MOST < value < _MOST
    return value is None or (isinstance(value, str) and not value.startswith("\n"))
