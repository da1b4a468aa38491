"""Agents that ask for work over HTTP: they wait, work, give signs of life, die, come too late and say things twice.

They use the program's own web handlers, and compare what these say with what they know themselves.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.core.terms import Outcome
from tests.simulation.clock import Clock
from tests.simulation.pulltruth import PullTruth
from tests.simulation.weather import Weather

TOKEN = "token-of-the-pull-agents"  # noqa: S105 - that of simulated agents
TOKEN_SHA256 = hashlib.sha256(TOKEN.encode()).hexdigest()
BEAT_S = 20.0
PAUSE_S = 15.0
UNHEARD = 0
"""In place of a status: the request or its answer was lost, or nobody listens."""

LOST, DEAF = "an agent's request is lost", "an answer to an agent is lost"
KINDS: Mapping[str, float] = {
    "good": 10,
    "fails": 2,
    "dies": 2,
    "slow": 2,
    "repeats": 2,
    "comes too late": 2,
    "asks": 0.5,
}
SAYS: Mapping[str, tuple[str, Outcome]] = {
    "fails": ("failed", Outcome.FAILED),
    "asks": ("blocked", Outcome.FAILED),
}

Answered = Callable[[int, dict[str, Any]], None]


@dataclass
class Puller:
    """One agent of a host. `post` sends a request; `answered` is called once, with what comes back."""

    name: str
    weather: Weather
    clock: Clock
    truth: PullTruth
    after: Callable[[float, Callable[[], None]], object]
    post: Callable[[str, bytes, dict[str, str], Answered], None]
    task: str = ""
    epoch: int = 0
    kind: str = ""
    ends_s: float = 0.0
    key: str = ""
    asked: int = 0

    def ask(self) -> None:
        """Ask for work, under a new key where the last request was answered."""
        if not self.key:
            self.asked += 1
            self.key = f"{self.name}-{self.asked}"
        wait_s = self.weather.choose({0: 2, 20: 3}, f"waits {self.key}")
        self._say("/api/v1/dequeue", {"wait": wait_s, "idempotency_key": self.key}, self._got)

    def _got(self, status: int, said: dict[str, Any]) -> None:
        if status == 200:
            self.key = ""
            self._begin(said)
            return
        if status == 204:
            self.key = ""
        self.after(PAUSE_S, self.ask)

    def _begin(self, order: dict[str, Any]) -> None:
        self.task, self.epoch = order["task"], order["epoch"]
        name = f"{self.task}.{self.epoch}"
        calm = self.clock.now_s >= self.weather.until_s
        self.kind = "good" if calm else self.weather.choose(KINDS, f"puller {name}")
        if f"an agent: {name}" in self.weather.without:
            self.kind = "good"
        if self.kind != "good":
            self.weather.note(f"an agent: {self.kind}", f"an agent: {name}", self.clock.now_s)
        self.truth.pulled(name, self.name)
        self.ends_s = self.clock.now_s + self.weather.between(2.0, 150.0, f"lasts {name}")
        self._status("running", self._beaten)

    def _beaten(self, status: int, said: dict[str, Any]) -> None:
        """The last sign of life was answered, or not."""
        if status in {403, 404, 409, 410}:
            self._leave()
            return
        if self.kind == "dies":
            self.truth.left(f"{self.task}.{self.epoch}", self.name)
            self.after(self.weather.between(60.0, 400.0, f"reborn {self.task}.{self.epoch}"), self.ask)
            return
        if said.get("cancel"):
            self._end("failed")
            return
        if self.clock.now_s >= self.ends_s:
            self._end(SAYS.get(self.kind, ("completed", Outcome.SUCCEEDED))[0])
            return
        pause_s = {"slow": 100.0, "comes too late": 700.0}.get(self.kind, BEAT_S)
        self.after(pause_s, self._beat)

    def _beat(self) -> None:
        self._say(f"/api/v1/tasks/{self.task}/heartbeat", {"epoch": self.epoch}, self._beaten)

    def _end(self, phase: str) -> None:
        def ended(status: int, _: dict[str, Any]) -> None:
            if status in {UNHEARD, 503}:
                self.after(5.0, lambda: self._end(phase))
            elif self.kind == "repeats":
                self.kind = "good"
                self._end(phase)
            else:
                self._leave()

        self.truth.left(f"{self.task}.{self.epoch}", self.name)
        self._status(phase, ended)

    def _leave(self) -> None:
        self.truth.left(f"{self.task}.{self.epoch}", self.name)
        self.after(1.0, self.ask)

    def _status(self, phase: str, answered: Answered) -> None:
        task, epoch = self.task, self.epoch
        body = {"epoch": epoch, "phase": phase, "summary": "done"}
        if phase in {"failed", "blocked"}:
            body["reason"] = "it did not work"
        self._say(f"/api/v1/tasks/{task}/status", body, answered)

    def _say(self, path: str, body: dict[str, Any], answered: Answered) -> None:
        name, now_s = self.weather.numbered(f"{self.name} says"), self.clock.now_s
        if self.weather.strikes(LOST, 0.03, name, now_s):
            self.after(10.0, lambda: answered(UNHEARD, {}))
            return
        deaf = self.weather.strikes(DEAF, 0.03, name, now_s)
        epoch = self.epoch

        def arrived(status: int, said: dict[str, Any]) -> None:
            self.truth.answered(path, epoch, body, (status, said))
            if deaf:
                self.after(10.0, lambda: answered(UNHEARD, {}))
            else:
                answered(status, said)

        headers = {"Authorization": f"Bearer {TOKEN}"}
        self.post(path, json.dumps(body).encode(), headers, arrived)
