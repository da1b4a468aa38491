"""`new`: a new task file, checked before it is written, and committed.

It starts nothing: a running reconciler takes the file up.
"""

import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from reconciler.commands import editor, reading
from reconciler.commands.command import Command
from reconciler.commands.reading import View
from reconciler.commands.session import NotGood, Session, WrongUsage, here
from reconciler.core import names
from reconciler.repo.desired import checks, crosscheck, fleetfiles
from reconciler.repo.main import commits, newtask
from reconciler.repo.main.commits import Edit
from reconciler.repo.main.mainline import WorkTree
from reconciler.repo.yaml import documents

MAX_STDIN_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the new task is to be."""

    title: str
    goal: str = ""
    repository: str = ""
    adapter: str = ""
    id: str = ""
    host: str = ""
    priority: int = 0
    depends_on: tuple[str, ...] = ()
    hold: bool = False
    json: bool = False

    @property
    def data(self) -> dict[str, object]:
        """The keys of the task's file, but for its goal; empty ones are left out."""
        data: dict[str, object] = {
            "repository": _whole(self.repository),
            "adapter": self.adapter,
            "host": self.host,
            "priority": self.priority,
            "depends_on": [name for words in self.depends_on for name in words.split(",") if name],
            "desired": "hold" if self.hold else "",
        }
        return {"title": self.title} | {key: value for key, value in data.items() if value}


def new(session: Session, wanted: Wanted) -> int:
    """Write a new task's file, check it, and commit it.

    The id is made from the title. Without `--goal` your editor opens ($VISUAL, $EDITOR); `--goal -` reads standard
    input. Every other key of a task can be written into the file afterwards.
    """
    view = reading.load(session)
    taken = _taken(view)
    task_id = _given_id(wanted.id, taken) if wanted.id else names.unused(names.slug(wanted.title), taken)
    content = _content(session, wanted)
    path = newtask.path(task_id)
    _check(view, task_id, path, content)
    commit = commits.commit(
        view.fleet, [Edit(path=path, old=None, new=newtask.hinted(WorkTree(view.fleet), content))], f"Add {task_id}"
    )
    if wanted.json:
        session.screen.json({"id": task_id, "path": path, "commit": commit})
        return 0
    session.screen.line(f"{path} (commit {commit[:10]})", style="bold green")
    if wanted.hold:
        session.screen.line(f"It is on hold; next: reconciler release {task_id}")
    else:
        remote = view.desired.settings.remote
        first = f"It counts once it is pushed to {remote}. " if remote is not None else ""
        said = f"A running reconciler takes it up; else: reconciler reconcile. See: reconciler why {task_id}"
        session.screen.line(f"{first}{said}")
    return 0


def _whole(repository: str) -> str:
    """The repository as its host can find it: a relative path of a folder that is here becomes absolute."""
    is_folder = bool(repository) and not repository.startswith("~") and Path(repository).is_dir()
    return str((here() / repository).resolve()) if is_folder and not Path(repository).is_absolute() else repository


def _taken(view: View) -> set[str]:
    """Every id that is, or was, a task's."""
    paths = fleetfiles.task_paths(fleetfiles.work_tree(view.fleet.root))
    return {*paths, *view.desired.tasks, *view.desired.archived, *view.observed.tasks}


def _given_id(name: str, taken: Collection[str]) -> str:
    if not checks.ID.fullmatch(name):
        raise WrongUsage(f'--id "{name}" is no id: {fleetfiles.ID_RULE}')
    if name in taken:
        raise NotGood(f'there is, or was, a task "{name}"; choose another --id, or retry that one')
    return name


def _content(session: Session, wanted: Wanted) -> bytes:
    """The task's file, with the goal from the command line, from standard input or from the person's editor."""
    if not wanted.goal:
        return editor.written(session, wanted.data)
    goal = wanted.goal
    if goal == "-":
        goal = sys.stdin.buffer.read(MAX_STDIN_BYTES + 1).decode(errors="replace")
    if not goal.strip():
        raise WrongUsage("the goal is empty; say what is to be achieved")
    return documents.dump({"title": wanted.title, "goal": goal} | wanted.data)


def _check(view: View, task_id: str, path: str, content: bytes) -> None:
    """Raise InvalidDocument, or NotGood, unless the file is good alone and together with the others."""
    task = newtask.task(task_id, content, path, view.desired.settings)
    observed = view.observed.tasks
    finished = frozenset(observed) - frozenset(view.desired.tasks)
    fleet = newtask.fleet(view.desired, {task_id: task}, observed=observed, finished=finished)
    for finding in crosscheck.findings(fleet):
        if finding.kind == "task" and finding.id == task_id:
            raise NotGood(f"{path}: {finding.message}; nothing was written")


COMMANDS = (
    Command(
        name="new",
        group="Begin",
        does=new,
        takes=Wanted,
        positional="title",
        options={
            "title": "what the work is called, in one line",
            "goal": "what is to be achieved; - reads standard input; without it your editor opens",
            "repository": "URL of the project to work on, or the path of its repository on the host",
            "adapter": "the agent: codex, claude-code, or another file of adapters/",
            "id": "the task's id, instead of one made from the title",
            "host": "run on this host only",
            "priority": "higher goes first",
            "depends_on": "a task that must be completed before; may be repeated",
            "hold": "start on hold",
            "json": "print id, path and commit as JSON",
        },
        example='reconciler new "Fix the login form" --repository https://git.example.org/shop.git --goal "Accept +."',
    ),
)
