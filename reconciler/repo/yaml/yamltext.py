"""Plain values to YAML text, always the same text for the same values, and always read back as those values.

Never reads YAML, and never writes a line separator, control character or half of a surrogate pair as it is.
"""

import functools
import json
import re
from collections.abc import Mapping

MAX_PLAIN_KEY = 500

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./@+-]*(?: [A-Za-z0-9_./@+(][A-Za-z0-9_./@+()-]*)*")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*|[0-9]{1,3}")
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"))
_LITERAL_LINE = re.compile("[^\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff\t]"
                           "[^\0-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]*")  # fmt: skip
_ESCAPED = re.compile('[\0-\x1f"\\\\\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]')
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def dump(data: Mapping[str, object]) -> bytes:
    """The document in block style, UTF-8, with a newline at its end; half a surrogate pair becomes U+FFFD."""
    if not data:
        return b"{}\n"
    lines: list[str] = []
    _add_mapping(lines, "", data)
    lines.append("")
    return "\n".join(lines).encode()


def exact(value: object) -> str:
    """A text that two values share only when they are the same in value and type, whatever the order of keys."""
    return json.dumps(value, sort_keys=True)


def entry(key: str, value: object) -> list[str]:
    """The lines of one key and its value at the top level, without line ends."""
    lines: list[str] = []
    _add_entry(lines, "", key, value)
    return lines


def flow(value: object) -> str:
    """A value on one line, fit for a place inside brackets and braces."""
    match value:
        case str():
            return quoted(value)
        case Mapping():
            return "{" + ", ".join(f"{quoted(str(key))}: {flow(child)}" for key, child in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(flow(child) for child in value) + "]"
        case _:
            return _number(value)


def quoted(text: str) -> str:
    """The text in double quotes, with everything escaped that is not printed as it is."""
    return f'"{_ESCAPED.sub(_escape, text)}"'


def scalar(value: object) -> str:
    """A text, number, boolean or null on one line: plain where nobody could misread it, else in double quotes."""
    if not isinstance(value, str):
        return _number(value)
    if len(value) < MAX_PLAIN_KEY and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return quoted(value)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if "\ud800" <= character <= "\udfff":
        return "\\ufffd"
    return _SHORT.get(character) or f"\\u{ord(character):04x}"


def _number(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return repr(value)
        case _:
            raise TypeError(f"a document cannot hold a {type(value).__name__}")


def _add_mapping(lines: list[str], indent: str, data: Mapping[str, object]) -> None:
    for key, value in data.items():
        _add_entry(lines, indent, key, value)


def _add_entry(lines: list[str], indent: str, key: str, value: object) -> None:
    name = _key(key)
    if len(name) < MAX_PLAIN_KEY:
        _add_valued(lines, indent, f"{indent}{name}:", value)
    else:
        lines.append(f"{indent}? {name}")
        _add_valued(lines, indent, f"{indent}:", value)


@functools.lru_cache(maxsize=1024)
def _key(key: str) -> str:
    return key if _KEY.fullmatch(key) and key.lower() not in _WORDS else quoted(key)


def _add_valued(lines: list[str], indent: str, head: str, value: object) -> None:
    """The head and its value, on the same line or below it."""
    if isinstance(value, str):
        indicator = _literal(value) if "\n" in value else None
        if indicator is None:
            lines.append(f"{head} {scalar(value)}")
            return
        lines.append(f"{head} {indicator}")
        lines.extend(f"{indent}  {line}" if line else "" for line in _lines(value))
    elif isinstance(value, Mapping) and value:
        lines.append(head)
        _add_mapping(lines, f"{indent}  ", value)
    elif isinstance(value, list | tuple) and value:
        lines.append(head)
        _add_sequence(lines, f"{indent}  ", value)
    else:
        lines.append(f"{head} {flow(value)}")


def _add_sequence(lines: list[str], indent: str, items: list[object] | tuple[object, ...]) -> None:
    for item in items:
        first = len(lines)
        if isinstance(item, Mapping) and item:
            _add_mapping(lines, f"{indent}  ", item)
        elif isinstance(item, list | tuple) and item:
            _add_sequence(lines, f"{indent}  ", item)
        else:
            _add_valued(lines, indent, f"{indent}-", item)
            continue
        lines[first] = f"{indent}- {lines[first][len(indent) + 2 :]}"


def _literal(text: str) -> str | None:
    """The indicator of the literal block that holds the text exactly; None where no block does."""
    if "\n" not in text.rstrip("\n") and not (text.endswith("\n") and len(text) > 1):
        return None
    lines = text.split("\n")
    whole = lines[:-1] if lines[-1] == "" else lines
    if not all(line == "" or (_LITERAL_LINE.fullmatch(line) and line.strip()) for line in whole):
        return None
    if not whole[0] or whole[0].startswith(" ") or not whole[-1]:
        return None
    return "|" if text.endswith("\n") else "|-"


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")
