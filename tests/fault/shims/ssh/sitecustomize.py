"""Kills the program before or after some commands over ssh; loaded by Python where a test puts it in the way.

KILL_AT has the numbers of the commands, counted over all of the program's lives by files in the folder KILL_COUNT.
"""

import itertools
import os
import signal
from pathlib import Path

from reconciler.core.command import Command, Completed
from reconciler.core.desired import Host
from reconciler.transport.ssh import Ssh

COUNT = Path(os.environ["KILL_COUNT"])
AT = frozenset(os.environ["KILL_AT"].split())
WHEN = os.environ["KILL_WHEN"]
as_it_is = Ssh.run


def number() -> str:
    for one in itertools.count(1):
        try:
            (COUNT / str(one)).touch(exist_ok=False)
        except FileExistsError:
            continue
        return str(one)
    raise AssertionError


async def run(self: Ssh, host_id: str, host: Host, command: Command) -> Completed:
    met = number() in AT
    if met and WHEN == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    completed = await as_it_is(self, host_id, host, command)
    if met:
        os.kill(os.getpid(), signal.SIGKILL)
    return completed


setattr(Ssh, "run", run)  # noqa: B010 - a method is not to be assigned otherwise
