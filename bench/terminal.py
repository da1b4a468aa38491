"""Measures what a terminal costs with five thousand tasks: a second of the live board, and Tab in bash.

A second of the board is one look at the fleet and one picture; it is measured while nothing happens and with a task
that moved, beside the second of one core that there is. Tab is beside a start of the program: a completion that asks
the program costs that. All of it is processor time, children's too. It tests nothing.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir
from pathlib import Path

from bench import frame, stage
from bench.figures import Figures, Goal, interleaved, rows
from reconciler import serving
from reconciler.commands import boardlines, everything, shells
from reconciler.commands.boardlines import Size
from reconciler.commands.reading import Reader
from reconciler.commands.screen import Screen
from reconciler.commands.session import Outside, Session
from reconciler.repo import fleet as fleets
from reconciler.repo.observed.funnel import ObservedBranch
from tests.recording import NOW, assigned, opened, started

ROUNDS = 9
TASKS = 5000
SCREEN = Size(width=120, height=50)
SECOND_MS = 1000.0
QUIET, MOVED, CORE = (
    "a second of the board, nothing happens",
    "a second of the board, a task moved",
    "a second of a core",
)
TYPED = "COMP_WORDS=(reconciler status held-0012); COMP_CWORD=2; _reconciler; [ ${#COMPREPLY[@]} = 100 ]"
TAB, START = "Tab in bash", "a start of the program"


def measure(rounds: int) -> list[Figures]:
    """Milliseconds of a processor."""
    with stage.folder("terminal") as place:
        made = stage.fleet(place, TASKS)
        names = sorted(path.stem for path in made.root.glob("state/tasks/*/*.yaml"))
        with opened(fleets.find(made.root)) as branch:
            branch.record_many([(name, assigned(name)) for name in names])
            with chdir(made.root):
                board = interleaved(rounds, _board(branch, iter(names)))
        script = place / "completion"
        script.write_text("\n".join(shells.bash(everything.commands())))
        asked = {
            TAB: ["bash", "--norc", "-c", f"source '{script}'; {TYPED}"],
            START: [sys.executable, "-m", "reconciler", "--version"],
        }
        completion = interleaved(rounds, {name: _started(words, made.root) for name, words in asked.items()})
    return [
        Figures(
            name="terminal_board",
            title=f"The live board with {TASKS:,} tasks that were all assigned",
            unit="ms of a processor",
            rows=rows(board, {CORE: "limit"}),
            goals=(
                Goal(wording="a fifth of a core at most", of=QUIET, than=CORE, at_most=0.2),
                Goal(wording="a quarter at most where a task moved", of=MOVED, than=CORE, at_most=0.25),
            ),
        ),
        Figures(
            name="terminal_tab",
            title=f"Completing the id of one of {TASKS:,} tasks",
            unit="ms of a processor",
            rows=rows(completion, {START: "peer"}),
            goals=(Goal(wording="a third of a start of the program at most", of=TAB, than=START, at_most=1 / 3),),
            note="bash itself and the reading of the script are in it.",
        ),
    ]


def _board(branch: ObservedBranch, names: Iterator[str]) -> dict[str, Callable[[], float]]:
    outside = Outside(env={}, now=lambda: NOW, clock_s=time.monotonic, new_token=str, serve=serving.serve)
    session = Session(outside=outside, screen=Screen({}))
    reader = Reader(session)

    def shown() -> float:
        before = _spent_s()
        boardlines.lines(reader.read(), session.now(), SCREEN)
        return (_spent_s() - before) * 1000

    def moved() -> float:
        branch.record(next(names), started())
        return shown()

    shown()
    return {QUIET: shown, MOVED: moved, CORE: lambda: SECOND_MS}


def _started(words: Sequence[str], folder: Path) -> Callable[[], float]:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}

    def started() -> float:
        before = _spent_s()
        subprocess.run(words, cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL)
        return (_spent_s() - before) * 1000

    return started


def _spent_s() -> float:
    """Processor time of this process and of its children that have ended."""
    return sum(os.times()[:4])


if __name__ == "__main__":
    sys.exit(frame.main(["terminal"]))
