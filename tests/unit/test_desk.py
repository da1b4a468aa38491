"""The desk: whoever asks is seen by one whole turn, gets what is meant for it, and is kept no longer than it would."""

import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest

from reconciler.core import lifecycle
from reconciler.core.observed import Asking, ObservedTask, Run
from reconciler.edges.desk import MAX_WAITING, Desk, Given, TooManyWaiting
from tests.unit.lives import assigned
from tests.waiting import until

LONG_S = 60.0
BOT = Asking(host="bot", claim="key")


@dataclass
class Office:
    """A desk, agents that ask in threads of their own, and how often the loop was woken."""

    pool: ThreadPoolExecutor
    tasks: dict[str, ObservedTask] = field(default_factory=dict)
    woken: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    desk: Desk = field(init=False)

    def __post_init__(self) -> None:
        self.desk = Desk(self.woken.release, lambda: self.tasks)

    def ask(
        self, asking: Asking = BOT, wait_s: float = 0, gone: Callable[[], bool] = lambda: False
    ) -> Future[Given | None]:
        """Ask; returns once the desk knows of it."""
        answer = self.pool.submit(self.desk.ask, asking, wait_s, gone)
        assert self.woken.acquire(timeout=LONG_S)
        return answer


@pytest.fixture(name="office")
def _office() -> Iterator[Office]:
    with ThreadPoolExecutor(50) as pool:
        office = Office(pool)
        yield office
        office.desk.close()


@contextmanager
def turn(desk: Desk) -> Iterator[tuple[Asking, ...]]:
    """A turn of the loop: who was seen when it began."""
    yield desk.asking()
    desk.turned()


def run(claim: str | None, epoch: int = 1, host: str = "bot") -> Run:
    event = replace(assigned(epoch, host=host), claim=claim)
    return lifecycle.advance(ObservedTask(epoch=epoch - 1), event).runs[-1]


def given(claim: str | None, task_id: str = "fix", host: str = "bot") -> Given:
    return Given(task_id=task_id, run=run(claim, host=host))


def test_whoever_would_not_wait_is_let_go_by_the_first_whole_turn(office: Office) -> None:
    desk = office.desk
    desk.asking()
    answer = office.ask()
    assert desk.staying() == ()
    desk.turned()
    assert not answer.done()
    with turn(desk) as seen:
        assert seen == desk.staying() == (BOT,)
        assert not answer.done()
    assert answer.result(LONG_S) is None


def test_the_turn_after_sees_nobody_who_is_about_to_be_let_go(office: Office) -> None:
    answers = [office.ask(Asking(host="bot", claim=str(number))) for number in range(8)]
    office.desk.asking()
    office.desk.turned()
    assert office.desk.asking() == ()
    assert [answer.result(LONG_S) for answer in answers] == [None] * 8


def test_what_a_turn_gave_out_reaches_the_one_that_asked(office: Office) -> None:
    mine, other = office.ask(), office.ask(Asking(host="bot", claim="other"))
    with turn(office.desk):
        office.desk.served(given("key"))
    assert mine.result(LONG_S) == given("key")
    assert other.result(LONG_S) is None


def test_a_request_that_is_repeated_meanwhile_gets_the_same(office: Office) -> None:
    answers = [office.ask(), office.ask(wait_s=LONG_S)]
    with turn(office.desk):
        office.desk.served(given("key"))
    assert [answer.result(LONG_S) for answer in answers] == [given("key")] * 2


def test_the_same_key_of_another_host_gets_nothing(office: Office) -> None:
    answer = office.ask(Asking(host="other", claim="key"))
    with turn(office.desk):
        office.desk.served(given("key"))
    assert answer.result(LONG_S) is None


def test_agents_without_a_key_are_told_apart(office: Office) -> None:
    answers = [office.ask(Asking(host="bot")) for _ in range(2)]
    with turn(office.desk) as seen:
        claims = [asking.claim for asking in seen]
        assert len(set(claims)) == 2
        for number, claim in enumerate(claims):
            office.desk.served(given(claim, f"t{number}"))
    results = [answer.result(LONG_S) for answer in answers]
    assert sorted(one.task_id for one in results if one is not None) == ["t0", "t1"]


