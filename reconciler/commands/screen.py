"""Writes what people read: in colour and fitted to the width on a terminal, plain and whole in a pipe.

It decides nothing about what is said.
"""

import codecs
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reconciler.core import printable

_DECODER = codecs.getincrementaldecoder("utf-8")

HIDDEN = 0x7F
"""From NUL to here only what is printable may reach a terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A word in a table and the style that it has on a terminal."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A table: its headings, its rows, and how many columns, from the left, are never folded or cut."""

    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    whole: int = 1


class Screen:
    """Standard output. `terminal` says whether a person looks at it."""

    def __init__(self, env: Mapping[str, str], *, quiet: bool = False) -> None:
        """Take standard output as it is now; `NO_COLOR` and `TERM` are looked up in `env`.

        `quiet`: nothing is to be said of what is under way, since a program reads what comes of it.
        """
        self._decoders: dict[TextIO, codecs.IncrementalDecoder] = {}
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        self.console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False, _environ=env)
        self.beside = Console(file=sys.stderr, highlight=False, markup=False, emoji=False, _environ=env)
        self._quiet = quiet
        self._prefixes: dict[tuple[TextIO, Cell], bytes] = {}

    @property
    def terminal(self) -> bool:
        """Whether standard output is a terminal."""
        return sys.stdout.isatty()

    @property
    def tells(self) -> bool:
        """Whether a person wants to know what is under way, and standard error is a terminal that can show it."""
        return not self._quiet and sys.stderr.isatty() and self.beside.is_terminal and not self.beside.is_dumb_terminal

    def line(self, text: str = "", style: str = "") -> None:
        """One line; on a terminal in a style, and folded there by the terminal itself."""
        if self.terminal:
            self.console.print(Text(shown(text), style=style), soft_wrap=True)
        else:
            self.raw(shown(text) + "\n")

    def note(self, text: str) -> None:
        """One line on standard error: what to know beside the answer, out of the way of a pipe."""
        sys.stdout.flush()
        sys.stderr.write(shown(text) + "\n")
        sys.stderr.flush()

    def table(self, table: Rows) -> None:
        """A table: styled and fitted on a terminal, aligned and never cut in a pipe."""
        if not self.terminal:
            self.raw("".join(f"{line}\n" for line in aligned(table)))
            return
        grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for number, heading in enumerate(table.headings):
            grid.add_column(heading, no_wrap=number < table.whole, overflow="fold")
        for row in table.rows:
            grid.add_row(*(Text(shown(cell.text), style=cell.style) for cell in row))
        self.console.print(grid)

    def json(self, value: object) -> None:
        """A JSON document of one value; on one line where `value` is one of many."""
        self.raw(json.dumps(value, indent=2, ensure_ascii=False).encode(errors="backslashreplace").decode() + "\n")

    def json_line(self, value: object) -> None:
        """A JSON document on one line, written at once: one of a stream."""
        self.raw(json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace").decode() + "\n")
        self.flush()

    def raw(self, text: str) -> None:
        """Text as it is."""
        sys.stdout.write(text)

    def output(self, data: bytes) -> None:
        """Bytes as they are; on a terminal without what it would act on."""
        self._write(sys.stdout, data)

    def error_output(self, data: bytes) -> None:
        """The same on standard error."""
        self._write(sys.stderr, data)

    def prefixed(self, prefix: Cell, lines: Iterable[bytes], *, error: bool = False) -> None:
        """Whole lines of somebody's output, each behind a prefix, on standard output or standard error, at once.

        On a terminal the prefix has its style and the lines their colours; a pipe gets them as they are.
        """
        stream = sys.stderr if error else sys.stdout
        before = self._prefix(stream, prefix)
        if stream.isatty():
            lines = (printable.coloured_line(line.decode(errors="replace")).encode() for line in lines)
        stream.flush()
        stream.buffer.write(b"".join(b"%s%s\n" % (before, line) for line in lines))
        stream.buffer.flush()

    def _prefix(self, stream: TextIO, prefix: Cell) -> bytes:
        if not stream.isatty():
            return prefix.text.encode()
        known = self._prefixes.get((stream, prefix))
        if known is None:
            console = self.console if stream is sys.stdout else self.beside
            with console.capture() as captured:
                console.print(Text(prefix.text, style=prefix.style), end="", soft_wrap=True)
            known = self._prefixes[stream, prefix] = captured.get().encode()
        return known

    def _write(self, stream: TextIO, data: bytes) -> None:
        stream.flush()
        if stream.isatty():
            decoder = self._decoders.setdefault(stream, _DECODER(errors="replace"))
            data = printable.coloured(decoder.decode(data)).encode()
        stream.buffer.write(data)
        stream.buffer.flush()

    def flush(self) -> None:
        """Hand everything on."""
        sys.stdout.flush()


def shown(text: str) -> str:
    """The text as one line that can do nothing to a terminal."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else " " for character in text)


def aligned(table: Rows) -> Iterator[str]:
    """The table's lines with columns under each other, every cell whole."""
    lines = [list(table.headings), *([shown(cell.text) for cell in row] for row in table.rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.headings))]
    for line in lines:
        yield "  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip()
