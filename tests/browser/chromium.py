"""Chromium, driven by Playwright: Debian's own, with nothing downloaded, and a page that tells of every error."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, sync_playwright

PROGRAM = shutil.which(os.environ.get("CHROMIUM", "chromium"))
SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LONG_MS = 20_000
GRAVE = {"serious", "critical"}


@dataclass(kw_only=True)
class Seen:
    """A page that is looked at, and what went wrong on it: errors of its script, and what the policy refused."""

    page: Page
    wrong: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def hear(self, said: ConsoleMessage) -> None:
        """The browser said something."""
        if said.type == "error":
            self.wrong.append(said.text)

    def refuse(self, dialog: Dialog) -> None:
        """Something executed."""
        self.wrong.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def flaws(self) -> list[str]:
        """What axe-core finds that keeps people out, with the places."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{one['id']}: {[node['target'] for node in one['nodes'][:3]]}" for one in found if one["impact"] in GRAVE
        ]


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """The browser, until the block ends."""
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=PROGRAM, args=list(SWITCHES))
        try:
            yield made
        finally:
            made.close()


@contextlib.contextmanager
def looking(at: Browser, port: int, width: int = 1280, height: int = 800, scheme: str = "light") -> Iterator[Seen]:
    """A fresh page at the board; no other server may be asked for anything."""
    context = at.new_context(
        base_url=f"http://127.0.0.1:{port}",
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        permissions=["clipboard-read", "clipboard-write"],
    )
    context.set_default_timeout(LONG_MS)
    seen = Seen(page=context.new_page())
    seen.page.on("pageerror", lambda error: seen.wrong.append(str(error)))
    seen.page.on("console", seen.hear)
    seen.page.on("request", lambda asked: seen.asked.append(asked.url))
    seen.page.on("dialog", seen.refuse)
    try:
        yield seen
    finally:
        context.close()
