"""A circuit breaker as a frozen value: what it stands before, why it opened, until when it holds.

It is a file of the branch `observed`; what opens and closes one is `tripping`'s part.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from reconciler.core.terms import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """One breaker of the fleet, and what became of it. A closed one is kept: what led to it opens it no second time.

    `id` is that of the host, adapter or task, `None` for the fleet; `account` a digest of what names an account of the
    adapter. `since` is when the first of the failures was seen that opened it. Until `until` nothing of its scope is
    started; after that it closes, or with `trial` lets one run through first. `openings` counts how often in a row it
    opened. `spec` is a digest of what a person can change to close it.
    """

    scope: Scope
    state: Literal["open", "closed"]
    reason: str
    needs: str
    opened_at: datetime
    since: datetime
    until: datetime
    id: str | None = None
    account: str | None = None
    openings: int = 1
    trial: bool = True
    spec: str | None = None
    closed_at: datetime | None = None
    closed_because: str | None = None

    @property
    def name(self) -> str:
        """What people call it: `fleet`, `host/builder`, `adapter/codex`, `usage/codex.0123456789ab`, `task/fix`."""
        parts = [str(self.scope), self.id] if self.id is not None else [str(self.scope)]
        return "/".join(parts) + (f".{self.account}" if self.account is not None else "")

    @property
    def sentence(self) -> str:
        """What an open one says to whom it keeps waiting."""
        return f"the breaker {self.name} is open: {self.reason}; {self.needs}"

    @property
    def trial_sentence(self) -> str:
        """What it says while a run is under way that it let through."""
        return f"the breaker {self.name} waits for the run that it let through: {self.reason}"

    @property
    def is_open(self) -> bool:
        """Whether it was not closed yet."""
        return self.state == "open"

    def holds(self, now: datetime) -> bool:
        """Whether nothing of its scope may start."""
        return self.is_open and now < self.until

    def tries(self, now: datetime) -> bool:
        """Whether its time is over, and one run is let through to see whether its cause is gone."""
        return self.is_open and self.trial and now >= self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """An action: put the breaker `name` as it is to be; `None` removes it. `why` is for the commit and the log."""

    name: str
    breaker: Breaker | None
    why: str
    at: datetime
    actor: str = "planner"
