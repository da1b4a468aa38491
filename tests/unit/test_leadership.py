"""Whose term it is, until when that is certain, and when the next one may be taken."""

from dataclasses import replace

import pytest

from reconciler.core import leadership, standing
from reconciler.core.leadership import TURNS, Pace, Sight, Term
from reconciler.core.standing import LAG_MOST, Standing
from tests.recording import NOW

PACE = Pace()
HELD = Term(number=4, holder="one", name="one")
SEEN = Sight(commit="c", since_s=100.0, looked_s=100.0)


@pytest.mark.parametrize(
    ("sight", "last", "first", "at_s"),
    [
        (replace(SEEN, commit=None), None, True, 100.0),
        (replace(SEEN, commit=None), None, False, 160.0),
        (SEEN, None, True, 160.0),
        (SEEN, HELD, False, 160.0),
        (SEEN, replace(HELD, released=True), False, 100.0),
        (SEEN, replace(HELD, holder="two"), False, 100.0),
    ],
    ids=[
        "nobody ever led",
        "the ref was removed",
        "the ref says no term",
        "somebody holds it",
        "it was given back",
        "an ended process of the same place holds it",
    ],
)
def test_when_the_next_term_may_be_taken(sight: Sight, last: Term | None, at_s: float, *, first: bool) -> None:
    assert leadership.may_take_at(sight, last, "two", PACE, first=first) == at_s


def test_a_sight_lasts_while_nothing_was_renewed_and_somebody_looked_often_enough() -> None:
    first = leadership.seen(None, "c", 100.0, PACE)
    assert first == SEEN
    assert leadership.seen(first, "c", 110.0, PACE) == replace(first, looked_s=110.0)
    assert leadership.seen(first, "d", 110.0, PACE) == Sight(commit="d", since_s=110.0, looked_s=110.0)
    assert leadership.seen(first, "c", 160.0, PACE) == Sight(commit="c", since_s=160.0, looked_s=160.0)


def test_no_holder_is_certain_when_another_may_take_the_term() -> None:
    assert leadership.certain_until(100.0, PACE) <= leadership.may_take_at(SEEN, HELD, "two", PACE, first=False) - 10


def test_numbers_only_grow() -> None:
    assert leadership.following(None, 0, holder="two", name="n").number == 1
    assert leadership.following(HELD, 0, holder="two", name="n").number == 5
    assert leadership.following(HELD, 9, holder="two", name="n") == Term(number=10, holder="two", name="n")


def test_no_renewal_is_the_one_that_stands_nor_the_one_before() -> None:
    asked = HELD
    for _ in range(2 * TURNS):
        before, asked = asked, leadership.renewed_after(asked, HELD)
        assert asked.turn not in {before.turn, HELD.turn}
        assert replace(asked, turn=0) == HELD


def test_a_lag_is_a_problem_after_five_minutes_and_says_since_when() -> None:
    known = Standing(role="leader", remote="origin", behind=3, behind_since=NOW, reason="no route")
    assert standing.problems(known, NOW + LAG_MOST - LAG_MOST / 300) == ()
    (said,) = standing.problems(known, NOW + LAG_MOST)
    assert said.message == "what happened since 2026-11-22T10:00:00Z waits to be pushed to origin: no route"
    assert standing.lag(known, NOW - LAG_MOST).total_seconds() == 0
    assert standing.halts(known) == ()


def test_a_refused_main_halts_what_is_new_and_a_term_in_doubt_is_silent_too() -> None:
    known = Standing(role="leader", remote="origin", refused="rewritten", stopped="not renewed")
    assert [(halt.why, halt.silent) for halt in standing.halts(known)] == [("rewritten", False), ("not renewed", True)]
    assert [problem.message for problem in standing.problems(known, NOW)] == ["rewritten", "not renewed"]
    assert (standing.halts(None), standing.problems(None, NOW)) == ((), ())
