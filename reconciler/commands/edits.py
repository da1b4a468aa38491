"""`cancel`, `hold`, `release`, `retry`: what people ask of a task, or of a circuit breaker, as edits of files.

They touch no run: the reconciler acts on the file.
"""

from collections.abc import Mapping

from reconciler.commands import files, reading
from reconciler.commands.arguments import closest
from reconciler.commands.command import Command
from reconciler.commands.session import NotGood, Session, WrongUsage
from reconciler.core.terms import Scope, Wish
from reconciler.repo import storage
from reconciler.repo.main import commits
from reconciler.repo.main.commits import Change, Written


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


def release(session: Session, *, task: str = "", breaker: str = "", json: bool = False) -> int:
    """Release a task from hold or bring a cancelled one back; or close a breaker.

    Writes `desired: run` into the task's file and commits that file. With `--breaker` it says in `closed_breakers` of
    `state/settings.yaml` that what opened this breaker is settled, and commits that file; `status` lists the open ones.
    """
    if bool(task) == bool(breaker):
        raise WrongUsage("release takes a task, or --breaker NAME; for example: reconciler release fix-the-login-form")
    return _close(session, breaker, json=json) if breaker else _wish(session, task, Wish.RUN, json=json)


def retry(session: Session, *, task: str, json: bool = False) -> int:
    """Have a finished or blocked task done again.

    Raises `generation` by one, writes `desired: run`, and commits the task's file.
    """

    def change(data: Mapping[str, object]) -> Mapping[str, object]:
        before = data.get("generation", 1)
        if not isinstance(before, int | float):
            return {}  # the file is refused for it, with the place
        return {"generation": int(before) + 1, **_desired(data, Wish.RUN)}

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
    return _told(session, {"id": task_id}, written, message, json=json)


def _close(session: Session, name: str, *, json: bool) -> int:
    """Say in the settings that what opened a breaker is settled."""
    view = reading.load(session)
    known = view.observed.breakers
    opened = {one.name: one for one in known.values() if one.is_open}
    if name not in opened:
        listed = f"; open are {', '.join(sorted(opened))}" if opened else ""
        raise NotGood(f'no breaker "{name}" is open{closest(name, opened) or listed}')
    if opened[name].scope is Scope.TASK:
        raise NotGood(f"{opened[name].sentence}, or raise limits.launches_per_task_per_hour")
    settled = storage.timestamp(opened[name].opened_at)

    def change(data: Mapping[str, object]) -> Mapping[str, object]:
        before = data.get("closed_breakers")
        kept = {one: at for one, at in before.items() if one in known} if isinstance(before, Mapping) else {}
        return {"closed_breakers": {**kept, name: settled}}

    message = f"Close the breaker {name}"
    return _told(session, {"breaker": name}, commits.edit_settings(view.fleet, change, message), message, json=json)


def _told(session: Session, about: Mapping[str, str], written: Written, message: str, *, json: bool) -> int:
    fleet = session.fleet()
    if json:
        session.screen.json({**about, "path": written.path, "commit": written.commit})
    elif written.commit is None:
        session.screen.line(f"{written.path} says so already; nothing was changed")
    else:
        session.screen.line(f"{message}: {written.path} (commit {written.commit[:10]})")
        if commits.settings(fleet).remote is not None:
            session.screen.line("It takes effect when the commit is pushed.")
    return 0


_OPTIONS = {"task": "the task's id", "json": "print path and commit as JSON"}
_RELEASE = {"breaker": "instead of a task: a circuit breaker, such as fleet or host/builder"}
COMMANDS = tuple(
    Command(
        name=name,
        group="Change",
        does=does,
        positional="task",
        options=_OPTIONS | (_RELEASE if name == "release" else {}),
        example=f"reconciler {name} fix-the-login-form",
    )
    for name, does in (("hold", hold), ("release", release), ("cancel", cancel), ("retry", retry))
)
