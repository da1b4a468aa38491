"""The program's web application as it is reached from outside: by webhooks and by agents, while it listens.

What comes when nobody listens is lost; it judges nothing but whether what was taken is kept.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.simulation import requests
from tests.simulation.life import Killed
from tests.simulation.memory import Disk
from tests.simulation.program import Running
from tests.simulation.pullers import UNHEARD, Answered, Puller
from tests.simulation.strands import Strands
from tests.simulation.truth import Truth

TAKEN = 202


@dataclass
class Door:
    """Where requests come in. `taken` counts webhooks that were answered for."""

    truth: Truth
    disk: Disk
    strands: Strands
    running: Running | None = None
    taken: int = 0
    _acknowledged: set[bytes] = field(default_factory=set)
    _losses: int = 0

    def seat(self, host_id: str) -> None:
        """The agents of a host that asks for work."""
        for number in range(2):
            agent = Puller(
                name=f"{host_id}/{number}",
                weather=self.truth.book.weather,
                clock=self.truth.book.clock,
                truth=self.truth.pulled,
                after=self._after,
                post=self._say,
            )
            self._after(5.0 + number, agent.ask)

    def look(self) -> None:
        """Whatever was answered for is in the journal, unless that was lost as a whole."""
        if self.disk.losses != self._losses:
            self._losses = self.disk.losses
            self._acknowledged.clear()
        known = self.disk.deliveries()
        said = f"{len(self._acknowledged)} webhooks taken, {known} known"
        self.truth.must(len(self._acknowledged) <= known, "nothing acknowledged is lost", said)

    def deliver(self, path: str, body: bytes, headers: dict[str, str]) -> None:
        """Bring a webhook; where nobody listens it is lost."""
        app = self.running.app if self.running is not None else None
        if app is None:
            return
        try:
            status, _ = requests.call(app, path, body, headers)
        except Killed:
            return
        if status == TAKEN:
            self.taken += 1
            self._acknowledged.add(body)
            self.look()

    def _say(self, path: str, body: bytes, headers: dict[str, str], answered: Answered) -> None:
        """Bring what an agent says; a request that may wait does so in a strand of its own."""
        app = self.running.app if self.running is not None else None
        if app is None:
            self._after(5.0, lambda: answered(UNHEARD, {}))
            return

        def work() -> None:
            try:
                status, said = requests.call(app, path, body, headers)
            except Killed:
                status, said = UNHEARD, {}
            self.strands.loop.call_soon(answered, status, said)

        if path.endswith("dequeue"):
            self.strands.begin(work)
        else:
            work()

    def _after(self, after_s: float, do: Callable[[], None]) -> None:
        self.strands.loop.call_later(after_s, do)
