"""Small edits of a person's YAML text: set or remove top-level keys and leave every other character as it is.

Never decides whether an edit came out right: it offers candidates, best first, and `documents.edit` reads them back.
"""

from collections.abc import Callable, Iterator, Mapping

from reconciler.repo.yaml import yamltext
from reconciler.repo.yaml.yamlnodes import Alias, Node, Pairs, Scalar

Layout = Callable[[str], Pairs | None]


def candidates(text: str, layout: Layout, changes: Mapping[str, object]) -> Iterator[str]:
    """Texts with the changes made, in the order in which they should be tried; `layout` reads a text's root mapping.

    They differ in where new keys are put: behind the last key, at the very end, before the first one.
    """
    for place in (_behind, _at_end, _in_front):
        edited: str | None = text
        for key, value in changes.items():
            edited = None if edited is None else _changed(edited, layout(edited), key, value, place)
        if edited is not None:
            yield edited


Place = Callable[[str, Pairs | None], int]


def _changed(text: str, root: Pairs | None, key: str, value: object, place: Place) -> str | None:
    pairs = root.pairs if root else []
    number = next((at for at, (name, _) in enumerate(pairs) if isinstance(name, Scalar) and name.text == key), None)
    if number is None or root is None:
        return text if value is None else _added(text, root, key, value, place)
    if root.flow:
        return _removed_in_flow(text, root, number) if value is None else _set_in_flow(text, pairs[number][1], value)
    return _removed(text, root, number) if value is None else _set(text, root, number, value)


def _set(text: str, root: Pairs, number: int, value: object) -> str:
    key, old = root.pairs[number]
    start, end = old.start.offset, old.end.offset
    colon = text.find(":", key.end.offset)
    if start == end and "\n" in text[colon:start]:
        start = end = colon + 1  # a value that is not there may be said to stand on a later line
    inline = old.style not in ("|", ">") if isinstance(old, Scalar) else isinstance(old, Alias) or old.flow
    if inline and not (isinstance(value, str) and "\n" in value) and not (isinstance(value, Mapping | list) and value):
        gap = " " if text[start - 1 : start] == ":" else ""
        return text[:start] + gap + _like(old, value) + text[end:]
    ending = _ending(text)
    name = key.text if isinstance(key, Scalar) else ""
    lines = "".join(f"{line}{ending}" for line in yamltext.entry(name, value))
    return text[: _key_start(text, key)] + lines + text[_region_end(text, root, number) :]


def _like(old: Node, value: object) -> str:
    """A one-line value in the quotes of the value that it replaces, where they can hold it."""
    style = old.style if isinstance(old, Scalar) else ""
    if isinstance(value, str) and style == '"':
        return yamltext.quoted(value)
    if isinstance(value, str) and style == "'" and value.isprintable() and "'" not in value:
        return f"'{value}'"
    return yamltext.flow(value) if isinstance(value, Mapping | list | tuple) else yamltext.scalar(value)


def _set_in_flow(text: str, old: Node, value: object) -> str:
    start, end = old.start.offset, old.end.offset
    gap = "" if text[start - 1 : start] in ("", " ", "\t", "\n") else " "
    return text[:start] + gap + (_like(old, value) if _word(value) else yamltext.flow(value)) + text[end:]


def _word(value: object) -> bool:
    return isinstance(value, str) and yamltext.scalar(value) == value


def _removed(text: str, root: Pairs, number: int) -> str:
    start = _key_start(text, root.pairs[number][0])
    nothing = f"{{}}{_ending(text)}" if len(root.pairs) == 1 else ""  # comments alone are no document before a "..."
    return text[:start] + nothing + text[_region_end(text, root, number) :]


def _removed_in_flow(text: str, root: Pairs, number: int) -> str:
    pairs = root.pairs
    start = pairs[number][0].start.offset
    if number + 1 < len(pairs):
        return text[:start] + text[pairs[number + 1][0].start.offset :]
    start = pairs[number - 1][1].end.offset if number else start
    return text[:start] + text[pairs[number][1].end.offset :]


def _added(text: str, root: Pairs | None, key: str, value: object, place: Place) -> str:
    if root is not None and root.flow:
        new = f"{yamltext.quoted(key)}: {yamltext.flow(value)}"
        at = root.pairs[-1][1].end.offset if root.pairs else root.start.offset + 1
        return f"{text[:at]}{', ' if root.pairs else ''}{new}{text[at:]}"
    ending = _ending(text)
    indent = _indent(text, root)
    new = "".join(f"{indent}{line}{ending}" if line else ending for line in yamltext.entry(key, value))
    at = place(text, root)
    gap = ending if at and text[at - 1] != "\n" else ""
    return text[:at] + gap + new + text[at:]


def _behind(text: str, root: Pairs | None) -> int:
    return _region_end(text, root, len(root.pairs) - 1) if root and root.pairs else _bottom(text)


def _at_end(text: str, root: Pairs | None) -> int:
    return _bottom(text) if root is None else root.end.offset


def _bottom(text: str) -> int:
    """Where an empty document ends: before the line that says so."""
    said = text.find("\n...")
    return len(text) if said < 0 else said + 1


def _in_front(text: str, root: Pairs | None) -> int:
    return _key_start(text, root.pairs[0][0]) - len(_indent(text, root)) if root and root.pairs else len(text)


def _indent(text: str, root: Pairs | None) -> str:
    """What stands before the keys: a person may indent the whole document."""
    key = _key_start(text, root.pairs[0][0]) if root and root.pairs else 0
    before = text[_line_start(text, key) : key]
    return before if not before.strip(" ") else ""


def _region_end(text: str, root: Pairs, number: int) -> int:
    """Where the lines of a key and its value end; comments and blank lines before the next key are not among them.

    An indented comment may be a line of a text; behind one that is not indented it is none.
    """
    pairs = root.pairs
    limit = _key_start(text, pairs[number + 1][0]) if number + 1 < len(pairs) else root.end.offset
    first = _line_end(text, pairs[number][0].start.offset)
    end = at = limit
    while at > first:
        start = _line_start(text, at - 1)
        line = text[start:at]
        beside = line.startswith(("#", "...", "---"))
        if line.strip() and not beside and not line.lstrip(" ").startswith("#"):
            break
        if beside or (end == at and not line.strip()):
            end = start
        at = start
    return max(end, min(first, limit))


def _key_start(text: str, key: Node) -> int:
    """Where a key's lines begin: before the question mark of an explicit key."""
    line = _line_start(text, key.start.offset)
    return line if text[line : key.start.offset].strip() == "?" else key.start.offset


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1


def _line_end(text: str, index: int) -> int:
    found = text.find("\n", index)
    return len(text) if found < 0 else found + 1


def _ending(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
