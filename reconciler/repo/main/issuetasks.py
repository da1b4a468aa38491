"""The task files of issues: adds one, holds it, releases it again; each a commit of that one path.

It does not decide whose issues count, and it never touches the file of a task that an agent was at work on.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from reconciler.core import issues
from reconciler.core.desired import Desired, Identity
from reconciler.core.issues import Issue
from reconciler.core.observed import ObservedTask
from reconciler.core.terms import TERMINAL, Wish
from reconciler.repo import git
from reconciler.repo.desired import fleetfiles
from reconciler.repo.fleet import BRANCH, Fleet
from reconciler.repo.main import commits, newtask, past
from reconciler.repo.main.commits import Edit
from reconciler.repo.yaml import documents

MAX_LOGIN = 100
HELD = "hold"
RELEASED = "run"

_NOT_IN_AN_ADDRESS = re.compile(r"[^A-Za-z0-9._+-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """An issue that is to become a task, and the string by which the task names the issue's repository."""

    issue: Issue
    repository: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """The fleet while files are written. `paths` are the files of each task, `home` is the name of the forge's host."""

    fleet: Fleet
    desired: Desired
    observed: Mapping[str, ObservedTask]
    paths: Mapping[str, Sequence[str]]
    home: str


def add(sight: Sight, newcomer: Newcomer, *, ever: Collection[str], added: Collection[str]) -> str:
    """Write and commit the file of a new task; its id. `ever` are the ids on the branch, `added` those since `sight`.

    Raises Refused or GitFailed where it cannot be committed now, InvalidDocument where it would not be valid.
    """
    issue = newcomer.issue
    content = documents.dump(issues.task_data(issue, newcomer.repository))
    task_id = _begun(sight, issue, ever) or _free_id(sight, issue, content, {*ever, *added})
    _commit(sight, task_id, issue, newtask.hinted(sight.fleet, content))
    return task_id


def complete(sight: Sight, task_id: str, newcomer: Newcomer) -> bool:
    """Commit the file of a task whose commit was cut off; whether there was something to do."""
    path = newtask.path(task_id)
    if path not in sight.paths.get(task_id, ()) or _is_committed(sight.fleet, path):
        return False
    content = newtask.hinted(sight.fleet, documents.dump(issues.task_data(newcomer.issue, newcomer.repository)))
    if fleetfiles.read(sight.fleet.root, path) != content:
        return False
    _commit(sight, task_id, newcomer.issue, content)
    return True


def follow(sight: Sight, task_id: str, issue: Issue, *, wanted: bool) -> bool:
    """Hold a task whose issue is not wanted any more, release one that was held so; whether its file was changed.

    Only a task that this program added is held, and only a hold of this program's is lifted.
    """
    paths = sight.paths.get(task_id, ())
    if len(paths) != 1:
        return False
    fleet, path = sight.fleet, paths[0]
    wish = documents.parse(fleetfiles.read(fleet.root, path), path).data.get("desired", Wish.RUN.value)
    if not wanted and wish == Wish.RUN and _came_from(fleet, path, issue):
        what = "lost its label" if issue.open else "was closed"
        _wish(fleet, path, Wish.HOLD, f"Hold {task_id}: issue {issue.name} {what}", issue)
        return True
    if wanted and wish == Wish.HOLD and _newest_step(fleet, path) == HELD:
        _wish(fleet, path, Wish.RUN, f"Release {task_id}: issue {issue.name} is wanted again", issue)
        return True
    return False


def _begun(sight: Sight, issue: Issue, ever: Collection[str]) -> str | None:
    """The id of the issue's file in the work tree where that is not in force, because it was never committed."""
    url = issues.same_url(issue.url)
    for name, paths in sight.paths.items():
        if name not in ever and paths == [newtask.path(name)]:
            content = fleetfiles.read(sight.fleet.root, paths[0])
            if past.issue(content) == url:
                return name
    return None


def _free_id(sight: Sight, issue: Issue, content: bytes, also: set[str]) -> str:
    """The first id that no task has, or had, and under which the new one takes no other task's branch."""
    desired = sight.desired
    taken = {*sight.paths, *desired.tasks, *desired.refused, *desired.archived, *sight.observed, *also}
    finished = frozenset(name for name, seen in sight.observed.items() if seen.phase in TERMINAL)
    while True:
        task_id = issues.task_id(issue, taken)
        task = newtask.task(task_id, content, newtask.path(task_id), desired.settings)
        fleet = newtask.fleet(desired, {task_id: task}, observed=sight.observed, finished=finished)
        if not newtask.disturbs(fleet, task_id):
            return task_id
        taken.add(task_id)


def _commit(sight: Sight, task_id: str, issue: Issue, content: bytes) -> None:
    message = f"Add {task_id} from issue {issue.name}\n\nIssue: {issues.one_line(issue.url)}"
    edit = Edit(path=newtask.path(task_id), old=None, new=content)
    _sweep(sight.fleet, task_id)
    commits.commit(sight.fleet, [edit], message, author=_author(issue.author, sight.home))


def _sweep(fleet: Fleet, task_id: str) -> None:
    """Remove what a process that died while it wrote this file left beside it."""
    target = fleet.root / newtask.path(task_id)
    for left in target.parent.glob(f".{target.name}.*.new"):
        left.unlink(missing_ok=True)


def _author(login: str, home: str) -> Identity | None:
    """Who wanted it, for the history; `None` where the login is no name."""
    name = issues.one_line(login).translate({ord("<"): None, ord(">"): None})[:MAX_LOGIN]
    address = _NOT_IN_AN_ADDRESS.sub("-", name).strip("-.")
    return Identity(name=name, email=f"{address}@{home}") if address else None


def _wish(fleet: Fleet, path: str, wish: Wish, subject: str, issue: Issue) -> None:
    step = HELD if wish is Wish.HOLD else RELEASED
    message = f"{subject}\n\nIssue: {issues.one_line(issue.url)}\nIntake: {step}"
    commits.edit(fleet, "task", path, lambda _: {"desired": wish.value}, message)


def _is_committed(fleet: Fleet, path: str) -> bool:
    """Whether the branch has the file."""
    found = git.run(fleet.top, "cat-file", "-e", f"refs/heads/{BRANCH}:{fleet.prefix}{path}", check=False)
    return found.exit == 0


def _came_from(fleet: Fleet, path: str, issue: Issue) -> bool:
    """Whether this program wrote the file for the issue, under whatever name it stood then."""
    url = issues.same_url(issue.url)
    return any(issues.same_url(one) == url for one in _trailers(fleet, path, "Issue", "--follow"))


def _newest_step(fleet: Fleet, path: str) -> str:
    """What this program did in the newest commit of a file; empty where that is a person's."""
    return next(iter(_trailers(fleet, path, "Intake", "--max-count=1")), "")


def _trailers(fleet: Fleet, path: str, key: str, *words: str) -> list[str]:
    if git.tip(fleet.top, f"refs/heads/{BRANCH}") is None:
        return []
    shape = f"--format=%(trailers:key={key},valueonly)"
    said = git.run(fleet.top, "log", shape, *words, f"refs/heads/{BRANCH}", "--", fleet.prefix + path).text
    return said.split()
