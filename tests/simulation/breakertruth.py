"""Compares circuit breakers, as they stand on disk, with what is started meanwhile and with what really failed.

It believes nothing that the program says of itself, and changes nothing.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.core.breaker import Breaker
from reconciler.core.events import Assigned, Finished
from reconciler.core.observed import Run
from reconciler.core.terms import ExecutionMode, Failure, Outcome, Scope
from tests.simulation.clock import BEGIN
from tests.simulation.ledger import Ledger, seconds

HOLDS_S, WITHIN_S, DEATHS, SHARE = 600.0, 60.0, 5, 0.5
DEADLY = {"agent_error", "unknown", "host_lost", "provider", "auth", "config", "stalled", "None"}
"""What `docs/breakers.md` promises of them; the program's own constants are not asked."""

LATE_S, UP_S = 120.0, 120.0
"""How much later than its time a breaker may let go, of a program that is up for so long."""

_FAILED = {Outcome.FAILED, Outcome.LOST}


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A breaker as it stands on disk since `at_s`, and what a person had written when it was opened."""

    breaker: Breaker
    at_s: float
    files: str


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A run that ended: of which task, from when until when it lived, in whole seconds, and whether it died."""

    task_id: str
    began_s: float
    ended_s: float
    died: bool


@dataclass
class BreakerTruth(Ledger):
    """What stands on disk of every breaker, and what must.

    `closed_s` says when each was closed, `well` when a run did well that one had let through, `limits` when an account
    met its limit and until when that lasts, `told` the latest end that its agents were told, `accounts` whose they are;
    `mass_death_s` is when one was recorded.
    """

    standing: dict[str, Standing] = field(default_factory=dict)
    closed_s: dict[str, float] = field(default_factory=dict)
    well: dict[str, tuple[float, datetime]] = field(default_factory=dict)
    limits: dict[str, tuple[float, float]] = field(default_factory=dict)
    told: dict[str, float] = field(default_factory=dict)
    accounts: dict[str, str] = field(default_factory=dict)
    mass_death_s: float | None = None
    opened: Counter[str] = field(default_factory=Counter)
    _ended: deque[Ended] = field(default_factory=deque)

    def open(self) -> dict[str, datetime]:
        """When those were opened that are open."""
        return {name: one.breaker.opened_at for name, one in self.standing.items() if one.breaker.is_open}

    def switched(self, name: str, after: Breaker | None) -> None:
        """What stands on disk of a breaker is another thing now."""
        was = self.standing.get(name)
        before = was.breaker if was is not None else None
        self.say(f"the breaker {name}: {_said(before)} -> {_said(after)}")
        if after is None:
            self.standing.pop(name, None)
            self.closed_s.pop(name, None)
            self.must(was is None or self._may_go(was), "a breaker closes for a reason", f"{name}: removed")
            return
        if not after.is_open:
            self.closed_s[name] = self.now_s
            self.must(was is None or self._may_close(was), "a breaker closes for a reason", f"{name}: {after}")
        elif before is not None and before.is_open:
            self.opened[after.scope] += after.openings > before.openings
            longer = after.until >= before.until and (
                after.opened_at == before.opened_at
                or (after.openings == before.openings + 1 and _seconds(before.until) <= self.now_s)
            )
            self.must(longer, "an open breaker stays open", f"{name}: {_said(before)} became {_said(after)}")
        else:
            self.opened[after.scope] += 1
            settled_s = self.closed_s.get(name, 0.0)
            news = _seconds(after.since) > settled_s - 1.0
            self.must(news, "a breaker opens for what is new", f"{name}: closed at {settled_s:.0f}, {_said(after)}")
        self.standing[name] = Standing(breaker=after, at_s=self.now_s, files=self._files(after))

    def assigned(self, task_id: str, event: Assigned) -> None:
        """A task was given to a host."""
        at_s = seconds(event)
        for name, one in self.standing.items():
            if one.breaker.is_open and at_s > one.at_s and _covers(one.breaker, task_id, event):
                self._held(name, one.breaker, task_id, at_s)
        if self.mass_death_s is not None and at_s > self.mass_death_s:
            fleet = self.standing.get(Scope.FLEET)
            opened = fleet is not None and _seconds(fleet.breaker.opened_at) >= self.mass_death_s - WITHIN_S
            self.must(opened, "a mass death opens the fleet's breaker", f"{task_id} after {self.mass_death_s:.0f}")
            self.mass_death_s = None
        if event.account is not None:
            self._of_account(task_id, f"{Scope.USAGE}/{event.adapter}.{event.account}", at_s)

    def ended(self, task_id: str, run: Run, event: Finished) -> None:
        """The end of a run was recorded."""
        now_s = self.now_s
        died = run.outcome in _FAILED and str(run.failure) in DEADLY
        ended_s, began_s = float(int(seconds(event))), float(int(_seconds(run.assigned_at)))
        self._ended.append(Ended(task_id=task_id, began_s=began_s, ended_s=ended_s, died=died))
        while self._ended[0].ended_s < now_s - HOLDS_S:
            self._ended.popleft()
        if died and self._died_together():
            self.mass_death_s = now_s
        if run.outcome is Outcome.SUCCEEDED:
            for name, one in self.standing.items():
                tried = one.breaker.is_open and one.breaker.trial and run.assigned_at >= one.breaker.until
                if tried and _covers_run(one.breaker, task_id, run):
                    self.well.setdefault(name, (now_s, one.breaker.opened_at))
        if run.failure is Failure.USAGE_LIMIT and run.account is not None:
            self.must(not run.counts_as_attempt, "a usage limit charges nothing", f"{task_id}.{run.epoch}")
            self._met_limit(f"{Scope.USAGE}/{run.adapter}.{run.account}", run, ended_s)

    def look(self, restarted_s: float) -> None:
        """Breakers whose time is over, or whose cause is seen to be gone, let go."""
        if self.now_s < restarted_s + UP_S:
            return
        for name, one in self.standing.items():
            until_s = _seconds(one.breaker.until)
            late = one.breaker.is_open and not one.breaker.trial and self.now_s > until_s + LATE_S
            self.must(not late, "no breaker stays open beyond its time", f"{name}: {_said(one.breaker)}")
        for name, (well_s, opened_at) in list(self.well.items()):
            known = self.standing.get(name)
            if known is None or not known.breaker.is_open or known.breaker.opened_at != opened_at:
                del self.well[name]
            elif self.now_s > well_s + LATE_S:
                self.must(False, "no breaker stays open beyond its cause", f"{name}: {_said(known.breaker)}")  # noqa: FBT003

    def _held(self, name: str, one: Breaker, task_id: str, at_s: float) -> None:
        """A task was given out that an open breaker stands before: only as its single trial, after its time."""
        over = one.trial and at_s >= _seconds(one.until)
        self.must(over, "an open breaker starts nothing", f"{task_id}: {name}: {_said(one)}")
        others = [
            run.run_id
            for runs in self.book.live.values()
            for other, run in runs.items()
            if other != task_id and run.assigned_at >= one.until and _covers_run(one, other, run)
        ]
        self.must(not others, "a breaker lets one run through", f"{task_id}: {name}: beside {others}")

    def _met_limit(self, name: str, run: Run, ended_s: float) -> None:
        """An account is at its limit: until the time that was told, else for a while from when that was not known."""
        told_s = _seconds(run.resets_at) if run.resets_at is not None else 0.0
        latest_s = self.told[name] = max(told_s, self.told.get(name, 0.0))
        if 0.0 < told_s <= self.now_s:
            return  # it was over before anybody knew of it
        known = self.standing.get(name)
        if known is None or not known.breaker.is_open:
            self.limits[name] = (self.now_s, latest_s if latest_s > self.now_s else ended_s + HOLDS_S)
        elif told_s > self.now_s:
            self.limits[name] = (self.now_s, max(latest_s, self.limits.get(name, (0.0, 0.0))[1]))

    def _of_account(self, task_id: str, name: str, at_s: float) -> None:
        file = self.book.fleet.tasks.get(task_id)
        word = " ".join(file.value.env.values()) if file is not None else ""
        known = self.accounts.setdefault(name, word)
        self.must(known == word, "an account is known by one name", f"{task_id}: {name}: {known!r}, {word!r}")
        met_s, until_s = self.limits.get(name, (0.0, 0.0))
        if at_s <= met_s or at_s >= until_s:
            return
        one = self.standing.get(name)
        holds = one is not None and (_seconds(one.breaker.until) >= until_s - 1.0 or self._closed_by_hand(one))
        said = _said(one.breaker if one is not None else None)
        self.must(holds, "a usage limit holds its account", f"{task_id}: until {until_s:.0f}: {said}")

    def _died_together(self) -> bool:
        """Whether so many died within a window that holds the newest death, since the breaker was last closed."""
        mark = self.book.fleet.settings.closed_breakers.get(Scope.FLEET)
        settled_s = max(self.closed_s.get(Scope.FLEET, 0.0), _seconds(mark) if mark is not None else 0.0)
        fleet = self.standing.get(Scope.FLEET)
        if fleet is not None and fleet.breaker.is_open:
            return False
        last_s = self._ended[-1].ended_s
        deaths = [
            one for one in self._ended if one.died and one.ended_s > max(settled_s + 1.0, last_s - WITHIN_S - 1.0)
        ]
        if len({one.task_id for one in deaths}) < DEATHS:
            return False
        live = [_seconds(run.assigned_at) // 1 for runs in self.book.live.values() for run in runs.values()]
        for begin_s in {one.ended_s for one in deaths}:
            inside = [one for one in deaths if begin_s <= one.ended_s <= begin_s + WITHIN_S]
            lived = sum(began_s <= begin_s for began_s in live)
            lived += sum(one.began_s <= begin_s <= one.ended_s for one in self._ended)
            several = len({one.task_id for one in inside}) >= DEATHS
            if several and sum(one.began_s <= begin_s for one in inside) >= SHARE * lived:
                return True
        return False

    def _may_close(self, was: Standing) -> bool:
        """Whether a person has closed it, or its time is over."""
        return self._closed_by_hand(was) or self.now_s >= _seconds(was.breaker.until)

    def _closed_by_hand(self, was: Standing) -> bool:
        mark = self.book.fleet.settings.closed_breakers.get(was.breaker.name)
        by_settings = mark is not None and mark >= was.breaker.opened_at
        return by_settings or self._files(was.breaker) != was.files

    def _may_go(self, was: Standing) -> bool:
        """Whether what it stood before is gone, or its time is over."""
        if was.breaker.scope is Scope.HOST:
            return self._files(was.breaker) != was.files or self._files(was.breaker).startswith("gone")
        return was.breaker.scope is Scope.TASK

    def _files(self, one: Breaker) -> str:
        """What people have written by now of what it stands before."""
        fleet = self.book.fleet
        if one.scope is not Scope.HOST:
            return f"login {fleet.login}"
        file = fleet.hosts[one.id or ""]
        return f"gone {file.spec}" if file.gone else file.spec


def _covers(one: Breaker, task_id: str, event: Assigned) -> bool:
    """Whether the breaker stands before what was given out."""
    pulled = event.execution_mode is ExecutionMode.HTTP_PULL
    return _stands_before(one, task_id, event.host, (None if pulled else event.adapter, event.account))


def _covers_run(one: Breaker, task_id: str, run: Run) -> bool:
    return _stands_before(one, task_id, run.host, (None if run.claim is not None else run.adapter, run.account))


def _stands_before(one: Breaker, task_id: str, host_id: str, used: tuple[str | None, str | None]) -> bool:
    adapter, account = used
    return {
        Scope.FLEET: True,
        Scope.HOST: one.id == host_id,
        Scope.ADAPTER: one.id == adapter,
        Scope.USAGE: (one.id, one.account) == (adapter, account),
        Scope.TASK: one.id == task_id,
    }[one.scope]


def _said(one: Breaker | None) -> str:
    if one is None:
        return "none"
    trial = ", then a trial" if one.trial else ""
    return f"{one.state}, opened {_seconds(one.opened_at):.0f} ({one.openings}), until {_seconds(one.until):.0f}{trial}"


def _seconds(at: datetime) -> float:
    return (at - BEGIN) / timedelta(seconds=1)
