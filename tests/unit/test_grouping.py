"""What shares a commit: whoever waits, and whoever shared the one before; nobody waits for others in vain."""

import itertools
import threading

import pytest

from reconciler.repo.observed.grouping import MOST, SHARE, Closed, Group


def slow() -> Group[str]:
    """A group whose commits take so long that others are awaited for as long as the test may take."""
    return Group(clock=itertools.count(step=100).__next__, gather_s=60)


def test_what_waits_is_taken_as_one_and_who_shared_it_is_awaited_the_next_time() -> None:
    group = slow()
    group.put(["a"])
    group.put(["b"])
    assert group.take() == ["a", "b"]
    group.put(["c"])
    other = threading.Thread(target=group.put, args=(["d"],))
    other.start()
    assert group.take() == ["c", "d"]
    other.join()


def test_who_was_alone_waits_for_nobody_however_much_they_ask_at_once() -> None:
    group = slow()
    for facts in (["a"], ["b", "c"], ["d"]):
        group.put(facts)
        assert group.take() == facts


def test_a_commit_that_took_no_time_is_put_off_for_nobody() -> None:
    group: Group[str] = Group(clock=lambda: 0.0, gather_s=60)
    group.put(["a"])
    group.put(["b"])
    assert group.take() == ["a", "b"]
    group.put(["c"])
    assert group.take() == ["c"]


def test_a_closed_group_serves_what_waits_at_once_and_takes_nothing_more() -> None:
    group = slow()
    group.put(["a"])
    group.put(["b"])
    assert group.take() == ["a", "b"]
    group.put(["c"])
    group.close()
    assert (group.take(), group.waiting, group.take()) == (["c"], False, [])
    with pytest.raises(Closed):
        group.put(["d"])


def test_who_asks_for_much_holds_nobody_up_and_keeps_their_order() -> None:
    group = slow()
    much = [str(number) for number in range(2 * SHARE + 5)]
    group.put(much)
    group.put(["a", "b"])
    group.put(["c"])
    group.close()
    assert group.take() == [*much[:SHARE], "a", "b", "c"]
    assert group.take() == much[SHARE:]
    assert group.take() == []


def test_a_commit_has_a_bound_and_nothing_gets_lost_behind_it() -> None:
    group = slow()
    asked = [[f"{asker}.{number}" for number in range(SHARE)] for asker in range(MOST // SHARE + 2)]
    for facts in asked:
        group.put(facts)
    group.close()
    taken = [*iter(group.take, [])]
    assert [len(one) for one in taken] == [MOST, 2 * SHARE]
    assert [fact for one in taken for fact in one] == [fact for facts in asked for fact in facts]
