"""Reads an agent's stdout and stderr, chunk by chunk, into the events and tails that expressions see.

Never refuses input: what does not parse is counted, kept as text and warned of. Never keeps more than its named bounds.
"""

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

TAIL_BYTES = 64 * 1024
"""How much of the end of stdout and of stderr is kept as text."""

LINE_BYTES = 64 * 1024 * 1024
"""The longest line of `jsonl`, and the longest document of `json`."""

KEPT_EVENT_BYTES = 64 * 1024 * 1024
"""How much text the kept events may have had; beyond it the oldest are dropped, never the first."""

_FATAL_SIGNALS = {1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE"} | {
    9: "SIGKILL",
    11: "SIGSEGV",
    13: "SIGPIPE",
    15: "SIGTERM",
    24: "SIGXCPU",
    25: "SIGXFSZ",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RawOutput:
    """Everything that a run left behind, as the expressions of an adapter see it.

    `exit_code` is that of `sh`: 128 + n for a death by signal n; `None` is an exit that nobody knows. `unreadable`:
    there was output, and not one event could be read from it.
    """

    events: Sequence[object] = ()
    stdout_tail: str = ""
    stderr_tail: str = ""
    files: Mapping[str, object] = field(default_factory=dict)
    bad_lines: int = 0
    exit_code: int | None = None
    signal: str | None = None
    unreadable: bool = False
    warnings: tuple[str, ...] = ()


class Events:
    """The events of one stdout, read from bytes as they come; `feed` takes each byte once, in order."""

    def __init__(self, output_format: Literal["json", "jsonl", "text"]) -> None:
        """Start with nothing read."""
        self._format = output_format
        self._tail = bytearray()
        self._pending = bytearray()
        self._overlong = False
        self._first: list[object] = []
        self._later: deque[tuple[object, int]] = deque()
        self._later_bytes = 0
        self._bad_lines = 0
        self._mangled_lines = 0
        self._dropped = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of stdout."""
        self._tail += chunk[-TAIL_BYTES:]
        del self._tail[:-TAIL_BYTES]
        if self._format == "json":
            self._extend(chunk)
        elif self._format == "jsonl":
            self._lines(chunk)

    def read(self, *, ended: bool) -> RawOutput:
        """What was read so far; with `ended` a last line without its newline counts as a line.

        It may be asked for again after more bytes came, except after `ended`.
        """
        if self._format == "json":
            events, bad = self._document()
        else:
            if ended and (self._pending or self._overlong):
                self._lines(b"\n")
            events, bad = [*self._first, *(event for event, _ in self._later)], self._bad_lines
        return RawOutput(
            events=events,
            stdout_tail=_text(self._tail),
            bad_lines=bad,
            unreadable=bad > 0 and not events,
            warnings=tuple(self._warnings(bad)) if ended else (),
        )

    def _lines(self, chunk: bytes) -> None:
        """Split on newlines only: U+2028 and its like stand raw inside strings."""
        *whole, rest = chunk.split(b"\n")
        for part in whole:
            self._extend(part)
            self._line()
        self._extend(rest)

    def _extend(self, part: bytes) -> None:
        if self._overlong or len(self._pending) + len(part) > LINE_BYTES:
            self._overlong = True
            self._pending.clear()
        else:
            self._pending += part

    def _line(self) -> None:
        """Make an event of the line that is complete now."""
        line, overlong = bytes(self._pending), self._overlong
        self._pending.clear()
        self._overlong = False
        if not line.strip() and not overlong:
            return
        text = _text(line)
        if "\ufffd" in text and not _is_utf8(line):
            self._mangled_lines += 1
        parsed, event = _parse(text)
        if overlong or not parsed:
            self._bad_lines += 1
        else:
            self._keep(event, len(line))

    def _keep(self, event: object, size: int) -> None:
        if not self._first:
            self._first.append(event)
            return
        self._later.append((event, size))
        self._later_bytes += size
        while self._later_bytes > KEPT_EVENT_BYTES:
            self._later_bytes -= self._later.popleft()[1]
            self._dropped += 1

    def _document(self) -> tuple[list[object], int]:
        """The events of a `json` document: its items when it is a list. One that does not parse is one bad line."""
        if not self._pending.strip() and not self._overlong:
            return [], 0
        parsed, document = _parse(_text(self._pending))
        if self._overlong or not parsed:
            return [], 1
        return (document if isinstance(document, list) else [document]), 0

    def _warnings(self, bad: int) -> list[str]:
        found: list[str] = []
        if self._format == "json" and bad:
            found.append("stdout could not be read as json: its raw text is kept")
        elif bad:
            found.append(f"stdout could not be read as jsonl in {bad} lines: their raw text is kept")
        if self._mangled_lines:
            found.append(f"{self._mangled_lines} lines of stdout are not UTF-8: their bad bytes were replaced")
        if self._dropped:
            found.append(f"stdout is too large: its {self._dropped} oldest events but the first were dropped")
        return found


def tail(data: bytes) -> str:
    """The text of the last 64 KiB; bytes that are not UTF-8 are replaced."""
    return _text(data[-TAIL_BYTES:])


def file_value(data: bytes) -> object:
    """What a file of `output.files` holds: the JSON document, else its text."""
    text = _text(data)
    parsed, value = _parse(text)
    return value if parsed else text


def last_object(text: str) -> object:
    """The last whole JSON object in a text, `None` without one."""
    decoder = json.JSONDecoder()
    found: object = None
    position = text.find("{")
    while position >= 0:
        try:
            found, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            position += 1
        position = text.find("{", position)
    return found


def signal_name(exit_code: int | None) -> str | None:
    """The signal that an exit code of `sh` stands for, where it is one that ends a process.

    A process may also exit with 128 + n by itself; `sh` cannot tell the two apart.
    """
    return None if exit_code is None else _FATAL_SIGNALS.get(exit_code - 128)


def _parse(text: str) -> tuple[bool, object]:
    try:
        return True, json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return False, None


def _text(data: bytes | bytearray) -> str:
    return data.decode("utf-8", "replace")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
