"""Plots as plain shapes, in units of a picture of 100 by 100 that a page stretches; labels are text of the page. Pure.

It knows no colour: every shape has a class.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from reconciler.core.numbers import Day

GAP = 0.25
"""The part of a bar's place that is left free."""
NICE = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A rectangle, what it stands for, and what is said when somebody points at it."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Bars for days, side by side, each of pieces on top of each other; and the value at the top of the picture."""

    shapes: Sequence[Shape]
    top: float


def bars(days: Sequence[Day], values: Callable[[Day], Mapping[str, float]], says: Callable[[float], str]) -> Bars:
    """The bars of these values of the days; `says` puts one into words."""
    found = [values(day) for day in days]
    top = nice(max((sum(one.values()) for one in found), default=0.0))
    wide = 100 / max(len(days), 1)
    shapes = []
    for number, (day, one) in enumerate(zip(days, found, strict=True)):
        height = 0.0
        for kind, value in one.items():
            part = 100 * value / top if top else 0.0
            shape = Shape(
                x=round(number * wide + wide * GAP / 2, 3),
                y=round(100 - height - part, 3),
                width=round(wide * (1 - GAP), 3),
                height=round(part, 3),
                kind=kind,
                says=f"{day.day:%d %b}: {says(value)} {kind.replace('_', ' ')}".rstrip(),
            )
            height += part
            if part:
                shapes.append(shape)
    return Bars(shapes=shapes, top=top)


def row(values: Mapping[str, float], whole: float) -> Sequence[Shape]:
    """One bar that lies, of pieces beside each other; `whole` is the value of the full width."""
    shapes, place = [], 0.0
    for kind, value in values.items():
        width = 100 * value / whole if whole else 0.0
        if width:
            says = f"{value:g} {kind.replace('_', ' ')}"
            shapes.append(Shape(x=round(place, 3), y=0, width=round(width, 3), height=100, kind=kind, says=says))
        place += width
    return shapes


def nice(value: float) -> float:
    """A round number that is not smaller."""
    if value <= 0:
        return 0.0
    unit = 10.0 ** (len(str(int(value))) - 1) if value >= 1 else 0.01
    while unit * NICE[-1] < value:
        unit *= 10
    return next(unit * one for one in NICE if unit * one >= value)
