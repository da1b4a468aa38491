"""A fleet as `reconciler init` makes it, a project, a host with a real agent CLI, and a scripted model.

Everything goes through the program as people start it; only the forge is played, through the program's own funnel.
"""

import secrets
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reconciler.core.desired import Identity
from reconciler.core.events import Event, PullRequestOpened, Reviewed
from reconciler.core.observed import PullRequest, Review
from reconciler.core.terms import Verdict
from reconciler.repo import fleet as places
from reconciler.repo import lock
from reconciler.repo.journal import Journal
from reconciler.repo.observed.funnel import ObservedBranch, Setting
from tests.cli import offline
from tests.cli.offline import Model
from tests.contract.sshd import Sshd
from tests.e2e.fleets import PROJECT, Fleet, environment, git, project
from tests.waiting import until

TASK = "hello"
KEYS = {"codex": "MOCK_API_KEY", "claude-code": "ANTHROPIC_API_KEY"}
MODELS = {"codex": "mock-model", "claude-code": None}
"""What the task names: for its own default model, Codex offers tools that the scripted model does not know."""
KEY = "dummy-key-of-nobody"
RETRIES = 3
IDLE_S = 240


@dataclass(kw_only=True)
class Stage:
    """One CLI at one place. The task is always `hello`, so that the model knows where its workspace will be."""

    folder: Path
    cli: str
    fleet: Fleet
    bare: Path
    model: Model
    reconcilers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @classmethod
    def make(cls, folder: Path, cli: str, commands: Path, sshd: Sshd | None) -> "Stage":
        """A new fleet whose one host is this machine, reached through `sshd` if there is one."""
        fleet = Fleet(folder=folder, root=folder / "fleet")
        fleet.env[KEYS[cli]] = KEY
        reconciler(fleet, "init", str(fleet.root))
        reconciler(fleet, "--fleet", str(fleet.root), "reconcile", "--once", "--no-listen")
        fleet_id = places_id(fleet)
        stage = cls(
            folder=folder,
            cli=cli,
            fleet=fleet,
            bare=project(folder),
            model=Model(folder=folder, workdir=folder / "work" / fleet_id / "work" / TASK),
        )
        stage.model.start()
        offline.log_in(folder / "home", stage.model.url, retries=RETRIES)
        stage.write_host(commands, sshd)
        return stage

    def write_host(self, commands: Path, sshd: Sshd | None) -> None:
        """Put one host in the place of the one that `init` wrote: where its CLI is, and where its model is."""
        keys: dict[str, Any] = {
            "transport": "local",
            "workdir": str(self.folder / "work"),
            "env": {
                "HOME": str(self.folder / "home"),
                "PATH": offline.path(commands),
                "ANTHROPIC_BASE_URL": self.model.url,
                "IS_SANDBOX": "1",
            },
        }
        if sshd is None:
            self.fleet.write("hosts/localhost.yaml", keys)
        else:
            (self.fleet.root / "hosts" / "localhost.yaml").unlink()
            self.fleet.ssh_host("far", sshd, **{**keys, "transport": "ssh"})
        self.fleet.commit("Describe the host")

    def ask(self, **keys: object) -> None:
        """Commit the task; what it is about does not matter to a scripted model."""
        task = {
            "title": "Say hello",
            "goal": "Write hello.txt.",
            "adapter": self.cli,
            "repository": str(self.bare),
            "secrets": [KEYS[self.cli]],
            **({"model": model} if (model := MODELS[self.cli]) else {}),
            **keys,
        }
        self.fleet.write(f"state/tasks/{TASK}.yaml", task)
        self.fleet.commit("Ask for a greeting")

    def start(self) -> subprocess.Popen[bytes]:
        """Start `reconcile --until-idle`."""
        words = ["--fleet", str(self.fleet.root), "reconcile", "--until-idle", "--no-listen"]
        with (self.folder / "said").open("ab") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "reconciler", *words],
                cwd=self.folder,
                env=own_environment(self.fleet),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        self.reconcilers.append(process)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for a reconciler to find nothing more to do; its exit code."""
        try:
            code = process.wait(IDLE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(self.said()) from None
        assert "Traceback" not in self.said(), self.said()
        return code

    def reconcile(self) -> int:
        return self.end(self.start())

    def starts_to_work(self) -> subprocess.Popen[bytes]:
        """Start a reconciler and wait until the agent waits for its model's answer, and the run is known to run."""
        process = self.start()

        def works() -> bool:
            assert process.poll() is None, self.said()
            return self.fleet.phase(TASK) == "running" and self.model.was_asked()

        until(works, seconds=60, every=0.1)
        return process

    def until_judged(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        """Wait for the end of the first run; the run."""

        def judged() -> bool:
            assert process.poll() is None, self.said()
            return "outcome" in self.fleet.first_run(TASK)

        until(judged, seconds=IDLE_S, every=0.1)
        return self.fleet.first_run(TASK)

    def command(self, *words: str) -> str:
        """What a command prints, given to this fleet."""
        return reconciler(self.fleet, "--fleet", str(self.fleet.root), *words)

    def review(self, *, body: str) -> None:
        """Play the forge: a pull request is opened for what was pushed, and a reviewer asks for changes."""
        head, at = git(self.bare, "rev-parse", f"task/{TASK}"), datetime.now(UTC).replace(microsecond=0)
        pr = PullRequest(number=1, url="http://forge.example/pulls/1", state="open", head_sha=head, updated_at=at)
        asked = Review(
            id="r1", reviewer="ada", verdict=Verdict.CHANGES_REQUESTED, submitted_at=at, body=body, head_sha=head
        )
        self.record(
            PullRequestOpened(at=at, actor="forge:ada", pr=pr),
            Reviewed(at=at, actor="forge:ada", review=asked, max_reviews=3),
        )

    def record(self, *events: Event) -> None:
        """Record facts about the task, while no reconciler runs."""
        place = places.find(self.fleet.root)
        held = lock.acquire(place.lock)
        journal = Journal(place.journal)
        branch = ObservedBranch(
            Setting(
                fleet=place,
                journal=journal,
                lock=held,
                identity=Identity(),
                new_id=lambda: secrets.token_hex(6),
                on_record=lambda *_: None,
                warn=warnings_are_errors,
            ),
            datetime.now(UTC),
        )
        try:
            for event in events:
                branch.record(TASK, event)
        finally:
            branch.close()
            journal.close()
            held.release()

    def run_folder(self, epoch: int = 1) -> Path:
        return self.fleet.run_folder(TASK, epoch)

    def agent(self) -> int:
        """The pid of the first run's agent."""
        return int((self.run_folder() / "agent").read_text().split()[0])

    def pushed(self, file: str) -> str:
        """What a file holds on the task's branch of the remote."""
        return git(self.bare, "show", f"task/{TASK}:{file}")

    def said(self) -> str:
        said = self.folder / "said"
        return said.read_text(errors="replace") if said.exists() else ""

    def close(self) -> None:
        """End everything that was started."""
        for process in self.reconcilers:
            process.kill()
            process.wait()
        self.fleet.end_runs()
        self.model.stop()


def reconciler(fleet: Fleet, *words: str) -> str:
    """What `reconciler WORDS` prints; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", *words],
        cwd=fleet.folder,
        env=own_environment(fleet),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=IDLE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def own_environment(fleet: Fleet) -> Mapping[str, str]:
    """What a reconciler is started with: no CLI on its PATH, a home of its own, and the one dummy key."""
    return {**environment(fleet.folder), "PYTHONPATH": str(PROJECT), **fleet.env}


def places_id(fleet: Fleet) -> str:
    """The fleet's id, which the first reconciler gave it."""
    (line,) = git(fleet.root, "show", "observed:state/observed/fleet.yaml").splitlines()
    return line.partition(":")[2].strip(" \"'")


def warnings_are_errors(text: str) -> None:
    raise AssertionError(text)


def lives(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
