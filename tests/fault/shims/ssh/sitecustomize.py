"""Kills the program around some commands over ssh; loaded by Python where a test puts it in the way."""

from reconciler.core.command import Command, Completed
from reconciler.core.desired import Host
from reconciler.transport.ssh import Ssh
from tests.fault.shims.killing import counted

as_it_is = Ssh.run


async def run(self: Ssh, host_id: str, host: Host, command: Command) -> Completed:
    with counted():
        return await as_it_is(self, host_id, host, command)


setattr(Ssh, "run", run)  # noqa: B010 - a method is not to be assigned otherwise
