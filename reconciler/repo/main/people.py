"""Who asked for something: the author of the newest commit of a task's file, else whoever works in this work tree.

It names people for the history and trusts nobody on that account.
"""

from reconciler.repo import git
from reconciler.repo.fleet import Fleet

UNKNOWN = "unknown"


def who_asked(fleet: Fleet, task_id: str, program: str) -> str:
    """The name of the person behind a task's file as it is, or is not, now.

    A commit by `program`, the name under which a person's commands commit, says nothing of who that person was.
    """
    folder = fleet.state / "tasks"
    files = {folder / f"{task_id}.yaml", *folder.rglob(f"{task_id}.yaml")}
    paths = sorted(path.relative_to(fleet.top).as_posix() for path in files)
    if git.tip(fleet.top, fleet.ref) is not None and not git.changed(fleet.top, *paths):
        words = ("log", "--max-count=1", "--format=%an", fleet.ref, "--", *paths)
        author = git.run(fleet.top, *words).text
        if author not in {"", program}:
            return author
    return git.run(fleet.top, "config", "user.name", check=False).text or UNKNOWN
