"""Chunks of an output that come over at the same time: in order, joined only where they fit, and not for long."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from reconciler.core.command import Completed
from reconciler.core.script.read import Chunk
from reconciler.watching import chunks
from reconciler.watching.chunks import Pace


@dataclass(kw_only=True)
class Host:
    """A host with one output, a clock, and what was taken of the output so far; `took_s` is what a chunk takes."""

    read: Callable[[int], bytes]
    took_s: float = 0.0
    now_s: float = 0.0
    pace: Pace = field(init=False)
    taken: list[bytes] = field(default_factory=list)
    error_at: int | None = None

    def __post_init__(self) -> None:
        self.pace = Pace(lambda: self.now_s)
        self.pace.bytes = 4

    async def fetch(self, offset: int, most: int) -> Chunk:
        """Read the file as it is when it is read at this offset."""
        self.now_s += self.took_s
        file = self.read(offset)
        data = memoryview(file)[offset : offset + most]
        if self.error_at is not None and offset + len(data) > self.error_at:
            return Chunk(offset=offset, size=len(file), data=data[: self.error_at - offset], error="bad sector")
        return Chunk(offset=offset, size=len(file), data=data)

    async def take(self, chunk: Chunk) -> None:
        self.taken.append(bytes(chunk.data))

    def brings(self, upto: int | None = None) -> bool:
        """One look."""
        self.pace.begin()
        begin = sum(map(len, self.taken))
        return asyncio.run(chunks.bring(self.fetch, self.take, begin, upto, self.pace))


WHOLE = b"0123456789"


@pytest.mark.parametrize("upto", [None, 1, 10, 99])
def test_chunks_are_the_whole_file_however_long_it_was_said_to_be(upto: int | None) -> None:
    host = Host(read=lambda _offset: WHOLE)
    assert host.brings(upto)
    assert b"".join(host.taken) == (WHOLE[:2] if upto == 1 else WHOLE)


def test_a_file_that_shrank_meanwhile_ends_there_though_it_grew_again() -> None:
    host = Host(read=lambda offset: b"012" if offset == 2 else WHOLE)
    assert host.brings()
    assert host.taken == [b"01", b"2"]


def test_nothing_follows_what_could_not_be_read() -> None:
    host = Host(read=lambda _offset: WHOLE, error_at=4)
    assert host.brings(10)
    assert host.taken == [b"01", b"23"]


def test_a_look_ends_in_time_and_the_next_ones_go_on_where_it_was() -> None:
    host, looks = Host(read=lambda _offset: WHOLE * 10, took_s=0.6 * chunks.LOOK_S), 0
    while not host.brings(100):
        looks += 1
        assert host.now_s <= looks * (chunks.AT_ONCE + 1) * host.took_s
    assert b"".join(host.taken) == WHOLE * 10
    assert looks > 5
    began_s = host.now_s
    assert asyncio.run(chunks.bring(host.fetch, host.take, 100, 100, host.pace))
    assert not asyncio.run(chunks.bring(host.fetch, host.take, 100, None, host.pace))
    assert host.now_s == began_s


def test_less_is_asked_for_over_a_slow_way_and_after_a_failure_and_more_over_a_fast_one() -> None:
    host = Host(read=lambda _offset: b"")
    host.pace = Pace(lambda: host.now_s)

    async def answered(took_s: float, share: float = 1.0) -> Completed:
        host.now_s += took_s
        if share < 0:
            raise OSError("lost")
        return Completed(exit=0, stdout=bytes(int(share * host.pace.bytes)), stderr=b"")

    def after(*answers: tuple[float, float]) -> int:
        for took_s, share in answers:
            asyncio.run(host.pace.timed(answered(took_s, share)))
        return host.pace.bytes

    fast, slow = 0.1 * chunks.CHUNK_S, 1.1 * chunks.CHUNK_S
    assert after() == chunks.LEAST_BYTES
    assert after((fast, 1.0), (fast, 0.01), (fast, 0.0)) == 2 * chunks.LEAST_BYTES
    assert after(*[(fast, 1.0)] * 20) == chunks.CHUNK_BYTES
    assert after((0.7 * chunks.CHUNK_S, 1.0)) == chunks.CHUNK_BYTES
    assert after((slow, 1.0), (slow, 1.0)) == chunks.CHUNK_BYTES // 4
    assert after(*[(slow, 1.0)] * 20) == chunks.LEAST_BYTES
    after(*[(fast, 1.0)] * 20)
    with pytest.raises(OSError, match="lost"):
        after((fast, -1.0))
    assert after() == chunks.LEAST_BYTES


def test_a_failure_comes_after_what_was_before_it_and_nothing_is_left_under_way() -> None:
    host = Host(read=lambda _offset: WHOLE)
    given_up: list[int] = []
    begun = asyncio.Event()

    async def fetch(offset: int, most: int) -> Chunk:
        if offset == 2:
            await begun.wait()
            raise OSError("lost")
        if offset > 2:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                given_up.append(offset)
        return await host.fetch(offset, most)

    host.pace.begin()
    with pytest.raises(OSError, match="lost"):
        asyncio.run(chunks.bring(fetch, host.take, 0, 10, host.pace))
    assert (host.taken, given_up) == ([b"01"], [6])
