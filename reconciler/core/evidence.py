"""The runs that speak for or against circuit breakers: those that ended lately, in that order, and those that live.

It is kept by what changed; what a single end means is `troubles`' part, whether it is enough is `tripping`'s.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import takewhile
from typing import TypeVar

from reconciler.core import troubles
from reconciler.core.observed import ObservedTask, Run
from reconciler.core.terms import Failure, Outcome, Scope
from reconciler.core.troubles import Seen

T = TypeVar("T", datetime, Seen)

Known = tuple[Run | None, list[Seen], list[datetime]]
"""Of a task: its live run, the ends that are evidence, and when the runs of both began."""

IN_A_ROW = 3
"""So many runs of several tasks in a row: two may be chance, and every more is a launch for nothing."""


@dataclass(slots=True)
class Ends:
    """The ends of the runs of one host or adapter. `row`: the newest of them, where they are all trouble.

    `well`: how many runs of each host did well, of this adapter, or of any where the ends are those of a host.
    """

    scope: Scope
    well: dict[str, int]
    ended: list[Seen] = field(default_factory=list)
    row: tuple[Seen, ...] = ()

    def take(self, one: Seen, change: int) -> None:
        """Count an end in (1), or out again (-1)."""
        _take(self.ended, one, change)
        if troubles.is_well(self.scope, one.run):
            _count(self.well, one.run.host, change)
        self.row = troubles.row(self.scope, self.ended, IN_A_ROW)

    def others_do_well(self, host_id: str) -> bool:
        """Whether a run of another host did well."""
        return len(self.well) > (host_id in self.well)


class Evidence:
    """What ended since a horizon, and older ends by a usage limit that lasts."""

    def __init__(self, horizon: datetime, live: Mapping[str, Run]) -> None:
        """Nothing is known yet; `live` are the runs that live now, by task, as somebody else keeps them."""
        self.horizon, self._live = horizon, live
        self.troubled: dict[tuple[Scope, str], Ends] = {}
        """The ends of those hosts and adapters of which the newest are all trouble."""
        self.limits: dict[tuple[str, str], list[Seen]] = {}
        """By adapter and account the ends that a usage limit brought about."""
        self.deaths: list[Seen] = []
        """The ends that one cause can bring upon many."""
        self._ended: list[Seen] = []
        self._unbegun: list[Seen] = []
        """Those of them whose run never began."""
        self._began_at: list[datetime] = []
        """When the others began, so that those which lived at a time are counted without a look at each."""
        self._ends: dict[tuple[Scope, str], Ends] = {}
        """By host, and by adapter those of an account that is known: who pulls work has its own."""
        self._well: dict[str, int] = {}
        self._of: dict[str, Known] = {}

    def put(self, task_id: str, seen: ObservedTask, now: datetime) -> None:
        """Take what is recorded of a task now."""
        _, before, began_before = self._of.pop(task_id, _NOTHING)
        live, after = seen.live_run, self._speaking(task_id, seen, now)
        began = _began(live, after)
        if live is not None or after:
            self._of[task_id] = live, after, began
        if began != began_before:
            self._put_began(began_before, began)
        gone = [one for one in before if one not in after] if before else before
        new = [one for one in after if one not in before] if before else after
        for one in gone:
            self._take(one, -1)
        for one in new:
            self._take(one, 1)

    def forget_old(self, horizon: datetime, now: datetime) -> None:
        """Move the horizon, and forget what is no evidence any more."""
        self.horizon = horizon
        if not self._ended or self._ended[0].ended_at >= horizon:
            return
        ended = takewhile(lambda one: one.ended_at < horizon, self._ended)
        for one in [one for one in ended if not _lasts(one.run, now)]:
            live, ends, before = self._of.pop(one.task_id)
            left = [other for other in ends if other != one]
            began = _began(live, left)
            if live is not None or left:
                self._of[one.task_id] = live, left, began
            self._put_began(before, began)
            self._take(one, -1)

    @property
    def speaks_against_something(self) -> bool:
        """Whether there is anything that could open a breaker."""
        return bool(self.troubled or self.limits or self.deaths)

    def lived_at(self, moment: datetime) -> int:
        """How many had begun by then and had not ended before."""
        unbegun = _ended_before(self._unbegun, moment)
        return bisect_right(self._began_at, moment) - (_ended_before(self._ended, moment) - unbegun)

    def since(self, scope: Scope, name: str | None, moment: datetime) -> Iterator[Run]:
        """The runs that ended since the moment or live, in no order; at least those of the host or adapter."""
        ends = self._ends.get((Scope.HOST if scope is Scope.HOST else Scope.ADAPTER, name or ""))
        ended = self._ended if scope is Scope.FLEET else ends.ended if ends is not None else []
        yield from (one.run for one in takewhile(lambda one: one.ended_at >= moment, reversed(ended)))
        yield from self._live.values()

    def _speaking(self, task_id: str, seen: ObservedTask, now: datetime) -> list[Seen]:
        return [
            one
            for run in seen.runs
            if run.finished_at is not None
            and ((one := troubles.seen(task_id, run, run.finished_at)).ended_at >= self.horizon or _lasts(run, now))
        ]

    def _put_began(self, before: list[datetime], after: list[datetime]) -> None:
        """Know that runs began at other times than was known of their task."""
        for moment in before:
            _remove(self._began_at, moment)
        for moment in after:
            insort(self._began_at, moment)

    def _take(self, one: Seen, change: int) -> None:
        """Count an end in (1), or out again (-1)."""
        run = one.run
        _take(self._ended, one, change)
        self._take_of(Scope.HOST, run.host, one, change)
        if run.adapter is not None and run.account is not None:
            self._take_of(Scope.ADAPTER, run.adapter, one, change)
            if run.failure is Failure.USAGE_LIMIT:
                _take(self.limits.setdefault((run.adapter, run.account), []), one, change)
        if troubles.is_trouble(Scope.FLEET, run):
            _take(self.deaths, one, change)
        if run.outcome is Outcome.NOT_STARTED:
            _take(self._unbegun, one, change)

    def _take_of(self, scope: Scope, name: str, one: Seen, change: int) -> None:
        ends = self._ends.get((scope, name))
        if ends is None:
            ends = self._ends[scope, name] = Ends(scope, self._well if scope is Scope.HOST else {})
        ends.take(one, change)
        if ends.row:
            self.troubled[scope, name] = ends
        elif self.troubled:
            self.troubled.pop((scope, name), None)
        if not ends.ended:
            del self._ends[scope, name]


_NOTHING: Known = (None, [], [])


def _lasts(run: Run, now: datetime) -> bool:
    """Whether the run met a usage limit that has not ended."""
    return run.resets_at is not None and run.resets_at > now


def _began(live: Run | None, ended: list[Seen]) -> list[datetime]:
    """When those of these runs began that did."""
    began = [one.began_at for one in ended if one.run.outcome is not Outcome.NOT_STARTED]
    return [*began, troubles.whole(live.assigned_at)] if live is not None else began


def _ended_before(ended: list[Seen], moment: datetime) -> int:
    return bisect_left(ended, moment, key=lambda one: one.ended_at)


def _take(ended: list[Seen], one: Seen, change: int) -> None:
    """Put an end in its place (1), or take it out again (-1); most are the newest."""
    if change < 0:
        _remove(ended, one)
    elif not ended or one > ended[-1]:
        ended.append(one)
    else:
        insort(ended, one)


def _remove(ordered: list[T], one: T) -> None:
    del ordered[bisect_left(ordered, one)]


def _count(counts: dict[str, int], name: str, change: int) -> None:
    counts[name] = counts.get(name, 0) + change
    if not counts[name]:
        del counts[name]
