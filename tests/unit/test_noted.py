"""What the program logs looks like all that it says on standard error, and does nothing to a terminal."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from reconciler.commands.reconcile import Noted, Teller
from reconciler.commands.screen import Screen


@pytest.fixture(name="log")
def _log() -> Iterator[logging.Logger]:
    log = logging.getLogger("tests.noted")
    handler = Noted(Teller(screen=Screen({}), now=lambda: datetime.now(UTC)).warn)
    log.addHandler(handler)
    yield log
    log.removeHandler(handler)


def test_what_is_logged_is_one_line_with_the_name_of_the_program_before_it(
    log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    log.warning("a webhook from %s was refused", "1.2.3.4\x1b[2J\nreconciler: all is well")
    log.info("nobody needs to know")
    assert capsys.readouterr().err == "reconciler: a webhook from 1.2.3.4 [2J reconciler: all is well was refused\n"


def test_the_traceback_of_a_defect_keeps_its_lines(log: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        int("odd\x07")
    except ValueError:
        log.exception("a defect")
    first, *more, last = capsys.readouterr().err.splitlines()
    assert (first, last) == (
        "reconciler: a defect",
        "reconciler: ValueError: invalid literal for int() with base 10: 'odd\\x07'",
    )
    assert more[0] == "reconciler: Traceback (most recent call last):"
