"""Work that is done for many at once."""

import asyncio
from collections.abc import Sequence

import pytest

from reconciler.acting.sharing import Shared


def test_who_asks_while_some_work_is_under_way_shares_the_next_and_keys_do_not_wait_for_each_other() -> None:
    begun: list[tuple[str, list[int]]] = []

    async def main() -> list[str]:
        first, gate = asyncio.Event(), asyncio.Event()

        async def work(key: str, items: Sequence[int]) -> Sequence[str]:
            begun.append((key, list(items)))
            if len(begun) == 1:
                first.set()
                await gate.wait()
            return [f"{key}{item}" for item in items]

        shared: Shared[str, int, str] = Shared(work, most=3)
        asking = [asyncio.ensure_future(shared.ask("a", 0))]
        await first.wait()
        asking += [asyncio.ensure_future(shared.ask("a", item)) for item in range(1, 6)]
        other = await shared.ask("b", 9)
        gate.set()
        return [other, *await asyncio.gather(*asking)]

    assert asyncio.run(main()) == ["b9", "a0", "a1", "a2", "a3", "a4", "a5"]
    assert begun == [("a", [0]), ("b", [9]), ("a", [1, 2, 3]), ("a", [4, 5])]


def test_a_failure_is_raised_to_whom_it_concerns() -> None:
    async def work(_: str, items: Sequence[int]) -> Sequence[int | Exception]:
        if 0 in items:
            raise OSError("all of it")
        return [item if item > 1 else ValueError("this one") for item in items]

    async def main() -> list[int | BaseException]:
        shared: Shared[str, int, int] = Shared(work, most=2)
        return await asyncio.gather(*(shared.ask("a", item) for item in (1, 2, 0, 3)), return_exceptions=True)

    one, two, *lost = asyncio.run(main())
    assert isinstance(one, ValueError)
    assert two == 2
    assert [str(error) for error in lost] == ["all of it", "all of it"]


def test_work_that_does_not_answer_for_each_is_a_failure_for_all_and_keeps_nobody_waiting() -> None:
    async def work(_: str, items: Sequence[int]) -> Sequence[int]:
        return items[1:]

    async def main() -> list[int | BaseException]:
        shared: Shared[str, int, int] = Shared(work, most=2)
        return await asyncio.gather(*(shared.ask("a", item) for item in (1, 2)), return_exceptions=True)

    assert [type(answer) for answer in asyncio.run(main())] == [ValueError, ValueError]


def test_who_gives_up_waiting_costs_nobody_else_the_answer() -> None:
    async def main() -> int:
        gate = asyncio.Event()

        async def work(_: str, items: Sequence[int]) -> Sequence[int]:
            await gate.wait()
            return items

        shared: Shared[str, int, int] = Shared(work, most=2)
        gone, there = asyncio.ensure_future(shared.ask("a", 1)), asyncio.ensure_future(shared.ask("a", 2))
        await asyncio.sleep(0)
        gone.cancel()
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await gone
        return await there

    assert asyncio.run(main()) == 2
