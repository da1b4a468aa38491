"""What the acting and seeing parts get from outside: the fleet, its memory, ways to hosts, clock, secrets.

Only values and functions to call: it does nothing by itself.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from reconciler.core import channels
from reconciler.core.backlog import Backlog
from reconciler.core.command import Command, Completed
from reconciler.core.desired import Host
from reconciler.edges.desk import Desk
from reconciler.edges.forgelink import ForgeLink
from reconciler.edges.inquiry import Inquiry
from reconciler.edges.lead import Lead
from reconciler.edges.meters import UNMETERED, Meters
from reconciler.edges.reads import Reads
from reconciler.edges.view import View
from reconciler.repo import watch
from reconciler.repo.fleet import Fleet
from reconciler.repo.inbox import Inbox
from reconciler.repo.journal import Journal, JournalFailed
from reconciler.repo.main.intakes import Intakes
from reconciler.repo.main.mainline import Mainline
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
    waits for. `intakes` is what is remembered of issues that came in, the `mainline` takes the files of their tasks. At
    the `desk` pull agents wait for work; the `view` is what the last turn saw. `lead` is the term for which this
    process leads, where the fleet lives on a remote. `files_changed` tells which files of the fleet changed until an
    event is set; an empty set asks for a look at everything. `meters` are told how this process fares, `backlog` asks
    the loop what waits.
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
    mainline: Mainline
    desk: Desk
    view: View
    lead: Lead | None = None
    files_changed: Callable[[Fleet, asyncio.Event], AsyncIterator[frozenset[Path]]] = watch.changes
    meters: Meters = UNMETERED
    backlog: Inquiry[Backlog] = field(default_factory=lambda: Inquiry(Backlog()))

    @property
    def reads(self) -> Reads:
        """What those get who only read."""
        lead = self.lead
        return Reads(
            fleet=self.fleet,
            view=self.view,
            journal=self.journal,
            now=self.now,
            standing=lambda: lead.standing if lead is not None else None,
        )

    @property
    def term(self) -> int:
        """The term for which this process leads; 0 where nobody else can."""
        return self.lead.number if self.lead is not None else 0

    def deposed(self) -> None:
        """A host refused us because it has seen a newer term: have that looked at."""
        if self.lead is not None:
            self.lead.doubt()

    def hidden(self, names: Iterable[str]) -> tuple[str, ...]:
        """What no output of a run may show: these secrets, and those by which forge and people are spoken to."""
        notify = self.view.settings().notify
        values = (self.secret(name) for name in (*names, *channels.all_secrets(notify)))
        return (*(value for value in values if value), *self.forge.secrets())

    async def run(self, host_id: str, host: Host, command: Command) -> Completed:
        """Run a command on a host; raises what the transport raises."""
        return await self.transports[host.transport].run(host_id, host, command)
