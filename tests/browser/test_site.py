"""The site of the documents: it is built without a complaint, asks nobody else for anything, and keeps nobody out.

Without the group `docs` it is skipped, and says so.
"""

import functools
import http.server
import importlib.util
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import looking
from tests.e2e.fleets import PROJECT
from website.__main__ import MISSING

SHOWN = ("index.html", "tutorial.html", "lifecycle.html", "reference/settings.html", "reference/commands.html")
SIZES = ((390, "light"), (390, "dark"), (1280, "light"), (1280, "dark"))


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Hands out files, and says nothing of it."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - so it is called where it comes from
        """Nothing."""


@pytest.fixture(scope="module", name="site")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The site as it is built now; the port on which it is served."""
    if importlib.util.find_spec("material") is None:
        pytest.skip(MISSING)
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "website", "--site-dir", str(folder)]
    done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.browser
def test_pages_can_be_read_by_everybody_and_ask_nobody_else(site: int, chromium: Browser) -> None:
    for width, scheme in SIZES:
        with looking(chromium, site, width=width, scheme=scheme) as seen:
            for page in SHOWN:
                seen.page.goto(f"/{page}")
                assert seen.flaws() == [], (page, width, scheme)
                assert seen.page.evaluate("document.documentElement.scrollWidth") <= width, page
            assert seen.wrong == []
            assert [url for url in seen.asked if not url.startswith(f"http://127.0.0.1:{site}/")] == []


@pytest.mark.browser
def test_the_search_finds_a_key_of_a_file(site: int, chromium: Browser) -> None:
    with looking(chromium, site) as seen:
        seen.page.goto("/index.html")
        seen.page.get_by_placeholder("Search").fill("idle_timeout")
        seen.page.locator(".md-search-result__link", has_text="idle_timeout").first.click()
        seen.page.wait_for_url("**/reference/task.html*")
