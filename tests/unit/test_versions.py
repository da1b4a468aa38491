"""Versions: found in what a CLI prints, and compared number by number."""

import pytest

from reconciler.core import versions


def test_the_first_group_is_the_version() -> None:
    assert versions.extract(r"codex-cli (\d+\.\d+\.\d+)", "WARNING: x\ncodex-cli 0.169.0\n") == "0.169.0"


def test_a_text_without_a_version_has_none() -> None:
    assert versions.extract(r"v(\d+)", "nothing") is None
    assert versions.extract(r"\d+", "42") is None


@pytest.mark.parametrize(
    ("version", "minimum", "enough"),
    [
        ("0.169.0", "0.45.0", True),
        ("0.45.0", "0.45.0", True),
        ("0.44.9", "0.45.0", False),
        ("1.2", "1.2.0", True),
        ("1.10", "1.9", True),
        ("v2.0.0", "2.0.0", True),
        ("2.0.0-beta.1", "2.0.0", False),
        ("2.0.1-beta.1", "2.0.0", True),
        ("0.0.0", "0", True),
        ("unknown", "0", False),
    ],
)
def test_a_version_reaches_a_minimum_number_by_number(version: str, minimum: str, *, enough: bool) -> None:
    assert versions.at_least(version, minimum) is enough
