"""What everybody must know of the term for which this process leads: until when, and what the remote has of its record.

It asks no remote; whoever keeps the term tells it.
"""

import asyncio
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.core import standing as standings
from reconciler.core.desired import Problem
from reconciler.core.standing import Halt, Standing


class TermUncertain(Exception):
    """Another reconciler may lead by now: nothing may be started before the term was renewed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A term when it begins: its number, until when it is certain, by the clock, and the remote where the fleet lives.

    `remote` is its name in the settings, `url` where that is.
    """

    number: int
    until_s: float
    remote: str
    url: str


class Lead:
    """One term of this process. Safe for many threads, but for what waits."""

    def __init__(self, held: Held, clock_s: Callable[[], float], over: Callable[[], None]) -> None:
        """Lead in the term that is held; `over` is called when somebody else leads."""
        self.number = held.number
        self.remote = held.remote
        self.url = held.url
        self._until_s = held.until_s
        self._clock_s = clock_s
        self._over = over
        self._changed: Callable[[], None] = lambda: None
        self._doubted = False
        self._landed = threading.Condition()
        self._unpushed: frozenset[str] = frozenset()
        self._recorded, self._arrived = 1, 0
        self._awaiting = 0
        self._standing: Standing | None = None
        self.deposed: str | None = None
        """Who leads now, once somebody else does."""
        self.news = asyncio.Event()
        """Set when there is something to be pushed, or to look at."""
        self.urgent = asyncio.Event()
        """The same where somebody waits for it."""
        self._here = asyncio.get_running_loop()

    def is_certain(self) -> bool:
        """Whether nobody else can lead now, so that something may be started."""
        return self.deposed is None and self._clock_s() < self._until_s

    def is_over(self) -> bool:
        """Whether somebody else leads."""
        return self.deposed is not None

    def insist(self) -> None:
        """Raise TermUncertain unless something may be started now."""
        if not self.is_certain():
            raise TermUncertain(self.uncertain)

    def begin(self, changed: Callable[[], None]) -> None:
        """From now on `changed` wakes a loop; what was recorded before is to be pushed."""
        self._changed = changed
        self._tell()

    def renewed(self, until_s: float) -> None:
        """The term stands until then."""
        self._until_s = until_s

    def depose(self, leader: str) -> None:
        """Somebody else leads: nothing more is started or written by this process."""
        self.deposed = leader
        self._over()

    def doubt(self) -> None:
        """Something showed that another process may lead, or that `main` moved: have it looked at. From any thread."""
        self._doubted = True
        self._tell(self.urgent)

    def take_doubt(self) -> bool:
        """Whether the remote is to be looked at now, because somebody asked for it."""
        doubted, self._doubted = self._doubted, False
        return doubted

    def assigned(self, run_id: str) -> None:
        """A run was assigned in a commit that is on disk here. From any thread."""
        with self._landed:
            self._recorded += 1
            self._unpushed |= {run_id}
        self._tell(self.urgent)

    def recorded(self) -> None:
        """Something was recorded. From any thread."""
        with self._landed:
            self._recorded += 1
        self._tell()

    @property
    def mark(self) -> int:
        """How much was recorded until now: to be asked before the record is pushed."""
        return self._recorded

    def landed(self, run_ids: Collection[str], mark: int) -> None:
        """The remote has the assignments of these runs, and all that was recorded until that mark."""
        with self._landed:
            self._unpushed -= frozenset(run_ids)
            self._arrived = max(self._arrived, mark)
            self._landed.notify_all()
        if run_ids:
            self.changed()

    def changed(self) -> None:
        """Wake the loop: what is known has changed."""
        self._changed()

    @property
    def unpushed(self) -> frozenset[str]:
        """The runs whose assignments the remote may not have yet."""
        return self._unpushed

    def reaches_remote(self, run_id: str, wait_s: float) -> bool:
        """Whether the remote has the assignment of a run within that time, so that it may be handed over. Waits."""
        with self._landed:
            return self._landed.wait_for(lambda: run_id not in self._unpushed, wait_s) and self.is_certain()

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for the record to be on the remote."""
        return self._awaiting > 0

    def keeps(self, wait_s: float) -> bool:
        """Whether the remote has in that time all that was recorded until now, so that nobody can lose it. Waits."""
        with self._landed:
            mark = self._recorded
            self._awaiting += 1
        self._tell(self.urgent)
        with self._landed:
            kept = self._landed.wait_for(lambda: self._arrived >= mark, wait_s)
            self._awaiting -= 1
        return kept

    def stand(self, standing: Standing) -> None:
        """From now on this is how the fleet stands."""
        self._standing = standing

    @property
    def standing(self) -> Standing | None:
        """How the fleet stands at this moment: a term that ran out meanwhile stands no more."""
        known = self._standing
        if known is None or known.stopped is not None or self.is_certain():
            return known
        return replace(known, stopped=self.uncertain)

    def halts(self) -> tuple[Halt, ...]:
        """Why nothing new starts now."""
        return standings.halts(self.standing)

    @property
    def uncertain(self) -> str:
        """What is to be said where the term could not be renewed in time."""
        known = self._standing
        met = f": {known.reason}" if known is not None and known.reason is not None else ""
        return f"term {self.number} could not be renewed in time, so nothing new starts; runs go on{met}"

    def problems(self, now: datetime) -> tuple[Problem, ...]:
        """What is wrong, beside the problems of files."""
        return standings.problems(self.standing, now)

    def _tell(self, *also: asyncio.Event) -> None:
        for event in (self.news, *also):
            if not self._here.is_closed():
                self._here.call_soon_threadsafe(event.set)
