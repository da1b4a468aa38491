"""How what is around the tasks looks on a terminal: the remote, open circuit breakers, a forge that is in the way.

It reads no file and decides nothing.
"""

from collections.abc import Iterable
from datetime import datetime

from reconciler.commands.reading import View
from reconciler.commands.screen import Screen
from reconciler.core import remarks
from reconciler.core.remarks import Remark

STYLES = {"plain": "", "warning": "yellow", "error": "red"}


def remote(screen: Screen, view: View, now: datetime) -> None:
    """Who leads, where the fleet lives on a remote, and what waits to be pushed there."""
    _lines(screen, remarks.remote(view.standing, now))


def breakers(screen: Screen, view: View, now: datetime) -> None:
    """The circuit breakers that are open."""
    _lines(screen, remarks.breakers(view.observed, now))


def forge(screen: Screen, view: View) -> None:
    """A forge that is in the way; of one that is well, nothing."""
    _lines(screen, remarks.forge(view.desired, view.observed))


def _lines(screen: Screen, said: Iterable[Remark]) -> None:
    """A line for each, after an empty one where there are any."""
    for number, one in enumerate(said):
        if number == 0:
            screen.line()
        screen.line(one.text, style=STYLES[one.level])
