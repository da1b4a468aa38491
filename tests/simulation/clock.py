"""An event loop in virtual time: when nothing is ready the clock jumps to the next timer, and no thread is started.

What the program hands to a thread runs here, at a moment and with delays that `threads` chooses.
"""

import asyncio
import contextvars
import functools
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
RESOLUTION_S = 1e-6
TURN_S = 1e-6
"""How long a turn of the event loop takes: whoever waits for less than that must not wait for ever."""


class Standstill(Exception):
    """Nothing is ready and no timer is set: the program would wait for ever."""


@dataclass
class Clock:
    """Virtual seconds since the beginning. `skew_s` is what the wall clock of the reconciler's machine is wrong by."""

    now_s: float = 0.0
    skew_s: float = 0.0

    def wall(self) -> datetime:
        return BEGIN + timedelta(seconds=self.now_s + self.skew_s)


class _Selector(selectors.SelectSelector):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Standstill
        self._clock.now_s += timeout + TURN_S
        return []


Threads = Callable[[Callable[..., object]], tuple[float, float]]
"""How long a function that is handed to a thread waits before it runs, and how long its answer takes after that."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop over a virtual clock."""

    def __init__(self, clock: Clock, threads: Threads) -> None:
        super().__init__(_Selector(clock))
        self._clock_resolution = RESOLUTION_S
        self._virtual = clock
        self._threads = threads

    def time(self) -> float:
        return self._virtual.now_s

    def _write_to_self(self) -> None:
        """Nobody sleeps in `select`, so nobody has to be woken there."""

    def run_in_executor(
        self,
        executor: Executor | None,  # noqa: ARG002 - there are no threads
        func: Callable[[*Ts], T],
        *args: *Ts,
    ) -> asyncio.Future[T]:
        """Run the function in this thread: soon, and its answer is there a little later."""
        answer: asyncio.Future[T] = self.create_future()
        before_s, after_s = self._threads(named(func))
        self.call_later(before_s, self._called, functools.partial(func, *args), answer, after_s)
        return answer

    def _called(self, func: Callable[[], T], answer: asyncio.Future[T], after_s: float) -> None:
        try:
            result = func()
        except BaseException as error:  # noqa: BLE001 - whoever waits raises it, as with a thread
            self.call_later(after_s, _fail, answer, error)
        else:
            self.call_later(after_s, _answer, answer, result)


def named(func: Callable[..., object]) -> Callable[..., object]:
    """The function that `asyncio.to_thread` was given."""
    if isinstance(func, functools.partial) and func.args and isinstance(func.func, type(contextvars.Context().run)):
        inner = func.args[0]
        return inner if callable(inner) else func
    return func


def _answer(answer: asyncio.Future[T], result: T) -> None:
    if not answer.done():
        answer.set_result(result)


def _fail(answer: asyncio.Future[T], error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)
        answer.exception()  # whoever waited may be gone; then nobody asks for it
