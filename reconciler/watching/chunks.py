"""Brings an output over in chunks, in order: the host looks for the next ones while one comes and one is written.

It never hands out a chunk that does not begin where the one before it ended, and leaves nothing under way.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine

from reconciler.core.script.read import Chunk

CHUNK_BYTES = 4 * 1024 * 1024
"""How much of an output is fetched with one command."""

AT_ONCE = 2
"""So many chunks are under way at a time. Each takes one of a host's three shells, and memory until it is written."""

MOST_COPIED = 1024**3
"""How much of an output is copied to this machine: a host's disk may be larger, or only pretend to be."""

Fetch = Callable[[int, int], Coroutine[None, None, Chunk | None]]
"""Reads at most so many bytes from an offset on: the offset goes first. None where there is no such output."""


async def in_order(fetch: Fetch, offset: int, upto: int | None) -> AsyncGenerator[Chunk, None]:
    """What is new of an output from `offset` on, until `upto` is here; without it, until what the first chunk says.

    Raises what `fetch` raises.
    """
    coming: deque[asyncio.Task[Chunk | None]] = deque()
    asked = end = offset
    chunk: Chunk | None = None
    try:
        while True:
            while len(coming) < AT_ONCE and asked < _bound(upto, offset):
                # the first one is smaller: they end in turns, and there is always one that comes
                most = min(CHUNK_BYTES if asked > offset else CHUNK_BYTES // AT_ONCE, MOST_COPIED - asked)
                coming.append(asyncio.create_task(fetch(asked, most)))
                asked += most
            if chunk is not None:
                yield chunk
            chunk = await coming.popleft() if coming else None
            if chunk is None or not chunk.data or chunk.offset != end:
                return
            upto, end = chunk.size if upto is None else upto, chunk.end
    except BaseException:
        for one in coming:
            one.cancel()
        raise
    finally:
        await asyncio.gather(*coming, return_exceptions=True)


def _bound(upto: int | None, offset: int) -> int:
    """Where nothing more is asked for; where the size is not known yet, one chunk is."""
    return min(offset + 1 if upto is None else upto, MOST_COPIED)
