"""The task files of issues: adds one, holds it, releases it again; each a commit of that one path.

It does not decide whose issues count, and it never touches the file of a task that an agent was at work on.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from reconciler.core import issues, proposals
from reconciler.core.desired import Desired, Identity
from reconciler.core.issues import Issue
from reconciler.core.observed import ObservedTask
from reconciler.core.proposals import Proposal
from reconciler.core.terms import TERMINAL, Wish
from reconciler.repo.git import Refused, Signature
from reconciler.repo.main import commits, mainline, newtask, past
from reconciler.repo.main.commits import Edit
from reconciler.repo.main.mainline import Mainline, Protected
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
    """The fleet while files are written. `paths` are the files of each task, `home` is the name of the forge's host.

    `asked` are the keys of what pull requests were opened for already.
    """

    mainline: Mainline
    desired: Desired
    observed: Mapping[str, ObservedTask]
    paths: Mapping[str, Sequence[str]]
    home: str
    asked: Collection[str]


class Withheld(Exception):
    """A commit was made that `main` does not take; a pull request may ask for it."""

    def __init__(self, proposal: Proposal, kept: Protected) -> None:
        super().__init__(str(kept))
        self.proposal = proposal
        self.commit = kept.commit
        self.origin = kept.origin


def add(sight: Sight, newcomer: Newcomer, *, ever: Collection[str], added: Collection[str]) -> str | None:
    """Write and commit the file of a new task; its id, `None` where that was asked for by a pull request before.

    `ever` are the ids on the branch, `added` those since `sight`. Raises what `Mainline.commit` raises, InvalidDocument
    where it would not be valid, and Withheld.
    """
    issue = newcomer.issue
    content = documents.dump(issues.task_data(issue, newcomer.repository))
    if _proposal("", issue).is_among(sight.asked):
        return None
    taken = {*ever, *added, *proposals.elsewhere(issue, sight.asked)}
    task_id = _begun(sight, issue, ever) or _free_id(sight, issue, content, taken)
    _add(sight, _proposal(task_id, issue), newtask.hinted(sight.mainline, content))
    return task_id


def complete(sight: Sight, task_id: str, newcomer: Newcomer) -> bool:
    """Commit the file of a task whose commit was cut off; whether there was something to do."""
    path = newtask.path(task_id)
    if path not in sight.paths.get(task_id, ()) or mainline.is_committed(sight.mainline, path):
        return False
    content = newtask.hinted(sight.mainline, documents.dump(issues.task_data(newcomer.issue, newcomer.repository)))
    if sight.mainline.read(path) != content:
        return False
    _add(sight, _proposal(task_id, newcomer.issue), content)
    return True


def follow(sight: Sight, task_id: str, issue: Issue, *, wanted: bool) -> bool:
    """Hold a task whose issue is not wanted any more, release one that was held so; whether its file was changed.

    Only a task that this program added is held, and only a hold of this program's is lifted.
    """
    paths = sight.paths.get(task_id, ())
    if len(paths) != 1:
        return False
    path = paths[0]
    content = sight.mainline.read(path)

    def change(subject: str, *, starts: bool = True) -> Proposal:
        basis = f"{subject}\0{content!r}"
        return Proposal(task_id=task_id, issue=issue, subject=subject, basis=basis, starts=starts)

    wish = documents.parse(content, path).data.get("desired", Wish.RUN.value)
    if not wanted and wish == Wish.RUN and _came_from(sight.mainline, path, issue):
        what = "lost its label" if issue.open else "was closed"
        return _wish(sight, change(f"Hold {task_id}: issue {issue.name} {what}", starts=False), path, Wish.HOLD)
    if wanted and wish == Wish.HOLD and _newest_step(sight.mainline, path) == HELD:
        return _wish(sight, change(f"Release {task_id}: issue {issue.name} is wanted again"), path, Wish.RUN)
    return False


def _begun(sight: Sight, issue: Issue, ever: Collection[str]) -> str | None:
    """The id of the issue's file in the work tree where that is not in force, because it was never committed."""
    url = issues.same_url(issue.url)
    for name, paths in sight.paths.items():
        alone = name not in ever and paths == [newtask.path(name)]
        if alone and past.issue(sight.mainline.read(paths[0])) == url:
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


def _proposal(task_id: str, issue: Issue) -> Proposal:
    """The new task of an issue, as a change: the same one while title and text of the issue stay as they are."""
    subject = f"Add {task_id} from issue {issue.name}"
    return Proposal(task_id=task_id, issue=issue, subject=subject, basis=f"{issue.title}\0{issue.body}", starts=True)


def _add(sight: Sight, proposal: Proposal, content: bytes) -> None:
    """Commit a new file in its author's name; in the program's, where commits count by who made them."""
    edit = Edit(path=newtask.path(proposal.task_id), old=None, new=content)
    author = _author(proposal.issue.author, sight.home)
    if sight.desired.settings.trust is None or author is None:
        _commit(sight, proposal, edit, author=author)
    else:
        _commit(sight, proposal, edit, f"Asked-by: {author.name}")


def _commit(sight: Sight, proposal: Proposal, edit: Edit, *trailers: str, author: Identity | None = None) -> None:
    """Commit one edit; Withheld where `main` does not take it."""
    said = (f"Issue: {issues.one_line(proposal.issue.url)}", *trailers)
    message = f"{proposal.subject}\n\n" + "\n".join(said)
    committer = sight.desired.settings.commit
    try:
        sight.mainline.commit([edit], message, Signature(committer=committer, author=author or committer))
    except Protected as kept:
        raise Withheld(proposal, kept) from kept


def _author(login: str, home: str) -> Identity | None:
    """Who wanted it, for the history; `None` where the login is no name."""
    name = issues.one_line(login).translate({ord("<"): None, ord(">"): None})[:MAX_LOGIN]
    address = _NOT_IN_AN_ADDRESS.sub("-", name).strip("-.")
    return Identity(name=name, email=f"{address}@{home}") if address else None


def _wish(sight: Sight, proposal: Proposal, path: str, wish: Wish) -> bool:
    """Write a wish into a task's file; whether that was done, and not asked for by a pull request before.

    Refused where the file has something that is not in force, which a trusted commit of the file would put in force.
    """
    if proposal.is_among(sight.asked):
        return False
    document = sight.desired.tasks.get(proposal.task_id)
    in_force = document.spec if document is not None else None
    if sight.desired.settings.trust is not None and mainline.blob(sight.mainline, path) != in_force:
        raise Refused(f"{path} has changes that are not in force: somebody of settings.trust has to change it first")
    old = sight.mainline.read(path)
    new = commits.edited("task", path, old, lambda _: {"desired": wish.value})
    _commit(sight, proposal, Edit(path=path, old=old, new=new), f"Intake: {HELD if wish is Wish.HOLD else RELEASED}")
    return True


def _came_from(where: Mainline, path: str, issue: Issue) -> bool:
    """Whether this program wrote the file for the issue, under whatever name it stood then."""
    url = issues.same_url(issue.url)
    return any(issues.same_url(one) == url for one in mainline.trailers(where, path, "Issue", "--follow"))


def _newest_step(where: Mainline, path: str) -> str:
    """What this program did in the newest commit of a file; empty where that is a person's."""
    return next(iter(mainline.trailers(where, path, "Intake", "--max-count=1")), "")
