"""One Chromium for all tests that look at pages; without one on this machine they are skipped, and say so."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import PROGRAM, browser
from tests.e2e.fleets import Fleet
from tests.pages import Painted, painting, served


@pytest.fixture(scope="session", name="chromium")
def _chromium() -> Iterator[Browser]:
    if PROGRAM is None:
        pytest.skip("there is no chromium on PATH: apt install chromium")
    with browser() as made:
        yield made


@pytest.fixture(name="painted")
def _painted(tmp_path: Path) -> Iterator[Painted]:
    with painting(tmp_path) as made:
        yield made


@pytest.fixture(name="port")
def _port(painted: Painted) -> Iterator[int]:
    with served(painted) as port:
        yield port


@pytest.fixture(name="fleet")
def _fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet.make(tmp_path)
    yield made
    made.end_runs()
