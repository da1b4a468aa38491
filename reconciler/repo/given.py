"""What a run was given, kept beside its log for people to look at: the prompt as it was sent, and where its clone is.

Nothing is decided by it: where a copy is missing or damaged there is nothing to look at, and no more.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from reconciler.repo import storage
from reconciler.repo.fleet import Fleet

_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


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
    path = place(fleet, task_id, epoch)
    text = json.dumps(storage.unstructure(given))
    temporary = f"{path}.new"
    try:
        descriptor = os.open(temporary, _NEW, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(temporary, _NEW, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
    os.replace(temporary, path)  # noqa: PTH105 - as many as there are runs: pathlib takes as long as the call


def read(fleet: Fleet, task_id: str, epoch: int) -> Given | None:
    """What was kept; `None` where nothing was, or it cannot be read any more."""
    try:
        return storage.structure(Given, json.loads(place(fleet, task_id, epoch).read_bytes()))
    except (OSError, ValueError):
        return None


def place(fleet: Fleet, task_id: str, epoch: int) -> Path:
    """Where it is kept: beside the folder of the log, which a run that prints nothing does not have."""
    folder = fleet.logs(task_id, epoch)
    return folder.with_name(f"{folder.name}.given.json")
