"""Which repository of the forge a task works on, from the URL or path that its file names.

It asks nobody; the names are compared as the forge writes them.
"""

from reconciler.core.desired import Forge, Task


def of(task: Task, forge: Forge) -> str | None:
    """The task's repository as `owner/name`; `None` where it is not on this forge, or not one of those it watches."""
    raise NotImplementedError
