"""What goes wrong, when and where: every decision is a draw from the seed under a name of its own.

A decision depends on nothing but the seed and its name, so one can be taken away and the others stay. It breaks
nothing by itself.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")

ACTS = ("a person", "an agent: ")
"""How kinds begin that are no faults of machines."""

STORM_S = 90.0
STORM_SHARE, CALM_SHARE = 0.2, 0.4
STORM_FACTOR, CALM_FACTOR = 4.0, 0.15


@dataclass(frozen=True)
class Struck:
    """One fault that happened: when, of which kind, and the name of the decision."""

    at_s: float
    kind: str
    name: str


@dataclass
class Weather:
    """The draws of one seed. `without` are decisions that are taken back; after `until_s` nothing goes wrong any more.

    `severity` multiplies every chance, and `deadly` the chance that one effect of the process is its last: where hosts
    are many, so are the effects, and the process does not live shorter for that.
    """

    seed: int
    until_s: float
    severity: float = 1.0
    deadly: float = 1.0
    without: frozenset[str] = frozenset()
    struck: list[Struck] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    _numbers: Counter[str] = field(default_factory=Counter)
    _intensities: dict[int, float] = field(default_factory=dict)
    _wrong_s: float = 0.0

    def draw(self, name: str) -> float:
        """A number from 0 up to 1 that belongs to this name."""
        digest = hashlib.blake2b(f"{self.seed} {name}".encode(), digest_size=7).digest()
        return int.from_bytes(digest, "big") / 2**56

    def between(self, low: float, high: float, name: str) -> float:
        return low + (high - low) * self.draw(name)

    def choose(self, weights: Mapping[T, float], name: str) -> T:
        """One of the keys, each as likely as its weight says."""
        left = self.draw(name) * sum(weights.values())
        for choice, weight in weights.items():
            left -= weight
            if left < 0:
                return choice
        return list(weights)[-1]

    def numbered(self, name: str) -> str:
        """The name with a number that it never had before."""
        self._numbers[name] += 1
        return f"{name} {self._numbers[name]}"

    def strikes(self, kind: str, chance: float, name: str, now_s: float) -> bool:
        """Whether the fault happens here and now; each place where one may happen has a name of its own."""
        if now_s >= self.until_s:
            return False
        decision = f"{kind}: {name}"
        if self.draw(decision) >= chance * self.severity * self._intensity(now_s) or decision in self.without:
            return False
        self.note(kind, decision, now_s)
        return True

    def first(self, chances: Mapping[str, float], name: str, now_s: float) -> str:
        """Which of several faults that exclude each other happens here and now, by one draw; none: an empty word."""
        if now_s >= self.until_s:
            return ""
        left = self.draw(f"which: {name}") / (self.severity * self._intensity(now_s))
        for kind, chance in chances.items():
            left -= chance
            if left < 0:
                decision = f"{kind}: {name}"
                if decision in self.without:
                    return ""
                self.note(kind, decision, now_s)
                return kind
        return ""

    def note(self, kind: str, decision: str, now_s: float) -> None:
        """A fault happened."""
        self.struck.append(Struck(now_s, kind, decision))
        self.kinds[kind] += 1
        if not kind.startswith(ACTS):
            self._wrong_s = now_s

    def fair_since_s(self) -> float:
        """Since when nothing went wrong between machines, whatever people and agents did."""
        return self._wrong_s

    def _intensity(self, now_s: float) -> float:
        """Storms and calms take turns."""
        number = int(now_s / STORM_S)
        if number not in self._intensities:
            share = self.draw(f"storm {number}")
            factor = CALM_FACTOR if share > 1 - CALM_SHARE else 1.0
            self._intensities[number] = STORM_FACTOR if share < STORM_SHARE else factor
        return self._intensities[number]
