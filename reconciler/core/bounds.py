"""The bounds that the settings put on a fleet, as frozen values: how much at once, and how long out of reach.

They bound nothing themselves: who asks them is the planner's and the breakers' part.
"""

from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class MassDeath:
    """The bound for many runs that die of one cause."""

    deaths: int = 5
    share: float = 0.5
    within: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of the whole fleet; `None`, in files `none`, is no bound."""

    running: int | None = None
    review: int | None = None
    launches_per_task_per_hour: int | None = 6
    mass_death: MassDeath | None = field(default_factory=MassDeath)


@dataclass(frozen=True, slots=True, kw_only=True)
class LostAfter:
    """How long a run may be unreachable before it is lost."""

    ssh: timedelta = timedelta(minutes=30)
    pull: timedelta = timedelta(minutes=15)
