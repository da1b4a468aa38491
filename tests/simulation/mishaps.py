"""What happens to machines: hosts reboot, vanish, fill up; links go silent, half-open, flap; the program is killed.

Each has a beginning and an end; after the weather everything is well again.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.simulation.forge import SimulatedForge
from tests.simulation.hosts import Host, Link
from tests.simulation.weather import Weather

TICK_S = 30.0
LONG_S = 500.0
"""Longer than a host may be silent before its runs are lost."""

LINKS: Mapping[str, tuple[float, Link]] = {
    "a host is down": (0.02, "down"),
    "a link is silent": (0.02, "silent"),
    "a link is half-open": (0.02, "deaf"),
}
FLAPS, REBOOTS = "a link flaps", "a host is rebooted"
STATES: Mapping[str, tuple[float, str]] = {
    "a disk is full": (0.012, "full"),
    "a disk is read-only": (0.006, "read_only"),
    "the remote is away": (0.012, "remote_away"),
}
FORGE_AWAY = "the forge is away"
ON = "on"
KILLED, STOPPED = "the process is killed", "the process is stopped"


@dataclass
class Mishaps:
    """The mishaps of one world."""

    weather: Weather
    loop: asyncio.AbstractEventLoop
    hosts: Mapping[str, Host]
    kill: Callable[[], None]
    stop: Callable[[], None]
    forge: SimulatedForge
    _until_s: dict[tuple[str, str], float] = field(default_factory=dict)

    def tick(self) -> None:
        """Something may happen now."""
        now_s = self.loop.time()
        for host in self.hosts.values():
            self._to_host(host, f"{host.id} at {now_s:.0f}", now_s)
        if self.weather.strikes(FORGE_AWAY, 0.02, f"at {now_s:.0f}", now_s):
            self._for_a_while(self.forge, "away", self.weather.between(20.0, 400.0, f"away {now_s:.0f}"))
        if self.weather.strikes(KILLED, 0.03, f"at {now_s:.0f}", now_s):
            self.kill()
        elif self.weather.strikes(STOPPED, 0.02, f"at {now_s:.0f}", now_s):
            self.stop()

    def end(self) -> None:
        """Everything is well again."""
        self._until_s.clear()
        self.forge.away = False
        for host in self.hosts.values():
            host.link, host.full, host.read_only, host.remote_away = "up", False, False, False

    def _to_host(self, host: Host, name: str, now_s: float) -> None:
        for kind, (chance, link) in LINKS.items():
            if self.weather.strikes(kind, chance, name, now_s):
                self._for_a_while(host, "link", self._lasts_s(f"{kind} {name}"), link)
        for kind, (chance, state) in STATES.items():
            if self.weather.strikes(kind, chance, name, now_s):
                self._for_a_while(host, state, self.weather.between(20.0, 240.0, f"{kind} lasts {name}"))
        if self.weather.strikes(FLAPS, 0.01, name, now_s):
            for number in range(10):
                self.loop.call_later(number * 6.0, self._for_a_while, host, "link", 3.0, "down")
        if self.weather.strikes(REBOOTS, 0.012, name, now_s):
            host.reboot()
            self._for_a_while(host, "link", self.weather.between(10.0, 60.0, f"boots {name}"), "down")

    def _lasts_s(self, name: str) -> float:
        if self.weather.draw(f"long {name}") < 0.12:
            return self.weather.between(LONG_S, LONG_S * 2, f"lasts {name}")
        return self.weather.choose({1.0: 1, 30.0: 2, 240.0: 1}, f"lasts {name}")

    def _for_a_while(self, host: Host | SimulatedForge, what: str, lasts_s: float, state: str = ON) -> None:
        key, until_s = (_name(host), what), self.loop.time() + lasts_s
        if self._until_s.get(key, 0.0) < until_s <= self.weather.until_s + LONG_S * 2:
            setattr(host, what, state if what == "link" else True)
            self._until_s[key] = until_s
            self.loop.call_later(lasts_s, self._over, host, what, until_s)

    def _over(self, host: Host | SimulatedForge, what: str, until_s: float) -> None:
        if self._until_s.get((_name(host), what)) == until_s:
            setattr(host, what, "up" if what == "link" else False)


def _name(what: Host | SimulatedForge) -> str:
    return what.id if isinstance(what, Host) else "the forge"
