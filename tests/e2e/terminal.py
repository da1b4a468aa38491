"""A terminal of a test's own: a program that has it as its controlling terminal, and what it shows."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e import program
from tests.waiting import until

ORDERS = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[=>()][A-Z0-9]?)")
TAKE_TERMINAL = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp('sh', sys.argv[1:])"
SHELL = """trap : INT; "$@"; echo "ended $?"; read -r _"""
ENDED = re.compile(r"ended (\d+)\r\n")


@dataclass(kw_only=True)
class Terminal:
    """The person's end, behind it a shell that waits for the program. `seen` is every byte that was shown so far."""

    end: int
    its: int
    process: subprocess.Popen[bytes]
    seen: bytearray = field(default_factory=bytearray)

    @property
    def text(self) -> str:
        """Everything that was shown, without orders to the terminal."""
        self._take()
        return ORDERS.sub("", self.seen.decode(errors="replace"))

    def shows(self, words: str) -> None:
        """Wait until these words are shown, from now on or before."""
        until(lambda: words in self.text, seconds=program.TIMEOUT_S)

    def forget(self) -> None:
        """Look only at what is shown from now on."""
        self._take()
        self.seen.clear()

    def type(self, keys: str) -> None:
        os.write(self.end, keys.encode())

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.its, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def settings(self) -> list[object]:
        """How the terminal is set at this moment."""
        return termios.tcgetattr(self.its)

    def ends(self) -> int:
        """Wait for the end of the program; its exit code. The terminal stays as the program left it."""
        return int(until(lambda: ENDED.findall(self.text), seconds=program.TIMEOUT_S)[-1])

    def _take(self) -> None:
        while select.select([self.end], [], [], 0)[0]:
            self.seen += os.read(self.end, 65536)


@contextmanager
def terminal(
    words: Sequence[str], *, cwd: Path, rows: int = 30, columns: int = 100, env: Mapping[str, str] | None = None
) -> Generator[Terminal]:
    """Start a program on a terminal of its own, which goes away at the end of the block."""
    end, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", TAKE_TERMINAL, "sh", "-c", SHELL, "sh", *words],
        cwd=cwd,
        env=program.environment(cwd.parent / "home", {"TERM": "xterm-256color", **(env or {})}),
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    )
    made = Terminal(end=end, its=its, process=process)
    made.resize(rows, columns)
    try:
        yield made
    finally:
        process.kill()
        process.wait()
        os.close(its)
        os.close(end)
