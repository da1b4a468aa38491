"""Work that is done for many at once: whoever asks while some is under way shares the next.

It knows nothing of the work, and never keeps one key waiting for another.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Result = TypeVar("Result")


class Shared(Generic[Key, Item, Result]):
    """What is asked for, by key. `work` answers for each item, in order, with a result or an exception to be raised."""

    def __init__(
        self, work: Callable[[Key, Sequence[Item]], Awaitable[Sequence[Result | Exception]]], *, most: int
    ) -> None:
        """Nothing is asked for yet; `most` items are worked on at once."""
        self._work = work
        self._most = most
        self._waiting: dict[Key, list[tuple[Item, asyncio.Future[Result]]]] = {}
        self._working: dict[Key, asyncio.Task[None]] = {}

    async def ask(self, key: Key, item: Item) -> Result:
        """The result for this item; raises what the work says of it, or fails with as a whole."""
        asked = (item, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(key, []).append(asked)
        if key not in self._working:
            self._working[key] = asyncio.create_task(self._serve(key))
        return await asyncio.shield(asked[1])

    async def close(self) -> None:
        """Ask for nothing more; what was asked for may be asked for again."""
        for working in self._working.values():
            working.cancel()
        for working in [*self._working.values()]:
            with suppress(asyncio.CancelledError):
                await working

    async def _serve(self, key: Key) -> None:
        try:
            while waiting := self._waiting.pop(key, None):
                batch, later = waiting[: self._most], waiting[self._most :]
                if later:
                    self._waiting[key] = later
                await self._answer(key, batch)
        finally:
            del self._working[key]

    async def _answer(self, key: Key, batch: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        answers = [answer for _, answer in batch]
        told: list[tuple[asyncio.Future[Result], Result | Exception]]
        try:
            told = [*zip(answers, await self._work(key, [item for item, _ in batch]), strict=True)]
        except Exception as error:  # noqa: BLE001 - it is raised to all who share the work, and they tell it apart
            told = [(answer, error) for answer in answers]
        for answer, result in told:
            if isinstance(result, Exception):
                answer.set_exception(result)
                answer.exception()
            else:
                answer.set_result(result)
