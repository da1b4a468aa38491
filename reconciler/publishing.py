"""Publishes on the forge: opens a pull request, comments, sets a commit's status; each may be repeated.

What should stand there is decided by `core.publications`; a forge that does not answer or refuses is noted, not fought.
"""

from reconciler.core.actions import Publish
from reconciler.core.events import Event
from reconciler.edges import Edges


async def publish(edges: Edges, action: Publish) -> tuple[Event, ...]:
    """Make it stand, and say what follows for the task; that the forge is silent or refuses is noted."""
    raise NotImplementedError
