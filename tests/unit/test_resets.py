"""The end of a usage limit, in the words of the CLIs."""

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core import resets

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22T18:00:00Z", "2026-11-22T18:00:00"),
        ("2026-11-22 18:00:00.5+02:00", "2026-11-22T16:00:00"),
        ("2026-11-22T18:00", "2026-11-22T18:00:00"),
        ("1795357800", "2026-11-22T14:30:00"),
        ("1795357800123", "2026-11-22T14:30:00"),
        ("in 2 hours", "2026-11-22T14:30:00"),
        ("3 days 4 hours 5 minutes", "2026-11-25T16:35:00"),
        ("1h30m", "2026-11-22T14:00:00"),
        ("90s", "2026-11-22T12:31:30"),
        ("1500ms", "2026-11-22T12:30:01"),
        ("3:45pm", "2026-11-22T15:45:00"),
        ("3:45 PM", "2026-11-22T15:45:00"),
        ("12am", "2026-11-23T00:00:00"),
        ("11 a.m.", "2026-11-23T11:00:00"),
        ("15:45", "2026-11-22T15:45:00"),
        ("3pm (America/New_York)", "2026-11-22T20:00:00"),
        ("Nov 25th, 2026 3:45 PM", "2026-11-25T15:45:00"),
        ("Jan 1, 9am", "2027-01-01T09:00:00"),
        ("1795300000", "2026-11-22T12:30:00"),
    ],
)
def test_a_time_is_read_as_people_write_it(text: str, expected: str) -> None:
    assert resets.parse(text, NOW) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["", "soon", "25:99", "3pm (Middle/Earth)", "2026-13-45T00:00:00Z", "999999999999 days", "in 90 days"],
)
def test_what_says_nothing_certain_is_no_time(text: str) -> None:
    assert resets.parse(text, NOW) is None


@given(st.text(alphabet="0123456789:apm dhsT-Z+.(/)Nov", max_size=40))
def test_no_text_is_refused_and_none_ends_before_now(text: str) -> None:
    found = resets.parse(text, NOW)
    assert found is None or NOW <= found <= NOW + resets.LONGEST


@pytest.mark.parametrize("piece", ["9", "9 ", "1:", "jan ", "(A/", " "])
def test_a_long_text_takes_no_longer_than_a_short_one(piece: str) -> None:
    began = time.process_time()
    resets.parse(piece * 100_000, NOW)
    assert time.process_time() - began < 1
