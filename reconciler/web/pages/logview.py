"""A run's output as a page shows it: a window of it at a time, from any place on, in colour; and where a word stands.

It reads the copies on this machine and asks no host; however large they are, it holds little of them at once.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reconciler.repo import logs
from reconciler.repo.fleet import Fleet
from reconciler.repo.logs import Copy
from reconciler.web.pages import ansi

WINDOW = 64 * 1024
"""How much of an output a page shows at a time."""
MOST_HITS = 100
MOST_SEARCHED = 256 * 1024 * 1024
"""How much of an output is searched at a time."""
MOST_LINE = 300
STEP = 1024 * 1024

_UNFINISHED = re.compile(rb"\x1b(?:\[[0-9;:]{0,64})?\Z")
"""The beginning of an order to a terminal of which the rest has not come yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """From where on an output is looked at (without a start: its end), with which pen, how much of it.

    `live`: more of it comes, so that what is not whole yet is left for the next look.
    """

    start: int | None = None
    pen: str = ""
    most: int = WINDOW
    live: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What stands from `start` to `end` of `size` bytes, in pieces with their classes; with which pen it goes on."""

    start: int
    end: int
    size: int
    pieces: Sequence[tuple[str, str]]
    pen: str

    @property
    def before(self) -> int:
        """Where the window before this one begins."""
        return max(0, self.start - WINDOW)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A line in which the word stands: where it begins, and what it says around the word."""

    offset: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Lines in which a word stands; `until`: how far was looked, where that is not the end."""

    hits: Sequence[Hit]
    until: int | None


def window(fleet: Fleet, copy: Copy, place: Place) -> Window:
    """The window from there on. It begins and ends with a line, where lines are short."""
    size = logs.size(fleet, copy.task_id, copy.epoch, copy.stream)
    start = min(max(0, size - place.most if place.start is None else place.start), size)
    data = logs.part(fleet, copy, start, place.most)
    if place.start is None and start > 0:
        skipped = data.find(b"\n") + 1
        start, data = start + skipped, data[skipped:]
    if start + len(data) < size:
        data = data[: data.rfind(b"\n") + 1] or _whole_letters(data)
    elif place.live:
        data = _UNFINISHED.sub(b"", _whole_letters(data))
    pieces, after = ansi.pieces(data.decode(errors="replace"), ansi.pen(place.pen))
    return Window(start=start, end=start + len(data), size=size, pieces=pieces, pen=after.classes)


def find(fleet: Fleet, copy: Copy, word: str, start: int) -> Found:
    """The first lines from there on in which the word stands, whatever its case."""
    wanted = word.casefold().encode(errors="replace")
    hits: list[Hit] = []
    end = start
    for offset, line in _lines(fleet, copy, start):
        end = offset + len(line)
        found = line.lower().find(wanted)
        if found >= 0:
            hits.append(Hit(offset=offset, text=_around(line, found)))
        if len(hits) >= MOST_HITS or end - start >= MOST_SEARCHED:
            return Found(hits=hits, until=end)
    return Found(hits=hits, until=None)


def _lines(fleet: Fleet, copy: Copy, start: int) -> Iterator[tuple[int, bytes]]:
    """Every line with its place; what is longer than a step is taken in steps."""
    offset, rest = start, b""
    while data := logs.part(fleet, copy, offset + len(rest), STEP):
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield offset, line + b"\n"
            offset += len(line) + 1
        if len(rest) > STEP:
            yield offset, rest
            offset, rest = offset + len(rest), b""
    if rest:
        yield offset, rest


def _around(line: bytes, place: int) -> str:
    first = max(0, place - MOST_LINE // 3)
    return ansi.plain(line[first : first + MOST_LINE].decode(errors="replace").strip())


def _whole_letters(data: bytes) -> bytes:
    """Without the beginning of a letter of which the rest has not come yet."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:  # noqa: PLR2004 - the first of several bytes of a letter
            needed = 2 + (byte >= 0xE0) + (byte >= 0xF0)  # noqa: PLR2004
            return data[:-back] if needed > back else data
        if byte < 0x80:  # noqa: PLR2004 - a letter of one byte
            return data
    return data
