"""Argv templates, values in, words out."""

import pytest

from reconciler.core.script import argv


def test_a_value_is_filled_in_inside_one_word_and_never_split() -> None:
    assert argv.fill(("cli", "--cd={workspace}", "{model}"), {"workspace": "/a b", "model": "x 'y' $(z)"}) == (
        "cli",
        "--cd=/a b",
        "x 'y' $(z)",
    )


def test_a_nested_list_is_left_out_whole_when_a_value_in_it_is_missing() -> None:
    template = ("cli", ("--model", "{model}"), ("--turns", "{max_turns}", ("--of", "{model}")))
    assert argv.fill(template, {"model": None, "max_turns": "3"}) == ("cli", "--turns", "3")
    assert argv.fill(template, {"model": "m", "max_turns": None}) == ("cli", "--model", "m")


def test_a_missing_value_elsewhere_is_an_error_with_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"needs \{session\}, which this run has not"):
        argv.fill(("cli", "{session}"), {"session": None})


def test_permissions_become_the_words_of_the_profile() -> None:
    template = ("cli", "{permissions}", "end")
    assert argv.fill(template, {}, ("--full", "--yes")) == ("cli", "--full", "--yes", "end")
    assert argv.fill(template, {}) == ("cli", "end")


def test_other_braces_stay_and_values_are_not_looked_at_again() -> None:
    assert argv.fill(("cli", "{{x}}", '{"a": 1}', "{prompt}"), {"prompt": "{model}", "model": "m"}) == (
        "cli",
        "{{x}}",
        '{"a": 1}',
        "{model}",
    )


def test_an_argv_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="empty"):
        argv.fill((("{model}",),), {"model": None})
