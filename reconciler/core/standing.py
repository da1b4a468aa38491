"""How a fleet that lives on a remote stands, as one process sees it: who leads, what waits to be pushed, what is wrong.

It asks nobody; what is to be done about it is told in sentences.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from reconciler.core.desired import Problem

LAG_MOST = timedelta(minutes=5)
"""How long what happened may wait to be pushed before that is a problem of the fleet."""
FILE = "state/settings.yaml"
"""Where the remote is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """One reason for which nothing new starts in the whole fleet, and who can change that.

    `silent`: nothing is published on the forge either, since another reconciler may do so.
    """

    why: str
    who: str
    silent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What one process knows of the remote and of its own part.

    `leader` is who holds the term, `None` where nobody does. `heard_at` is when the remote last answered; `reason` what
    was met since it does not (`silent_since`). `refused` says why its `main` is not put in force, `stopped` why this
    process, though it leads, starts nothing. `behind` commits of `observed` are not there yet, since `behind_since`.
    `problems` are those of this clone.
    """

    role: Literal["leader", "standby"]
    remote: str
    term: int = 0
    leader: str | None = None
    since: datetime | None = None
    heard_at: datetime | None = None
    silent_since: datetime | None = None
    reason: str | None = None
    refused: str | None = None
    stopped: str | None = None
    behind: int = 0
    behind_since: datetime | None = None
    problems: tuple[Problem, ...] = ()


def lag(standing: Standing, now: datetime) -> timedelta:
    """For how long the oldest commit that the remote lacks has waited."""
    return max(now - standing.behind_since, timedelta()) if standing.behind_since is not None else timedelta()


def halts(standing: Standing | None) -> tuple[Halt, ...]:
    """Why nothing new starts."""
    if standing is None:
        return ()
    refused = [Halt(why=standing.refused, who="operator")] if standing.refused is not None else []
    stopped = [Halt(why=standing.stopped, who="operator", silent=True)] if standing.stopped is not None else []
    return (*refused, *stopped)


def problems(standing: Standing | None, now: datetime) -> tuple[Problem, ...]:
    """What is wrong, as people see it beside the problems of their files."""
    if standing is None:
        return ()
    said = [standing.refused, standing.stopped]
    if lag(standing, now) >= LAG_MOST and standing.behind_since is not None:
        since = standing.behind_since.strftime("%Y-%m-%dT%H:%M:%SZ")
        why = f": {standing.reason}" if standing.reason is not None else ""
        said.append(f"what happened since {since} waits to be pushed to {standing.remote}{why}")
    own = (Problem(file=FILE, line=0, column=0, message=message) for message in said if message is not None)
    return (*own, *standing.problems)
