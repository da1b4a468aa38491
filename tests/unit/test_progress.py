"""What a person sees of work that takes long, and what nobody else gets to see."""

import os
import pty
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.commands import progress
from reconciler.commands.screen import Screen
from tests.waiting import until


class Shown:
    """A terminal as standard error, read by a thread as long as it is there."""

    def __init__(self) -> None:
        self._end, its = pty.openpty()
        self.stream = os.fdopen(its, "w")
        self.seen = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.stream.close()
        self._thread.join(20)
        os.close(self._end)

    def _read(self) -> None:
        while True:
            try:
                found = os.read(self._end, 65536)
            except OSError:
                return
            self.seen += found


@pytest.fixture
def terminal() -> Iterator[Shown]:
    shown = Shown()
    yield shown
    if not shown.stream.closed:
        shown.close()


def test_work_that_takes_long_is_shown_with_how_far_it_is_and_goes_away(
    terminal: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    monkeypatch.setattr(progress, "DELAY_S", 0)
    with progress.working(Screen({"TERM": "xterm"}), "checking files", total=300) as told:
        told(120)
        until(lambda: b"120/300" in terminal.seen)
        told(121)
        until(lambda: b"121/300" in terminal.seen)
        assert b"checking files" in terminal.seen
    terminal.close()
    assert b"\x1b[2K" in terminal.seen.rpartition(b"121/300")[2]
    assert terminal.seen.count(b"\x1b[?25h") == terminal.seen.count(b"\x1b[?25l") == 1


def test_nothing_is_said_of_what_is_done_soon_or_beside_json_or_to_what_is_no_terminal(
    terminal: Shown, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    with progress.working(Screen({"TERM": "xterm"}), "brief") as told:
        told(1)
    monkeypatch.setattr(progress, "DELAY_S", 0)
    for screen in (Screen({"TERM": "xterm"}, quiet=True), Screen({"TERM": "dumb"})):
        assert not screen.tells
        with progress.working(screen, "unseen") as told:
            told(1)
    with (tmp_path / "pipe").open("w") as pipe:
        monkeypatch.setattr(sys, "stderr", pipe)
        with progress.working(Screen({"TERM": "xterm"}), "unseen"):
            assert pipe.tell() == 0
    assert (tmp_path / "pipe").read_bytes() == b""
    terminal.close()
    assert terminal.seen == b""
