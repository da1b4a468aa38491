"""What those get who only read: the fleet, the last picture, the journal, the clock, how it stands with its remote.

It is there whether this process leads or stands by.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from reconciler.core.standing import Standing
from reconciler.edges.view import View
from reconciler.repo.fleet import Fleet
from reconciler.repo.journal import Journal


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """The readers' side. `standing` gives how the fleet stands, `None` where it lives on no remote."""

    fleet: Fleet
    view: View
    journal: Journal
    now: Callable[[], datetime]
    standing: Callable[[], Standing | None]
