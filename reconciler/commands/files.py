"""Finds the files that people wrote, and says what is meant where there is none.

It decides nothing about tasks: what an edit leads to is for the reconciler to see.
"""

import os
from collections.abc import Mapping

from reconciler.commands.arguments import closest
from reconciler.commands.session import NotGood
from reconciler.repo.desired import fleetfiles
from reconciler.repo.fleet import Fleet

MAX_SHOWN = 80


def task_path(fleet: Fleet, task_id: str) -> str:
    """The one file of a task; NotGood where there is none, or more than one."""
    listing = fleetfiles.work_tree(fleet.root)
    stems = fleetfiles.task_paths(listing)
    paths = stems.get(task_id, [])
    if len(paths) > 1:
        raise NotGood(f"{task_id} has {len(paths)} files ({', '.join(paths)}); remove all but one")
    if paths:
        return paths[0]
    if task_id in listing.archived:
        raise NotGood(f"{task_id} is archived; move its file from state/archive/ back to state/tasks/ first")
    raise NotGood(unknown("task", task_id, stems))


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


def replace(fleet: Fleet, path: str, content: bytes) -> None:
    """Write a file that git does not know, by rename."""
    target = fleet.root / path
    temporary = target.with_name(f".{target.name}.{os.getpid()}.new")
    temporary.write_bytes(content)
    temporary.replace(target)
