"""Takes in issues of the forge: one with the label becomes a task file on `main`, once; without it, it is put on hold.

It starts nothing: the file does.
"""

from collections.abc import Sequence

from reconciler.core.desired import Desired
from reconciler.core.issues import Issue
from reconciler.edges import Edges


async def take(edges: Edges, desired: Desired, issues: Sequence[Issue]) -> None:
    """Write what these issues ask for into the fleet; what cannot be taken now is told, and taken another time."""
    raise NotImplementedError
