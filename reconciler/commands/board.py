"""`status`, `why`, `plan`: where tasks stand, what keeps them from moving, and what a pass would do.

They only look.
"""

from collections.abc import Iterator
from datetime import datetime

from reconciler.commands import live, pictures, reading
from reconciler.commands.command import Command
from reconciler.commands.reading import Reader, View
from reconciler.commands.session import Session
from reconciler.core import conditions
from reconciler.core import plan as planning
from reconciler.core.conditions import Condition
from reconciler.core.observed import UNTOUCHED
from reconciler.core.terms import Phase
from reconciler.repo import shapes, storage

NOT_GOOD = frozenset({Phase.FAILED, Phase.BLOCKED})


def status(session: Session, *, task: str = "", watch: bool = False, json: bool = False) -> int:
    """Show the board, or one task whole.

    The board shows every task that is not archived, every host, circuit breakers that are open, a forge that does not
    answer or refuses something, and what is wrong with files. With a task's id it shows that task with all its runs and
    reviews; the exit code is then 1 if the task failed or is blocked.

    With --watch a terminal shows as much as it can hold, what wants a person first, and keeps it up to date. Elsewhere
    the board is followed by a line for each change, and with --json by the whole document again, on one line.
    """
    reader = Reader(session)
    try:
        if watch and json:
            return live.as_documents(session, reader, lambda view: _document(session, view, task))
        if watch:
            return live.watch(session, reader, task)
        view = reader.read()
        if json:
            session.screen.json(_document(session, view, task))
        elif task:
            pictures.task(session.screen, view, view.known(task), session.now())
        else:
            pictures.board(session.screen, view, session.now())
        return 1 if task and view.observed.tasks.get(task, UNTOUCHED).phase in NOT_GOOD else 0
    finally:
        reader.close()


def _document(session: Session, view: View, task_id: str) -> object:
    """The board, or one task, as JSON."""
    desired, observed = view.desired, view.observed
    if task_id:
        return shapes.task(view.known(task_id), desired, observed)
    hosts = sorted(desired.hosts.keys() | {one.live_run.host for one in observed.tasks.values() if one.live_run})
    return {
        "tasks": [shapes.task(one, desired, observed) for one in view.task_ids()],
        "hosts": [shapes.host(host_id, desired, observed) for host_id in hosts],
        "breakers": shapes.breakers(observed),
        "forge": shapes.forge(desired, observed),
        "remote": shapes.remote(view.standing, session.now()),
        "problems": shapes.problems(desired),
    }


def why(session: Session, *, task: str, json: bool = False) -> int:
    """Say everything that keeps a task from moving, and who can change it."""
    view = reading.load(session)
    now = session.now()
    found = conditions.waiting(view.known(task), view.desired, view.presuming(now), now)
    seen = view.observed.tasks.get(task, UNTOUCHED)
    if json:
        shown = [shapes.condition(one) for one in found]
        session.screen.json({"id": task, "phase": seen.phase.value, "conditions": shown})
        return 0
    session.screen.line(f"{task} is {seen.phase}", style=pictures.STYLES[seen.phase])
    if not found:
        session.screen.line("nothing keeps it: the next pass assigns it. Is `reconciler reconcile` running?")
    for one in found:
        session.screen.line(_sentence(one))
    return 0


def _sentence(condition: Condition) -> str:
    until = f", until {storage.timestamp(condition.until)}" if condition.until else ""
    who = "it passes by itself" if condition.who == "nobody" else f"the {condition.who} can change that"
    return f"- {condition.why}{until} ({who})"


def plan(session: Session, *, json: bool = False) -> int:
    """Show what a pass would do now, without doing it.

    Hosts are not asked: one that was never asked is taken for one that answers, and what became of runs that are under
    way is not known here.
    """
    view = reading.load(session)
    planned = planning.plan(view.desired, view.presuming(session.now()), session.now())
    if json:
        session.screen.json(shapes.planned(planned))
        return 0
    for line in _planned(planned, session.now()):
        session.screen.line(line)
    return 0


def _planned(planned: planning.Plan, now: datetime) -> Iterator[str]:
    yield from map(shapes.sentence, planned.actions)
    if not planned.actions:
        yield "nothing to do"
    if planned.wake_at is not None:
        seconds = max(0, round((planned.wake_at - now).total_seconds()))
        yield f"it would look again in {seconds} s, or when something changes"


_JSON = "print it as JSON"
COMMANDS = (
    Command(
        name="plan",
        group="Run",
        does=plan,
        options={"json": _JSON},
        example="reconciler plan",
    ),
    Command(
        name="status",
        group="Look",
        does=status,
        positional="task",
        options={"task": "a task's id", "watch": "keep it up to date, until Ctrl-C", "json": _JSON},
        example="reconciler status\nreconciler status fix-the-login-form --json",
    ),
    Command(
        name="why",
        group="Look",
        does=why,
        positional="task",
        options={"task": "a task's id", "json": _JSON},
        example="reconciler why fix-the-login-form",
    ),
)
