"""`logs`: what agents printed, from the copies on this machine.

It asks no host: a running reconciler fetches.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from reconciler.commands.command import Command
from reconciler.commands.reading import Reader, View
from reconciler.commands.session import NotGood, Session, WrongUsage
from reconciler.commands.signals import Signals
from reconciler.commands.tails import STREAMS, Chosen, Tails
from reconciler.core.observed import UNTOUCHED, Run
from reconciler.repo import logs as copies
from reconciler.repo.fleet import Fleet

LOOK_EVERY_S = 0.3
WILD = frozenset("*?[")
"""What makes a word a pattern; no id has any of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The arguments of `logs`."""

    task: tuple[str, ...] = ()
    all: bool = False
    run: int = 0
    follow: bool = False
    json: bool = False


def logs(session: Session, asked: Asked) -> int:
    """Print what agents printed, of one task or of many.

    It is the newest run's, unless --run says otherwise. Standard output goes to standard output and standard error to
    standard error, byte for byte. The copies are fetched by a running reconciler. --follow goes on until the run has
    ended; Ctrl-C ends only the printing.

    With several tasks, a pattern such as 'fix-*', or --all, every line stands whole behind the id of its task. --follow
    then takes up their new runs, too, and goes on until every task that was named is finished; with a pattern or --all
    it shows what runs now and what begins later, until Ctrl-C.
    """
    chosen, several = _wanted(asked)
    reader = Reader(session)
    try:
        view = reader.read()
        ids = [view.known(task_id) for task_id in chosen.ids]
        runs = [(task_id, _run(view, task_id, asked)) for task_id in ids if not (several and asked.follow)]
        if asked.json:
            return _documents(session, view, chosen, runs if not several else None)
        if several:
            return _many(session, reader, chosen, follow=asked.follow)
        return _one(session, reader, runs[0], follow=asked.follow)
    finally:
        reader.close()


def _wanted(asked: Asked) -> tuple[Chosen, bool]:
    """Which tasks are meant, and whether they may be several; WrongUsage where that does not go together."""
    if asked.follow and asked.json:
        raise WrongUsage("logs: --follow and --json do not go together; leave one out")
    ids = tuple(dict.fromkeys(one for one in asked.task if not WILD & set(one)))
    patterns = ("*",) if asked.all else tuple(one for one in asked.task if WILD & set(one))
    if not ids and not patterns:
        raise WrongUsage("logs needs a task, or --all; for example: reconciler logs fix-the-login-form --follow")
    several = bool(patterns) or len(ids) > 1
    if several and asked.run:
        raise WrongUsage("logs: --run is about one task; name only that one")
    return Chosen(ids=ids, patterns=patterns), several


def _run(view: View, task_id: str, asked: Asked) -> Run:
    seen = view.observed.tasks.get(task_id, UNTOUCHED)
    if not seen.runs:
        raise NotGood(f"{task_id} has had no run yet; `reconciler why {task_id}` says what keeps it")
    if not asked.run:
        return seen.runs[-1]
    found = next((run for run in seen.runs if run.epoch == asked.run), None)
    if found is None:
        known = ", ".join(str(run.epoch) for run in seen.runs)
        raise NotGood(f"{task_id} has no run {asked.run}; its runs are {known}")
    return found


def _documents(session: Session, view: View, chosen: Chosen, one: Sequence[tuple[str, Run]] | None) -> int:
    """Both streams as JSON: of one task as a document, of several each on a line."""
    for task_id, run in one or ():
        session.screen.json(_document(view.fleet, task_id, run))
    if one is None:
        for task_id in chosen.among(view.observed.tasks):
            newest = view.observed.tasks[task_id].last_run
            if newest is not None:
                session.screen.json_line(_document(view.fleet, task_id, newest))
    return 0


def _document(fleet: Fleet, task_id: str, run: Run) -> dict[str, object]:
    streams = {
        name: b"".join(copies.read(fleet, task_id, run.epoch, name)).decode(errors="replace") for name in STREAMS
    }
    return {"task": task_id, "run": run.epoch, "ended": run.finished_at is not None, **streams}


def _many(session: Session, reader: Reader, chosen: Chosen, *, follow: bool) -> int:
    tails = Tails(reader.fleet, session.screen, chosen, past=not follow)
    tails.look(reader.happened())
    if not follow:
        if not tails.busy():
            raise NotGood("no task that is meant has had a run yet; `reconciler status` lists the tasks")
        tails.print_all()
        return 0
    if not tails.busy():
        session.screen.note("nothing of it runs now; what begins is shown here")
    clock = session.outside.clock_s
    with Signals() as signals:
        looked_s = clock()
        while not signals.ended() and not tails.over():
            more = tails.go_on()
            if not more:
                signals.wait(LOOK_EVERY_S)
            tasks = signals.unless_ended(reader.happened) if clock() - looked_s >= LOOK_EVERY_S else None
            if tasks is not None:
                tails.look(tasks)
                looked_s = clock()
        tails.go_on()
        tails.finish()
    return signals.code


def _one(session: Session, reader: Reader, chosen: tuple[str, Run], *, follow: bool) -> int:
    task_id, run = chosen
    printed = _Printed(session=session, fleet=reader.fleet, task_id=task_id, epoch=run.epoch)
    with Signals() as signals:
        ended = not follow
        while not signals.ended():
            for _ in printed.portions():
                if signals.ended():
                    break
            if ended:
                break
            signals.wait(LOOK_EVERY_S)
            tasks = signals.unless_ended(reader.happened)
            ended = tasks is not None and _is_over(tasks.get(task_id, UNTOUCHED).runs, run.epoch)
        next(printed.portions(), None)
    if not printed.total:
        session.screen.note(_silence(task_id, run, following=follow))
    return signals.code


def _is_over(runs: Sequence[Run], epoch: int) -> bool:
    return all(run.finished_at is not None for run in runs if run.epoch == epoch)


def _silence(task_id: str, run: Run, *, following: bool) -> str:
    """What to say where nothing was printed."""
    name = f"run {run.epoch} of {task_id}"
    if run.finished_at is not None or following:
        return f"{name} printed nothing, or its output was not kept on this machine"
    return f"nothing of {name} has been fetched yet; a running reconciler does so, and --follow waits for it"


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

    def portions(self) -> Iterator[None]:
        """Print what has come since, a portion at each step."""
        for stream in STREAMS:
            write = self.session.screen.output if stream == "stdout" else self.session.screen.error_output
            for chunk in copies.read(self.fleet, self.task_id, self.epoch, stream, self.offsets[stream]):
                write(chunk)
                self.offsets[stream] += len(chunk)
                yield


COMMANDS = (
    Command(
        name="logs",
        group="Look",
        does=logs,
        positional="task",
        takes=Asked,
        options={
            "task": "tasks' ids, or patterns of them in quotes",
            "all": "every task",
            "run": "the number of the run (its epoch); without it the newest",
            "follow": "go on as more is printed",
            "json": "print both streams as JSON; of several tasks each on a line",
        },
        example="reconciler logs fix-the-login-form --follow\nreconciler logs --all --follow",
    ),
)
