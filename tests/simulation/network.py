"""The links between the reconciler and hosts: slow, cut, half-open, late; a transport that carries commands over them.

It knows no command's meaning. What was sent goes on its way even when the sender has died since.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from reconciler.core.command import Command, Completed
from reconciler.core.desired import Host as HostFile
from reconciler.transport import Unreachable
from tests.simulation.hosts import Host
from tests.simulation.life import Life
from tests.simulation.weather import Weather

NOTICED_S = 45.0
"""After this long a dead link is noticed: three keepalives."""

TAKES_S: Mapping[str, tuple[float, float]] = {"prepare": (1.0, 8.0), "deliver": (0.5, 5.0), "clean": (0.1, 1.0)}
"""How long commands take that do more than look."""

LOST, LATE, CUT, REFUSED, SILENT, HUNG = (
    "a request is lost",
    "a request arrives late",
    "a connection is cut",
    "a session is refused",
    "an answer is lost",
    "an answer hangs",
)
CHANCES: Mapping[str, float] = {LOST: 0.004, LATE: 0.004, CUT: 0.006, REFUSED: 0.006, SILENT: 0.012, HUNG: 0.01}
GARBLED = "an answer is garbled"
LONG, FAILS = "a fetch takes long", 0.5
"""Half of those end by finding that the remote is away."""

Answer = asyncio.Future[Completed]


@dataclass
class Network:
    """The links of one world. `run` carries a command out; `heard` is told of answers, and which are to polls;
    `slowed` of tasks whose workspace takes long, and how long."""

    weather: Weather
    loop: asyncio.AbstractEventLoop
    hosts: Mapping[str, Host]
    run: Callable[[Host, Command], Completed]
    heard: Callable[[str, bool], None]
    slowed: Callable[[str, float], None]
    sent: int = 0

    def send(self, host: Host, command: Command) -> Answer:
        """Send a command; its answer, or the error that the sender meets."""
        answer: Answer = self.loop.create_future()
        self.sent += 1
        name = self.weather.numbered(f"{command.name} on {host.id}")
        fault = self._fault(name)
        way_s = self.weather.between(0.002, 0.06, f"way {name}")
        if host.link == "down" or fault == REFUSED:
            self._fail_later(0.02, answer, f"{host.id}: connection refused")
        elif fault == LOST or host.link == "silent":
            self._fail_later(NOTICED_S, answer, f"{host.id}: no answer")
        elif fault == LATE:
            late_s = self.weather.between(5.0, 150.0, f"late {name}")
            self.loop.call_later(late_s, self._carry_out, host, command, self.loop.create_future(), (SILENT, name))
            self._fail_later(min(NOTICED_S, command.timeout_s), answer, f"{host.id}: no answer")
        else:
            low, high = TAKES_S.get(command.name, (0.003, 0.03))
            takes_s = self.weather.between(low, high, f"takes {name}")
            if command.name == "prepare" and self.weather.strikes(LONG, 0.04, name, self.loop.time()):
                takes_s += self.weather.between(40.0, 300.0, f"takes long {name}")
                self.slowed(command.words[3], takes_s)
                fault = LONG
            self.loop.call_later(way_s + takes_s, self._carry_out, host, command, answer, (fault, name))
        return answer

    def _fault(self, name: str) -> str:
        return self.weather.first(CHANCES, name, self.loop.time())

    def _carry_out(self, host: Host, command: Command, answer: Answer, fate: tuple[str, str]) -> None:
        """The request has arrived and everything that it asks for is done."""
        fault, name = fate
        if host.link in {"down", "silent"}:
            self._fail_later(NOTICED_S, answer, f"{host.id}: no answer")
            return
        boot = host.boot
        away = host.remote_away
        host.remote_away = away or (fault == LONG and self.weather.draw(f"fails {name}") < FAILS)
        completed = self.run(host, command)
        host.remote_away = away
        if host.link == "deaf" or fault == SILENT:
            self._fail_later(min(NOTICED_S, command.timeout_s), answer, f"{host.id}: no answer")
        elif fault == CUT:
            self._fail_later(0.0, answer, f"{host.id}: connection reset")
        else:
            slow_s = self.weather.between(2.0, 25.0, f"slow {name}") if fault == HUNG else 0.0
            back_s = self.weather.between(0.002, 0.06, f"back {name}")
            self.loop.call_later(back_s + slow_s, self._arrive, host, completed, answer, (boot, name))

    def _arrive(self, host: Host, completed: Completed, answer: Answer, sent: tuple[int, str]) -> None:
        boot, name = sent
        if host.link != "up" or host.boot != boot:
            self._fail_later(NOTICED_S, answer, f"{host.id}: no answer")
        elif not answer.done():
            arrived = self._garbled(completed, name)
            self.heard(host.id, arrived is completed and name.startswith("poll "))
            answer.set_result(arrived)

    def _garbled(self, completed: Completed, name: str) -> Completed:
        """The answer as it arrives: now and then only a part of it."""
        if not self.weather.strikes(GARBLED, 0.004, name, self.loop.time()):
            return completed
        part = int(len(completed.stdout) * self.weather.draw(f"part {name}"))
        return Completed(exit=255, stdout=completed.stdout[:part], stderr=b"Connection to host closed.")

    def _fail_later(self, after_s: float, answer: Answer, why: str) -> None:
        self.loop.call_later(after_s, _fail, answer, why)


def _fail(answer: Answer, why: str) -> None:
    if not answer.done():
        answer.set_exception(Unreachable(why))
        answer.exception()  # whoever waited may be gone; then nobody asks for it


class SimulatedTransport:
    """The program's way over the network, in one life of it."""

    def __init__(self, network: Network, life: Life) -> None:
        self._network = network
        self._life = life

    async def run(self, host_id: str, host: HostFile, command: Command) -> Completed:  # noqa: ARG002 - the protocol
        self._life.may_end("before", command.name)
        answer = self._network.send(self._network.hosts[host_id], command)
        completed = await answer
        self._life.may_end("after", command.name)
        return completed

    async def forget(self, host_id: str) -> None:
        """Nothing is kept."""

    async def close(self) -> None:
        """Nothing is kept."""
