"""Which hosts fit which group of waiting tasks, and which of them can take something now; kept from pass to pass.

It assigns nothing. Slots that a pass gives out are counted by the pass.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime

from reconciler.core import overlay, placement
from reconciler.core.desired import Desired, Document, Host, Task
from reconciler.core.observed import Observed, ObservedHost
from reconciler.core.queues import Requirement

MOSTLY_EMPTY = 8
"""A set that held so many times as much is made anew: its table stays as large, and it is gone over as a whole."""


class Room:
    """The hosts of one fleet, as long as their files stay the same."""

    def __init__(self, hosts: Mapping[str, Document[Host]], retired: frozenset[str]) -> None:
        """Know which host has which capability; `follow` says what they can take."""
        self.hosts, self.retired = hosts, retired
        self.slots = {host_id: document.value.slots for host_id, document in hosts.items()}
        self._most_open = 0
        self.open: set[str] = set()
        """The hosts that take new runs and have a free slot."""
        self.returning: list[datetime] = []
        """When hosts that take nothing now will take something again, where that is known."""
        self._fits: dict[str, set[Requirement]] = {}
        """By host, what it fits of what anybody ever required."""
        self.able: set[str] = set()
        """The hosts that take new runs, whether they have a free slot or not."""
        self._until: dict[str, datetime] = {}
        self._with: dict[str, set[str]] = {}
        self._seen: Mapping[str, ObservedHost] | None = None
        self._judged_by: tuple[object, object] | None = None
        for host_id, document in hosts.items():
            for word in document.value.capabilities:
                self._with.setdefault(word, set()).add(host_id)

    def follow(self, desired: Desired, observed: Observed, now: datetime, used: Mapping[str, int]) -> None:
        """Take in what became of the hosts, except for what runs on them."""
        by = (observed.silent, observed.breakers)
        if self._seen is observed.hosts and self._judged_by == by and not self._until:
            return
        if self._seen is None or self._judged_by != by or any(until <= now for until in self._until.values()):
            news: Iterable[str] = self.hosts
        else:
            news = self.hosts.keys() & overlay.differing(observed.hosts, self._seen)
        for host_id in news:
            shut = placement.shut(host_id, desired, observed, now)
            self.able.discard(host_id) if shut is not None else self.able.add(host_id)
            self._until.pop(host_id, None)
            if shut is not None and shut.until is not None:
                self._until[host_id] = shut.until
        self._seen, self._judged_by = observed.hosts, by
        self.returning = list(self._until.values())
        self.count(news, used)

    def count(self, host_ids: Iterable[str], used: Mapping[str, int]) -> None:
        """Take in how many runs these hosts have."""
        for host_id in host_ids:
            if host_id in self.able and used.get(host_id, 0) < self.slots[host_id]:
                self.open.add(host_id)
            else:
                self.open.discard(host_id)
        self._most_open = max(self._most_open, len(self.open))
        if self._most_open > MOSTLY_EMPTY * (1 + len(self.open)):
            self.open, self._most_open = set(self.open), len(self.open)

    def fit(self, required: Requirement) -> None:
        """Find out which hosts fit, whether they can take something now or not."""
        required.hosts = frozenset(self._fitting(required.task))
        for host_id in required.hosts:
            self._fits.setdefault(host_id, set()).add(required)

    def fits(self) -> AbstractSet[Requirement]:
        """What the hosts with a free slot fit of what anybody ever required; mostly there is one such host."""
        some = [self._fits[host_id] for host_id in self.open if host_id in self._fits]
        return some[0] if len(some) == 1 else set().union(*some)

    def _fitting(self, task: Task) -> Iterable[str]:
        some: Iterable[str] = self.hosts
        if task.host is not None:
            some = (task.host,) if task.host in self.hosts else ()
        elif task.requires:
            some = set.intersection(*(self._with.get(word, set()) for word in task.requires))
        return (one for one in some if placement.mismatch(task, one, self.hosts[one].value) is None)
