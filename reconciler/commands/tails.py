"""Prints what the agents of many tasks print, each line whole behind the name of its task, as the copies here grow.

It asks no host, and holds no more of a log in memory than a portion and an unfinished line.
"""

import zlib
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from reconciler.commands.screen import Cell, Screen
from reconciler.core.observed import ObservedTask, Run
from reconciler.core.terms import TERMINAL
from reconciler.repo import logs as copies
from reconciler.repo.fleet import Fleet
from reconciler.repo.logs import Copy

STREAMS = ("stdout", "stderr")
PORTION = 64 * 1024
"""Bytes of a stream before it is another one's turn; a longer line is printed in pieces."""
COLOURS = (
    "cyan", "yellow", "green", "magenta", "blue", "bright_red", "bright_cyan", "bright_yellow", "bright_green",
    "bright_magenta", "bright_blue",
)  # fmt: skip

Tasks = Mapping[str, ObservedTask]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which tasks are meant: these, and those whose id fits one of the patterns."""

    ids: Collection[str] = ()
    patterns: Collection[str] = ()

    def among(self, ids: Iterable[str]) -> list[str]:
        """Those of the ids that are meant, in order."""
        return sorted(one for one in ids if one in self.ids or any(fnmatchcase(one, fit) for fit in self.patterns))


@dataclass(slots=True, kw_only=True)
class Stream:
    """How far one stream of a run has been printed; behind that stand `rest` bytes of a line that has no end yet.

    They are read again with what follows: a secret that only this completes is blotted out in the copy as a whole.
    """

    copy: Copy
    printed: int = 0
    rest: int = 0

    @property
    def seen(self) -> int:
        """How much of the stream was looked at."""
        return self.printed + self.rest

    def lines(self, fleet: Fleet) -> list[bytes]:
        """The next lines, out of at most a portion that was not looked at before."""
        *lines, rest = copies.part(fleet, self.copy, self.printed, self.rest + PORTION).split(b"\n")
        self.printed += sum(len(line) + 1 for line in lines)
        self.rest = len(rest)
        return [*lines, *self.flushed(fleet)] if self.rest >= PORTION else lines

    def flushed(self, fleet: Fleet) -> list[bytes]:
        """The line that has no end, if there is any."""
        line = copies.part(fleet, self.copy, self.printed, self.rest)
        self.printed, self.rest = self.seen, 0
        return [line] if line else []


@dataclass(slots=True, kw_only=True)
class _Task:
    """The runs of a task that are still to be printed, the first of them by these streams."""

    id: str
    runs: deque[Run] = field(default_factory=deque)
    streams: tuple[Stream, ...] = ()


class Tails:
    """The logs of many tasks, printed as they come: of a task one run after the other, of different tasks in turns."""

    def __init__(self, fleet: Fleet, screen: Screen, chosen: Chosen, *, past: bool = False) -> None:
        """Print those of the chosen tasks. `past`: of those that a pattern stands for also runs that are over."""
        self._fleet = fleet
        self._screen = screen
        self._chosen = chosen
        self._past = past
        self._tasks: dict[str, _Task] = {}
        self._epochs: dict[str, int] = {}
        self._looked: Tasks | None = None
        self._width = max(map(len, chosen.ids), default=0)

    def look(self, tasks: Tasks) -> None:
        """Take in what is recorded now: at first the newest run of each task, then those that begin."""
        if tasks is self._looked:
            return
        first, self._looked = self._looked is None, tasks
        for task_id in self._chosen.among(tasks):
            seen = tasks[task_id]
            if first and seen.last_run is not None:
                wanted = self._past or seen.live_run is not None or task_id in self._chosen.ids
                self._epochs[task_id] = seen.last_run.epoch - 1 if wanted else seen.last_run.epoch
            self._take(task_id, [run for run in seen.runs if run.epoch > self._epochs.get(task_id, 0)], seen)

    def go_on(self) -> bool:
        """Print a portion of everything that there is to print; whether anything came."""
        came = [self._print(task) for task in list(self._tasks.values())]
        return any(came)

    def print_all(self) -> None:
        """Print what there is, one task after the other."""
        for task in list(self._tasks.values()):
            while task.runs and self._print(task):
                continue
            self._flush(task)

    def busy(self) -> bool:
        """Whether there is a run to be printed."""
        return bool(self._tasks)

    def finish(self) -> None:
        """Print the lines that have no end yet."""
        for task in self._tasks.values():
            self._flush(task)

    def over(self) -> bool:
        """Whether nothing more is to come: no pattern could bring more, and every task is finished and printed."""
        tasks = self._looked or {}
        ended = (one in tasks and tasks[one].phase in TERMINAL for one in self._chosen.ids)
        return not self._chosen.patterns and not self._tasks and all(ended)

    def _take(self, task_id: str, fresh: list[Run], seen: ObservedTask) -> None:
        task = self._tasks.get(task_id)
        if task is not None:
            known = {run.epoch: run for run in seen.runs}
            task.runs = deque(known.get(run.epoch, run) for run in task.runs)
        if not fresh:
            return
        self._epochs[task_id] = fresh[-1].epoch
        self._width = max(self._width, len(task_id))
        task = self._tasks.setdefault(task_id, _Task(id=task_id))
        task.runs.extend(fresh)

    def _print(self, task: _Task) -> bool:
        run = task.runs[0]
        if not task.streams:
            task.streams = tuple(Stream(copy=Copy(task_id=task.id, epoch=run.epoch, stream=one)) for one in STREAMS)
            self._screen.note(f"+ {task.id}: run {run.epoch} on {run.host}")
        before = sum(stream.seen for stream in task.streams)
        for stream in task.streams:
            self._show(task, stream, stream.lines(self._fleet))
        if sum(stream.seen for stream in task.streams) > before:
            return True
        if run.finished_at is not None:
            self._end(task, run)
            return True
        return False

    def _end(self, task: _Task, run: Run) -> None:
        self._flush(task)
        failure = f" ({run.failure})" if run.failure else ""
        silent = "" if any(stream.seen for stream in task.streams) else "; nothing that it printed is kept here"
        self._screen.note(f"- {task.id}: run {run.epoch} {run.outcome or 'ended'}{failure}{silent}")
        task.runs.popleft()
        task.streams = ()
        if not task.runs:
            del self._tasks[task.id]

    def _flush(self, task: _Task) -> None:
        for stream in task.streams:
            self._show(task, stream, stream.flushed(self._fleet))

    def _show(self, task: _Task, stream: Stream, lines: list[bytes]) -> None:
        if lines:
            prefix = Cell(text=f"{task.id.ljust(self._width)} | ", style=colour(task.id))
            self._screen.prefixed(prefix, lines, error=stream.copy.stream == "stderr")


def colour(task_id: str) -> str:
    """The colour of a task: the same in every call of the program."""
    return COLOURS[zlib.crc32(task_id.encode()) % len(COLOURS)]
