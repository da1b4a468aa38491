"""What those get who only read: the last picture, the journal, the clock, and how the fleet stands with its remote.

It is there whether this process leads or stands by.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from reconciler.core.standing import Standing
from reconciler.edges.view import View
from reconciler.repo.journal import Journal


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """The readers' side. `standing` gives how the fleet stands, `None` where it lives on no remote."""

    view: View
    journal: Journal
    now: Callable[[], datetime]
    standing: Callable[[], Standing | None]
