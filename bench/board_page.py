"""Measures how long the board takes with thousands of tasks: made on the server, asked for again, seen in a browser.

    python -m bench.board_page [--tasks N] [--rounds N]

Every figure is the median of all rounds, and a ratio to its limit of one second. The browser is Debian's chromium; its
time goes from the question to the page being laid out and painted. It tests nothing.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser

from reconciler.web.pages import board
from reconciler.web.pages.filters import Filter
from tests.browser.chromium import browser, looking
from tests.contract.web import request
from tests.pages import Painted, many, painting, served

LIMIT_S = 1.0
SEEN = """() => new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(performance.now()), 0)))"""
SCROLLED = """() => new Promise((done) => {
  const began = performance.now();
  window.scrollTo(0, document.body.scrollHeight);
  requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - began)));
})"""


def main() -> int:
    """Measure, print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description="How long the board takes with many tasks.")
    parser.add_argument("--tasks", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="board-") as folder, painting(Path(folder)) as painted:
        many(painted, asked.tasks)
        with served(painted) as port, browser() as at:
            figures = measured(painted, port, at, asked.rounds)
    for name, seconds in figures.items():
        print(f"{name:<44} {seconds * 1000:8.1f} ms   {seconds / LIMIT_S:6.3f} of the limit")
    rounded = {name: round(seconds, 5) for name, seconds in figures.items()}
    print(json.dumps({"tasks": asked.tasks, "limit_s": LIMIT_S, "seconds": rounded}))
    return 0


def measured(painted: Painted, port: int, at: Browser, rounds: int) -> dict[str, float]:
    """Seconds by what they were taken for."""
    reads = painted.reads()
    board.page(reads, Filter())

    def asked_fresh() -> None:
        painted.clock_s += 60
        request(port, "GET", "/")

    tag = request(port, "GET", "/").headers["Etag"]
    return {
        "made on the server": median(rounds, lambda: board.page(reads, Filter())),
        "made for words that are looked for": median(rounds, lambda: board.page(reads, Filter(text="work 49"))),
        "asked for over HTTP, nothing kept": median(rounds, asked_fresh),
        "asked for again, unchanged": median(rounds, lambda: request(port, "GET", "/", None, {"If-None-Match": tag})),
        "asked for and painted by a browser": statistics.median(seen(painted, port, at) for _ in range(rounds)),
        "scrolled to its end by a browser": statistics.median(scrolled(port, at) for _ in range(rounds)),
    }


def median(rounds: int, do: Callable[[], object]) -> float:
    """How long it takes."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        do()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def seen(painted: Painted, port: int, at: Browser) -> float:
    """From the question to the painted page, as the browser counts."""
    painted.clock_s += 60
    with looking(at, port) as page:
        page.page.goto("/", wait_until="load")
        return float(page.page.evaluate(SEEN)) / 1000


def scrolled(port: int, at: Browser) -> float:
    """Until the end of the page is painted."""
    with looking(at, port) as page:
        page.page.goto("/", wait_until="load")
        return float(page.page.evaluate(SCROLLED)) / 1000


if __name__ == "__main__":
    sys.exit(main())
