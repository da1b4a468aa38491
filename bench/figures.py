"""What a measurement found: rows of values of interleaved rounds, and what their ratios were to reach.

It measures nothing and prints nothing.
"""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

Part = Literal["this", "peer", "limit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing that was measured, with a value for each round. `part`: this program, a peer, or a limit."""

    name: str
    part: Part
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle of all rounds."""
        return statistics.median(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What the value of `of` is to be, at most or at least: `times` that of `than`, or `times` itself without it.

    `wording` says it in a line.
    """

    wording: str
    of: str
    than: str | None = None
    at_most: float | None = None
    at_least: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What came of a goal: the value or ratio of each round, and whether their median is within it."""

    goal: Goal
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle of all rounds."""
        return statistics.median(self.values)

    @property
    def good(self) -> bool:
        """Whether the median is where it was to be."""
        at_most, at_least = self.goal.at_most, self.goal.at_least
        return (at_most is None or self.median <= at_most) and (at_least is None or self.median >= at_least)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One table: rows of one unit, and the goals that were set for them. `note`: what a reader has to know."""

    name: str
    title: str
    unit: str
    rows: tuple[Row, ...]
    goals: tuple[Goal, ...] = ()
    note: str = ""

    def reached(self) -> tuple[Reached, ...]:
        """What came of every goal whose rows were measured."""
        rows = {row.name: row for row in self.rows}
        return tuple(
            Reached(goal=goal, values=_values(goal, rows))
            for goal in self.goals
            if goal.of in rows and (goal.than is None or goal.than in rows)
        )


def _values(goal: Goal, rows: Mapping[str, Row]) -> tuple[float, ...]:
    of = rows[goal.of].values
    if goal.than is None:
        return of
    return tuple(one / other for one, other in zip(of, rows[goal.than].values, strict=True))


def interleaved(rounds: int, takers: Mapping[str, Callable[[], float]]) -> dict[str, tuple[float, ...]]:
    """Take one value of each in every round, so that what else the machine does falls on all of them."""
    taken: dict[str, list[float]] = {name: [] for name in takers}
    for number in range(rounds):
        names = list(takers)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            taken[name].append(takers[name]())
    return {name: tuple(values) for name, values in taken.items()}


def rows(taken: Mapping[str, tuple[float, ...]], parts: Mapping[str, Part]) -> tuple[Row, ...]:
    """The rows of what was taken; what is in no `parts` is of this program."""
    return tuple(Row(name=name, part=parts.get(name, "this"), values=values) for name, values in taken.items())
