"""`archive`: puts the files of finished tasks away, in one commit; or has the branch `observed` begin at a later day.

Neither takes a task's state: a dependency on an archived task still holds, and the last state of every task stays.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime

from reconciler.commands import progress, reading
from reconciler.commands.command import Command
from reconciler.commands.reading import View
from reconciler.commands.session import NotGood, Session, WrongUsage
from reconciler.core.desired import Settings
from reconciler.core.leadership import Pace
from reconciler.core.observed import ObservedTask
from reconciler.core.terms import TERMINAL
from reconciler.leading import replacing
from reconciler.leading.upstream import Upstream
from reconciler.repo import lock
from reconciler.repo.desired import fleetfiles
from reconciler.repo.fleet import IN_FORCE, OBSERVED, Fleet
from reconciler.repo.main import commits
from reconciler.repo.main.commits import Edit
from reconciler.repo.observed import forgetting
from reconciler.repo.observed.forgetting import NothingForgotten, Publish
from reconciler.repo.remote import holder
from reconciler.repo.remote.door import FETCH_S, Remote


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A task's file and where it goes."""

    id: str
    source: str
    target: str


def archive(session: Session, *, before: str = "", forget: str = "", json: bool = False) -> int:
    """Put the files of finished tasks away, or cut the history of what happened.

    Moves them to state/archive/YYYY/MM/ (the month in which they finished), in one commit.

    With --forget DATE it does something else: no file changes, but the branch observed begins anew at the state in
    which that day (UTC) found it. Later commits are kept as they are, under new ids. The old branch stays as the tag
    observed-until-DATE: `git tag -d` that to let go of it. No reconciler may be running meanwhile. Where the fleet
    lives on a remote, branch and tag are put there, too.
    """
    if before and forget:
        raise WrongUsage("--before and --forget do not go together; run archive twice")
    if forget:
        return _forget(session, _date("--forget", forget), json=json)
    limit = _date("--before", before) if before else None
    view = reading.load(session)
    moves = tuple(_moves(view, limit, session.now()))
    if moves:
        with progress.working(session.screen, f"archiving {len(moves)} tasks"):
            _commit(view, moves)
    if json:
        session.screen.json({"archived": [{"id": one.id, "path": one.target} for one in moves]})
        return 0
    for one in moves:
        session.screen.line(f"{one.source} -> {one.target}")
    when = f" before {limit.isoformat()}" if limit else ""
    session.screen.line(f"{len(moves)} archived" if moves else f"nothing to archive: no task finished{when}")
    return 0


def _date(option: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise WrongUsage(f'{option} needs a date such as 2026-11-22, not "{text}"') from error


def _forget(session: Session, day: date, *, json: bool) -> int:
    fleet = session.fleet()
    settings = commits.settings(fleet)
    with ExitStack() as closing:
        closing.callback(lock.acquire(fleet.lock, fleet.shared_lock).release)
        publish = closing.enter_context(_leading(session, fleet, settings)) if settings.remote is not None else None
        closing.enter_context(progress.working(session.screen, f"making the history of {OBSERVED} anew"))
        try:
            done = forgetting.forget(fleet, day, session.now(), settings.commit, publish)
        except NothingForgotten as error:
            raise NotGood(str(error)) from error
    if json:
        session.screen.json({"forgotten": asdict(done)})
        return 0
    session.screen.line(f"{OBSERVED} begins at {day} now: {done.cut} commits are cut, {done.kept} follow")
    session.screen.line(f"the tag {done.tag} keeps the old branch; to let go of it: git tag -d {done.tag}")
    return 0


def _leading(session: Session, fleet: Fleet, settings: Settings) -> AbstractContextManager[Publish]:
    """The right to replace the branch on the fleet's remote, too."""
    upstream = Upstream(
        fleet=replace(fleet, ref=IN_FORCE),
        remote=Remote(fleet.top, settings.remote or "", FETCH_S),
        holder=holder.holder(fleet),
        name=holder.name(fleet),
        identity=settings.commit,
        now=session.now,
        clock_s=session.outside.clock_s,
        said=session.screen.note,
        warn=session.screen.note,
        pace=Pace(),
    )
    return replacing.leading(upstream)


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


COMMANDS = (
    Command(
        name="archive",
        group="Change",
        does=archive,
        options={
            "before": "only tasks that finished before this day",
            "forget": "have the branch observed begin at this day, instead of putting files away",
            "json": "print what was done as JSON",
        },
        example="reconciler archive --before 2026-11-01\nreconciler archive --forget 2026-01-01",
    ),
)
