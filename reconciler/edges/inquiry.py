"""A question that only the thread of the loop can answer, asked from any other.

It keeps nobody waiting for long: a loop that is busy is not waited for, and the last answer stands.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")

WAIT_S = 2.0
"""How long the loop may take to answer."""


class Inquiry(Generic[T]):
    """One question. Safe for many threads."""

    def __init__(self, nothing: T) -> None:
        """`nothing` is the answer as long as nobody gives one."""
        self._last = nothing
        self._answer: Callable[[], T] | None = None
        self._here: asyncio.AbstractEventLoop | None = None

    def answer_by(self, answer: Callable[[], T]) -> None:
        """From now on this gives the answer, in the loop that runs now."""
        self._here, self._answer = asyncio.get_running_loop(), answer

    def ask(self, wait_s: float = WAIT_S) -> T:
        """The answer; the last one where the loop takes longer than that, or has ended. Not from the loop itself."""
        here, answer = self._here, self._answer
        if here is None or answer is None or here.is_closed():
            return self._last
        found: Future[T] = Future()
        try:
            here.call_soon_threadsafe(_give, found, answer)
        except RuntimeError:  # it was closed just now
            return self._last
        try:
            self._last = found.result(wait_s)
        except TimeoutError:
            found.cancel()
        return self._last


def _give(found: "Future[T]", answer: Callable[[], T]) -> None:
    if not found.set_running_or_notify_cancel():
        return
    try:
        found.set_result(answer())
    except Exception as error:  # noqa: BLE001 - it is raised where it was asked
        found.set_exception(error)
