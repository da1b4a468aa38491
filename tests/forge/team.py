"""A fleet that works with the test forge: the real program as a process, its webhooks, and a scripted agent.

The agent is a script of the test's own: it never depends on a model, and it waits where a test says so.
"""

import json
import re
import signal
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.e2e.fleets import JSONL, PROGRAM, PROJECT, Fleet, environment, git
from tests.forge.server import FakeForge
from tests.forge.webhooks import Delivery, post
from tests.waiting import until

LISTENING = re.compile(r"listening on (http://\S+)")
TIME = re.compile(r"20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:Z|\+00:00)")
DAY = re.compile(r"done/20\d\d-\d\d-\d\d/")
FLEET = re.compile(r"\b[0-9a-f]{12}\.")
CONFIG = re.compile(r"(?<=config: )[\"']?[0-9a-f]{16}\b[\"']?")
SHA = re.compile(r"\b[0-9a-f]{40}\b")
PLACE = re.compile(r"http://127\.0\.0\.1:\d+|/\S*?/forge/")
HOOK_SECRET = "a secret of the webhook"  # noqa: S105 - of a test's own forge
AGENT: Mapping[str, object] = {
    **JSONL,
    "prompt_text": "structured",
    "run": ["sh", "{agent}", "{prompt_file}", "new"],
    "resume": ["sh", "{agent}", "{prompt_file}", "{session}"],
}
SAYS = """printf '{"type":"session","id":"session-%s"}\\n{"type":"result","text":"Did it in %s"}\\n' "$task" "$run"
"""
WORKS = """echo "$run" >>work.txt
"""
STARTS = """run=${RECONCILER_RUN#*.}; task=${run%.*}; epoch=${run##*.}
echo "start $run" >>FOLDER/runs
trap 'echo "end $run" >>FOLDER/runs' EXIT
trap 'exit 143' TERM
cp "$1" "FOLDER/prompt.$run"; echo "$2" >"FOLDER/session.$run"
may_go() { [ -e "FOLDER/go.$run" ] || [ -e "FOLDER/go.$task" ]; }
waits() { echo "$run" >>FOLDER/waiting; until may_go; do sleep 0.05; done; }
"""


