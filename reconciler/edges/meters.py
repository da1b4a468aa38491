"""What is told of how this process fares, as it happens: to whoever counts it, or to nobody.

It keeps and decides nothing; what is told may come from any thread, and takes no time that matters.
"""

from typing import Literal

Arrival = Literal[
    "accepted", "duplicate", "bad_signature", "malformed", "too_large", "switched_off", "standby", "not_kept"
]
"""What became of a webhook at the door. `standby` and `switched_off`: no webhook is taken here now."""
Consequence = Literal["done", "nothing", "delayed", "failed"]
"""What acting on a webhook came to. `nothing`: it is about nothing that is watched; `delayed`: it is tried again."""
Asked = Literal["task", "nothing", "crowded"]
"""What an agent that asked for work got."""


class Meters:
    """Who is told, and counts nothing: who does count does it in place of these. Spans are in seconds."""

    def turned(self, took_s: float) -> None:
        """A turn of the loop has ended."""

    def recorded(self, fact: str) -> None:
        """A fact about a task is on disk; `fact` is the name of its class."""

    def acted(self, effect: str) -> None:
        """An effect was begun; `effect` is the name of its class."""

    def assigned(self, waited_s: float) -> None:
        """A task was assigned, so long after it could start."""

    def started(self, waited_s: float) -> None:
        """An agent was seen at work, so long after its run was assigned."""

    def committed(self, facts: int, took_s: float) -> None:
        """A commit with so many facts is on disk."""

    def arrived(self, outcome: Arrival) -> None:
        """A webhook was answered."""

    def followed(self, outcome: Consequence) -> None:
        """A webhook that was kept was acted on."""

    def asked(self, outcome: Asked) -> None:
        """An agent that asked for work was answered."""


UNMETERED = Meters()
