"""The task as it was when a run was assigned: edits of its file take effect at the next run.

It starts and judges nothing.
"""

from reconciler.core.desired import Desired, Task, with_settings
from reconciler.core.observed import Run
from reconciler.repo import git, storage
from reconciler.repo.fleet import Fleet
from reconciler.repo.yaml import documents


def current(desired: Desired, task_id: str, run: Run) -> Task | None:
    """The same as `task` says, where the file was not edited since; else `None`. It reads nothing."""
    document = desired.tasks.get(task_id)
    return document.value if document is not None and document.spec == (run.spec or "") else None


def task(fleet: Fleet, desired: Desired, task_id: str, run: Run) -> Task | None:
    """The task that the run was given; `None` where neither its file nor what the run used of it is left."""
    current = desired.tasks.get(task_id)
    spec = run.spec or ""
    if current is not None and current.spec == spec:
        return current.value
    content = git.read_blobs(fleet.top, [spec]).get(spec) if spec else None
    if content is not None:
        parsed = documents.parse(content, f"{task_id}.yaml")
        return with_settings(task_id, storage.structure(Task, parsed.data), desired.settings)
    return current.value if current is not None else None
