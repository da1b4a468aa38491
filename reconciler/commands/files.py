"""Finds and edits the files that people wrote, one commit per edit, comments kept.

It decides nothing about tasks: what an edit leads to is for the reconciler to see.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from reconciler.commands.arguments import closest
from reconciler.commands.session import NotGood
from reconciler.core.desired import Settings
from reconciler.repo import documents, fleetfiles, git, loading
from reconciler.repo import fleet as fleets
from reconciler.repo.documents import InvalidDocument
from reconciler.repo.fleet import Fleet
from reconciler.repo.git import Edit

MAX_SHOWN = 80

Change = Callable[[Mapping[str, object]], Mapping[str, object]]
"""From a document's data to the top-level keys that shall be different."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file after an edit: its path in the fleet, and the commit, None where nothing was to be changed."""

    path: str
    commit: str | None


def settings(fleet: Fleet) -> Settings:
    """The fleet's settings as the work tree has them; the defaults where the file is missing or broken."""
    if not (fleet.root / fleetfiles.SETTINGS).is_file():
        return Settings()
    loaded = loading.load("settings", fleetfiles.read(fleet.root, fleetfiles.SETTINGS), fleetfiles.SETTINGS)
    return loaded.value if isinstance(loaded.value, Settings) else Settings()


def task_path(fleet: Fleet, task_id: str) -> str:
    """The one file of a task; NotGood where there is none, or more than one."""
    listing = fleetfiles.work_tree(fleet.root)
    stems = task_paths(fleet)
    paths = stems.get(task_id, [])
    if len(paths) > 1:
        raise NotGood(f"{task_id} has {len(paths)} files ({', '.join(paths)}); remove all but one")
    if paths:
        return paths[0]
    if task_id in listing.archived:
        raise NotGood(f"{task_id} is archived; move its file from state/archive/ back to state/tasks/ first")
    raise NotGood(unknown("task", task_id, stems))


def task_paths(fleet: Fleet) -> dict[str, list[str]]:
    """Task id -> the files that carry it; more than one is an error of the fleet."""
    return fleetfiles.stems({path: place for path, (place, _) in fleetfiles.work_tree(fleet.root).files.items()})


def host_path(fleet: Fleet, host_id: str) -> str:
    """The file of a host; NotGood where there is none."""
    files = fleetfiles.work_tree(fleet.root).files
    hosts = {place.id: path for path, (place, _) in files.items() if place.kind == "host"}
    if host_id not in hosts:
        raise NotGood(unknown("host", host_id, hosts))
    return hosts[host_id]


def unknown(kind: str, name: str, known: Mapping[str, object]) -> str:
    """The sentence for a name that does not exist, with the one that may be meant."""
    name = name if len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]}..."
    listing = "reconciler status" if kind == "task" else f"reconciler {kind}s"
    return f'there is no {kind} "{name}"{closest(name, known) or f"; `{listing}` lists them"}'


def edit(fleet: Fleet, kind: str, path: str, change: Change, message: str) -> Written:
    """Edit one file and commit exactly that path; Refused where that would get in the person's way.

    InvalidDocument when the file is broken before or after: such an edit would not come into force.
    """
    old = fleetfiles.read(fleet.root, path)
    new = documents.edit(old, change(documents.parse(old, path).data))
    problems = loading.load(kind, new, path).problems
    if problems:
        raise InvalidDocument(problems)
    if new == old:
        git.refuse_unready(fleet.top, fleets.BRANCH)
        return Written(path=path, commit=None)
    return Written(path=path, commit=commit(fleet, [Edit(path=path, old=old, new=new)], message))


def commit(fleet: Fleet, edits: Sequence[Edit], message: str) -> str:
    """Write and commit edits whose paths are relative to the fleet; the new commit's id."""
    placed = [Edit(path=fleet.prefix + one.path, old=one.old, new=one.new) for one in edits]
    return git.commit_paths(fleet.top, fleets.BRANCH, placed, message + "\n", settings(fleet).commit)


def replace(fleet: Fleet, path: str, content: bytes) -> None:
    """Write a file that git does not know, by rename."""
    target = fleet.root / path
    temporary = target.with_name(f".{target.name}.{os.getpid()}.new")
    temporary.write_bytes(content)
    temporary.replace(target)
