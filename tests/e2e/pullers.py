"""External agents for tests: they ask a real reconciler for work over HTTP, and any of them may fall silent.

`Pull` is a fleet with agents; `Agent` is one of them, with the requests that it can make.
"""

import contextlib
import hashlib
import http.client
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.contract.web import Answer
from tests.e2e import program
from tests.e2e.fleets import Fleet, git
from tests.waiting import until

TIMEOUT_S = 60.0
LISTENS = re.compile(r"listening on http://127\.0\.0\.1:(\d+)$", re.MULTILINE)


@dataclass(kw_only=True)
class Pull:
    """A fleet whose work is done by external agents, and its reconciler where it runs."""

    fleet: Fleet
    process: subprocess.Popen[bytes] | None = None
    port: int = 0
    env: dict[str, str] = field(default_factory=dict)
    _starts: int = 0

    @classmethod
    def make(cls, folder: Path, **settings: object) -> "Pull":
        """A fleet without any host; `settings` are those of the fleet."""
        fleet = Fleet.make(folder)
        (fleet.root / "hosts" / "here.yaml").unlink()
        if settings:
            fleet.write("state/settings.yaml", settings)
        return cls(fleet=fleet)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def agent(self, name: str, **host: object) -> "Agent":
        """An agent with a host file and a token of its own."""
        token = f"token of {name}".replace(" ", "-")
        digest = hashlib.sha256(token.encode()).hexdigest()
        self.fleet.write(f"hosts/{name}.yaml", {"transport": "pull", "token_sha256": [digest], **host})
        return Agent(pull=self, name=name, token=token)

    def task(self, task_id: str, **keys: object) -> None:
        """A task for whichever agent asks first."""
        document = {"title": f"Do {task_id}", "goal": f"Do {task_id}.", "execution_mode": "http_pull", **keys}
        self.fleet.write(f"state/tasks/{task_id}.yaml", document)

    @property
    def output(self) -> Path:
        """What the reconciler that was started last says."""
        return self.fleet.folder / f"said.{self._starts}"

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def start(self, stdout: int | None = None, port: int = 0) -> None:
        """Start the program, and return when it listens; with `stdout` somebody else reads where."""
        self._starts += 1
        env = program.environment(self.fleet.folder / "home", {"PYTHONUNBUFFERED": "1", **self.env})
        words = ("reconcile", "--listen", f"127.0.0.1:{port}")
        with self.output.open("wb") as sink:
            self.process = program.start(
                "reconciler", *words, cwd=self.fleet.root, env=env,
                stdin=subprocess.DEVNULL, stdout=sink if stdout is None else stdout, stderr=sink,
            )  # fmt: skip
        if stdout is None:
            found = until(self._listening)
            assert found is not None
            self.port = int(found[1])

    def _listening(self) -> re.Match[str] | None:
        assert self.process is not None
        assert self.process.poll() is None, self.said()
        return LISTENS.search(self.said())

    def stop(self) -> None:
        """Ask it to end, and see that it does."""
        if self.process is not None:
            self.process.terminate()
            try:
                assert self.process.wait(20) == 0, self.said()
            finally:
                self.kill()

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def forget(self) -> None:
        """Lose the journal, as a person would who deletes it."""
        journals = list((self.fleet.root / ".reconciler").glob("journal.sqlite3*"))
        assert journals
        for path in journals:
            path.unlink()

    def tip(self) -> str:
        """The last commit about what happened."""
        return git(self.fleet.root, "rev-parse", "observed")

    def outcomes(self, task_id: str) -> list[tuple[str, str | None]]:
        """Of each run its host and its outcome, oldest first."""
        return [(run["host"], run.get("outcome")) for run in self.fleet.observed(task_id).get("runs", [])]

    def until_phase(self, task_id: str, phase: str, seconds: float = 30) -> None:
        try:
            until(lambda: self.fleet.phase(task_id) == phase, seconds=seconds, every=0.1)
        except AssertionError as error:
            said = f"{task_id} is {self.fleet.observed(task_id)}, not {phase}: {self.said()[-3000:]}"
            raise AssertionError(said) from error


@contextlib.contextmanager
def pulling(folder: Path, **settings: object) -> Iterator[Pull]:
    """A fleet for external agents; its reconciler is ended with the block, and met no defect."""
    pull = Pull.make(folder, **settings)
    try:
        yield pull
        pull.stop()
    finally:
        pull.kill()
    for path in folder.glob("said.*"):
        assert "Traceback" not in path.read_text(errors="replace"), path.read_text(errors="replace")


@dataclass(kw_only=True)
class Agent:
    """An external agent: a name, a token, and what it may say."""

    pull: Pull
    name: str
    token: str

    def get(self, path: str) -> Answer:
        return self.call("GET", path, None)

    def dequeue(self, **body: object) -> Answer:
        return self.call("POST", "dequeue", body)

    def gets(self, **body: object) -> dict[str, Any]:
        """The task that it is given; it must be given one."""
        answer = self.dequeue(**{"wait": 20, **body})
        assert answer.status == 200, answer
        given: dict[str, Any] = answer.json
        return given

    def heartbeat(self, task_id: str, epoch: int) -> Answer:
        return self.call("POST", f"tasks/{task_id}/heartbeat", {"epoch": epoch})

    def status(self, task_id: str, epoch: int, phase: str, **more: object) -> Answer:
        return self.call("POST", f"tasks/{task_id}/status", {"epoch": epoch, "phase": phase, **more})

    def call(self, method: str, path: str, body: object) -> Answer:
        """One request over a connection of its own; raises OSError where there is no whole answer."""
        with contextlib.closing(self.ask(method, path, body)) as connection:
            try:
                said = connection.getresponse()
                return Answer(status=said.status, headers=dict(said.getheaders()), body=said.read())
            except http.client.HTTPException as error:
                raise ConnectionError(str(error)) from error

    def ask(self, method: str, path: str, body: object) -> http.client.HTTPConnection:
        """The same without waiting for the answer."""
        connection = self.connection()
        data = None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, f"/api/v1/{path}", body=data, headers=self.given)
        except BaseException:
            connection.close()
            raise
        return connection

    def connection(self) -> http.client.HTTPConnection:
        """One that is not open yet."""
        return http.client.HTTPConnection("127.0.0.1", self.pull.port, timeout=TIMEOUT_S)

    @property
    def given(self) -> dict[str, str]:
        """The headers of its requests."""
        return {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
