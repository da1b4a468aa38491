"""Pull agents for measurements: each a socket that stays open, that takes tasks and reports how they stand.

It measures nothing by itself. A request costs it some 0.1 ms of CPU: what is to be measured is the other side.
"""

import contextlib
import hashlib
import json
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

from bench import stage
from tests.contract.sshd import free_port
from tests.e2e.fleets import Fleet

T = TypeVar("T")

ASK_AGAIN_S = 0.2
TIMEOUT_S = 120.0


@dataclass(kw_only=True)
class Agent:
    """One agent, and the runs that it has: task and epoch."""

    port: int
    token: str
    runs: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._connect()

    def take(self, number: int) -> None:
        """Take so many tasks, one after the other."""
        while len(self.runs) < number:
            status, said = self.ask("/api/v1/dequeue", {"wait": 20})
            if status == HTTPStatus.OK:
                given = json.loads(said)
                self.runs.append((given["task"], given["epoch"]))
            elif status == HTTPStatus.NO_CONTENT:
                time.sleep(ASK_AGAIN_S)
            else:
                raise RuntimeError(said.decode())

    def report(self, phase: str) -> list[float]:
        """Report every run so; the seconds that each answer took."""
        return [
            self._timed(f"/api/v1/tasks/{task}/status", {"epoch": epoch, "phase": phase}) for task, epoch in self.runs
        ]

    def beat(self) -> list[float]:
        """Give a sign of life for every run; the seconds that each answer took."""
        return [self._timed(f"/api/v1/tasks/{task}/heartbeat", {"epoch": epoch}) for task, epoch in self.runs]

    def ask(self, path: str, said: dict[str, object]) -> tuple[int, bytes]:
        """The status and the body of the answer."""
        body = json.dumps(said).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {self.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._socket.sendall(head.encode() + body)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._received()
        top, _, rest = answer.partition(b"\r\n\r\n")
        lines = top.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        while len(rest) < int(headers.get("content-length", "0")):
            rest += self._received()
        if headers.get("connection") == "close":
            self._socket.close()
            self._connect()
        return int(lines[0].split(" ")[1]), rest

    def _timed(self, path: str, said: dict[str, object]) -> float:
        before_s = time.perf_counter()
        status, answer = self.ask(path, said)
        if status != HTTPStatus.OK:
            raise RuntimeError(answer.decode())
        return time.perf_counter() - before_s

    def _connect(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _received(self) -> bytes:
        piece = self._socket.recv(65536)
        if not piece:
            raise RuntimeError("the program hung up")
        return piece


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """What reports took: updates in a second, and in how many ms so large a part of the answers came."""

    rate: float
    half_ms: float
    tail_ms: float

    @classmethod
    def of(cls, times: Sequence[float], whole_s: float) -> "Took":
        """From the seconds of each answer, and of all together."""
        ordered = sorted(times)
        tail_s = ordered[int(len(ordered) * 0.99)]
        return cls(rate=len(times) / whole_s, half_ms=ordered[len(ordered) // 2] * 1e3, tail_ms=tail_s * 1e3)


def fleet(place: Path, files: int, clients: int, tasks: int) -> tuple[Fleet, list[str]]:
    """A fleet of so many files, `tasks` of them for `clients` agents, as many for each; and the agents' tokens."""
    made = stage.fleet(place, files - tasks, slots=0)
    tokens = [secrets.token_urlsafe(32) for _ in range(clients)]
    for number, token in enumerate(tokens):
        digest = hashlib.sha256(token.encode()).hexdigest()
        made.write(f"hosts/bot-{number:03}.yaml", {"transport": "pull", "slots": tasks, "token_sha256": [digest]})
    for number in range(tasks):
        keys: dict[str, object] = {"execution_mode": "http_pull", "host": f"bot-{number % clients:03}"}
        made.task(f"pull-{number:05}", "nothing", **keys)
    made.commit("Add tasks")
    return made, tokens


@contextlib.contextmanager
def holding(of: tuple[Fleet, list[str]], tasks: int, threads: int | None = None) -> Iterator[list[Agent]]:
    """The agents, each with its tasks, while the program runs; `threads`: of its server, else as it has them."""
    made, tokens = of
    port = free_port()
    words = ("--listen", f"127.0.0.1:{port}")
    with stage.reconciling(made, words, stage.PROGRAM if threads is None else _with(threads)) as process:
        agents = [Agent(port=_listening(port, process), token=token) for token in tokens]
        together(agents, lambda agent: agent.take(tasks // len(agents)))
        yield agents


def together(agents: Sequence[Agent], work: Callable[[Agent], T]) -> list[T]:
    """What came of the same work of all agents at once."""
    with ThreadPoolExecutor(len(agents)) as pool:
        return list(pool.map(work, agents))


def reported(agents: Sequence[Agent], phases: Sequence[str]) -> Took:
    """What reports of all runs took, in these phases one after the other."""
    before_s = time.perf_counter()
    times = [
        value
        for values in together(agents, lambda agent: [one for phase in phases for one in agent.report(phase)])
        for value in values
    ]
    return Took.of(times, time.perf_counter() - before_s)


def _with(threads: int) -> tuple[str, str]:
    """The program with so many threads in its server."""
    program = f"import sys\nfrom reconciler import __main__, serving\nserving.THREADS = {threads}\n__main__.main()"
    return "-c", program


def _listening(port: int, process: subprocess.Popen[bytes]) -> int:
    """The port, once somebody answers there."""
    deadline_s = time.monotonic() + stage.PATIENCE_S
    while True:
        assert process.poll() is None, "the program ended"  # noqa: S101 - as the tests do
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(ASK_AGAIN_S)
        else:
            return port
