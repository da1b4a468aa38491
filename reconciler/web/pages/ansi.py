"""What an agent printed as pieces of text with the classes of a page, as a terminal would colour them. Pure.

Whatever else a terminal would act on does nothing: orders are left out, single controls are for `texts` to show.
It takes no longer for a hostile line than for a plain one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

_ORDERS = re.compile(
    r"\x1b\[(?P<codes>[0-9;:]{0,64})m"
    r"|\x1b\[[0-?]{0,64}[ -/]{0,8}[@-~]"
    r"|\x1b\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)"
    r"|\x1b[@-Z\\^_=>78]"
)
_FLAGS = {1: "bold", 2: "dim", 3: "italic", 4: "under", 7: "inverse", 9: "struck"}
_OFF = {21: ("bold",), 22: ("bold", "dim"), 23: ("italic",), 24: ("under",), 27: ("inverse",), 29: ("struck",)}
_EIGHT = range(8)
_COLOURS: dict[int, int | None] = {30 + n: n for n in _EIGHT} | {90 + n: 8 + n for n in _EIGHT} | {39: None}
_GROUNDS: dict[int, int | None] = {40 + n: n for n in _EIGHT} | {100 + n: 8 + n for n in _EIGHT} | {49: None}
_CUBE = 36
_BRIGHT = 128
_DARK = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Pen:
    """How text is printed now: the numbers of its colours, of 16, and what else."""

    colour: int | None = None
    ground: int | None = None
    flags: frozenset[str] = frozenset()

    @property
    def classes(self) -> str:
        """The names of classes, for a page; empty for plain text."""
        colours = [f"f{self.colour}"] if self.colour is not None else []
        grounds = [f"b{self.ground}"] if self.ground is not None else []
        return " ".join((*colours, *grounds, *sorted(self.flags)))


def pen(classes: str) -> Pen:
    """The pen of these names of classes; whatever is none is left out."""
    words = classes.split()[:8]
    colours = {word[0]: int(word[1:]) for word in words if re.fullmatch(r"[fb](1[0-5]|[0-9])", word)}
    flags = frozenset(words) & set(_FLAGS.values())
    return Pen(colour=colours.get("f"), ground=colours.get("b"), flags=frozenset(flags))


def pieces(text: str, start: Pen) -> tuple[list[tuple[str, str]], Pen]:
    """The text in pieces, each with its classes, from a pen on; and the pen at its end."""
    found: list[tuple[str, str]] = []
    now = start
    for words, codes in _parts(text.replace("\r\n", "\n").replace("\r", "\n")):
        if words:
            classes = now.classes
            if found and found[-1][0] == classes:
                found[-1] = (classes, found[-1][1] + words)
            else:
                found.append((classes, words))
        if codes is not None:
            now = _changed(now, codes)
    return found, now


def plain(text: str) -> str:
    """The text without any orders to a terminal."""
    return _ORDERS.sub("", text)


def _parts(text: str) -> Iterator[tuple[str, str | None]]:
    """Text, and the codes of a change of colours after it."""
    place = 0
    for order in _ORDERS.finditer(text):
        yield text[place : order.start()], order["codes"]
        place = order.end()
    yield text[place:], None


def _changed(before: Pen, codes: str) -> Pen:
    numbers = [int(one[-4:]) if one else 0 for one in re.split("[;:]", codes)]
    now = before
    rest = iter(numbers)
    for number in rest:
        now = _one(now, number, rest)
    return now


def _one(now: Pen, number: int, rest: Iterator[int]) -> Pen:
    """The pen after one code; of some the next ones say more."""
    if number in _FLAGS:
        return replace(now, flags=now.flags | {_FLAGS[number]})
    if number in _OFF:
        return replace(now, flags=now.flags - set(_OFF[number]))
    if number in _COLOURS:
        return replace(now, colour=_COLOURS[number])
    if number in _GROUNDS:
        return replace(now, ground=_GROUNDS[number])
    match number:
        case 38:
            changed = replace(now, colour=_wide(rest))
        case 48:
            changed = replace(now, ground=_wide(rest))
        case _:
            changed = now if number else Pen()
    return changed


def _wide(rest: Iterator[int]) -> int | None:
    """The nearest of the 16 colours to one of 256, or to one of all."""
    kind = next(rest, None)
    if kind == 5:  # noqa: PLR2004 - the code for one of 256
        return _of_256(next(rest, 0))
    if kind == 2:  # noqa: PLR2004 - the code for red, green and blue
        return _nearest(next(rest, 0), next(rest, 0), next(rest, 0))
    return None


def _of_256(number: int) -> int:
    if number < 16:  # noqa: PLR2004 - the 16 themselves
        return number
    if number >= 232:  # noqa: PLR2004 - shades of grey
        shade = (number - 232) * 10 + 8
        return _nearest(shade, shade, shade)
    red, rest = divmod(number - 16, _CUBE)
    green, blue = divmod(rest, 6)
    return _nearest(*(55 + 40 * part if part else 0 for part in (red, green, blue)))


def _nearest(red: int, green: int, blue: int) -> int:
    """By which of the three are strong, and whether the strongest is bright."""
    most = max(red, green, blue)
    if most < _DARK:
        return 0
    strong = [part > most // 2 for part in (red, green, blue)]
    return sum(bit << place for place, bit in enumerate(strong)) + (8 if most > _BRIGHT + _DARK else 0)
