"""Makes the pictures of the pages that the README and the documents show: `python -m tests.browser.pictures FOLDER`.

What is on them is painted, but for the story, which is read from a real branch.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from playwright.sync_api import Browser, expect

from reconciler.core.events import Finished
from reconciler.core.terms import Failure, Outcome
from reconciler.repo import given
from reconciler.repo.given import Given
from tests.browser.chromium import browser, looking
from tests.pages import Painted, paint, painting, past, served
from tests.recording import assigned, new_fleet, opened, started

WIDTH, HEIGHT = 1240, 760
TASK = "fix-flaky-cart-test"
PAGES = {"board": "/", "task": f"/tasks/{TASK}", "numbers": "/numbers"}
PASSED = "\x1b[32mPASSED\x1b[0m tests/test_cart.py::test_total[%d]\n"
FAILED = "\x1b[1;31mFAILED\x1b[0m tests/test_cart.py::test_total[%d]: 2 items, expected 3\n"
FOUND = "The failing order depends on the clock: the cart is sorted by the second it was changed in.\n"
PRINTED = "".join((PASSED if number % 7 else FAILED) % number for number in range(1, 12)) + FOUND


def make(at: Browser, folder: Path) -> Iterator[Path]:
    """Each picture, light and dark, as it is written."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, painting(Path(place)) as painted:
        _stage(painted)
        with served(painted) as port:
            for name, path in PAGES.items():
                for scheme in ("light", "dark"):
                    with looking(at, port, width=WIDTH, height=HEIGHT, scheme=scheme) as seen:
                        seen.page.goto(path)
                        expect(seen.page.locator("#live")).to_have_text("live")
                        target = folder / f"{name}-{scheme}.png"
                        seen.page.screenshot(path=target, animations="disabled")
                        yield target


def _stage(painted: Painted) -> None:
    """A fleet at work, with a past; and one task with a story and an output."""
    fleet, now = new_fleet(painted.fleet.root), painted.now
    minutes = {name: now - timedelta(minutes=name) for name in (40, 39, 20, 12, 11)}
    with opened(fleet) as branch:
        branch.record(TASK, assigned(TASK, 1, minutes[40]))
        branch.record(TASK, started(1, minutes[39]))
        branch.record(
            TASK,
            Finished(
                at=minutes[20],
                actor="host:builder",
                epoch=1,
                outcome=Outcome.FAILED,
                failure=Failure.AGENT_ERROR,
            ),
        )
        branch.record(TASK, assigned(TASK, 2, minutes[12]))
        branch.record(TASK, started(2, minutes[11]))
    logs = painted.fleet.logs(TASK, 2)
    logs.mkdir(parents=True)
    (logs / "stdout").write_text(PRINTED)
    given.keep(painted.fleet, TASK, 2, Given(prompt="# Fix the flaky cart test\n"))
    paint(painted)
    past(painted)
    painted.problems = ()
    painted.show()


def main() -> int:
    """Make all of them, and say how large they are."""
    os.environ.update(GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM="1")
    with browser() as at:
        for picture in make(at, Path(sys.argv[1])):
            sys.stdout.write(f"{picture}: {picture.stat().st_size // 1024} KB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
