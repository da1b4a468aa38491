"""Chunks of an output that come over at the same time: in order, and never joined where they do not fit."""

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from reconciler.core.script.read import Chunk
from reconciler.watching import chunks


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 4)


def brought(read: Callable[[int], bytes], upto: int | None = None) -> list[bytes]:
    """What comes of an output; `read` gives the whole file as it is when it is read at an offset."""

    async def fetch(offset: int, most: int) -> Chunk | None:
        file = read(offset)
        return Chunk(offset=offset, size=len(file), data=memoryview(file)[offset : offset + most])

    async def main() -> list[bytes]:
        async with contextlib.aclosing(chunks.in_order(fetch, 0, upto)) as coming:
            return [bytes(chunk.data) async for chunk in coming]

    return asyncio.run(main())


@pytest.mark.parametrize("upto", [None, 1, 10, 99])
def test_chunks_are_the_whole_file_however_long_it_was_said_to_be(upto: int | None) -> None:
    whole = b"0123456789"
    came = b"".join(brought(lambda _offset: whole, upto))
    assert came == (whole[:2] if upto == 1 else whole)


def test_a_file_that_shrank_meanwhile_ends_there_though_it_grew_again() -> None:
    assert brought(lambda offset: b"012" if offset == 2 else b"0123456789") == [b"01", b"2"]


def test_a_failure_comes_after_what_was_before_it_and_nothing_is_left_under_way() -> None:
    came: list[bytes] = []
    given_up: list[int] = []
    begun = asyncio.Event()

    async def fetch(offset: int, most: int) -> Chunk | None:
        if offset == 2:
            await begun.wait()
            raise OSError("lost")
        if offset > 2:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                given_up.append(offset)
        return Chunk(offset=offset, size=10, data=memoryview(b"x" * most))

    async def main() -> None:
        async with contextlib.aclosing(chunks.in_order(fetch, 0, 10)) as coming:
            async for chunk in coming:
                came.append(bytes(chunk.data))  # noqa: PERF401 - what came before the failure is looked at

    with pytest.raises(OSError, match="lost"):
        asyncio.run(main())
    assert (came, given_up) == ([b"xx"], [6])
