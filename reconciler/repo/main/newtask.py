"""What a new task's file has to be: valid alone, and together with the other files of the fleet.

It writes nothing, and it chooses no id.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

from reconciler.core import desired as values
from reconciler.core.desired import Desired, Settings, Task
from reconciler.repo.desired import crosscheck, loading
from reconciler.repo.desired.crosscheck import Fleet
from reconciler.repo.main.mainline import Mainline
from reconciler.repo.yaml.documents import InvalidDocument

_HINT = b"# yaml-language-server: $schema=../../schemas/task.schema.json\n"


def path(task_id: str) -> str:
    """Where the file of a new task stands in the fleet."""
    return f"state/tasks/{task_id}.yaml"


def hinted(mainline: Mainline, content: bytes) -> bytes:
    """The file with the line that lets editors complete and check it, where the fleet has the schema."""
    return _HINT + content if mainline.exists("schemas/task.schema.json") else content


def task(task_id: str, content: bytes, file: str, settings: Settings) -> Task:
    """The task in a new file, with what it leaves to the settings filled in; InvalidDocument where there is none."""
    loaded = loading.load("task", content, file)
    if not isinstance(loaded.value, Task):
        raise InvalidDocument(loaded.problems)
    return values.with_settings(task_id, loaded.value, settings)


def fleet(desired: Desired, new: Mapping[str, Task], *, observed: Collection[str], finished: Collection[str]) -> Fleet:
    """The fleet as it is with new tasks; `observed` are the ids of tasks that were ever assigned."""
    return Fleet(
        settings=desired.settings,
        tasks={name: document.value for name, document in desired.tasks.items()} | dict(new),
        hosts={name: document.value for name, document in desired.hosts.items()},
        adapters={name: document.value for name, document in desired.adapters.items()},
        known={*desired.tasks, *desired.refused, *desired.archived, *observed},
        finished=finished,
    )


def disturbs(fleet: Fleet, task_id: str) -> bool:
    """Whether another task could not start any more because of this one: they would share a branch."""
    branch = fleet.tasks[task_id].branch
    near = {name: other for name, other in fleet.tasks.items() if other.branch == branch}
    others = {name: other for name, other in near.items() if name != task_id}
    if not others:
        return False
    before = set(crosscheck.findings(replace(fleet, tasks=others)))
    after = crosscheck.findings(replace(fleet, tasks=near))
    return any(one.kind == "task" and one.id != task_id and one not in before for one in after)
