"""The runs that speak for or against circuit breakers: those that ended lately, in that order, and those that live.

It is kept by what changed; what a single end means is `troubles`' part, whether it is enough is `tripping`'s.
"""

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import takewhile

from reconciler.core import troubles
from reconciler.core.observed import ObservedTask, Run
from reconciler.core.terms import Failure, Outcome, Scope
from reconciler.core.troubles import Seen

IN_A_ROW = 3
"""So many runs of several tasks in a row: two may be chance, and every more is a launch for nothing."""


@dataclass(slots=True)
class Ordered:
    """Ends of runs, the oldest first; those of one second by the names of their runs."""

    seen: list[Seen] = field(default_factory=list)
    _orders: list[tuple[datetime, str]] = field(default_factory=list)

    def take(self, one: Seen, change: int) -> None:
        """Put an end in its place (1), or take it out again (-1)."""
        order, orders = (one.ended_at, one.run.run_id), self._orders
        place = len(orders) if not orders or order > orders[-1] else bisect_left(orders, order)
        if change > 0:
            orders.insert(place, order)
            self.seen.insert(place, one)
        else:
            del orders[place], self.seen[place]


@dataclass(slots=True)
class Ends:
    """The ends of the runs of one host or adapter. `row`: the newest of them, where they are all trouble."""

    scope: Scope
    ordered: Ordered = field(default_factory=Ordered)
    row: tuple[Seen, ...] = ()
    well: Counter[str] = field(default_factory=Counter)
    """How many runs of each host did well."""

    def take(self, one: Seen, change: int) -> None:
        """Count an end in (1), or out again (-1)."""
        self.ordered.take(one, change)
        if troubles.is_well(self.scope, one.run):
            _count(self.well, one.run.host, change)
        self.row = troubles.row(self.scope, self.ordered.seen, IN_A_ROW)

    def others_do_well(self, host_id: str) -> bool:
        """Whether a run of another host did well."""
        return _others(self.well, host_id)