def test_what_an_agent_has_under_its_key_it_gets_again_without_waiting(office: Office) -> None:
    office.tasks["fix"] = ObservedTask(runs=(run("key"), run("another", 2)))
    assert office.desk.ask(BOT, LONG_S) == given("key")
    assert office.desk.asking() == ()


def test_an_agent_that_waits_is_there_for_many_turns(office: Office) -> None:
    answer = office.ask(wait_s=LONG_S)
    for _ in range(3):
        with turn(office.desk) as seen:
            assert seen == (BOT,)
        assert not answer.done()
    with turn(office.desk):
        office.desk.served(given("key"))
    assert answer.result(LONG_S) == given("key")


def test_an_agent_whose_time_ends_within_a_turn_waits_for_what_that_brings(office: Office) -> None:
    answer = office.ask(wait_s=0.4)
    with turn(office.desk) as seen:
        assert seen == (BOT,)
        assert not futures.wait([answer], timeout=0.6).done
        office.desk.served(given("key"))
    assert answer.result(LONG_S) == given("key")


def test_an_agent_goes_when_its_time_is_over(office: Office) -> None:
    assert office.ask(wait_s=0.01).result(LONG_S) is None
    assert office.desk.asking() == ()


def test_no_more_than_some_agents_wait_and_those_that_would_not_are_not_counted(office: Office) -> None:
    waiting = [office.ask(Asking(host="bot", claim=str(number)), LONG_S) for number in range(MAX_WAITING)]
    with pytest.raises(TooManyWaiting):
        office.desk.ask(BOT, 1)
    at_once = office.ask()
    with turn(office.desk) as seen:
        assert len(seen) == MAX_WAITING + 1
    assert at_once.result(LONG_S) is None
    office.desk.served(given("7"))
    assert waiting[7].result(LONG_S) == given("7")
    until(lambda: len(office.desk.asking()) == MAX_WAITING - 1)
    office.ask(wait_s=LONG_S)


def test_a_desk_that_closes_lets_all_go(office: Office) -> None:
    answers = [office.ask(wait_s=LONG_S), office.ask()]
    office.desk.close()
    assert [answer.result(LONG_S) for answer in answers] == [None, None]
    assert office.desk.ask(BOT, LONG_S) is None


def test_what_was_given_to_nobody_any_more_disturbs_nobody(office: Office) -> None:
    office.desk.served(given("gone"))
    answer = office.ask()
    with turn(office.desk):
        pass
    assert answer.result(LONG_S) is None


def test_whoever_hung_up_while_it_waited_is_not_offered_and_is_let_go(office: Office) -> None:
    left = threading.Event()
    stays = office.ask(Asking(host="bot", claim="other"), wait_s=LONG_S)
    goes = office.ask(wait_s=LONG_S, gone=left.is_set)
    with turn(office.desk) as seen:
        assert (len(seen), office.desk.staying()) == (2, seen)
        left.set()
        assert [one.claim for one in office.desk.staying()] == ["other"]
    assert not goes.done()
    with turn(office.desk) as seen:
        assert [one.claim for one in seen] == ["other"]
        assert goes.result(LONG_S) is None
    assert not stays.done()


def test_whoever_hung_up_takes_no_place_from_others(office: Office) -> None:
    left = threading.Event()
    for number in range(MAX_WAITING):
        office.ask(Asking(host="bot", claim=str(number)), wait_s=LONG_S, gone=left.is_set)
    with pytest.raises(TooManyWaiting):
        office.desk.ask(BOT, LONG_S)
    with turn(office.desk):
        left.set()
        answer = office.ask(wait_s=LONG_S)
    with turn(office.desk) as seen:
        assert seen == (BOT,)
    assert not answer.done()


def test_what_was_given_to_one_that_hung_up_meanwhile_stands_and_is_there_under_its_key(office: Office) -> None:
    left = threading.Event()
    answer = office.ask(wait_s=LONG_S, gone=left.is_set)
    with turn(office.desk):
        left.set()
        office.desk.served(given("key"))
    assert answer.result(LONG_S) == given("key")
