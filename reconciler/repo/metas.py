"""A run's `meta.json`: the text of a `Meta`, and back.

The text is made here and read here; what it means is `core.observed.Meta`. The copy on a host is never believed whole.
"""

import functools
import json
from dataclasses import replace

from reconciler.core.desired import Adapter, Task
from reconciler.core.observed import Meta, Run
from reconciler.repo import storage
from reconciler.repo.journal import Journal


class UnreadableMeta(Exception):
    """The text is no `meta.json` of this program."""


def text(meta: Meta) -> str:
    """The JSON text of a `Meta`, on one line."""
    return json.dumps(storage.unstructure(meta), ensure_ascii=False, sort_keys=True)


@functools.lru_cache(maxsize=256)
def read(content: str | bytes) -> Meta:
    """The `Meta` of a JSON text; raises `UnreadableMeta`."""
    try:
        return storage.structure(Meta, json.loads(content))
    except Exception as error:
        raise UnreadableMeta(f"meta.json cannot be read: {type(error).__name__}") from error


def restored(content: bytes, task_id: str, run: Run, task: Task, adapter: Adapter) -> Meta:
    """The `Meta` of a run from its host, where an agent may have written it: raises `UnreadableMeta`.

    What is known otherwise is taken from there: `task` as it was assigned, `adapter` as it is now. Of the host's words
    only paths on it, and commits to start from, are left.
    """
    meta = read(content)
    fleet, _, name = run.run_id.partition(".")
    if not meta.run_dir.endswith(f"/{fleet}/runs/{name}"):
        raise UnreadableMeta("meta.json is not that of this run")
    return replace(
        meta,
        run_id=run.run_id,
        task_id=task_id,
        epoch=run.epoch,
        kind=run.kind,
        task=task,
        adapter_id=run.adapter or "",
        adapter=adapter,
        branch=task.branch or "",
        session=run.resumed,
    )


def kept_workdir(journal: Journal, run_id: str) -> str | None:
    """The folder on its host under which a run was started, where the journal knows it in words of this version."""
    content = journal.meta(run_id)
    try:
        return workdir(read(content)) if content is not None else None
    except UnreadableMeta:
        return None


def workdir(meta: Meta) -> str:
    """The folder on the host under which the run was started."""
    fleet, _, name = meta.run_id.partition(".")
    return meta.run_dir.removesuffix(f"/{fleet}/runs/{name}")
