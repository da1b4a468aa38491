"""Masking: no secret leaves in any spelling, in one text or in pieces."""

import base64
import itertools
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.mask import Masking, mask

VALUE = 'p4ss "w/ö+rd'


@pytest.mark.parametrize(
    "spelling",
    [
        VALUE,
        json.dumps(VALUE)[1:-1],
        json.dumps(VALUE, ensure_ascii=False)[1:-1],
        quote(VALUE, safe=""),
        quote(VALUE, safe="").replace("%C3%B6", "%c3%b6").replace("%2F", "%2f").replace("%2B", "%2b"),
        quote_plus(VALUE),
        base64.b64encode(VALUE.encode()).decode(),
        base64.urlsafe_b64encode(VALUE.encode()).decode(),
    ],
)
def test_a_secret_is_masked_in_every_spelling(spelling: str) -> None:
    assert mask(f"before {spelling} after", [VALUE]) == "before *** after"


@pytest.mark.parametrize("user", ["", "a", "ab", "abc", "abcd"])
def test_a_secret_inside_a_longer_base64_text_is_masked(user: str) -> None:
    encoded = base64.b64encode(f"{user}:0123456789abcdef:x".encode()).decode()
    masked = mask(encoded, ["0123456789abcdef"])
    assert "***" in masked
    assert len(masked) <= len(encoded) - 16


def test_the_longest_secret_goes_first() -> None:
    assert mask("token-extended", ["token", "token-extended"]) == "***"


def test_short_values_and_no_values_mask_nothing() -> None:
    assert mask("abc", ["abc", ""]) == "abc"
    assert mask("abc", []) == "abc"


def test_each_long_line_of_a_secret_is_masked_alone() -> None:
    lines = "-----BEGIN KEY-----\nc2VjcmV0LXNlY3JldA\nshort\n"
    assert mask("  c2VjcmV0LXNlY3JldA  short", [lines]) == "  ***  short"


@given(st.binary(max_size=60), st.lists(st.integers(min_value=0, max_value=100), max_size=8))
def test_a_secret_that_is_split_over_reads_is_masked_all_the_same(noise: bytes, cuts: list[int]) -> None:
    text = noise + b"sesame-open" + noise + b"sesame" + noise
    whole = Masking(["sesame", "sesame-open"])
    expected = whole.feed(text) + whole.finish()
    masking = Masking(["sesame", "sesame-open"])
    places = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    pieces = [masking.feed(text[start:end]) for start, end in itertools.pairwise(places)]
    assert b"".join([*pieces, masking.finish()]) == expected
    assert b"sesame" not in expected


def test_a_stream_without_secrets_passes_through_at_once() -> None:
    masking = Masking([])
    assert masking.feed(b"\xff\x00") == b"\xff\x00"
    assert masking.finish() == b""


def test_a_stream_holds_back_only_what_may_be_the_start_of_a_secret() -> None:
    masking = Masking(["1234"])
    assert masking.feed(b"abc") == b""
    assert masking.feed(b"x" * 100).startswith(b"abcxxx")
    assert masking.finish().endswith(b"x")
