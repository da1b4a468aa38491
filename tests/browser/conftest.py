"""One Chromium for all tests that look at pages; without one on this machine they are skipped, and say so."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import PROGRAM, browser
from tests.e2e.conftest import fleet
from tests.painted import painted, port

__all__ = ["fleet", "painted", "port"]


@pytest.fixture(scope="session", name="chromium")
def _chromium() -> Iterator[Browser]:
    if PROGRAM is None:
        pytest.skip("there is no chromium on PATH: apt install chromium")
    with browser() as made:
        yield made
