"""What one look at a repository asks of a forge over real HTTP, and what it finds."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.core.desired import Forge
from reconciler.forge import poll
from reconciler.forge.client import Client, ForgeRefused, ForgeUnreachable
from reconciler.forge.poll import Ask, Found, Known
from reconciler.forge.rest import Patience
from tests.forge.server import FakeForge

QUICK = Patience(connect_s=0.5, whole_s=2.0, pauses_s=())
HANGING_S = 10.0
EVERYTHING = Ask(repository="acme/widgets", matters=lambda _pull, _reopened: True)


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[FakeForge]:
    with FakeForge.running(tmp_path) as one:
        yield one


def look(forge: FakeForge, known: Known | None = None, ask: Ask = EVERYTHING) -> Found:
    async def looking() -> Found:
        named = Forge(kind="forgejo", url=forge.url, token_env="TOKEN")  # noqa: S106 - the name of a variable
        client = Client(named, forge.token, patience=QUICK)
        try:
            return await poll.look(client, ask, known or Known())
        finally:
            await client.close()

    forge.asked.clear()
    return asyncio.run(looking())


def asking(**changes: object) -> Ask:
    """An ask of everything, but for these."""
    return Ask(**{"repository": "acme/widgets", "matters": EVERYTHING.matters, **changes})  # type: ignore[arg-type]


def opened(forge: FakeForge, *names: str) -> list[int]:
    numbers = []
    for name in names:
        forge.push(name, {"a": name})
        numbers.append(forge.open(name, name))
        forge.advance(300)
    return numbers


def read(forge: FakeForge) -> list[str]:
    """What was asked, below the repository."""
    return [one.path.partition("/acme/widgets/")[2] for one in forge.asked]


def test_the_first_look_lists_everything_and_reads_the_reviews_that_matter(forge: FakeForge) -> None:
    one, two = opened(forge, "one", "two")
    forge.request_changes(two, "Not so")
    found = look(forge, ask=asking(matters=lambda pull, _reopened: pull.number == two))
    assert set(found.known.pulls) == {one, two}
    assert [review.body for review in found.reviews[two]] == ["Not so"]
    assert set(found.reviews) == {two}


def test_reviews_are_read_once_more_after_a_change_and_then_no_more(forge: FakeForge) -> None:
    (number,) = opened(forge, "one")
    first = look(forge)
    second = look(forge, first.known)
    third = look(forge, second.known)
    assert [number in found.reviews for found in (first, second, third)] == [True, True, False]
    forge.approve(number)
    assert [review.reviewer for review in look(forge, third.known).reviews[number]] == ["rex"]


def test_reviews_of_a_tasks_own_pull_request_are_read_again_after_some_looks(forge: FakeForge) -> None:
    (number,) = opened(forge, "one")
    known, times = Known(), 0
    for _ in range(poll.REVIEWS_EVERY):
        found = look(forge, known, asking(own=frozenset({number})))
        known, times = found.known, times + len(found.reviews)
    assert times == poll.READ_TWICE + 1


def test_what_is_read_by_itself_hides_no_earlier_change_of_another(forge: FakeForge) -> None:
    one, two = opened(forge, "one", "two")
    known = look(forge).known
    forge.merge(one)
    forge.advance(300)
    forge.rename(two, "Two")
    marked = look(forge, known, asking(listing=False, marked=frozenset({two})))
    assert marked.known.pulls[one].state == "open"
    assert look(forge, marked.known).known.pulls[one].state == "merged"


def test_a_look_without_a_listing_reads_what_is_marked_and_nothing_else(forge: FakeForge) -> None:
    one, _ = opened(forge, "one", "two")
    known = look(forge).known
    look(forge, known, asking(listing=False, marked=frozenset({one})))
    assert read(forge) == [f"pulls/{one}", f"pulls/{one}/reviews"]


def test_pull_requests_that_no_listing_shows_are_read_in_turns(
    forge: FakeForge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poll, "MAX_SINGLE", 2)
    numbers = opened(forge, "one", "two", "three", "four")
    forge.advance(3600)
    opened(forge, "five")
    known = look(forge).known
    ask, turns = asking(own=frozenset(numbers), matters=lambda _pull, _reopened: False), []
    for _ in range(3):
        known = look(forge, known, ask).known
        turns.append({name for name in read(forge) if name != "pulls"})  # those of a turn are asked side by side
    one, two, three, four = (f"pulls/{number}" for number in numbers)
    assert turns == [{one, two}, {three, four}, {one, two}]


def test_a_pull_request_that_is_gone_is_forgotten(forge: FakeForge) -> None:
    (number,) = opened(forge, "one")
    known = look(forge).known
    del forge.only.issues[number]
    found = look(forge, known, asking(listing=False, marked=frozenset({number})))
    assert (dict(found.known.pulls), dict(found.failed)) == ({}, {})


def test_a_reopened_pull_request_is_noticed_once(forge: FakeForge) -> None:
    (number,) = opened(forge, "one")
    forge.close(number)
    closed = look(forge)
    forge.reopen(number)
    again = look(forge, closed.known)
    assert not closed.reopened
    assert again.reopened == {number}
    assert look(forge, again.known).reopened == frozenset()


def test_one_pull_request_that_cannot_be_read_hides_no_other(forge: FakeForge) -> None:
    one, two = opened(forge, "one", "two")
    forge.fails(500, "GET", f"/pulls/{one}/reviews")
    found = look(forge)
    assert set(found.failed) == {one}
    assert set(found.reviews) == {two}
    assert set(look(forge, found.known).reviews) == {one, two}


def test_a_forge_that_stops_to_answer_is_silent_and_a_repository_that_is_refused_says_so(forge: FakeForge) -> None:
    opened(forge, "one", "two", "three")
    forge.fails(500, "GET", "/reviews", times=3)
    with pytest.raises(ForgeUnreachable):
        look(forge)
    forge.fails(403, "GET", "/pulls")
    with pytest.raises(ForgeRefused):
        look(forge)


def test_four_are_read_at_a_time(forge: FakeForge) -> None:
    numbers = opened(forge, *(f"b{number}" for number in range(8)))
    together = threading.Barrier(poll.AT_ONCE, timeout=HANGING_S)

    def meet() -> None:
        together.wait()

    for number in numbers:
        forge.at("GET", f"/pulls/{number}/reviews", meet)
    assert set(look(forge).reviews) == set(numbers)
    assert not together.broken


def test_two_that_hang_at_one_time_hide_no_others(forge: FakeForge) -> None:
    one, two, *others = opened(forge, *(f"b{number}" for number in range(6)))
    over = threading.Event()

    def hang() -> None:
        over.wait(HANGING_S)

    for number in (one, two):
        forge.at("GET", f"/pulls/{number}/reviews", hang)
    try:
        found = look(forge)
    finally:
        over.set()
    assert (set(found.failed), set(found.reviews)) == ({one, two}, set(others))


def test_what_is_read_ends_with_the_look(forge: FakeForge) -> None:
    numbers = opened(forge, *(f"b{number}" for number in range(5)))
    forge.fails(503, "GET", "/reviews", times=len(numbers), Retry_After="60")
    with pytest.raises(ForgeUnreachable):
        look(forge)
    assert len([path for path in read(forge) if path.endswith("/reviews")]) <= poll.AT_ONCE
