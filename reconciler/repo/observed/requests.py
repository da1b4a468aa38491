"""Facts that wait for the next commit: who asked is let go with the task after it, or with what stood against it.

It commits nothing, and lets nobody go by itself.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from reconciler.core.breaker import Switch
from reconciler.core.events import Event
from reconciler.core.observed import Lease, ObservedTask
from reconciler.repo.observed import records
from reconciler.repo.observed.draft import HostSeen

Fact = Event | HostSeen | Switch
Outcome = ObservedTask | Exception


def _closed() -> threading.Lock:
    gate = threading.Lock()
    gate.acquire()
    return gate


@dataclass(slots=True, eq=False)
class Request:
    """One fact that one thread waits for.

    `lease` is to be kept along with it, and `standing` is the one that stands then.
    """

    id: str
    fact: Fact
    lease: Lease | None = None
    standing: Lease | None = None
    _outcome: Outcome | None = None
    _gate: threading.Lock = field(default_factory=_closed)

    def check(self) -> None:
        """Raise ValueError where no record can have its name."""
        if isinstance(self.fact, Switch):
            records.breaker_path(self.id)
        else:
            records.checked_id(self.id)

    def let_go(self, outcome: Outcome) -> None:
        """Let the one who waits for it go, with this."""
        self._outcome = outcome
        self._gate.release()

    def outcome(self) -> Outcome:
        """What came of it; waits for that. To be asked once."""
        self._gate.acquire()
        return self._outcome if self._outcome is not None else RuntimeError("it was let go with nothing")

    def result(self) -> ObservedTask:
        """The task after it; raises what stood against it. To be asked once."""
        outcome = self.outcome()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def leases(requests: Iterable[tuple[Request, Outcome]]) -> dict[str, Lease]:
    """What is to be kept of those that nothing stands against: of two leases on a task the later one."""
    wanted: dict[str, Lease] = {}
    for request, outcome in requests:
        lease, other = request.lease, wanted.get(request.id)
        if lease is None or isinstance(outcome, Exception):
            continue
        if other is None or (other.epoch, other.until) < (lease.epoch, lease.until):
            wanted[request.id] = lease
    return wanted
