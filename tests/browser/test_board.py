"""The board in a real browser: it follows by itself, shows hostile text as text, and keeps nobody out."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from reconciler.core.observed import ObservedTask
from reconciler.core.terms import Phase
from tests.browser import pictures
from tests.browser.chromium import looking
from tests.e2e.fleets import Fleet
from tests.pages import Painted, many, paint, past, run, task
from tests.waiting import until

pytestmark = pytest.mark.browser
LISTENS = re.compile(r"listening on http://127\.0\.0\.1:(\d+)")


def test_the_board_follows_a_task_from_created_to_completed_without_a_reload(chromium: Browser, fleet: Fleet) -> None:
    go = fleet.folder / "go"
    reconciler = fleet.start(LISTEN="127.0.0.1:0")
    try:
        found = until(lambda: LISTENS.search(reconciler.said()))
        assert found is not None
        port = int(found[1])
        with looking(chromium, port) as seen:
            seen.page.goto("/")
            expect(seen.page.locator("#welcome")).to_contain_text("reconciler new")
            seen.page.evaluate("window.same = true")
            fleet.task("watched", f"while ! test -e {go}; do sleep 0.05; done", desired="hold")
            expect(seen.page.locator("#c-waiting #t-watched")).to_contain_text("on hold")
            fleet.task("watched", f"while ! test -e {go}; do sleep 0.05; done")
            expect(seen.page.locator("#c-running #t-watched")).to_contain_text("running for")
            go.touch()
            expect(seen.page.locator("#c-finished #t-watched")).to_contain_text("completed")
            expect(seen.page.locator("#live")).to_have_text("live")
            assert seen.page.evaluate("window.same") is True
            assert (seen.wrong, {url.split("/")[2] for url in seen.asked}) == ([], {f"127.0.0.1:{port}"})
    finally:
        reconciler.stop()


def test_an_update_leaves_focus_scrolling_and_what_somebody_typed_alone(
    chromium: Browser, painted: Painted, port: int
) -> None:
    paint(painted)
    with looking(chromium, port, height=400) as seen:
        seen.page.goto("/")
        seen.page.fill("input[name=q]", "half a wo")
        seen.page.focus("#a-dark-mode")
        seen.page.evaluate("window.scrollTo(0, 300)")
        before = seen.page.evaluate("window.scrollY")
        painted.seen["dark-mode"] = replace(painted.seen["dark-mode"], phase=Phase.COMPLETED)
        painted.seen["retry-webhooks"] = ObservedTask(phase=Phase.RUNNING, epoch=1, runs=(run(1, painted.now),))
        painted.show()
        expect(seen.page.locator("#c-finished #t-dark-mode")).to_be_attached()
        expect(seen.page.locator("#c-running #t-retry-webhooks")).to_be_attached()
        assert seen.page.evaluate("document.activeElement.id") == "a-dark-mode"
        assert seen.page.input_value("input[name=q]") == "half a wo"
        assert abs(seen.page.evaluate("window.scrollY") - before) < 250
        assert seen.wrong == []


def test_a_server_that_is_gone_is_said_so(chromium: Browser, painted: Painted, port: int) -> None:
    paint(painted)
    with looking(chromium, port) as seen:
        seen.page.goto("/")
        expect(seen.page.locator("#live")).to_have_text("live")
        seen.page.context.set_offline(True)
        expect(seen.page.locator("#live")).to_contain_text("no answer since")
        seen.page.context.set_offline(False)
        expect(seen.page.locator("#live")).to_have_text("live")


def test_hostile_titles_are_text_and_nothing_executes(chromium: Browser, painted: Painted, port: int) -> None:
    hostile = "<script>document.title='owned'</script><img src=x onerror=alert(1)>\u202e\x1b]0;x\x07" + "W" * 1_000_000
    painted.tasks = {"odd": task(hostile)}
    painted.show()
    with looking(chromium, port, width=390) as seen:
        seen.page.goto("/")
        expect(seen.page.locator("#a-odd")).to_contain_text("<script>document.title='owned'</script>")
        assert "shop-fleet" in seen.page.title()
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390
        assert seen.wrong == []


def test_five_thousand_tasks_are_rendered_bounded(chromium: Browser, painted: Painted, port: int) -> None:
    many(painted, 5000)
    with looking(chromium, port) as seen:
        seen.page.goto("/")
        assert seen.page.locator("article").count() == 150
        seen.page.click("#h-finished a")
        assert seen.page.locator("article").count() == 100
        expect(seen.page.locator(".pager")).to_contain_text("1 to 100 of 1,875")


@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("dark", 1280)])
def test_axe_finds_nothing_that_keeps_people_out(
    chromium: Browser, painted: Painted, port: int, scheme: str, width: int
) -> None:
    paint(painted)
    past(painted)
    with looking(chromium, port, scheme=scheme, width=width) as seen:
        for path in ("/", "/?phase=failed", "/numbers"):
            seen.page.goto(path)
            assert (path, seen.flaws()) == (path, [])
            assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        seen.page.evaluate("document.querySelector('h1').style.color = '#fefefe'")
        seen.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<button></button>')")
        assert seen.flaws() != []


def test_every_task_is_reached_by_the_keyboard_alone(chromium: Browser, painted: Painted, port: int) -> None:
    paint(painted)
    with looking(chromium, port) as seen:
        seen.page.goto("/")
        seen.page.keyboard.press("Tab")
        expect(seen.page.locator(".skip")).to_be_focused()
        reached = set()
        for _ in range(60):
            seen.page.keyboard.press("Tab")
            reached.add(seen.page.evaluate("document.activeElement.id"))
        assert {f"a-{name}" for name in painted.tasks} <= reached


def test_the_pictures_of_the_pages_can_be_made_anew_and_are_small(chromium: Browser, tmp_path: Path) -> None:
    made = [picture.name for picture in pictures.make(chromium, tmp_path) if picture.stat().st_size < 200 * 1024]
    assert made == [f"{name}-{scheme}.png" for name in pictures.PAGES for scheme in ("light", "dark")]
    shown = Path(__file__).parents[2] / "docs" / "img"
    assert set(made) == {path.name for path in shown.iterdir()}