class Evidence:
    """What ended since a horizon, and older ends by a usage limit that lasts."""

    def __init__(self, horizon: datetime) -> None:
        """Nothing is known yet."""
        self.horizon = horizon
        self.troubled: dict[tuple[Scope, str], Ends] = {}
        """The ends of those hosts and adapters of which the newest are all trouble."""
        self.limits: dict[tuple[str, str], Ordered] = {}
        """By adapter and account the ends that a usage limit brought about."""
        self.deaths = Ordered()
        """The ends that one cause can bring upon many."""
        self._ended = Ordered()
        self._began_at: list[datetime] = []
        self._ended_at: list[datetime] = []
        """When the runs began and ended, so that those which lived at a time are counted without a look at each."""
        self._live: dict[str, dict[str, Run]] = {}
        self._ends: dict[tuple[Scope, str], Ends] = {}
        """By host, and by adapter those of an account that is known: who pulls work has its own."""
        self._well: Counter[str] = Counter()
        """How many runs of each host did well."""
        self._of: dict[str, tuple[Run | None, list[Seen]]] = {}

    def put(self, task_id: str, seen: ObservedTask | None, now: datetime) -> None:
        """Take what is recorded of a task now; `None`: nothing is any more."""
        was, before = self._of.pop(task_id, _NOTHING)
        live = seen.live_run if seen is not None else None
        after = self._speaking(task_id, seen, now) if seen is not None else []
        if live is not None or after:
            self._of[task_id] = (live, after)
        if was is not live:
            self._put_live(task_id, was, live)
        for one in before:
            if one not in after:
                self._take(one, -1)
        for one in after:
            if one not in before:
                self._take(one, 1)

    def forget_old(self, horizon: datetime, now: datetime) -> None:
        """Move the horizon, and forget what is no evidence any more."""
        self.horizon = horizon
        seen = self._ended.seen
        if not seen or seen[0].ended_at >= horizon:
            return
        old = [one for one in takewhile(lambda one: one.ended_at < horizon, seen) if not _lasts(one.run, now)]
        for one in old:
            live, ends = self._of.pop(one.task_id)
            left = [other for other in ends if other != one]
            if live is not None or left:
                self._of[one.task_id] = (live, left)
            self._take(one, -1)

    @property
    def speaks_against_something(self) -> bool:
        """Whether there is anything that could open a breaker."""
        return bool(self.troubled or self.limits or self.deaths.seen)

    def others_do_well(self, host_id: str) -> bool:
        """Whether another host did well lately."""
        return _others(self._well, host_id)

    def lived_at(self, moment: datetime) -> int:
        """How many had begun by then and had not ended before."""
        return bisect_right(self._began_at, moment) - bisect_left(self._ended_at, moment)

    def since(self, scope: Scope, name: str | None, moment: datetime) -> Iterator[Run]:
        """The runs that ended since the moment or live, in no order; at least those of the host or adapter."""
        ends = self._ends.get((Scope.HOST if scope is Scope.HOST else Scope.ADAPTER, name or ""))
        ended = self._ended.seen if scope is Scope.FLEET else ends.ordered.seen if ends is not None else []
        yield from (one.run for one in takewhile(lambda one: one.ended_at >= moment, reversed(ended)))
        hosts = [self._live.get(name or "", {})] if scope is Scope.HOST else self._live.values()
        for runs in hosts:
            yield from runs.values()

    def _speaking(self, task_id: str, seen: ObservedTask, now: datetime) -> list[Seen]:
        ended = [troubles.seen(task_id, run, run.finished_at) for run in seen.runs if run.finished_at is not None]
        return [one for one in ended if one.ended_at >= self.horizon or _lasts(one.run, now)]

    def _put_live(self, task_id: str, was: Run | None, live: Run | None) -> None:
        if was is not None:
            _remove(self._began_at, troubles.whole(was.assigned_at))
            del self._live[was.host][task_id]
        if live is not None:
            insort(self._began_at, troubles.whole(live.assigned_at))
            self._live.setdefault(live.host, {})[task_id] = live

    def _take(self, one: Seen, change: int) -> None:
        """Count an end in (1), or out again (-1)."""
        run = one.run
        self._ended.take(one, change)
        if troubles.is_well(Scope.HOST, run):
            _count(self._well, run.host, change)
        self._take_of(Scope.HOST, run.host, one, change)
        if run.adapter is not None and run.account is not None:
            self._take_of(Scope.ADAPTER, run.adapter, one, change)
            if run.failure is Failure.USAGE_LIMIT:
                self.limits.setdefault((run.adapter, run.account), Ordered()).take(one, change)
        if troubles.is_trouble(Scope.FLEET, run):
            self.deaths.take(one, change)
        if run.outcome is Outcome.NOT_STARTED:
            return
        if change > 0:
            insort(self._began_at, one.began_at)
            insort(self._ended_at, one.ended_at)
        else:
            _remove(self._began_at, one.began_at)
            _remove(self._ended_at, one.ended_at)

    def _take_of(self, scope: Scope, name: str, one: Seen, change: int) -> None:
        ends = self._ends.get((scope, name))
        if ends is None:
            ends = self._ends[scope, name] = Ends(scope)
        ends.take(one, change)
        if ends.row:
            self.troubled[scope, name] = ends
        elif self.troubled:
            self.troubled.pop((scope, name), None)
        if not ends.ordered.seen:
            del self._ends[scope, name]


_NOTHING: tuple[None, list[Seen]] = (None, [])


def _others(well: Counter[str], host_id: str) -> bool:
    return len(well) > (host_id in well)


def _lasts(run: Run, now: datetime) -> bool:
    """Whether the run met a usage limit that has not ended."""
    return run.resets_at is not None and run.resets_at > now


def _remove(times: list[datetime], moment: datetime) -> None:
    del times[bisect_left(times, moment)]


def _count(counts: Counter[str], name: str, change: int) -> None:
    counts[name] += change
    if not counts[name]:
        del counts[name]
