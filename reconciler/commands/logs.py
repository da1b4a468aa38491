"""`logs`: what an agent printed, from the copies on this machine.

It asks no host: a running reconciler fetches.
"""

import time
from dataclasses import dataclass, field

from reconciler.commands.command import Command
from reconciler.commands.reading import Reader, View
from reconciler.commands.session import NotGood, Session, WrongUsage
from reconciler.core.observed import ObservedTask, Run
from reconciler.repo import logs as copies
from reconciler.repo.fleet import Fleet

LOOK_EVERY_S = 0.3
STREAMS = ("stdout", "stderr")


def logs(session: Session, *, task: str, run: int = 0, follow: bool = False, json: bool = False) -> int:
    """Print what a task's agent printed, in its newest run or in another one.

    Standard output goes to standard output and standard error to standard error, byte for byte. The copies are fetched
    by a running reconciler. `--follow` goes on until the run has ended; Ctrl-C ends only the printing.
    """
    if follow and json:
        raise WrongUsage("logs: --follow and --json do not go together; leave one out")
    reader = Reader(session)
    try:
        chosen = _chosen(reader.read(), task, run)
        if json:
            return _as_json(session, reader.fleet, task, chosen)
        printed = _Printed(session=session, fleet=reader.fleet, task_id=task, epoch=chosen.epoch)
        printed.go_on()
        while follow and _chosen(reader.read(), task, chosen.epoch).finished_at is None:
            time.sleep(LOOK_EVERY_S)
            printed.go_on()
        printed.go_on()
    finally:
        reader.close()
    if not printed.total:
        session.screen.note(_silence(task, chosen, following=follow))
    return 0


def _chosen(view: View, task_id: str, epoch: int) -> Run:
    seen = view.observed.tasks.get(view.known(task_id), ObservedTask())
    if not seen.runs:
        raise NotGood(f"{task_id} has had no run yet; `reconciler why {task_id}` says what keeps it")
    if not epoch:
        return seen.runs[-1]
    found = next((run for run in seen.runs if run.epoch == epoch), None)
    if found is None:
        known = ", ".join(str(run.epoch) for run in seen.runs)
        raise NotGood(f"{task_id} has no run {epoch}; its runs are {known}")
    return found


def _silence(task_id: str, run: Run, *, following: bool) -> str:
    """What to say where nothing was printed."""
    name = f"run {run.epoch} of {task_id}"
    if run.finished_at is not None or following:
        return f"{name} printed nothing, or its output was not kept on this machine"
    return f"nothing of {name} has been fetched yet; a running reconciler does so, and --follow waits for it"


def _as_json(session: Session, fleet: Fleet, task_id: str, run: Run) -> int:
    streams = {name: _text(fleet, task_id, run.epoch, name) for name in STREAMS}
    session.screen.json({"task": task_id, "run": run.epoch, "ended": run.finished_at is not None, **streams})
    return 0


def _text(fleet: Fleet, task_id: str, epoch: int, stream: str) -> str:
    return b"".join(copies.read(fleet, task_id, epoch, stream)).decode(errors="replace")


@dataclass(slots=True, kw_only=True)
class _Printed:
    """How far a run's copies have been printed."""

    session: Session
    fleet: Fleet
    task_id: str
    epoch: int
    offsets: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STREAMS, 0))

    @property
    def total(self) -> int:
        """How many bytes were printed."""
        return sum(self.offsets.values())

    def go_on(self) -> None:
        """Print what has come since."""
        for stream in STREAMS:
            write = self.session.screen.output if stream == "stdout" else self.session.screen.error_output
            for chunk in copies.read(self.fleet, self.task_id, self.epoch, stream, self.offsets[stream]):
                write(chunk)
                self.offsets[stream] += len(chunk)


COMMANDS = (
    Command(
        name="logs",
        group="Look",
        does=logs,
        positional="task",
        options={
            "task": "the task's id",
            "run": "the number of the run (its epoch); without it the newest",
            "follow": "go on until the run has ended",
            "json": "print both streams as JSON",
        },
        example="reconciler logs fix-the-login-form --follow",
    ),
)
