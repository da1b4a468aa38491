"""What the acting and seeing parts get from outside: the fleet, its memory, ways to hosts, clock, secrets.

Only values and functions to call: it does nothing by itself.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from reconciler.core.command import Command, Completed
from reconciler.core.desired import Host
from reconciler.edges.desk import Desk
from reconciler.edges.forgelink import ForgeLink
from reconciler.edges.view import View
from reconciler.repo import watch
from reconciler.repo.fleet import Fleet
from reconciler.repo.inbox import Inbox
from reconciler.repo.journal import Journal, JournalFailed
from reconciler.repo.main.intakes import Intakes
from reconciler.repo.observed.branch import BranchFailed, BranchMoved
from reconciler.repo.observed.funnel import ObservedBranch
from reconciler.transport import Transport

MEMORY_LOST = (BranchFailed, BranchMoved, JournalFailed, OSError)
"""What nothing can go on after: what happens could not be recorded. Anything else concerns one task only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """The outside of the program, as one value.

    `transports` has one entry for each word of a host's `transport` that runs commands. `secret` gives a secret's value
    by its name, `None` where it is not set. `changed` is called, from any thread, when something was seen that a new
    plan may need. `delivered` is set when a webhook was kept in the `inbox`. `warn` is told in one line what nobody
    waits for. `intakes` is what is remembered of issues that came in. At the `desk` pull agents wait for work; the
    `view` is what the last turn saw. `files_changed` tells which files of the fleet changed until an event is set; an
    empty set asks for a look at everything.
    """

    fleet: Fleet
    branch: ObservedBranch
    journal: Journal
    inbox: Inbox
    delivered: asyncio.Event
    forge: ForgeLink
    transports: Mapping[str, Transport]
    now: Callable[[], datetime]
    secret: Callable[[str], str | None]
    changed: Callable[[], None]
    warn: Callable[[str], None]
    intakes: Intakes
    desk: Desk
    view: View
    files_changed: Callable[[Fleet, asyncio.Event], AsyncIterator[frozenset[Path]]] = watch.changes

    async def run(self, host_id: str, host: Host, command: Command) -> Completed:
        """Run a command on a host; raises what the transport raises."""
        return await self.transports[host.transport].run(host_id, host, command)
