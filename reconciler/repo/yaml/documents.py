"""YAML documents: text to plain values with places, plain values to text, and edits that keep a person's comments.

Never looks at what a document means (`schemas` does), and never constructs anything but text, numbers, booleans, null,
lists and mappings.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ruamel.yaml import YAML
from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined]  # the C extension has no stubs
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from reconciler.core.desired import Problem
from reconciler.repo.yaml import yamlbytes, yamledit, yamlnodes, yamltext
from reconciler.repo.yaml.yamlnodes import Alias, Flaw, Mark, Node, Pairs, Path, Reading, Scalar, Sequence

MAX_NODES = 10_000
MAX_DEPTH = 64


class InvalidDocument(Exception):
    """A file that cannot be used; `problems` say where and why, one line each."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(f"{one.file}:{one.line}:{one.column}: {one.message}" for one in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """A document's values and the places, counted from 1, of its keys and values by path."""

    data: dict[str, object]
    keys: Mapping[Path, tuple[int, int]]
    values: Mapping[Path, tuple[int, int]]

    def key(self, path: Path) -> tuple[int, int]:
        """Line and column of a key; of the nearest thing around it where the path has none of its own."""
        return self.keys.get(path) or self.value(path)

    def value(self, path: Path) -> tuple[int, int]:
        """Line and column of a value; of the nearest thing around it where the path has none of its own."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, (1, 1))


def parse(text: bytes, file: str, *, max_bytes: int = yamlbytes.MAX_BYTES) -> Parsed:
    """The values of one document; InvalidDocument says in one line each what is wrong with it.

    An empty document is an empty mapping. Merge keys are refused: YAML 1.2 has none. `max_bytes` may be raised for
    what the program wrote itself.
    """
    try:
        root = compose(yamlbytes.decoded(text, max_bytes))
        reading = Reading()
        data = {} if root is None else yamlnodes.value(root, reading)
        if not isinstance(data, dict) and data is not None and root is not None:
            what = yamlnodes.shown(data)
            reading.flaws.append(Flaw(root.start, f'the top level must be a mapping ("key: value" lines), not {what}'))
        if reading.flaws:
            raise InvalidDocument(tuple(_problem(flaw, file) for flaw in reading.flaws))
    except Flaw as flaw:
        raise InvalidDocument((_problem(flaw, file),)) from flaw
    return Parsed(data=data if isinstance(data, dict) else {}, keys=reading.keys, values=reading.values)


def dump(data: Mapping[str, object]) -> bytes:
    """Deterministic block-style YAML that `parse` reads back as the same values."""
    return yamltext.dump(data)


def edit(text: bytes, changes: Mapping[str, object]) -> bytes:
    """The document with top-level keys set, or removed where the change is None; everything else stays as it is.

    Where no small change leads to the right values (a key behind an anchor that others repeat) the document is written
    afresh. InvalidDocument when the text cannot be read.
    """
    before = parse(text, "the file").data
    wanted = {key: value for key, value in (before | dict(changes)).items() if value is not None or key not in changes}
    if _same(before, wanted):
        return text
    decoded = yamlbytes.decoded(text)
    for candidate in yamledit.candidates(decoded, _layout, changes):
        edited = _prefix(text) + candidate.encode()
        if _reads_as(edited, wanted):
            return edited
    return dump(wanted)


def compose(text: str) -> Node | None:
    """The document's root node, None for an empty one; Flaw where it is no YAML that this program takes.

    The C parser goes first; where it refuses (here and there it is stricter than YAML 1.2) the pure one decides and
    words the flaw.
    """
    shielded, shields = yamlbytes.shielded(text)
    try:
        return _Composer(events=_fast_events(shielded), shields=shields).document()
    except YAMLError as error:
        return _composed_slowly(shielded, shields, error)


def _composed_slowly(text: str, shields: dict[int, str], fast: YAMLError) -> Node | None:
    try:
        return _Composer(events=iter(YAML(typ="safe", pure=True).parse(text)), shields=shields).document()
    except MarkedYAMLError as error:
        raise max(_flaw(error, text), _flaw(fast, text), key=lambda flaw: flaw.mark[:2]) from error
    except (YAMLError, ValueError, OverflowError) as error:
        raise _flaw(fast, text) from error


def _layout(text: str) -> Pairs | None:
    try:
        root = compose(text)
    except Flaw:
        return None
    return root if isinstance(root, Pairs) else None


def _same(one: object, other: object) -> bool:
    return yamltext.exact(one) == yamltext.exact(other)


def _reads_as(text: bytes, wanted: Mapping[str, object]) -> bool:
    try:
        return _same(parse(text, "").data, wanted)
    except InvalidDocument:
        return False


def _fast_events(text: str) -> Iterator[Event]:
    parser = CParser(text)
    while parser.check_event():
        yield parser.get_event()


def _prefix(text: bytes) -> bytes:
    return b"\xef\xbb\xbf" if text.startswith(b"\xef\xbb\xbf") else b""


def _problem(flaw: Flaw, file: str) -> Problem:
    return Problem(file=file, line=flaw.mark.line + 1, column=flaw.mark.column + 1, message=flaw.message)


def _flaw(error: YAMLError, text: str) -> Flaw:
    """What a parser said, at its place; of two parsers the one that came further knows better."""
    if not isinstance(error, MarkedYAMLError):
        return Flaw(Mark(0, 0, 0), f"not valid YAML: {' '.join(str(error).split())[:200]}")
    raw = error.problem_mark or error.context_mark
    mark = Mark(raw.line, raw.column, raw.index) if raw else Mark(0, 0, 0)
    if "\t" in text[mark.offset : mark.offset + 1] or _indented_by_tab(text, mark.line):
        return Flaw(mark, "a tab cannot indent in YAML: use spaces")
    parts = (part.strip() for part in (error.context, error.problem) if part)
    return Flaw(mark, f"not valid YAML: {' '.join(', '.join(parts).split())}"[:300])


def _indented_by_tab(text: str, line: int) -> bool:
    lines = text.split("\n")
    return line < len(lines) and re.match(r" *\t", lines[line]) is not None


@dataclass(slots=True)
class _Anchor:
    node: Node
    size: int | None = None


@dataclass(slots=True)
class _Composer:
    """Builds nodes from events, with bounds on depth and on what aliases expand to."""

    events: Iterator[Event]
    shields: dict[int, str]
    anchors: dict[str, _Anchor] = field(default_factory=dict)
    nodes: int = 0

    def document(self) -> Node | None:
        root = None
        for event in self.events:
            if isinstance(event, NodeEvent):
                root = self.node(event, 0)
            elif isinstance(event, DocumentStartEvent) and root is not None:
                message = 'a second document starts here: one file is one task, host or adapter, remove the "---"'
                raise Flaw(_start(event), message)
        return root

    def node(self, event: Event, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise Flaw(_start(event), f"nested deeper than {MAX_DEPTH} levels: write it flatter")
        if isinstance(event, AliasEvent):
            return self.alias(event)
        before = self.nodes
        self.nodes += 1
        node = self.empty(event)
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            kept = self.anchors[anchor] = _Anchor(node)
        if isinstance(node, Sequence):
            self.fill_sequence(node, depth)
        elif isinstance(node, Pairs):
            self.fill_pairs(node, depth)
        if anchor is not None:
            kept.size = self.nodes - before
        return node

    def fill_sequence(self, node: Sequence, depth: int) -> None:
        while not isinstance(event := next(self.events), SequenceEndEvent):
            node.items.append(self.node(event, depth + 1))
        node.end = _end(event)

    def fill_pairs(self, node: Pairs, depth: int) -> None:
        while not isinstance(event := next(self.events), MappingEndEvent):
            key = self.node(event, depth + 1)
            node.pairs.append((key, self.node(next(self.events), depth + 1)))
        node.end = _end(event)

    def alias(self, event: AliasEvent) -> Node:
        name = str(event.anchor)
        anchor = self.anchors.get(name)
        if anchor is None:
            raise Flaw(_start(event), f'the alias "*{name[:60]}" has no anchor "&{name[:60]}" before it')
        if anchor.size is None:
            raise Flaw(_start(event), f'the alias "*{name[:60]}" stands inside its own anchor: write the value out')
        self.nodes += anchor.size
        if self.nodes > MAX_NODES:
            raise Flaw(_start(event), f"anchors expand past {MAX_NODES:,} nodes: write the values out")
        return Alias(start=_start(event), end=_end(event), target=anchor.node)

    def empty(self, event: Event) -> Node:
        start, end = _start(event), _end(event)
        match event:
            case ScalarEvent():
                text = event.value.translate(self.shields) if self.shields else event.value
                return Scalar(start=start, end=end, text=text, style=event.style or "", tag=event.tag)
            case SequenceStartEvent():
                return Sequence(start=start, end=end, flow=bool(event.flow_style), tag=event.tag)
            case MappingStartEvent():
                return Pairs(start=start, end=end, flow=bool(event.flow_style), tag=event.tag)
            case _:
                raise Flaw(start, "not valid YAML: a value is missing here")


def _start(event: Event) -> Mark:
    mark = event.start_mark
    return Mark(mark.line, mark.column, mark.index)


def _end(event: Event) -> Mark:
    mark = event.end_mark
    return Mark(mark.line, mark.column, mark.index)
