"""The parts of a YAML document with their places, and the plain values that they stand for by YAML 1.2's core schema.

Never reads text: `documents` makes the nodes. Dates, `on`, `no` and `12:30` are strings; so is every key of a mapping.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

Path = tuple[str | int, ...]

MAX_DIGITS = 400

_HALF = re.compile("[\ud800-\udfff]")
_CORE = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WORDS: dict[str, object] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_TYPES: dict[str, type | tuple[type, ...]] = {"int": int, "float": (int, float), "bool": bool, "null": type(None)}


class Mark(NamedTuple):
    """A place in a text; all three count from 0, in characters."""

    line: int
    column: int
    offset: int


class Flaw(Exception):
    """Something that a document may not hold, at its place."""

    def __init__(self, mark: Mark, message: str) -> None:
        super().__init__(message)
        self.mark = mark
        self.message = message


@dataclass(slots=True, kw_only=True)
class Scalar:
    """A word, number or text; `style` is its quote, `|`, `>`, or empty for plain text."""

    start: Mark
    end: Mark
    text: str
    style: str
    tag: str | None


@dataclass(slots=True, kw_only=True)
class Sequence:
    """A list."""

    start: Mark
    end: Mark
    flow: bool
    tag: str | None
    items: list["Node"] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Pairs:
    """A mapping, its pairs in the order of the text."""

    start: Mark
    end: Mark
    flow: bool
    tag: str | None
    pairs: list[tuple["Node", "Node"]] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Alias:
    """A repetition of an anchored node."""

    start: Mark
    end: Mark
    target: "Node"


Node = Scalar | Sequence | Pairs | Alias


@dataclass(slots=True)
class Reading:
    """What came out of a document: flaws that do not stop the reading, and the places of keys and values by path."""

    flaws: list[Flaw] = field(default_factory=list)
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    values: dict[Path, tuple[int, int]] = field(default_factory=dict)


def value(node: Node, reading: Reading, path: Path = ()) -> object:
    """The plain value of a node; places and flaws go into `reading`."""
    reading.values.setdefault(path, (node.start.line + 1, node.start.column + 1))
    match node:
        case Alias():
            return value(node.target, Reading(), path)
        case Scalar():
            return _scalar(node, reading)
        case Sequence():
            _collection_tag(node, f"{_CORE}seq", reading)
            return [value(item, reading, (*path, number)) for number, item in enumerate(node.items)]
        case Pairs():
            _collection_tag(node, f"{_CORE}map", reading)
            return dict(_entries(node, reading, path))


def _entries(node: Pairs, reading: Reading, path: Path) -> Iterator[tuple[str, object]]:
    first: dict[str, int] = {}
    for key, child in node.pairs:
        name = _key(key, reading)
        if name is None:
            continue
        if name in first:
            flaw = f"duplicate key {shown(name)}: it stands on line {first[name]} already, remove one of them"
            reading.flaws.append(Flaw(key.start, flaw))
            continue
        first[name] = key.start.line + 1
        place = (*path, name)
        reading.keys[place] = (key.start.line + 1, key.start.column + 1)
        yield name, value(child, reading, place)


def _key(key: Node, reading: Reading) -> str | None:
    node = key.target if isinstance(key, Alias) else key
    if not isinstance(node, Scalar):
        reading.flaws.append(Flaw(key.start, "a list or mapping cannot be a key: write a plain word before the colon"))
        return None
    if node.text == "<<" and not node.style and node.tag is None:
        message = 'merge keys ("<<") are no part of YAML 1.2: write the keys out where they belong'
        reading.flaws.append(Flaw(key.start, message))
        return None
    _scalar(node, reading)
    return node.text


def _scalar(node: Scalar, reading: Reading) -> object:
    try:
        return _resolved(node)
    except Flaw as flaw:
        reading.flaws.append(flaw)
        return None


def _resolved(node: Scalar) -> object:
    if _HALF.search(node.text):
        raise Flaw(node.start, "half of a surrogate pair is no character: write the character itself")
    if node.tag in ("!", f"{_CORE}str") or (node.tag is None and node.style):
        return node.text
    found = plain(node.text, node.start)
    if node.tag is None:
        return found
    name = node.tag.removeprefix(_CORE)
    wanted = _TYPES.get(name) if node.tag.startswith(_CORE) else None
    if wanted is None:
        raise Flaw(node.start, f"the tag {shown(_tag(node.tag))} is not allowed: remove it")
    if not isinstance(found, wanted) or (isinstance(found, bool) and name != "bool"):
        raise Flaw(node.start, f"{shown(node.text)} does not fit its tag {shown(_tag(node.tag))}: remove the tag")
    return float(found) if name == "float" and isinstance(found, int) else found


def plain(text: str, mark: Mark) -> object:
    """The value of unquoted text; Flaw for numbers that are not finite or absurdly long."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise Flaw(mark, f"a number of more than {MAX_DIGITS} digits: put it in quotes if it is text")
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        if not math.isinf(number := float(text)):
            return number
    elif not _NOT_FINITE.fullmatch(text):
        return text
    raise Flaw(mark, f"{shown(text)} is no finite number: put it in quotes if it is text")


def shown(value: object) -> str:
    """A value as one short line for a message."""
    text = f'"{value}"' if isinstance(value, str) else _word(value)
    text = "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in text)
    return text if len(text) <= 80 else f"{text[:76]}..." + ('"' if isinstance(value, str) else "")  # noqa: PLR2004 - a line's worth


def _word(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case _:
            return str(value)


def _collection_tag(node: Sequence | Pairs, allowed: str, reading: Reading) -> None:
    if node.tag not in (None, "!", allowed):
        reading.flaws.append(Flaw(node.start, f"the tag {shown(_tag(node.tag))} is not allowed: remove it"))


def _tag(tag: str | None) -> str:
    return f"!!{tag.removeprefix(_CORE)}" if tag is not None and tag.startswith(_CORE) else str(tag)
