"""What stands around the tasks on the board: hosts with their slots, what is wrong with files, what else is in the way.

It asks no host.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.core import notes, placement, remarks
from reconciler.core.notes import HostState
from reconciler.core.remarks import Remark
from reconciler.edges.reads import Reads
from reconciler.edges.view import Picture

MOST_HOSTS = 24
"""How many hosts are shown at once; those that need a look come first."""
MOST_PROBLEMS = 20
MOST_BLOCKS = 12
"""Up to so many slots are drawn one by one."""

IN_TROUBLE = (HostState.MISCONFIGURED, HostState.UNREACHABLE, HostState.DRAINING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A host: how it is, how full, and what is to be known of it in a sentence."""

    id: str
    state: HostState
    running: int
    slots: int
    transport: str
    says: str
    versions: str

    @property
    def blocks(self) -> tuple[bool, ...] | None:
        """Its slots one by one, whether each is used; `None` where there are too many to be drawn so."""
        return tuple(number < self.running for number in range(self.slots)) if self.slots <= MOST_BLOCKS else None

    @property
    def share(self) -> int:
        """How full it is, of 100."""
        return min(100, round(100 * self.running / self.slots)) if self.slots else 0


def places(picture: Picture, now: datetime) -> Sequence[Place]:
    """Every host that is wanted, or still has runs."""
    desired, observed = picture.desired, picture.observed
    used = placement.load(observed)
    found = [_place(one, picture, used[one], now) for one in sorted(desired.hosts.keys() | used.keys())]
    return sorted(found, key=lambda one: one.state not in IN_TROUBLE)


def said(picture: Picture, reads: Reads, now: datetime) -> Sequence[Remark]:
    """What is in the way, or to be known of the fleet's remote.

    Ages in it are those at the last full minute, so that a page stays the same while nothing happens.
    """
    return (
        *remarks.remote(reads.standing(), now.replace(second=0, microsecond=0)),
        *remarks.breakers(picture.observed, now),
        *remarks.forge(picture.desired, picture.observed),
    )


def _place(host_id: str, picture: Picture, running: int, now: datetime) -> Place:
    desired, observed = picture.desired, picture.observed
    document, known = desired.hosts.get(host_id), observed.hosts.get(host_id)
    state = notes.host_state(host_id, desired, observed)
    versions = known.versions if known is not None else {}
    return Place(
        id=host_id,
        state=state,
        running=running,
        slots=document.value.slots if document is not None else 0,
        transport=document.value.transport if document is not None else "its file is gone",
        says=_says(host_id, state, picture, now),
        versions=", ".join(f"{name} {version}" for name, version in sorted(versions.items())),
    )


def _says(host_id: str, state: HostState, picture: Picture, now: datetime) -> str:
    """Why it takes nothing, plainly."""
    desired, observed = picture.desired, picture.observed
    document, known = desired.hosts.get(host_id), observed.hosts.get(host_id)
    if host_id in desired.retired_hosts or document is None:
        return f"hosts/{host_id}.yaml is gone or broken: it takes nothing new"
    drain = document.value.drain
    if state is HostState.DRAINING and drain is not None:
        until = f", until {drain.until:%Y-%m-%d %H:%M} UTC" if drain.until is not None else ""
        over = " (that is over)" if drain.until is not None and drain.until <= now else ""
        return f"takes no new runs: {drain.reason}{until}{over}"
    if state in IN_TROUBLE:
        silent = observed.silent.get(host_id)
        since = f" since {silent:%H:%M} UTC" if silent is not None else ""
        return f"{known.reason if known is not None and known.reason else 'it does not answer'}{since}"
    return ""
