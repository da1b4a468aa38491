"""What ties tasks to each other: who names whom, who works in which branch; so that a change is felt where it matters.

It judges nothing: `crosscheck` does.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from reconciler.core.desired import Task

_OWN = "task/"


@dataclass(slots=True)
class Ties:
    """The ties of all tasks in force. A branch that is the task's own by its id is not kept: the id says it."""

    dependents: dict[str, set[str]] = field(default_factory=dict)
    _branches: dict[str, set[str]] = field(default_factory=dict)
    secrets: Counter[str] = field(default_factory=Counter)
    """How many tasks name each secret."""
    _tasks: dict[str, tuple[Task, str | None]] = field(default_factory=dict)

    def put(self, name: str, task: Task | None) -> None:
        """Take a task as it is now; None: it is none any more."""
        known = self._tasks.pop(name, None)
        if known is not None:
            self._untie(name, *known)
        branch = task.branch if task is not None and task.branch != f"{_OWN}{name}" else None
        if task is None or not (task.depends_on or task.secrets or branch):
            return
        self._tasks[name] = (task, branch)
        self.secrets.update(task.secrets)
        for other in task.depends_on:
            self.dependents.setdefault(other, set()).add(name)
        if branch is not None:
            self._branches.setdefault(branch, set()).add(name)

    def _untie(self, name: str, task: Task, branch: str | None) -> None:
        for other in task.depends_on:
            _remove(self.dependents, other, name)
        if branch is not None:
            _remove(self._branches, branch, name)
        for secret in task.secrets:
            self.secrets[secret] -= 1
            if not self.secrets[secret]:
                del self.secrets[secret]

    def sharing(self) -> set[str]:
        """The tasks that may work in a branch of which another has the name; some may be tasks no more."""
        return {name for branch in self._branches for name in self.in_branch(branch)}

    def in_branch(self, branch: str | None) -> Iterator[str]:
        """The tasks that work in a branch of that name, in whatever repository; some may be tasks no more."""
        if branch is None:
            return
        yield from self._branches.get(branch, ())
        if branch.startswith(_OWN):
            yield branch.removeprefix(_OWN)


def _remove(names: dict[str, set[str]], key: str, name: str) -> None:
    found = names.get(key)
    if found is not None:
        found.discard(name)
        if not found:
            del names[key]
