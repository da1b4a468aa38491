"""Where pull agents wait for work: the loop sees who asks, and whoever was given a task is let go with it.

It assigns nothing (the plan does), and records nothing.
"""

import secrets
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from time import monotonic

from reconciler.core.observed import Asking, ObservedTask, Run

MAX_WAITING = 32
"""How many may wait for a time of their own at once."""

TURN_S = 10.0
"""The longest that somebody is kept beyond the time that it would wait, for a turn of the loop."""

CLAIM_BYTES = 8


class TooManyWaiting(Exception):
    """As many agents as may wait do so already; ask again in a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The task that an agent was given, and the run under which it has it."""

    task_id: str
    run: Run


@dataclass(slots=True, eq=False)
class _Waiter:
    """One agent that asks: whether the turn under way sees it, whether one that saw it has ended, what it got.

    `stays`: it is patient, and was not found to be gone.
    """

    asking: Asking
    patient: bool
    until_s: float
    gone: Callable[[], bool]
    stays: bool
    in_turn: bool = False
    turned: bool = False
    given: Given | None = None

    def left_s(self, now_s: float) -> float:
        """How much longer it is to be kept; not positive: no longer."""
        if self.patient and not self.in_turn:
            return self.until_s - now_s
        return 0.0 if self.turned and not self.patient else self.until_s + TURN_S - now_s


class Desk:
    """Those who ask for work now. Safe for many threads."""

    def __init__(
        self,
        changed: Callable[[], None],
        tasks: Callable[[], Mapping[str, ObservedTask]],
        clock: Callable[[], float] = monotonic,
        news: threading.Condition | None = None,
        claimed: Callable[[str], Iterable[str]] | None = None,
    ) -> None:
        """`changed` wakes the loop; `tasks` gives what is recorded of all tasks now.

        `claimed` names the tasks that have a run under a claim; without it, all are looked through.

        `clock` counts seconds, and never backwards; on `news` those wait who ask.
        """
        self._changed = changed
        self._tasks = tasks
        self._clock = clock
        self._claimed = claimed
        self._news = news or threading.Condition()
        self._waiters: list[_Waiter] = []
        self._closed = False
        self.reachable = False
        """Whether agents can reach it: else none of them can renew a lease either."""

    def open(self) -> None:
        """From now on agents reach it."""
        self.reachable = True

    def ask(self, asking: Asking, wait_s: float, gone: Callable[[], bool] = lambda: False) -> Given | None:
        """Wait until the agent is given a task; `None`: there was none for it, or it is `gone` while it waits.

        With `wait_s` 0 the next whole turn of the loop decides. Who asks again under a claim gets what it got before,
        even if that has ended since. Raises TooManyWaiting.
        """
        named = asking if asking.claim is not None else replace(asking, claim=secrets.token_hex(CLAIM_BYTES))
        waiter = _Waiter(asking=named, patient=wait_s > 0, until_s=self._clock() + wait_s, gone=gone, stays=wait_s > 0)
        self._register(waiter)
        try:
            again = self._again(asking) if asking.claim is not None else None
            return again or self._wait(waiter)
        finally:
            with self._news:
                self._waiters.remove(waiter)

    def asking(self) -> tuple[Asking, ...]:
        """Who asks as a turn begins, longest first; each is kept until the turn has ended.

        Whoever is about to be let go is not among them: a task given to one of those would reach nobody.
        """
        with self._news:
            now_s = self._clock()
            self._let_go_of_the_gone(now_s)
            waiting = [waiter for waiter in self._waiters if waiter.given is None and waiter.left_s(now_s) > 0]
            for waiter in waiting:
                waiter.in_turn = True
            return tuple(waiter.asking for waiter in waiting)

    def staying(self) -> tuple[Asking, ...]:
        """Those of them who have not hung up since, when the turn knows what there is to be given out."""
        with self._news:
            self._let_go_of_the_gone(self._clock())
            return tuple(
                waiter.asking
                for waiter in self._waiters
                if waiter.in_turn and waiter.given is None and waiter.stays is waiter.patient
            )

    def turned(self) -> None:
        """The turn has ended, and what it gave out was served: who waits no longer than that is let go."""
        with self._news:
            for waiter in self._waiters:
                waiter.turned = waiter.turned or waiter.in_turn
                waiter.in_turn = False
            self._news.notify_all()

    def served(self, given: Given) -> None:
        """A task was given out, and that is recorded: hand it to all who ask under its claim.

        Where nobody waits any more the run stands, and its lease runs.
        """
        with self._news:
            for waiter in self._waiters:
                if (waiter.asking.host, waiter.asking.claim) == (given.run.host, given.run.claim):
                    waiter.given = given
            self._news.notify_all()

    def close(self) -> None:
        """Let all go with nothing, and at once whoever asks from now on."""
        with self._news:
            self._closed = True
            self._news.notify_all()

    def _register(self, waiter: _Waiter) -> None:
        with self._news:
            if waiter.patient and self._crowded():
                self._let_go_of_the_gone(self._clock())
            if waiter.patient and self._crowded():
                raise TooManyWaiting(f"{MAX_WAITING} agents wait already; ask again in a while")
            self._waiters.append(waiter)

    def _crowded(self) -> bool:
        return sum(waiter.stays for waiter in self._waiters) >= MAX_WAITING

    def _let_go_of_the_gone(self, now_s: float) -> None:
        """Keep nobody who hung up, and those in the turn that is under way no longer than that."""
        for waiter in self._waiters:
            waiter.stays = waiter.stays and not waiter.gone()
            if waiter.patient and not waiter.stays and not waiter.in_turn:
                waiter.until_s = now_s
        self._news.notify_all()

    def _again(self, asking: Asking) -> Given | None:
        """What the agent has under its claim. Looked up after it was registered, so that nothing falls in between."""
        named = None if self._claimed is None else self._claimed(asking.claim or "")
        tasks = self._tasks()
        for task_id in tasks if named is None else named:
            for run in reversed(tasks[task_id].runs if task_id in tasks else ()):
                if (run.host, run.claim) == (asking.host, asking.claim):
                    return Given(task_id=task_id, run=run)
        return None

    def _wait(self, waiter: _Waiter) -> Given | None:
        self._changed()
        with self._news:
            while waiter.given is None and not self._closed:
                left_s = waiter.left_s(self._clock())
                if left_s <= 0:
                    break
                self._news.wait(left_s)
            return waiter.given
