"""Has a clone tended for as long as a reconciler works in it, and sees to it that nothing of that goes on afterwards.

It decides neither what is done to the clone nor when.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from reconciler.repo.upkeep import Upkeep

LAST_S = 60.0
"""How long a chore may go on where the reconciler ends by itself: with `--once` it would never come to an end else."""


@asynccontextmanager
async def tending(upkeep: Upkeep, stop: asyncio.Event) -> AsyncIterator[Callable[[], None]]:
    """What to call after every turn. What is under way is ended by `stop`, or by an error."""
    try:
        yield upkeep.look
        waiting = {asyncio.ensure_future(stop.wait()), asyncio.ensure_future(asyncio.to_thread(upkeep.wait, LAST_S))}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for waiter in waiting:
            waiter.cancel()
    finally:
        await asyncio.to_thread(upkeep.close)
