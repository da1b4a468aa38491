"""What shares a commit: whoever waits, and whoever shared the one before; nobody waits for others in vain."""

import itertools
import threading

import pytest

from reconciler.repo.observed.grouping import Closed, Group


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
