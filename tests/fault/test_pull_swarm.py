"""Many external agents, killed and started again at any point of their loops: every task is completed exactly once."""

import contextlib
import json
import os
import random
import threading
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.contract.web import Answer, request
from tests.e2e.pullers import Agent, Pull, pulling
from tests.waiting import until

SAMPLED = "FAULT_SAMPLE" in os.environ
KILLS = 0.06
"""How likely an agent is killed at each point."""
FORGETS = 0.2
"""How likely what was killed lost its disk, too."""
WITHIN_S = 900.0
SETTINGS: dict[str, object] = {
    "lease": "6s",
    "lost_after": {"pull": "4s"},
    "limits": {"launches_per_task_per_hour": "none", "mass_death": "none"},
}
ALLOWED = {200, 204, 409}


class Killed(Exception):
    """The agent's process is gone, wherever it was."""


@dataclass(kw_only=True)
class Told:
    """What all agents were told, for the end. Safe for many threads."""

    statuses: Counter[int] = field(default_factory=Counter)
    begun: dict[tuple[str, int], set[str]] = field(default_factory=lambda: defaultdict(set))
    ended: dict[tuple[str, int], set[str]] = field(default_factory=lambda: defaultdict(set))
    kills: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(kw_only=True)
class Life:
    """One agent over all its deaths; `key` is on its disk."""

    agent: Agent
    chance: random.Random
    told: Told
    over: threading.Event
    key: str | None = None

    def run(self) -> None:
        while not self.over.is_set():
            try:
                self._loop()
            except Killed:
                with self.told.lock:
                    self.told.kills += 1
                if self.chance.random() < FORGETS:
                    self.key = None
            except OSError:
                self.over.wait(0.2)

    def _loop(self) -> None:
        while not self.over.is_set():
            if self.key is None:
                self.key = str(uuid.UUID(int=self.chance.getrandbits(128)))
            answer = self._say("dequeue", {"wait": self.chance.choice([0, 1, 2]), "idempotency_key": self.key})
            if answer.status == 200:
                self._work(answer.json)
            self.key = None
            self._may_die()
            self.over.wait(int(answer.headers.get("Retry-After", 0)))

    def _work(self, given: dict[str, Any]) -> None:
        task_id, epoch = given["task"], given["epoch"]
        if self._say(f"tasks/{task_id}/status", {"epoch": epoch, "phase": "running"}).status != 200:
            return
        self._note(self.told.begun, task_id, epoch)
        for _ in range(self.chance.randrange(3)):
            if self._say(f"tasks/{task_id}/heartbeat", {"epoch": epoch}).status != 200:
                return
        end = {"epoch": epoch, "phase": "completed", "summary": f"By {self.agent.name}."}
        if self._say(f"tasks/{task_id}/status", end).status == 200:
            self._note(self.told.ended, task_id, epoch)

    def _note(self, where: dict[tuple[str, int], set[str]], task_id: str, epoch: int) -> None:
        with self.told.lock:
            where[task_id, epoch].add(self.agent.name)

    def _say(self, path: str, body: dict[str, object]) -> Answer:
        """A request, in which the agent may die: before, with half of it sent, before the answer, after it."""
        self._may_die()
        if self._dies():
            self._send_half(path, body)
            raise Killed
        if self._dies():
            with contextlib.closing(self.agent.ask("POST", path, body)):
                raise Killed
        answer = self.agent.call("POST", path, body)
        with self.told.lock:
            self.told.statuses[answer.status] += 1
        self._may_die()
        return answer

    def _send_half(self, path: str, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        with contextlib.closing(self.agent.connection()) as connection:
            connection.putrequest("POST", f"/api/v1/{path}")
            for name, value in {**self.agent.given, "Content-Length": str(len(data))}.items():
                connection.putheader(name, value)
            connection.endheaders(data[: len(data) // 2])

    def _dies(self) -> bool:
        return self.chance.random() < KILLS / 2

    def _may_die(self) -> None:
        if self._dies():
            raise Killed


@contextlib.contextmanager
def living(lives: list[Life], over: threading.Event) -> Iterator[None]:
    """The agents in threads of their own, until the block ends."""
    threads = [threading.Thread(target=life.run, name=life.agent.name) for life in lives]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def tasks(pull: Pull) -> list[dict[str, Any]]:
    """All tasks as the interface shows them, page after page."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        answer = request(pull.port, "GET", f"/api/v1/tasks?limit=200{cursor}")
        assert answer.status == 200, answer
        found += answer.json["tasks"]
        if answer.json["next"] is None:
            return found
        cursor = f"&cursor={answer.json['next']}"


def swarm(folder: Path, *, agents: int, work: int, seed: int, reconciler_kills: int = 0) -> None:
    """Let so many agents do so many tasks, then look at what happened."""
    over, told = threading.Event(), Told()
    chance = random.Random(seed)  # noqa: S311 - a fixed seed, for deaths that can be had again
    with pulling(folder, **SETTINGS) as pull:
        names = [pull.agent(f"bot-{number}") for number in range(agents)]
        for number in range(work):
            pull.task(f"task-{number}")
        pull.start()
        lives = [
            Life(agent=agent, chance=random.Random(chance.random()), told=told, over=over)  # noqa: S311 - likewise
            for agent in names
        ]
        with living(lives, over):
            for number in range(1, reconciler_kills + 1):
                until(partial(reached, pull, number * work // (reconciler_kills + 1)), seconds=WITHIN_S, every=0.1)
                pull.kill()
                pull.start(port=pull.port)
            until(partial(reached, pull, work), seconds=WITHIN_S, every=0.3)
        check(tasks(pull), told, work)


def reached(pull: Pull, share: int) -> bool:
    """Whether so many tasks are completed, by the files that everybody can see."""
    return len(list((pull.fleet.root / "state" / "observed" / "done").glob("*/*.yaml"))) >= share


def check(shown: list[dict[str, Any]], told: Told, work: int) -> None:
    """Every task was completed once, no epoch had two owners, and nothing was answered that may not be."""
    assert [task["id"] for task in shown] == sorted(f"task-{number}" for number in range(work))
    owners = {(task["id"], run["epoch"]): run["host"] for task in shown for run in task["runs"]}
    succeeded = {(task["id"], run["epoch"]) for task in shown for run in task["runs"] if run["outcome"] == "succeeded"}
    for task in shown:
        outcomes = [run["outcome"] for run in task["runs"]]
        assert (task["phase"], task["attempts"], outcomes[-1]) == ("completed", 0, "succeeded"), task
        assert set(outcomes[:-1]) <= {"lost"}, task
        assert [run["epoch"] for run in task["runs"]] == list(range(1, len(outcomes) + 1))
    assert len(succeeded) == work
    assert {place: names for place, names in told.begun.items() if names != {owners[place]}} == {}
    assert {place: names for place, names in told.ended.items() if names != {owners[place]}} == {}
    assert told.ended.keys() <= succeeded
    assert set(told.statuses) <= ALLOWED, told.statuses
    assert told.kills > work // 10


def test_a_few_agents_that_die_do_every_task_once(tmp_path: Path) -> None:
    swarm(tmp_path, agents=4, work=12, seed=1)


@pytest.mark.fault
@pytest.mark.parametrize("seed", [2])
def test_many_agents_that_die_do_every_task_once(tmp_path: Path, seed: int) -> None:
    agents, work = (8, 16) if SAMPLED else (64, 500)
    swarm(tmp_path, agents=agents, work=work, seed=seed)


@pytest.mark.fault
def test_agents_and_a_reconciler_that_die_do_every_task_once(tmp_path: Path) -> None:
    agents, work = (8, 12) if SAMPLED else (32, 200)
    swarm(tmp_path, agents=agents, work=work, seed=3, reconciler_kills=2 if SAMPLED else 5)
