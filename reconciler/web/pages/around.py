"""What stands around the tasks on the board: hosts with their slots, what is wrong with files, what else is in the way.

It asks no host.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.core import notes, placement, remarks
from reconciler.core.notes import IN_TROUBLE, HostState
from reconciler.core.remarks import Remark
from reconciler.edges.reads import Reads
from reconciler.edges.view import Picture

MOST_HOSTS = 24
"""How many hosts are shown at once; those that need a look come first."""
MOST_PROBLEMS = 20
MOST_BLOCKS = 12
"""Up to so many slots are drawn one by one."""


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
        says=notes.host_note(host_id, desired, observed, now),
        versions=", ".join(f"{name} {version}" for name, version in sorted(versions.items())),
    )
