"""Watches the forge: acts on webhooks, asks at start and every two minutes, and records what happened.

A webhook is a hint, the forge is the truth; without a token for it the webhook's body is all there is.
"""

import asyncio

from reconciler.core.desired import Desired
from reconciler.edges import Edges


class ForgeWatch:
    """The watch over one fleet's forge."""

    def __init__(self, edges: Edges) -> None:
        """Watch nothing yet; `follow` says for what."""
        self._edges = edges
        self._desired: Desired | None = None
        self._task: asyncio.Task[None] | None = None

    def follow(self, desired: Desired) -> None:
        """Watch for these tasks from now on."""
        self._desired = desired

    async def first_look(self) -> None:
        """Return once the forge was asked for the first time, or did not answer."""

    def check(self) -> None:
        """Raise what the watch failed with that cannot be tried again: a branch that moved, a full disk, a defect."""

    def pending(self) -> bool:
        """Whether webhooks wait to be acted on."""
        return False

    async def close(self) -> None:
        """End the watch; webhooks that wait are acted on at the next start."""
