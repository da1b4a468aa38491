"""Measures durable updates of tasks: recorded in process, and reported over HTTP by 64 agents, beside `git commit`.

An update is one fact about one task, on disk and on the branch `observed` before it counts. The peer is what a script
would do in the same repository: `git add` and `git commit` of one status file, by default without any fsync. It tests
nothing.
"""

import hashlib
import secrets
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench import frame, stage
from bench.figures import Figures, Goal, Row
from reconciler.repo import fleet as places
from tests.contract.sshd import free_port
from tests.e2e.fleets import Fleet, git
from tests.recording import assigned, opened, started, succeeded

ROUNDS = 3
FILES = (2_000,)
CLIENTS = 64
TASKS = 640
COMMITS = 5
AT_ONCE = 200
TAIL = 0.99


def measure(rounds: int) -> list[Figures]:
    """One table for each size of the repository."""
    return [_figures(files, rounds) for files in FILES]


def _figures(files: int, rounds: int) -> Figures:
    taken: dict[str, list[float]] = {"in process": [], "HTTP": [], "tail": [], "git": []}
    for _ in range(rounds):
        with stage.folder("updates") as place:
            fleet = stage.fleet(place, files, slots=0)
            taken["git"].append(_git(fleet))
            taken["in process"].append(_in_process(fleet))
        with stage.folder("updates") as place:
            rate, slowest_ms = _over_http(place, files)
            taken["HTTP"].append(rate)
            taken["tail"].append(slowest_ms)
    names = {"in process": "reconciler, in process", "HTTP": f"reconciler, HTTP, {CLIENTS} clients", "git": GIT}
    least = 500 if files == FILES[-1] else None
    http = 200 if files == FILES[-1] else 50
    goals = [Goal(wording=f"HTTP: at least {http} times git", of=names["HTTP"], than=GIT, at_least=http)]
    if least is not None:
        goals.append(
            Goal(wording="in process: at least 500 times git", of=names["in process"], than=GIT, at_least=least)
        )
    tails = tuple(taken.pop("tail"))
    return Figures(
        name=f"updates_{files}",
        title=f"Durable updates, {files:,} files in the repository",
        unit="updates in a second",
        rows=tuple(
            Row(name=names[name], part="peer" if name == "git" else "this", values=tuple(values))
            for name, values in taken.items()
        ),
        goals=tuple(goals),
        note=f"Over HTTP 99 of 100 answers come within {statistics.median(tails):.0f} ms [to be: 150].",
    )


GIT = "git add && git commit"


def _git(fleet: Fleet) -> float:
    status = fleet.root / "status.yaml"
    before_s = time.perf_counter()
    for number in range(COMMITS):
        status.write_text(f"phase: running\nnumber: {number}\n")
        git(fleet.root, "add", "status.yaml")
        git(fleet.root, "commit", "-q", "-m", "Update")
    return COMMITS / (time.perf_counter() - before_s)


def _in_process(fleet: Fleet) -> float:
    """Facts that come from many places at once, as the results of a large fleet do."""
    names = [f"task-{number:05}" for number in range(AT_ONCE)]
    steps = [(assigned, 1), (started, 1), (succeeded, 1)]
    with opened(places.find(fleet.root)) as branch, ThreadPoolExecutor(CLIENTS) as pool:
        before_s = time.perf_counter()
        updates = 0
        for group in range(5):
            for step, epoch in steps:
                facts = [
                    (f"{name}-{group}", step(f"{name}-{group}", epoch) if step is assigned else step(epoch))  # type: ignore[operator]
                    for name in names
                ]
                list(pool.map(lambda fact: branch.record(*fact), facts))
                updates += len(facts)
        return updates / (time.perf_counter() - before_s)


def _over_http(place: Path, files: int) -> tuple[float, float]:
    """Updates in a second and the time in which 99 of 100 answers come, in ms: agents report `running`, then an end."""
    fleet = stage.fleet(place, files - TASKS, slots=0)
    tokens: dict[str, str] = {}
    for number in range(CLIENTS):
        token = secrets.token_urlsafe(32)
        digest = hashlib.sha256(token.encode()).hexdigest()
        fleet.write(f"hosts/bot-{number:02}.yaml", {"transport": "pull", "slots": 50, "token_sha256": [digest]})
        tokens[f"bot-{number:02}"] = token
    for number in range(TASKS):
        host = f"bot-{number % CLIENTS:02}"
        keys: dict[str, object] = {"execution_mode": "http_pull", "host": host}
        fleet.task(f"pull-{number:05}", "nothing", **keys)
    fleet.commit("Add tasks")
    port = free_port()
    with stage.reconciling(fleet, ("--listen", f"127.0.0.1:{port}")) as process:
        agents = [_Agent(url=f"http://127.0.0.1:{port}", token=token) for token in tokens.values()]
        _until_it_answers(agents[0], process)
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(_Agent.take, agents))
            taken = sum(len(agent.runs) for agent in agents)
            before_s = time.perf_counter()
            times = [value for values in pool.map(_Agent.report, agents) for value in values]
            rate = 2 * taken / (time.perf_counter() - before_s)
    return rate, sorted(times)[int(len(times) * TAIL)] * 1e3


@dataclass
class _Agent:
    """One agent: takes its tasks one after the other, and reports each as running and as over."""

    url: str
    token: str

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.token}"}, timeout=120)
        self.runs: list[tuple[str, int]] = []

    def take(self) -> None:
        while len(self.runs) < TASKS // CLIENTS:
            answer = self.client.post("/api/v1/dequeue", json={"wait": 20})
            if answer.status_code == httpx.codes.OK:
                given = answer.json()
                self.runs.append((given["task"], given["epoch"]))
            elif answer.status_code != httpx.codes.NO_CONTENT:
                raise RuntimeError(answer.text)

    def report(self) -> list[float]:
        times = []
        for phase in ("running", "failed"):
            for task, epoch in self.runs:
                before_s = time.perf_counter()
                answer = self.client.post(f"/api/v1/tasks/{task}/status", json={"epoch": epoch, "phase": phase})
                times.append(time.perf_counter() - before_s)
                answer.raise_for_status()
        return times


def _until_it_answers(agent: _Agent, process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + stage.PATIENCE_S
    while True:
        assert process.poll() is None, "the program ended"  # noqa: S101 - as the tests do
        try:
            if agent.client.get("/healthz").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            if time.monotonic() > deadline_s:
                raise
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(frame.main(["updates"]))
