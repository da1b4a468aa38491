"""`archive`: puts the files of finished tasks away, in one commit.

What happened stays on the branch `observed`; a dependency on an archived task still holds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

from reconciler.commands import reading
from reconciler.commands.command import Command
from reconciler.commands.reading import View
from reconciler.commands.session import Session, WrongUsage
from reconciler.core.observed import ObservedTask
from reconciler.core.terms import TERMINAL
from reconciler.repo.desired import fleetfiles
from reconciler.repo.main import commits
from reconciler.repo.main.commits import Edit


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A task's file and where it goes."""

    id: str
    source: str
    target: str


def archive(session: Session, *, before: str = "", json: bool = False) -> int:
    """Put the files of finished tasks away.

    Moves them to state/archive/YYYY/MM/ (the month in which they finished), in one commit.
    """
    limit = _date(before) if before else None
    view = reading.load(session)
    moves = tuple(_moves(view, limit, session.now()))
    if moves:
        _commit(view, moves)
    if json:
        session.screen.json({"archived": [{"id": one.id, "path": one.target} for one in moves]})
        return 0
    for one in moves:
        session.screen.line(f"{one.source} -> {one.target}")
    when = f" before {limit.isoformat()}" if limit else ""
    session.screen.line(f"{len(moves)} archived" if moves else f"nothing to archive: no task finished{when}")
    return 0


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise WrongUsage(f'--before needs a date such as 2026-11-22, not "{text}"') from error


def _moves(view: View, limit: date | None, now: datetime) -> Iterator[Move]:
    for task_id, paths in sorted(fleetfiles.task_paths(fleetfiles.work_tree(view.fleet.root)).items()):
        seen = view.observed.tasks.get(task_id)
        document = view.desired.tasks.get(task_id)
        if seen is None or seen.phase not in TERMINAL or seen.live_run is not None or len(paths) > 1:
            continue
        if document is not None and document.value.generation > seen.generation:
            continue
        finished = _finished(task_id, seen, view, now)
        if limit is None or finished < limit:
            target = f"state/archive/{finished:%Y/%m}/{task_id}.yaml"
            yield Move(id=task_id, source=paths[0], target=target)


def _finished(task_id: str, seen: ObservedTask, view: View, now: datetime) -> date:
    """The day under which the branch keeps it, else the day of its last run, else today."""
    parts = view.paths.get(task_id, "").split("/")
    if "done" in parts:
        return date.fromisoformat(parts[parts.index("done") + 1])
    run = seen.last_run
    return ((run.finished_at if run else None) or now).astimezone(UTC).date()


def _commit(view: View, moves: tuple[Move, ...]) -> None:
    edits = []
    for one in moves:
        content = fleetfiles.read(view.fleet.root, one.source)
        edits.append(Edit(path=one.source, old=content, new=None))
        edits.append(Edit(path=one.target, old=None, new=content))
    subject = f"Archive {moves[0].id}" if len(moves) == 1 else f"Archive {len(moves)} finished tasks"
    commits.commit(view.fleet, edits, subject)


COMMAND = Command(
    name="archive",
    group="Change",
    does=archive,
    options={"before": "only tasks that finished before this day", "json": "print the moves as JSON"},
    example="reconciler archive --before 2026-11-01",
)
