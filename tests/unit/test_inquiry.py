"""A question from another thread: answered in the loop, and never waited for longer than said."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from reconciler.edges.inquiry import Inquiry


def beside(ask: Callable[[Inquiry[str]], None], answer: Callable[[], str]) -> Inquiry[str]:
    """Ask from another thread while a loop turns that answers."""
    inquiry = Inquiry("nothing yet")

    async def turning() -> None:
        inquiry.answer_by(answer)
        await asyncio.to_thread(ask, inquiry)

    asyncio.run(turning())
    return inquiry


def test_the_loop_gives_the_answer_and_the_last_one_stands_when_it_has_ended() -> None:
    heard: list[str] = []
    inquiry = beside(lambda one: heard.append(one.ask(10)), lambda: threading.current_thread().name)
    assert heard == [threading.main_thread().name]
    assert inquiry.ask(10) == heard[0]


def test_whoever_asks_before_anybody_answers_gets_nothing_yet() -> None:
    assert Inquiry("nothing yet").ask(10) == "nothing yet"


def test_a_loop_that_is_busy_is_not_waited_for() -> None:
    inquiry, asked = Inquiry("nothing yet"), threading.Event()
    heard: list[str] = []

    def ask() -> None:
        heard.append(inquiry.ask(0.01))
        asked.set()

    async def turning() -> None:
        inquiry.answer_by(lambda: "late")
        threading.Thread(target=ask).start()
        assert asked.wait(10)  # it blocks the loop, as a long turn does

    asyncio.run(turning())
    assert heard == ["nothing yet"]


def test_what_goes_wrong_is_raised_where_it_was_asked() -> None:
    def fail() -> str:
        raise ArithmeticError("no such number")

    def ask(one: Inquiry[str]) -> None:
        with pytest.raises(ArithmeticError, match="no such number"):
            one.ask(10)

    beside(ask, fail)
