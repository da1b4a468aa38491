"""What a task's file leaves to its id or to the settings, filled in before the value is made: one task for each file.

Never reads a file; `core.desired.with_settings` says what a task comes to, this only comes to the same at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from reconciler.core.desired import Settings, Task, with_settings
from reconciler.core.terms import Delivery
from reconciler.repo import storage

KEYS = frozenset({"branch", "pr_title", "adapter", "model", "permissions", "delivery"})

Left = frozenset[str]
"""The keys that a file leaves to be filled in."""
Filled = tuple[Mapping[str, object], Left]
"""What a file says with the rest filled in, and what the rest was."""


@dataclass(frozen=True, slots=True)
class Filling:
    """What tasks are filled in with."""

    settings: Settings

    def data(self, task_id: str, data: Mapping[str, object]) -> Filled:
        """What the file of a task comes to; its data are valid by the schema."""
        left = storage.shared(KEYS.difference(data))
        filled = dict(data)
        for key in left:
            value = self._value(key, task_id, data)
            if value is not None:
                filled[key] = value
        return filled, left

    def again(self, task_id: str, task: Task, left: Left) -> Task:
        """A task that was filled in with something else."""
        open_again: dict[str, Any] = dict.fromkeys(left)
        return with_settings(task_id, replace(task, **open_again), self.settings)

    def _value(self, key: str, task_id: str, data: Mapping[str, object]) -> object:
        settings = self.settings
        match key:
            case "branch":
                return f"task/{task_id}"
            case "pr_title":
                return data["title"]
            case "adapter":
                return settings.default_adapter
            case "model":
                return settings.model
            case "permissions":
                return settings.permissions.value
            case _:
                published = Delivery.PULL_REQUEST if settings.forge else Delivery.BRANCH
                return published.value if data.get("repository") is not None else Delivery.NONE.value


def of(filling: Filling | None, kind: str, name: str) -> Callable[[Mapping[str, object]], Filled] | None:
    """What fills in a file of that kind; None where nothing is filled in."""
    return partial(filling.data, name) if filling is not None and kind == "task" else None
