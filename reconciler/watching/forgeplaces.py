"""When to ask the forge about which repository: what is due, what deliveries asked for, what failed before.

It asks nobody and records nothing; every time here is in seconds of a clock that never jumps.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.core import repositories, watched
from reconciler.core.watched import Watched
from reconciler.forge.poll import Known

RETRY_FIRST_S = 1.0
RETRY_MOST_S = 60.0
PATIENCE_S = 3600.0
"""Pauses after failures, longer each time; and the longest that the forge may ask for."""

LATER_S = 15.0
"""How soon it is tried again to write down what stood in the way of a person's work."""

DOUBTS = 2
"""Repositories that must fail one after the other before the forge is taken to be silent, where there are as many."""


@dataclass(slots=True, kw_only=True)
class Marks:
    """What is to be read again, and the numbers of the deliveries that said so.

    `pulls` has by number who caused it, `issues` whether the forge vouched for whoever did. `deliveries` are about
    pull requests, `issue_deliveries` about issues.
    """

    pulls: dict[int, str] = field(default_factory=dict)
    reopened: set[int] = field(default_factory=set)
    issues: dict[int, bool] = field(default_factory=dict)
    deliveries: list[int] = field(default_factory=list)
    issue_deliveries: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.pulls or self.issues)

    def add(self, other: "Marks") -> None:
        """Take over what the other, later ones say."""
        self.pulls |= other.pulls
        self.reopened |= other.reopened
        self.issues |= {number: vouched or self.issues.get(number, False) for number, vouched in other.issues.items()}
        self.deliveries += other.deliveries
        self.issue_deliveries += other.issue_deliveries


@dataclass(slots=True, kw_only=True)
class Place:
    """One repository. `polled`: it is asked about by itself, and not only because a delivery said so.

    `marks` is what is to be read again now, `later` what from `later_s` on, because it could not be written down yet.
    `listed_s` and `thorough_s` are when it was last asked about, and when about everything; `branches` those of its
    tasks at that time.
    """

    name: str
    polled: bool = False
    known: Known = field(default_factory=Known)
    marks: Marks = field(default_factory=Marks)
    later: Marks = field(default_factory=Marks)
    later_s: float = 0.0
    branches: frozenset[str] = frozenset()
    listed_s: float | None = None
    thorough_s: float | None = None
    tried_s: float = 0.0
    retry_s: float = 0.0
    failures: int = 0

    def take(self, now_s: float) -> Marks:
        """What is to be read again, now that it is."""
        taken, self.marks = self.marks, Marks()
        self.tried_s = now_s
        if self.later and self.later_s <= now_s:
            self.later.add(taken)
            taken, self.later = self.later, Marks()
        return taken

    def put_back(self, marks: Marks) -> None:
        """It could not be read."""
        marks.add(self.marks)
        self.marks = marks

    def put_off(self, marks: Marks, issues: Iterable[int], now_s: float) -> None:
        """What there is to say of these issues could not be written down."""
        self.later.add(
            Marks(
                issues={number: marks.issues.get(number, False) for number in issues},
                issue_deliveries=marks.issue_deliveries,
            )
        )
        self.later_s = now_s + LATER_S

    def due_s(self, tasks: Iterable[Watched], now: datetime) -> float:
        """When it is to be asked about next."""
        if not self.polled:
            return float("inf")
        if self.listed_s is None:
            return 0.0
        grown = branches_of(tasks) - self.branches
        return self.listed_s + (watched.OFTEN_S if grown else watched.pause_s(tasks, now))

    def is_thorough(self, now_s: float) -> bool:
        """Whether it is time to ask about what seldom changes, too."""
        return self.polled and (self.thorough_s is None or now_s - self.thorough_s >= watched.SELDOM_S)

    def looked(self, tasks: Iterable[Watched], now_s: float, *, thorough: bool) -> None:
        """It was asked about."""
        self.listed_s, self.branches = now_s, branches_of(tasks)
        if thorough:
            self.thorough_s = now_s


class Places:
    """The repositories that are watched, by key."""

    def __init__(self) -> None:
        self._all: dict[str, Place] = {}
        self._doubts: set[str] = set()
        self._silences = 0
        self.silent = False

    def arrange(self, names: Iterable[str]) -> None:
        """Poll these from now on, and forget others once nothing is to be read there."""
        wanted = {repositories.key(name): name for name in names}
        for key, place in list(self._all.items()):
            place.polled = key in wanted
            if not place.polled and not place.marks and not place.later:
                del self._all[key]
        for key, name in wanted.items():
            self._all.setdefault(key, Place(name=name, polled=True))

    def mark(self, name: str, marks: Marks) -> None:
        """Have something read again."""
        self._all.setdefault(repositories.key(name), Place(name=name)).marks.add(marks)

    def marked(self, now_s: float) -> bool:
        """Whether a delivery asked for something that can be read now."""
        return any(place.marks and place.retry_s <= now_s for place in self._all.values())

    def next(self, tasks: Mapping[str, Sequence[Watched]], now: datetime, now_s: float) -> Place | None:
        """The repository to be asked about now: one with news first, then the one that was tried least lately."""
        ready = [place for place in self._all.values() if self._when_s(place, tasks, now) <= now_s]
        return min(ready, key=lambda place: (not place.marks, place.tried_s), default=None)

    def pause_s(self, tasks: Mapping[str, Sequence[Watched]], now: datetime, now_s: float) -> float:
        """How long nothing is to be asked; what moves meanwhile may make something due earlier."""
        due = min((self._when_s(place, tasks, now) for place in self._all.values()), default=float("inf"))
        return min(max(due - now_s, 0.0), watched.OFTEN_S)

    def failed(self, place: Place, now_s: float, retry_after_s: float | None) -> None:
        """The forge gave no answer about this one, which is left alone for a while; so are all, where it is silent."""
        self._doubts.add(repositories.key(place.name))
        place.failures += 1
        place.listed_s = None
        place.retry_s = now_s + _pause_s(place.failures, retry_after_s)
        others = [other for key, other in self._all.items() if key not in self._doubts and other.polled]
        if len(self._doubts) < DOUBTS and others and retry_after_s is None:
            min(others, key=lambda other: other.tried_s).listed_s = None
            return
        self.silent = True
        self._silences += 1
        pause_s = _pause_s(self._silences, retry_after_s)
        for other in self._all.values():
            other.retry_s = max(other.retry_s, now_s + pause_s)

    def answered(self, place: Place) -> None:
        """The forge answered about this one; where it was silent, all others are tried again, too."""
        place.failures, place.retry_s = 0, 0.0
        if self.silent:
            for other in self._all.values():
                other.retry_s = 0.0
        self._doubts.clear()
        self.silent, self._silences = False, 0

    def _when_s(self, place: Place, tasks: Mapping[str, Sequence[Watched]], now: datetime) -> float:
        if place.marks:
            return place.retry_s
        due_s = place.due_s(tasks.get(repositories.key(place.name), ()), now)
        return max(place.retry_s, min(due_s, place.later_s if place.later else due_s))


def branches_of(tasks: Iterable[Watched]) -> frozenset[str]:
    """The branches of all of them."""
    return frozenset(branch for one in tasks for branch in one.branches)


def _pause_s(failures: int, retry_after_s: float | None) -> float:
    pause_s = min(RETRY_FIRST_S * 2.0 ** (failures - 1), RETRY_MOST_S)
    return max(pause_s, min(retry_after_s or 0.0, PATIENCE_S))
