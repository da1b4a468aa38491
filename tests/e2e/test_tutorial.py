"""`docs/tutorial.md` word for word: every command is typed in its order, and what the page shows is what comes."""

import contextlib
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import program
from tests.e2e.fleets import PROJECT
from tests.waiting import until

DOCUMENT = PROJECT / "docs" / "tutorial.md"
README = PROJECT / "README.md"
BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
PERSON = "[user]\nname = Ada\nemail = ada@example.org\n"
RUNS_ON = "reconciler reconcile\n"
LOOKS = (RUNS_ON, "reconciler status", "reconciler why", "reconciler logs", "git log")
FAILS = {"python3 shop/test_cart.py\n"}
"""What the page says that it fails."""

COMMITS = {10, 40}
"""How much of a commit's id is shown."""

GAP = re.compile(r"\\\.\\\.\\\.|\\ (?:\\ )+|(?<![0-9a-f])(?:[0-9a-f]{40}|[0-9a-f]{10})(?![0-9a-f])|\d+(?:\\\.\d+)*")


def steps() -> Iterator[tuple[str, str]]:
    """Each block of commands, with what the page shows below it; empty where it shows nothing."""
    blocks = [(found["kind"], found["text"]) for found in BLOCK.finditer(DOCUMENT.read_text(encoding="utf-8"))]
    for (kind, text), (after, shown) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if kind == "sh":
            yield text, shown if after == "text" else ""


def shows(promised: str, said: str) -> bool:
    """Whether it came so: `...` stands for anything, numbers and commits differ, columns are as wide as they are."""
    wanted = "".join(r"(?:.*\n)*?" if line == "..." else f"{_line(line)}\n" for line in promised.splitlines())
    return re.fullmatch(wanted, "".join(f"{line.rstrip()}\n" for line in said.splitlines())) is not None


def _line(promised: str) -> str:
    return GAP.sub(_any, re.escape(promised))


def _any(found: re.Match[str]) -> str:
    if found[0].startswith("\\ "):
        return r"\ +"
    if found[0].startswith("\\."):
        return ".*"
    return "[0-9a-f]+" if len(found[0]) in COMMITS else r"\d+(?:\.\d+)*"


class Reader:
    """Who reads the page, in two terminals: what runs on, and the one that commands are typed into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: subprocess.Popen[bytes] | None = None
        self.screen = folder.parent / "first-terminal"
        home = folder.parent / "home"
        self.env = program.environment(home, {"GIT_CONFIG_GLOBAL": str(home / "gitconfig"), "PYTHONUNBUFFERED": "1"})
        (home / "gitconfig").write_text(PERSON)

    def starts(self, text: str) -> None:
        """Type what goes on, into the first terminal."""
        with self.screen.open("wb") as sink:
            self.running = subprocess.Popen(
                ["sh", "-c", f"exec {text}"], cwd=self.folder, env=self.env, stdout=sink, stderr=sink
            )

    def stops(self) -> None:
        """Press Ctrl-C in the first terminal."""
        if self.running is not None:
            self.running.send_signal(signal.SIGINT)
            self.running.wait(program.TIMEOUT_S)
            self.running = None

    def types(self, text: str) -> str:
        """Type commands into the second terminal; what they print. Where they end is where the next ones begin."""
        end = self.folder.parent / "where"
        script = f"trap 'pwd >{end}' EXIT\n{text}"
        done = subprocess.run(
            ["sh", "-eu", "-c", script],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=program.TIMEOUT_S,
        )
        said = done.stdout.decode()
        assert (done.returncode == 0) is (text not in FAILS), (text, said)
        self.folder = Path(end.read_text().rstrip("\n"))
        return said


@pytest.fixture(name="reader")
def _reader(tmp_path: Path) -> Iterator[Reader]:
    (tmp_path / "tutorial").mkdir()
    reader = Reader(tmp_path / "tutorial")
    try:
        yield reader
    finally:
        reader.stops()


def follow(reader: Reader, text: str, promised: str) -> None:
    """Do one step, and see what the page shows; a look is repeated until it shows that."""
    if "--adapter codex" in text:
        reader.stops()
    if text == RUNS_ON:
        reader.starts(text)
    said = [] if text == RUNS_ON else [reader.types(text)]

    def seen() -> bool:
        if text == RUNS_ON:
            said.append(reader.screen.read_text())
        elif not shows(promised, said[-1]):
            said.append(reader.types(text))
        return shows(promised, said[-1])

    if promised and text.startswith(LOOKS):
        with contextlib.suppress(AssertionError):  # it is told below, with what was seen
            until(seen, every=0.2)
    assert not promised or shows(promised, said[-1]), f"{text}\nshould show\n{promised}\nand shows\n{said[-1]}"


@pytest.mark.usefixtures("built_in_address")
def test_a_reader_who_types_every_command_sees_what_the_page_shows(reader: Reader) -> None:
    (install, nothing), *rest = steps()
    assert nothing == ""
    assert "pip install -e ." in install  # each of its lines stands in the README too, which is installed by in CI
    assert all(line in README.read_text(encoding="utf-8") for line in install.splitlines())
    for text, promised in rest:
        follow(reader, text, promised)
    subjects = reader.types("git log --format=%s main").splitlines()
    assert subjects[:2] == ["Add test-an-empty-cart", "Let localhost find robot"]
    assert reader.types("git -C ../shop.git show task/note-that-totals-are-rounded:CHANGES.md").splitlines() == [
        "- Note that totals are rounded"
    ]