@dataclass(kw_only=True)
class Team:
    """A fleet, its forge, and the program where it runs."""

    fleet: Fleet
    forge: FakeForge
    token: bool = True
    webhooks: bool = True
    secret: str = HOOK_SECRET
    process: subprocess.Popen[bytes] | None = None
    url: str = ""
    _read: int = 0
    env: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(
        cls,
        folder: Path,
        forge: FakeForge,
        *,
        token: bool = True,
        webhooks: bool = True,
        secret: str = HOOK_SECRET,
        **keys: object,
    ) -> "Team":
        """A fleet whose settings name the forge; `keys` are more of them, or other ones."""
        fleet = Fleet.make(folder)
        team = cls(fleet=fleet, forge=forge, token=token, webhooks=webhooks, secret=secret)
        team.agent(WORKS)
        adapter = json.loads(json.dumps(AGENT).replace("{agent}", str(team.script)))
        fleet.write("adapters/agent.yaml", adapter)
        about: dict[str, object] = {
            "kind": forge.kind,
            "url": forge.url,
            "webhook_secret_env": "HOOK_SECRET",
            "repositories": sorted(forge.repositories),
            **({"token_env": "FORGE_TOKEN"} if token else {}),
            **keys,
        }
        fleet.write("state/settings.yaml", {"default_adapter": "agent", "forge": about})
        fleet.commit("Work with the forge")
        return team

    @property
    def script(self) -> Path:
        """The agent."""
        return self.fleet.folder / "agent.sh"

    def agent(self, work: str, *, says: str = SAYS) -> None:
        """What the agent does in its workspace; `$run`, `$task` and `$epoch` name the run, `waits` waits for `go`."""
        text = f"{STARTS}{work}{says}".replace("FOLDER", str(self.fleet.folder))
        temporary = self.script.with_suffix(".new")
        temporary.write_text(text)
        temporary.replace(self.script)

    def until_waiting(self, run: str) -> None:
        """Return once this run's agent waits."""
        waiting = self.fleet.folder / "waiting"
        self.until(lambda: waiting.exists() and run in waiting.read_text().splitlines(), f"{run} never waited")

    def go(self, name: str) -> None:
        """Let the agent of a run wait no longer, or those of all runs of a task."""
        (self.fleet.folder / f"go.{name}").touch()

    def task(self, task_id: str, **keys: object) -> None:
        """A task on the forge's repository, as a person writes it."""
        document = {
            "title": f"Do {task_id}",
            "goal": "Do what is asked.",
            "repository": str(self.forge.only.bare.path),
            **keys,
        }
        self.fleet.write(f"state/tasks/{task_id}.yaml", document)

    def start(self) -> None:
        """Start the program and have the forge's webhooks sent to it."""
        self._read = len(self.said())
        more = {"HOOK_SECRET": self.secret, "FORGE_TOKEN": self.forge.token, **self.env}
        env = {**environment(self.fleet.folder), "PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1", **more}
        words = [*PROGRAM, str(self.fleet.root), "reconcile", "--listen", "127.0.0.1:0"]
        with (self.fleet.folder / "said").open("ab") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=self.fleet.folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        found = self.until(lambda: LISTENING.search(self.said()[self._read :]), "it never listened")
        self.url = found[1].rstrip("/")
        if self.webhooks:
            for repository in self.forge.repositories.values():
                repository.hooks.clear()
            for name in self.forge.repositories:
                self.forge.hook(f"{self.url}/webhooks/forgejo", self.secret, repository=name)

    def stop(self) -> None:
        """Stop the program as Ctrl-C does; its runs go on."""
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(self.said()) from None

    def kill(self) -> None:
        """SIGKILL, to the program alone."""
        process, self.process = self.process, None
        assert process is not None
        process.kill()
        process.wait()

    def restart(self) -> None:
        """Stop the program and start it again: it looks at the forge first."""
        self.stop()
        self.start()

    def end(self) -> None:
        """Stop what still runs."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        self.fleet.end_runs()

    def said(self) -> str:
        """All that the program printed."""
        output = self.fleet.folder / "said"
        return output.read_text(errors="replace") if output.exists() else ""

    def until(self, look: "Callable[[], Any]", what: str, *, seconds: float = 40) -> Any:  # noqa: ANN401 - what `look` finds
        """Wait until `look` finds something while the program lives; else fail with what it said."""

        def alive() -> object:
            assert self.process is not None
            assert self.process.poll() is None, f"it ended: {self.said()[-3000:]}"
            return look()

        try:
            return until(alive, seconds=seconds, every=0.05)
        except AssertionError as error:
            raise AssertionError(f"{what} ({error}): {self.said()[-3000:]}") from error

    def until_phase(self, task_id: str, *phases: str, **keys: object) -> dict[str, Any]:
        """Wait for a task to be in one of these phases with these values; what is observed of it then."""

        def look() -> bool:
            seen = self.seen(task_id)
            return seen.get("phase", "created") in phases and all(seen.get(key) == keys[key] for key in keys)

        try:
            self.until(look, f"{task_id} is not {phases} {keys}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{json.dumps(self.seen(task_id), indent=1)}") from error
        return self.fleet.observed(task_id)

    def seen(self, task_id: str) -> dict[str, Any]:
        """What `state/observed/` shows of a task: cheaper to look at than the branch."""
        top = self.fleet.root / "state" / "observed"
        for path in (top / "tasks" / f"{task_id}.yaml", *top.glob(f"done/*/{task_id}.yaml")):
            with suppress(FileNotFoundError):
                found = YAML(typ="safe").load(path.read_text())
                return found if isinstance(found, dict) else {}
        return {}

    def until_acted(self) -> None:
        """Return once every webhook that was kept has been acted on."""

        def waiting() -> int:
            with closing(sqlite3.connect(self.fleet.root / ".reconciler" / "journal.sqlite3")) as journal:
                return int(journal.execute("SELECT count(*) FROM deliveries WHERE body IS NOT NULL").fetchone()[0])

        self.until(lambda: not waiting(), "webhooks were left lying")

    def deliver(self, made: Delivery) -> int:
        """Make a delivery oneself; the program's answer."""
        return post(made)

    def get(self, path: str) -> tuple[int, Any]:
        """Ask the program over HTTP: status and document."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=10) as answer:  # noqa: S310 - a loopback address
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def runs(self) -> list[str]:
        """What agents noted: `start` and `end` with the name of the run, in order."""
        notes = self.fleet.folder / "runs"
        return notes.read_text().splitlines() if notes.exists() else []

    def prompt(self, run: str) -> str:
        """The prompt that a run's agent got."""
        return (self.fleet.folder / f"prompt.{run}").read_text()

    def session(self, run: str) -> str:
        """The session that a run's agent was to go on with, or `new`."""
        return (self.fleet.folder / f"session.{run}").read_text().strip()

    def tasks_on_main(self) -> dict[str, Any]:
        """The task files at the tip of `main`."""
        listed = git(self.fleet.root, "ls-tree", "-r", "--name-only", "main", "--", "state/tasks").splitlines()
        texts = {name: git(self.fleet.root, "show", f"main:{name}") for name in listed}
        return {name: YAML(typ="safe").load(text) for name, text in texts.items()}

    def no_two_at_once(self) -> None:
        """No task had two runs at once, and no run was started twice."""
        started: list[str] = []
        live: dict[str, str] = {}
        for note in self.runs():
            word, _, run = note.partition(" ")
            task_id = run.rpartition(".")[0]
            if word == "start":
                assert run not in started, self.runs()
                assert task_id not in live, self.runs()
                started.append(run)
                live[task_id] = run
            else:
                assert live.pop(task_id) == run, self.runs()


def files(team: Team, *, since: datetime | None = None) -> dict[str, Any]:
    """The documents of the tasks on `observed`, without what no two fleets share: places, and times and commits.

    With `since`, only times after it are left out, and no commits.
    """
    listed = git(team.fleet.root, "ls-tree", "-r", "--name-only", "observed").splitlines()
    wanted = [name for name in listed if "/tasks/" in name or "/done/" in name]
    known: dict[str, str] = {}

    def time(found: re.Match[str]) -> str:
        return "TIME" if since is None or datetime.fromisoformat(found[0]) >= since else found[0]

    def commit(found: re.Match[str]) -> str:
        return known.setdefault(found[0], f"COMMIT{len(known)}") if since is None else found[0]

    def plain(name: str) -> object:
        text = CONFIG.sub("CONFIG", git(team.fleet.root, "show", f"observed:{name}"))
        return YAML(typ="safe").load(PLACE.sub("PLACE", FLEET.sub("FLEET.", TIME.sub(time, SHA.sub(commit, text)))))

    return {DAY.sub("done/", name): plain(name) for name in wanted}


@contextmanager
def working(folder: Path, **keys: Any) -> Iterator[Team]:  # noqa: ANN401 - what `Team.make` takes
    """A team with a forge of its own; everything is ended with the block."""
    with FakeForge.running(folder / "forge") as forge:
        team = Team.make(folder, forge, **keys)
        try:
            yield team
        finally:
            team.end()
