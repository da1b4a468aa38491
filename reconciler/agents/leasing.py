"""Leases of pull agents: gives them with the work, renews them, and lets nobody lose one that could not be renewed.

It takes no work away: what follows from a lease that ran out is the plan's part.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from reconciler.core.desired import Desired
from reconciler.core.observed import Lease, ObservedTask
from reconciler.core.tally import Tally
from reconciler.edges import Edges

ABSENT = timedelta(minutes=2)
"""After this long without a look nobody could renew: the program was down, or the machine asleep."""

KEPT = timedelta(days=1)
"""How long the lease of a run that has ended stays in the journal."""

TIDY_EVERY = timedelta(hours=1)
"""How often such leases are looked for."""


def renew(edges: Edges, task_id: str, epoch: int) -> Lease:
    """Give the agent that has the task with this epoch a whole term from now on; the lease that stands, on disk.

    That is another epoch's where the task was given to somebody else since. Raises JournalFailed.
    """
    return give(edges, {task_id: epoch})[task_id]


def give(edges: Edges, epochs: Mapping[str, int]) -> Mapping[str, Lease]:
    """The same for many tasks at once."""
    return edges.journal.keep_leases({task_id: term(edges, epoch) for task_id, epoch in epochs.items()})


def term(edges: Edges, epoch: int) -> Lease:
    """A whole term from now on, kept by nobody yet."""
    return Lease(epoch=epoch, until=edges.now() + edges.view.latest().desired.settings.lease)


class LeaseWatch:
    """Looks after the leases at every turn of the loop."""

    def __init__(self, edges: Edges) -> None:
        """Nothing was looked at yet: until now nobody could renew."""
        self._edges = edges
        self._looked_at: datetime | None = None
        self._tidied_at: datetime | None = None

    def look(self, desired: Desired, tally: Tally) -> None:
        """Give a lease to every live run of a pull agent that has none, and now and then forget old ones.

        After an absence of the reconciler those that ran out are none. Where agents cannot reach it, it is absent, and
        this is not to be called. Without one only runs that agents took since the last look can have none.
        """
        now = self._edges.now()
        absent = self._looked_at is None or now - self._looked_at > ABSENT
        self._looked_at = now
        taken, tally.taken = tally.taken, set()
        leases = self._edges.journal.leases()
        until = now + desired.settings.lease
        missing = {
            task_id: Lease(epoch=tally.held[task_id].epoch, until=until)
            for task_id in (tally.held if absent else taken & tally.held.keys())
            if (lease := leases.get(task_id)) is None
            or lease.epoch != tally.held[task_id].epoch
            or (absent and lease.until <= now)
        }
        if missing:
            self._edges.journal.keep_leases(missing)
        if absent or self._tidied_at is None or now - self._tidied_at > TIDY_EVERY:
            self._tidied_at = now
            self._forget_old(leases, tally.held, now)

    def _forget_old(self, leases: Mapping[str, Lease], held: Mapping[str, ObservedTask], now: datetime) -> None:
        old = [task_id for task_id, lease in leases.items() if task_id not in held and lease.until + KEPT < now]
        if old:
            self._edges.journal.drop_leases(old)
