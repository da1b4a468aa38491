"""Which chore of upkeep is due."""

from datetime import UTC, datetime, timedelta

import pytest

from reconciler.core import chores
from reconciler.core.chores import EVERY, MANY_PACKS, Chore, Past

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
JUST_DONE = dict.fromkeys(Chore, NOW)


def past(done: dict[Chore, datetime] | None = None, failed: dict[Chore, datetime] | None = None) -> Past:
    return Past(done={**JUST_DONE, **(done or {})}, failed=failed or {})


@pytest.mark.parametrize("chore", Chore)
def test_a_chore_is_due_when_its_time_has_passed_and_not_before(chore: Chore) -> None:
    assert chores.due(past({chore: NOW - EVERY[chore] + SECOND}), 0, NOW) is None
    assert chores.due(past({chore: NOW - EVERY[chore]}), 0, NOW) is chore


def test_a_chore_that_was_never_done_waits_its_time() -> None:
    assert chores.due(Past(), 0, NOW) is None


def test_many_packs_are_folded_before_their_time() -> None:
    assert chores.due(past(), MANY_PACKS - 1, NOW) is None
    assert chores.due(past(), MANY_PACKS, NOW) is Chore.PACKS


def test_of_several_the_first_in_order_goes_first_and_none_starves() -> None:
    done, seen = dict.fromkeys(Chore, NOW - timedelta(days=30)), []
    while chore := chores.due(Past(done=done), 0, NOW):
        seen.append(chore)
        done[chore] = NOW
    assert seen == list(Chore)


def test_a_chore_that_failed_waits_at_most_a_day_and_holds_up_no_other() -> None:
    long_ago = NOW - timedelta(days=30)
    for chore, wait in {Chore.PACKS: timedelta(hours=1), Chore.WHOLE: timedelta(days=1)}.items():
        done = {chore: long_ago}
        assert chores.due(past(done, {chore: NOW - wait + SECOND}), 0, NOW) is None
        assert chores.due(past(done, {chore: NOW - wait}), 0, NOW) is chore
    broken = past({Chore.PACKS: long_ago, Chore.REFS: long_ago}, {Chore.PACKS: NOW})
    assert chores.due(broken, MANY_PACKS, NOW) is Chore.REFS


def test_a_clock_that_was_set_back_stops_nothing_for_long() -> None:
    assert chores.due(past({Chore.REFS: NOW + timedelta(days=400)}), 0, NOW) is Chore.REFS
    assert chores.due(past({Chore.PACKS: NOW - timedelta(days=1)}, {Chore.PACKS: NOW + SECOND}), 0, NOW) is Chore.PACKS
