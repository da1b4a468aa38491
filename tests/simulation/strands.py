"""Lets a request wait in virtual time: its thread and the loop's take turns, so that one of them runs at a time.

It starts a thread only for requests that may wait, and none of them ever runs beside another.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable

from tests.simulation.life import Killed, Life


class Strand:
    """One request under way in a thread of its own; `resume` lets it run until it waits again or is done."""

    def __init__(self, strands: "Strands", work: Callable[[], None]) -> None:
        self._strands, self._work = strands, work
        self._mine, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.parked = self.done = False

    def start(self) -> None:
        self._thread.start()
        self._give()

    def resume(self) -> None:
        """Called by the loop's thread; nothing happens where it does not wait."""
        if self.parked and not self.done:
            self.parked = False
            self._give()

    def park(self, most_s: float | None) -> None:
        """Called by its own thread: let the loop go on, until somebody resumes it or the time is over."""
        loop = self._strands.loop
        timer = loop.call_later(most_s, self.resume) if most_s is not None else None
        self.parked = True
        self._back.release()
        self._mine.acquire()
        if timer is not None:
            timer.cancel()

    def _give(self) -> None:
        before, self._strands.current = self._strands.current, self
        self._mine.release()
        self._back.acquire()
        self._strands.current = before
        if self.done:
            self._thread.join()

    def _run(self) -> None:
        self._mine.acquire()
        try:
            with contextlib.suppress(Killed):
                self._work()
        finally:
            self.done = True
            self._back.release()


class Strands:
    """The strands of one world; `current` is the one that runs."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.current: Strand | None = None

    def begin(self, work: Callable[[], None]) -> None:
        Strand(self, work).start()


class StrandCondition(threading.Condition):
    """A condition on which strands wait in virtual time; a dead process's ones are raised out of it."""

    def __init__(self, strands: Strands, life: Life) -> None:
        super().__init__()
        self._strands, self._life = strands, life
        self._waiting: list[Strand] = []
        life.at_death.append(self.notify_all)

    def wait(self, timeout: float | None = None) -> bool:
        strand = self._strands.current
        if strand is None:
            raise RuntimeError("only a strand may wait")
        self._waiting.append(strand)
        self.release()
        strand.park(timeout)
        self.acquire()
        if strand in self._waiting:
            self._waiting.remove(strand)
        if self._life.dead.is_set():
            raise Killed
        return True

    def notify_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for strand in waiting:
            self._strands.loop.call_soon(strand.resume)
