"""How the program reaches a host: one protocol and the two ways in which reaching a host fails.

It never knows what a command means, and never decides whether or when something is tried again.
"""

from typing import Protocol

from reconciler.core.command import Command, Completed
from reconciler.core.desired import Host


class Unreachable(Exception):
    """The host or the link to it failed; the same command may be tried again. One line: the host's id and the cause."""


class Misconfigured(Exception):
    """The host refuses us, or its key or file is wrong: a person must act. One line that says what to do."""


class Transport(Protocol):
    """Runs fixed scripts on a host, with bytes in and bytes out."""

    async def run(self, host_id: str, host: Host, command: Command) -> Completed:
        """How the command ended. Raises `Unreachable` or `Misconfigured`; any exit status of the script is a result."""
        ...

    async def forget(self, host_id: str) -> None:
        """Close whatever is kept for a host whose file changed or is gone."""
        ...

    async def close(self) -> None:
        """Close everything that is kept. Detached runs on hosts live on."""
        ...
