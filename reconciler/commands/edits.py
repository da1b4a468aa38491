"""`cancel`, `hold`, `release`, `retry`: what people ask of a task, as edits of its file.

They touch no run: the reconciler acts on the file.
"""

from collections.abc import Mapping

from reconciler.commands import files
from reconciler.commands.command import Command
from reconciler.commands.session import Session
from reconciler.core.terms import Wish
from reconciler.repo.main import commits
from reconciler.repo.main.commits import Change


def cancel(session: Session, *, task: str, json: bool = False) -> int:
    """Cancel a task: its run is stopped, and it is done.

    Writes `desired: cancel` into the task's file and commits that file. `release` or `retry` bring it back.
    """
    return _wish(session, task, Wish.CANCEL, json=json)


def hold(session: Session, *, task: str, json: bool = False) -> int:
    """Hold a task: no new run starts; one that is under way goes on.

    Writes `desired: hold` into the task's file and commits that file.
    """
    return _wish(session, task, Wish.HOLD, json=json)


def release(session: Session, *, task: str, json: bool = False) -> int:
    """Release a task from hold, or bring a cancelled one back.

    Writes `desired: run` into the task's file and commits that file.
    """
    return _wish(session, task, Wish.RUN, json=json)


def retry(session: Session, *, task: str, json: bool = False) -> int:
    """Have a finished or blocked task done again.

    Raises `generation` by one, writes `desired: run`, and commits the task's file.
    """

    def change(data: Mapping[str, object]) -> Mapping[str, object]:
        before = data.get("generation", 1)
        generation = before + 1 if isinstance(before, int) else 1
        return {"generation": generation, **_desired(data, Wish.RUN)}

    return _edit(session, task, change, f"Retry {task}", json=json)


def _wish(session: Session, task_id: str, wish: Wish, *, json: bool) -> int:
    verb = {Wish.CANCEL: "Cancel", Wish.HOLD: "Hold", Wish.RUN: "Release"}[wish]
    return _edit(session, task_id, lambda data: _desired(data, wish), f"{verb} {task_id}", json=json)


def _desired(data: Mapping[str, object], wish: Wish) -> Mapping[str, object]:
    """The change to `desired`: nothing where that is what the file says, or leaves unsaid."""
    return {} if data.get("desired", Wish.RUN.value) == wish.value else {"desired": wish.value}


def _edit(session: Session, task_id: str, change: Change, message: str, *, json: bool) -> int:
    fleet = session.fleet()
    written = commits.edit(fleet, "task", files.task_path(fleet, task_id), change, message)
    if json:
        session.screen.json({"id": task_id, "path": written.path, "commit": written.commit})
    elif written.commit is None:
        session.screen.line(f"{written.path} says so already; nothing was changed")
    else:
        session.screen.line(f"{message}: {written.path} (commit {written.commit[:10]})")
        if commits.settings(fleet).remote is not None:
            session.screen.line("It takes effect when the commit is pushed.")
    return 0


_OPTIONS = {"task": "the task's id", "json": "print path and commit as JSON"}
COMMANDS = tuple(
    Command(
        name=name,
        group="Change",
        does=does,
        positional="task",
        options=_OPTIONS,
        example=f"reconciler {name} fix-the-login-form",
    )
    for name, does in (("hold", hold), ("release", release), ("cancel", cancel), ("retry", retry))
)
