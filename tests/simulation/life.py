"""One life of the program's process: it may end between any two effects, and then nothing of it has an effect any more.

It starts and stops nothing.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.simulation.clock import Clock
from tests.simulation.weather import Weather


class Killed(BaseException):
    """The process is dead; whatever of its code still runs is a ghost."""


@dataclass
class Life:
    """The process from one start to its end. `dead` is set when it was killed."""

    weather: Weather
    clock: Clock
    began_s: float
    dead: asyncio.Event = field(default_factory=asyncio.Event)
    at_death: list[Callable[[], None]] = field(default_factory=list)

    def check(self) -> None:
        """Raise Killed where the process is dead."""
        if self.dead.is_set():
            raise Killed

    def may_end(self, before_or_after: str, what: str, chance: float = 0.0006) -> None:
        """A place where the process may be killed."""
        self.check()
        place = self.weather.numbered(f"{before_or_after} {what}")
        if self.weather.strikes("the process is killed", chance * self.weather.deadly, place, self.clock.now_s):
            self.die()

    def die(self) -> None:
        """Be killed here. Raises Killed."""
        self.kill()
        raise Killed

    def kill(self) -> None:
        if not self.dead.is_set():
            self.dead.set()
            for ghost in self.at_death:
                ghost()
