"""What a task's file leaves to its id or to the settings, filled in before the value is made: one task for each file.

Never reads a file; `core.desired.with_settings` says what a task comes to, this only comes to the same at once.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.core.desired import Settings, Task, with_settings
from reconciler.core.terms import Delivery
from reconciler.repo import storage

KEYS = frozenset({"branch", "pr_title", "adapter", "model", "permissions", "delivery"})

Left = frozenset[str]
"""The keys that a file leaves to be filled in."""
Filled = tuple[Mapping[str, object], Left]
"""What a file says with the rest filled in, and what the rest was."""


@dataclass(slots=True)
class Filling:
    """What tasks are filled in with."""

    settings: Settings
    _alike: dict[bool, dict[str, object]] = field(default_factory=dict, compare=False, repr=False)

    def data(self, task_id: str, data: Mapping[str, object]) -> Filled:
        """What the file of a task comes to; its data are valid by the schema."""
        published = data.get("repository") is not None
        alike = self._alike.get(published) or self._alike.setdefault(published, _alike(self.settings, published))
        own = {"branch": f"task/{task_id}", "pr_title": data["title"]}
        return {**alike, **own, **data}, storage.shared(KEYS.difference(data))

    def again(self, task_id: str, task: Task, left: Left) -> Task:
        """A task that was filled in with something else."""
        open_again: dict[str, Any] = dict.fromkeys(left)
        return with_settings(task_id, replace(task, **open_again), self.settings)


def _alike(settings: Settings, published: bool) -> dict[str, object]:  # noqa: FBT001 - it is a key as well
    """What all tasks are filled in with that have a repository, or all that have none."""
    delivery = Delivery.PULL_REQUEST if settings.forge else Delivery.BRANCH
    said: dict[str, object | None] = {
        "adapter": settings.default_adapter,
        "model": settings.model,
        "permissions": settings.permissions,
        "delivery": delivery if published else Delivery.NONE,
    }
    return {key: value for key, value in said.items() if value is not None}


def of(filling: Filling | None, kind: str, name: str) -> Callable[[Mapping[str, object]], Filled] | None:
    """What fills in a file of that kind; None where nothing is filled in."""
    return functools.partial(filling.data, name) if filling is not None and kind == "task" else None
