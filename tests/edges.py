"""What a reconciler gets from outside, for tests that play one: memory on this machine, no host, nobody who is told."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from reconciler.edges import Edges
from reconciler.edges.desk import Desk
from reconciler.edges.forgelink import ForgeLink
from reconciler.edges.view import View
from reconciler.repo.fleet import Fleet
from reconciler.repo.inbox import Inbox
from reconciler.repo.journal import Journal
from reconciler.repo.main.intakes import Intakes
from reconciler.repo.main.mainline import WorkTree
from reconciler.repo.observed.funnel import ObservedBranch
from reconciler.repo.published import Published


@dataclass(frozen=True, slots=True)
class Memory:
    """Where a fleet is, and what is remembered of it."""

    fleet: Fleet
    branch: ObservedBranch
    journal: Journal


def nothing(*_: object) -> None:
    """Tell nobody, and know no secret."""


def plain(
    memory: Memory,
    now: Callable[[], datetime],
    secret: Callable[[str], str | None] = nothing,
    changed: Callable[[], None] = nothing,
) -> Edges:
    """The edges of a reconciler that was just started; a test replaces what it wants otherwise."""
    fleet, branch, journal = memory.fleet, memory.branch, memory.journal
    return Edges(
        fleet=fleet,
        branch=branch,
        journal=journal,
        inbox=Inbox(journal),
        delivered=asyncio.Event(),
        forge=ForgeLink(Published(journal), secret=secret, now=now, changed=changed),
        transports={},
        now=now,
        secret=secret,
        changed=changed,
        warn=nothing,
        intakes=Intakes(),
        mainline=WorkTree(fleet),
        desk=Desk(changed, branch.tasks, claimed=branch.claimed),
        view=View(branch.tasks),
    )
