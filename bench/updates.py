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
from collections.abc import Iterator
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
FILES = (10_000, 100_000)
MOST_OVER_HTTP = 10_000
CLIENTS = 64
TASKS = 640
COMMITS = 5
AT_ONCE = 200
TAIL = 0.99


def measure(rounds: int) -> Iterator[Figures]:
    """One table for each size of the repository."""
    for files in FILES:
        yield _figures(files, rounds)


def _figures(files: int, rounds: int) -> Figures:
    taken: dict[str, list[float]] = {GIT: [], IN_PROCESS: []}
    tails: list[float] = []
    for _ in range(rounds):
        with stage.folder("updates") as place:
            fleet = stage.fleet(place, files, slots=0)
            taken[GIT].append(_git(fleet))
            taken[IN_PROCESS].append(_in_process(fleet))
        if files <= MOST_OVER_HTTP:
            with stage.folder("updates") as place:
                rate, slowest_ms = _over_http(place, files)
            taken.setdefault(HTTP, []).append(rate)
            tails.append(slowest_ms)
    said = f" Over HTTP 99 of 100 answers came within {statistics.median(tails):.0f} ms (150 wanted)." if tails else ""
    return Figures(
        name=f"updates_{files}",
        title=f"Durable updates, {files:,} files in the repository",
        unit="updates in a second",
        rows=tuple(
            Row(name=name, part="peer" if name == GIT else "this", values=tuple(values))
            for name, values in taken.items()
        ),
        goals=(OVER_HTTP if files <= MOST_OVER_HTTP else AT_MOST_FILES,),
        note=f"git without any fsync, as it is by default; ours fsynced.{said}",
    )


IN_PROCESS = f"reconciler, in process, {CLIENTS} threads"
HTTP = f"reconciler, HTTP, {CLIENTS} clients"
GIT = "git add && git commit"
OVER_HTTP = Goal(wording="HTTP: at least 50 times git", of=HTTP, than=GIT, at_least=50)
AT_MOST_FILES = Goal(wording="in process: at least 500 times git", of=IN_PROCESS, than=GIT, at_least=500)


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
