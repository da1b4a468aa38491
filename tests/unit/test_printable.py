"""What a terminal gets of text that others wrote: colours, and nothing that it would act on otherwise."""

import os
import pty
import select
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.commands.screen import Screen
from reconciler.core import printable

RED = "\x1b[1;31m"


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        (f"{RED}red\x1b[0m\tand\r\nplain", f"{RED}red\x1b[0m\tand\r\nplain"),
        ("\x1b]0;title\x07", "]0;title"),
        ("\x1b]52;c;cm0gLXJm\x1b\\", "]52;c;cm0gLXJm\\"),
        ("\x1b[2J\x1b[6n", "[2J[6n"),
        ("\x9b2J\x90q\x08\x7f\x00", "2Jq"),
        ("ü 漢 👩", "ü 漢 👩"),
    ],
)
def test_colours_stay_and_other_orders_to_a_terminal_do_not(printed: str, shown: str) -> None:
    assert printable.coloured(printed) == shown


@given(st.text(st.sampled_from("\x1b[]0;m\x9b\x07ab")))
def test_every_escape_that_is_left_begins_a_colour(text: str) -> None:
    rest = printable.coloured(text)
    assert "\x9b" not in rest
    for piece in rest.split("\x1b")[1:]:
        assert piece[0] == "["
        assert piece[1:].lstrip("0123456789;").startswith("m")


def test_an_order_that_comes_in_pieces_does_not_reach_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    mine, its = pty.openpty()
    with os.fdopen(its, "w") as terminal, os.fdopen(mine, "rb", buffering=0) as person:
        monkeypatch.setattr(sys, "stdout", terminal)
        screen = Screen({})
        for piece in (b"a\x1b", b"[2Jb\xc2", b"\x9b2J\xe6\xbc", b"\xa2."):
            screen.output(piece)
        seen = b""
        while not seen.endswith(b"."):  # a terminal may hand over what was written in parts
            assert select.select([person], [], [], 20)[0], seen
            seen += person.read(100)
        assert seen == "a[2Jb2J漢.".encode()


def test_a_pipe_gets_every_byte(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "pipe").open("w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        Screen({}).output(b"\x1b[2J\xff\x00")
    assert (tmp_path / "pipe").read_bytes() == b"\x1b[2J\xff\x00"
