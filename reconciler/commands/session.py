"""What a command gets from outside: environment, clock, the fleet that was named, and the screen to write on.

It starts nothing and knows no command.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from reconciler.commands.screen import Screen
from reconciler.repo import fleet as fleets
from reconciler.repo.fleet import Fleet
from reconciler.web.server import Serve


class WrongUsage(Exception):
    """The command line cannot be meant so; exit 2."""


class NotGood(Exception):
    """The thing asked about is not good, or is not there; exit 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What the program reads in one place, `__main__`: environment, clocks, randomness; and the server that it has.

    `clock_s` counts seconds, never jumps, and goes on while the machine sleeps.
    """

    env: Mapping[str, str]
    now: Callable[[], datetime]
    clock_s: Callable[[], float]
    new_token: Callable[[], str]
    serve: Serve


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One call of one command. `named` is the fleet that the command line or the environment names, if any."""

    outside: Outside
    screen: Screen
    named: Path | None = None

    @property
    def env(self) -> Mapping[str, str]:
        """The environment that the program was started with."""
        return self.outside.env

    def now(self) -> datetime:
        """The time, in UTC."""
        return self.outside.now()

    def fleet(self) -> Fleet:
        """The fleet that is named, else the nearest one around the current folder; NoFleet where there is none."""
        return fleets.find(here(), self.named)


def here() -> Path:
    """The current folder; WrongUsage when it was deleted."""
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise WrongUsage("the current folder no longer exists; change to another one first") from error
