"""What a run was given, kept beside its log for people to look at: the prompt as it was sent, and where its clone is.

Nothing is decided by it: where a copy is missing or damaged there is nothing to look at, and no more.
"""

import json
from dataclasses import dataclass

from reconciler.repo import storage
from reconciler.repo.fleet import Fleet

NAME = "given.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The prompt; and on this machine itself the clone of the project, the branch, and the commit that it started from.

    Where the run is on another machine, or has no repository, these are `None`.
    """

    prompt: str
    clone: str | None = None
    branch: str | None = None
    base_sha: str | None = None


def keep(fleet: Fleet, task_id: str, epoch: int, given: Given) -> None:
    """Keep it; only the owner may read it. May be repeated."""
    folder = fleet.logs(task_id, epoch)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = folder / f"{NAME}.new"
    temporary.touch(mode=0o600)
    temporary.write_text(json.dumps(storage.unstructure(given)), encoding="ascii")
    temporary.replace(folder / NAME)


def read(fleet: Fleet, task_id: str, epoch: int) -> Given | None:
    """What was kept; `None` where nothing was, or it cannot be read any more."""
    path = fleet.logs(task_id, epoch) / NAME
    try:
        return storage.structure(Given, json.loads(path.read_bytes()))
    except (OSError, ValueError):
        return None
