"""Bytes of a file to text that a YAML parser may see: size, encoding, conflict markers, control characters.

Never parses anything.
"""

import re

from reconciler.repo.yaml.yamlnodes import Flaw, Mark

MAX_BYTES = 256 * 1024

_CONFLICT = re.compile(r"^(?:(?:<{7}|>{7}|\|{7})(?= |\r?$)|={7}(?=\r?$))", re.MULTILINE)
_MARKS = ("<" * 7, "=" * 7, ">" * 7, "|" * 7)
_ALWAYS_ALLOWED = bytes([*b"\t\n\r", *range(0x20, 0x7F)])
_FORBIDDEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
_SEPARATORS = "\x85\u2028\u2029"
_PRIVATE = range(0xE000, 0xF8FF)


def decoded(text: bytes, max_bytes: int = MAX_BYTES) -> str:
    """The text of a file without its byte order mark; Flaw where something stands in it that no document may hold."""
    if len(text) > max_bytes:
        message = f"the file is larger than {max_bytes // 1024} KiB: move long text into the repository and refer to it"
        raise Flaw(Mark(0, 0, 0), message)
    body = text.removeprefix(b"\xef\xbb\xbf")
    try:
        whole = body.decode()
    except UnicodeDecodeError as error:
        before = body[: error.start].decode()
        raise Flaw(_mark(before, len(before)), f"byte 0x{body[error.start]:02x} is not UTF-8: save as UTF-8") from error
    if any(mark in whole for mark in _MARKS) and (found := _CONFLICT.search(whole)):
        message = f'unresolved merge conflict ("{found[0]}"): keep one side and remove the markers'
        raise Flaw(_mark(whole, found.start()), message)
    if body.translate(None, _ALWAYS_ALLOWED) and (found := _FORBIDDEN.search(whole)):
        message = f"the character U+{ord(found[0]):04X} is not allowed: remove it, or write an escape in double quotes"
        raise Flaw(_mark(whole, found.start()), message)
    return whole


def shielded(text: str) -> tuple[str, dict[int, str]]:
    """The text with U+0085, U+2028 and U+2029 replaced by characters it does not hold, and the way back.

    YAML 1.2 takes them for ordinary characters; the parsers, as YAML 1.1 did, for ends of lines.
    """
    present = [one for one in _SEPARATORS if one in text]
    if not present:
        return text, {}
    lower = text.lower()
    free = (code for code in _PRIVATE if chr(code) not in text and f"{code:x}" not in lower)
    back = {next(free): one for one in present}
    return text.translate({ord(one): chr(code) for code, one in back.items()}), back


def _mark(text: str, index: int) -> Mark:
    return Mark(text.count("\n", 0, index), index - (text.rfind("\n", 0, index) + 1), index)
