"""What makes many agents fail at once: a login that is revoked, a provider that is overloaded, an account at its limit.

It says what is true of agents that begin; what the program makes of their ends is `breakertruth`'s matter.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.core.observed import Meta
from tests.simulation.clock import BEGIN
from tests.simulation.files import Fleet
from tests.simulation.hosts import Host
from tests.simulation.weather import Weather

ACCOUNT = "ACCOUNT"
"""The variable of a task that names another account than the one that everybody uses."""

REVOKED, OVERLOADED, STRUCK_DOWN = "a login is revoked", "a provider is overloaded", "all agents are killed"
WITHIN_S = 40.0
"""How long it takes until the last of all agents is killed."""

TOLD = 0.6
"""Of how many accounts agents are told when the limit ends."""

LASTS_S = {90.0: 2, 500.0: 2, 1400.0: 1}
"""How long limits and overloads last."""


@dataclass
class Causes:
    """The causes of one world. `limits` says until when each account is at its limit."""

    weather: Weather
    loop: asyncio.AbstractEventLoop
    hosts: Mapping[str, Host]
    fleet: Fleet
    limits: dict[str, float] = field(default_factory=dict)
    revoked: bool = False
    overloaded_until_s: float = 0.0

    def tick(self) -> None:
        """Something may happen to many now."""
        now_s = self.loop.time()
        name = f"at {now_s:.0f}"
        if self.weather.strikes(REVOKED, 0.004, name, now_s):
            self.revoked = True
            self.loop.call_later(self.weather.between(60.0, 900.0, f"renewed {name}"), self.renew)
        if self.weather.strikes(OVERLOADED, 0.006, name, now_s):
            self.overloaded_until_s = now_s + self.weather.choose(LASTS_S, f"overloaded {name}")
        if self.weather.strikes(STRUCK_DOWN, 0.012, name, now_s):
            for host in self.hosts.values():
                for folder in host.living():
                    self.loop.call_later(WITHIN_S * self.weather.draw(f"killed {folder.name}"), host.crash, folder)

    def end(self) -> None:
        """The weather is over: everybody can work again, but limits last as long as they were said to."""
        self.overloaded_until_s = 0.0
        if self.revoked:
            self.renew()

    def renew(self) -> None:
        """Somebody logs in again, by another secret; that is another account as far as limits go."""
        self.revoked, self.fleet.login = False, self.fleet.login + 1
        self.fleet.touched()

    def account(self, meta: Meta) -> str:
        """Whose limit an agent uses."""
        return f"{meta.task.env.get(ACCOUNT, '')} {self.fleet.login}"

    def kind(self, kind: str, meta: Meta, name: str) -> str:
        """What becomes of an agent that would do `kind`."""
        now_s, account = self.loop.time(), self.account(meta)
        if meta.adapter_id == "text":
            return kind
        if self.revoked:
            return "logged out"
        if now_s < self.overloaded_until_s:
            return "provider"
        if kind == "usage limit" and now_s >= self.limits.get(account, 0.0):
            self.limits[account] = float(int(now_s + self.weather.choose(LASTS_S, f"limit {name}")))
        return "usage limit" if now_s < self.limits.get(account, 0.0) else kind

    def told(self, meta: Meta) -> datetime | None:
        """What agents are told of the end of the limit of their account."""
        account = self.account(meta)
        if self.weather.draw(f"tells {account}") >= TOLD:
            return None
        return BEGIN + timedelta(seconds=self.limits[account])
