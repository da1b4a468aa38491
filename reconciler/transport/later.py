"""A transport that is made when the first command needs it: a fleet whose hosts are all local loads no ssh.

It adds nothing to what the transport does.
"""

from collections.abc import Callable

from reconciler.core.command import Command, Completed
from reconciler.core.desired import Host
from reconciler.transport import Transport


class Later:
    """The transport that `make` gives, once it is needed."""

    def __init__(self, make: Callable[[], Transport]) -> None:
        self._make = make
        self._made: Transport | None = None

    async def run(self, host_id: str, host: Host, command: Command) -> Completed:
        """How the command ended, as the transport says."""
        if self._made is None:
            self._made = self._make()
        return await self._made.run(host_id, host, command)

    async def forget(self, host_id: str) -> None:
        """Close what is kept for a host."""
        if self._made is not None:
            await self._made.forget(host_id)

    async def close(self) -> None:
        """Close everything that is kept."""
        if self._made is not None:
            await self._made.close()
