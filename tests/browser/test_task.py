"""A task's page in a real browser: a live run's output comes by itself, in colour, and does nothing but be read."""

import re

import pytest
from playwright.sync_api import Browser, expect

from reconciler.core.observed import ObservedTask
from reconciler.core.terms import Outcome, Phase
from reconciler.repo import given
from reconciler.repo.given import Given
from tests.browser.chromium import looking
from tests.browser.test_board import LISTENS
from tests.e2e.fleets import Fleet, project
from tests.pages import Painted, paint, run
from tests.waiting import until

pytestmark = pytest.mark.browser

HOSTILE = b"<script>document.title='owned'</script><img src=x onerror=alert(1)>\x1b[2J\x1b]0;owned\x07\xe2\x80\xae" * 50


def test_the_output_of_a_live_run_comes_by_itself_and_the_page_tells_its_end(chromium: Browser, fleet: Fleet) -> None:
    go = fleet.folder / "go"
    fleet.task(
        "talks",
        f"printf '\\033[31mred\\033[0m first\\n'; while ! test -e {go}; do sleep 0.05; done; echo second\n"
        "echo shop > cart.py; git add cart.py; git commit -qm Mend",
        repository=str(project(fleet.folder)),
    )
    reconciler = fleet.start(LISTEN="127.0.0.1:0")
    try:
        found = until(lambda: LISTENS.search(reconciler.said()))
        assert found is not None
        with looking(chromium, int(found[1])) as seen:
            until(lambda: fleet.phase("talks") == "running")
            seen.page.goto("/tasks/talks")
            log = seen.page.locator("pre.log")
            expect(log.locator("span.f1")).to_have_text("red")
            go.touch()
            expect(log).to_contain_text("second")
            expect(seen.page.locator("#head .phase")).to_have_text("completed")
            expect(seen.page.locator("#story")).to_contain_text("succeeded")
            expect(log).to_have_text(re.compile(r"^red first\nsecond\n$"))
            seen.page.click("text=what the branch changed")
            expect(seen.page.locator("pre.diff .added")).to_have_text("+shop")
            assert seen.wrong == []
    finally:
        reconciler.stop()


def printing(painted: Painted, data: bytes) -> None:
    """A run of the task `fix-flaky-cart-test` that is under way and has printed this."""
    paint(painted)
    folder = painted.fleet.logs("fix-flaky-cart-test", 2)
    folder.mkdir(parents=True)
    (folder / "stdout").write_bytes(data)
    given.keep(
        painted.fleet, "fix-flaky-cart-test", 2, Given(prompt="# Fix the flaky cart test\n\n## Goal\n\nDo it.\n")
    )


def test_hostile_output_is_text_and_nothing_executes(chromium: Browser, painted: Painted, port: int) -> None:
    printing(painted, HOSTILE + b"\n" + b"W" * 1_000_000 + b"\n" + HOSTILE)
    with looking(chromium, port, width=390) as seen:
        for path in ("/tasks/fix-flaky-cart-test", "/tasks/fix-flaky-cart-test/runs/2/stdout"):
            seen.page.goto(path)
            expect(seen.page.locator("pre.log")).to_contain_text("<script>document.title='owned'</script>")
            assert "owned" not in seen.page.title()
            assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390
        assert seen.wrong == []


def test_what_is_open_stays_open_and_a_command_is_copied(chromium: Browser, painted: Painted, port: int) -> None:
    printing(painted, b"hello\n")
    with looking(chromium, port) as seen:
        seen.page.goto("/tasks/fix-flaky-cart-test")
        seen.page.click("text=As it was sent to run 2")
        seen.page.click("#change .command >> nth=0 >> text=Copy")
        assert seen.page.evaluate("navigator.clipboard.readText()") == "reconciler hold fix-flaky-cart-test"
        ended = run(2, painted.now, host="builder", finished_at=painted.now, outcome=Outcome.SUCCEEDED, summary="Done.")
        painted.seen["fix-flaky-cart-test"] = ObservedTask(phase=Phase.COMPLETED, epoch=2, runs=(ended,))
        painted.show()
        expect(seen.page.locator("#head .phase")).to_have_text("completed")
        expect(seen.page.locator("#runs")).to_contain_text("Done.")
        expect(seen.page.locator("#prompt-sent pre")).to_be_visible()
        assert seen.wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_the_pages_of_a_task(chromium: Browser, painted: Painted, port: int, scheme: str) -> None:
    every = "".join(f"\x1b[{code}mcolour {code}\x1b[0m\n" for code in (*range(30, 38), *range(90, 98), *range(40, 48)))
    printing(painted, every.encode())
    with looking(chromium, port, scheme=scheme) as seen:
        for path in (
            "/tasks/fix-flaky-cart-test",
            "/tasks/rotate-api-keys",
            "/tasks/fix-flaky-cart-test/runs/2/stdout?find=colour",
            "/tasks/fix-flaky-cart-test/diff",
            "/tasks/nowhere",
        ):
            seen.page.goto(path)
            for closed in seen.page.locator("summary").all():
                closed.click()
            assert (path, seen.flaws()) == (path, [])
