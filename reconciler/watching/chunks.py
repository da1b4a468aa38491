"""Brings an output over in chunks, in order: the host looks for the next ones while one comes and one is written.

It never hands out a chunk that does not begin where the one before it ended, and leaves nothing under way.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine

from reconciler.core.command import Completed
from reconciler.core.script.read import Chunk

CHUNK_BYTES = 4 * 1024 * 1024
LEAST_BYTES = 128 * 1024
"""How much of an output is fetched with one command: at first and over a slow link little, over a fast one much."""

CHUNK_S = 1.0
"""How long a chunk may be under way before the next ones are made smaller: what was begun is waited for."""

LOOK_S = 2.0
"""For how long one look at a host asks for more, so that its runs are polled in between: as long as it may rest."""

AT_ONCE = 2
"""So many chunks are under way at a time. Each takes one of a host's three shells, and memory until it is written."""

MOST_COPIED = 1024**3
"""How much of an output is copied to this machine: a host's disk may be larger, or only pretend to be."""

Fetch = Callable[[int, int], Coroutine[None, None, Chunk | None]]
"""Reads at most so many bytes from an offset on: the offset goes first. None where there is no such output."""

Take = Callable[[Chunk], Awaitable[None]]
"""Writes a chunk down."""


class Pace:
    """How much one host is asked for at a time, and until when in a look; `clock_s` tells seconds."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        """Know nothing of the way to the host yet, and have no time before `begin`."""
        self.bytes = LEAST_BYTES
        self._clock_s = clock_s
        self._until_s = 0.0

    def begin(self) -> None:
        """Take `LOOK_S` from now on."""
        self._until_s = self._clock_s() + LOOK_S

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be asked for before the next look."""
        return self._clock_s() >= self._until_s

    async def timed(self, answer: Awaitable[Completed]) -> Completed:
        """The answer; from how much of it came how soon is learnt for how much to ask. Raises what `answer` raises."""
        since_s = self._clock_s()
        try:
            completed = await answer
        except Exception:
            self.bytes = LEAST_BYTES
            raise
        took_s = self._clock_s() - since_s
        if took_s > CHUNK_S:
            self.bytes = max(self.bytes // 2, LEAST_BYTES)
        elif took_s < CHUNK_S / 2:
            self.bytes = min(max(self.bytes, 2 * len(completed.stdout)), CHUNK_BYTES)
        return completed


async def bring(fetch: Fetch, take: Take, offset: int, upto: int | None, pace: Pace) -> bool:
    """Take what is new of an output from `offset` on, until `upto`; without it, until what the first chunk says.

    Nothing follows a chunk with an error. False where the time for it was over before all of that was asked for. Raises
    what `fetch` and `take` raise.
    """
    coming: deque[asyncio.Task[Chunk | None]] = deque()
    asked = end = offset
    chunk: Chunk | None = None
    try:
        while True:
            while len(coming) < AT_ONCE and asked < _bound(upto, offset) and not pace.is_over:
                # the first one is smaller: they end in turns, and there is always one that comes
                most = min(pace.bytes if asked > offset else pace.bytes // AT_ONCE, MOST_COPIED - asked)
                coming.append(asyncio.create_task(fetch(asked, most)))
                asked += most
            if chunk is not None:
                await take(chunk)
            if not coming:
                return asked >= _bound(upto, offset)
            chunk = await coming.popleft()
            if chunk is None or chunk.offset != end or not (chunk.data or chunk.error):
                return True
            end = chunk.end
            upto = end if chunk.error else chunk.size if upto is None else upto
    except BaseException:
        for one in coming:
            one.cancel()
        raise
    finally:
        await asyncio.gather(*coming, return_exceptions=True)


def _bound(upto: int | None, offset: int) -> int:
    """Where nothing more is asked for; where the size is not known yet, one chunk is."""
    return min(offset + 1 if upto is None else upto, MOST_COPIED)
