"""Builds fleets, project repositories and scripted agents for tests, and runs a reconciler on them as a process.

A scripted agent is the task's goal, run by `sh`: it never depends on a model or on the machine's git configuration.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from reconciler.repo import fleet as places
from reconciler.repo.git import GitFailed
from tests.contract.sshd import Sshd
from tests.waiting import until

PROJECT = Path(__file__).resolve().parents[2]
PROGRAM = ("reconciler", "--fleet")
PERSON = ("-c", "user.name=Person", "-c", "user.email=person@example.org")

SHELL: Mapping[str, object] = {"run": ["sh", "{prompt_file}"], "prompt": "file", "prompt_text": "goal"}
"""The goal is the agent; its exit code decides."""

JSONL: Mapping[str, object] = {
    **SHELL,
    "output": {
        "format": "jsonl",
        "summary": "events[?type=='result'] | [-1].text",
        "session": "events[?type=='session'] | [-1].id",
        "error": "events[?type=='error'] | [-1].message",
        "failed": "length(events[?type=='error']) > `0` || length(events[?type=='result']) == `0`",
        "finished": "length(events[?type=='result']) > `0`",
        "abort": "length(events[?type=='refused']) > `3`",
    },
    "failures": [
        {"class": "usage_limit", "pattern": 'limit reached, resets at (?P<when>[^"\\n]+)', "resets": "when"},
        {"class": "session", "pattern": "no such session"},
        {"class": "auth", "pattern": "not logged in"},
        {"class": "waiting_input", "pattern": "needs an answer"},
        {"class": "provider", "pattern": "refused"},
    ],
}
"""The goal is the agent; what it prints line by line decides, whatever its exit code."""


def git(folder: Path, *args: str, check: bool = True) -> str:
    """One git command as a person runs it; its stdout without the last newline."""
    done = subprocess.run(
        ["git", *PERSON, *args],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert not check or done.returncode == 0, (args, done.stderr)
    return done.stdout.decode().rstrip("\n")


def environment(home: Path) -> dict[str, str]:
    """What a reconciler and its git are started with: nothing of the machine's own configuration."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "HOME": str(home), "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}


def project(folder: Path) -> Path:
    """A bare repository with one commit on `main`."""
    bare = folder / "project.git"
    work = folder / "project-work"
    work.mkdir(parents=True)
    git(work, "init", "-q", "-b", "main")
    (work / "readme").write_text("a project\n")
    git(work, "add", "readme")
    git(work, "commit", "-q", "-m", "Begin")
    git(folder, "clone", "-q", "--bare", str(work), str(bare))
    return bare


@dataclass(kw_only=True)
class Fleet:
    """A fleet in `root`, with everything around it in `folder`."""

    folder: Path
    root: Path
    env: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, folder: Path, **host: object) -> "Fleet":
        """A fleet with the host `here` (local, two slots, unless `host` says otherwise) and two scripted agents."""
        fleet = cls(folder=folder, root=folder / "fleet")
        (fleet.root / "state" / "tasks").mkdir(parents=True)
        git(fleet.root, "init", "-q", "-b", "main")
        fleet.write("adapters/shell.yaml", SHELL)
        fleet.write("adapters/jsonl.yaml", JSONL)
        fleet.write("hosts/here.yaml", {"transport": "local", "slots": 2, "workdir": str(folder / "work"), **host})
        fleet.commit("Make a fleet")
        return fleet

    def write(self, path: str, document: object) -> Path:
        """Write a document (JSON is YAML too), or text as it is, by rename."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        text = document if isinstance(document, str) else json.dumps(document, indent=1, ensure_ascii=False)
        temporary = target.with_name(f".{target.name}.new")
        temporary.write_text(text)
        temporary.replace(target)
        return target

    def task(self, task_id: str, goal: str, **keys: object) -> Path:
        """Write a task whose agent is the script `goal`."""
        return self.write(
            f"state/tasks/{task_id}.yaml", {"title": f"Do {task_id}", "goal": goal, "adapter": "shell", **keys}
        )

    def commit(self, message: str) -> None:
        git(self.root, "add", "-A")
        git(self.root, "commit", "-q", "-m", message)

    def ssh_host(self, host_id: str, sshd: Sshd, **keys: object) -> None:
        """Write the file of a host that is reached through `sshd`."""
        document = {
            "transport": "ssh",
            "address": sshd.address,
            "port": sshd.port,
            "user": sshd.user,
            "identity_file": str(sshd.client_key_path),
            "host_keys": [sshd.host_key_public],
            "workdir": str(self.folder / f"work-{host_id}"),
            **keys,
        }
        self.write(f"hosts/{host_id}.yaml", document)

    @property
    def runs_file(self) -> Path:
        """Where agents that call `ran` note their run."""
        return self.folder / "runs"

    @property
    def ran(self) -> str:
        """A line of a goal that notes, outside of the workspace, which run this is."""
        return f'echo "$RECONCILER_RUN" >>{self.runs_file}\n'

    def runs(self) -> list[str]:
        """The runs that were noted, as `<task>.<epoch>`, in order of their start."""
        if not self.runs_file.exists():
            return []
        return [line.partition(".")[2] for line in self.runs_file.read_text().splitlines()]

    def observed(self, task_id: str) -> dict[str, Any]:
        """What the branch `observed` holds of a task; empty when there is nothing."""
        listed = git(self.root, "ls-tree", "-r", "--full-tree", "--name-only", "observed", check=False).splitlines()
        paths = [
            path
            for path in listed
            if path.endswith(f"/{task_id}.yaml") and not {"hosts", "breakers"} & set(path.split("/"))
        ]
        assert len(paths) <= 1, paths
        return self._document(paths[0]) if paths else {}

    def observed_host(self, host_id: str) -> dict[str, Any]:
        return self._document(f"state/observed/hosts/{host_id}.yaml")

    def phase(self, task_id: str) -> str:
        return str(self.observed(task_id).get("phase", "created"))

    def first_run(self, task_id: str) -> dict[str, Any]:
        runs: list[dict[str, Any]] = self.observed(task_id).get("runs", [{}])
        return runs[0]

    def last_run(self, task_id: str) -> dict[str, Any]:
        runs: list[dict[str, Any]] = self.observed(task_id).get("runs", [{}])
        return runs[-1]

    def log(self, task_id: str) -> list[str]:
        """The subjects of the commits about a task, oldest first."""
        said = git(self.root, "log", "--reverse", "--format=%s", "--grep", f"^Task: {task_id}$", "observed")
        return said.splitlines()

    def run_folder(self, task_id: str, epoch: int, workdir: str = "work") -> Path:
        """A run's folder on the host."""
        (fleet,) = (self.folder / workdir).iterdir()
        return fleet / "runs" / f"{task_id}.{epoch}"

    def kept_output(self, task_id: str, epoch: int, stream: str = "stdout") -> bytes:
        """The local copy of what a run printed."""
        return (self.root / ".reconciler" / "logs" / f"{task_id}.{epoch}" / stream).read_bytes()

    def move_clock(self, seconds: float) -> None:
        """Have the reconciler believe that so much more time has gone, and look."""
        clock = self.folder / "clock"
        before = float(clock.read_text()) if clock.exists() else 0.0
        temporary = self.folder / "clock.new"
        temporary.write_text(str(before + seconds))
        temporary.replace(clock)
        self.wake()

    def wake(self) -> None:
        """Have the reconciler look: a file of the fleet is written again as it is."""
        here = self.root / "adapters" / "shell.yaml"
        self.write("adapters/shell.yaml", here.read_text())

    def _document(self, path: str) -> dict[str, Any]:
        text = git(self.root, "show", f"observed:{path}", check=False)
        found = YAML(typ="safe").load(text) if text else {}
        assert isinstance(found, dict), text
        return found

    def start(self, *words: str, **env: str) -> "Reconciler":
        """Start a reconciler; `env` is added to its environment."""
        return Reconciler.start(self, words, env)

    def path(self) -> str:
        """The PATH that reconcilers get."""
        return environment(self.folder)["PATH"]

    def until_idle(self, seconds: float = 60) -> "Reconciler":
        """Reconcile until nothing is left to do, and end."""
        reconciler = self.start("--until-idle")
        try:
            reconciler.process.wait(seconds)
        except subprocess.TimeoutExpired:
            reconciler.kill()
            raise AssertionError(reconciler.said()) from None
        return reconciler

    @contextlib.contextmanager
    def reconciling(self) -> Iterator["Reconciler"]:
        """A reconciler that runs until the block ends."""
        reconciler = self.start()
        try:
            yield reconciler
            assert reconciler.process.poll() is None, reconciler.said()
        finally:
            reconciler.stop()

    def end_runs(self) -> None:
        """Kill whatever carries the tag of a run of this fleet."""
        for pid in self.tagged():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def tagged(self, run: str = "") -> list[int]:
        """The processes of this fleet's runs, or of one, `<task>.<epoch>`."""
        try:
            listed = git(places.find(self.root).root, "show", "observed:state/observed/fleet.yaml", check=False)
        except GitFailed:
            return []
        found = re.search(r"\b[0-9a-f]{12}\b", listed)
        if found is None:
            return []
        wanted = f"RECONCILER_RUN={found[0]}.{run}".encode()
        return [int(pid.name) for pid in Path("/proc").iterdir() if pid.name.isdigit() and _carries(pid, wanted)]


def _carries(process: Path, tag: bytes) -> bool:
    try:
        return any(word.startswith(tag) for word in (process / "environ").read_bytes().split(b"\0"))
    except OSError:
        return False


@dataclass(kw_only=True)
class Reconciler:
    """A reconciler's process; what it says is kept in a file."""

    fleet: Fleet
    process: subprocess.Popen[bytes]
    output: Path

    @classmethod
    def start(cls, fleet: Fleet, words: Sequence[str], more: Mapping[str, str]) -> "Reconciler":
        """The program; for a test that moves the clock, or may yet, the driver of its loop."""
        output = fleet.folder / "said"
        env = {
            **environment(fleet.folder),
            "PYTHONPATH": str(PROJECT),
            "PYTHONUNBUFFERED": "1",
            "CLOCK": str(fleet.folder / "clock"),
            **fleet.env,
            **more,
        }
        timed = "--until-idle" not in words or (fleet.folder / "clock").exists()
        program = (
            ["tests.e2e.driver", str(fleet.root)] if timed else [*PROGRAM, str(fleet.root), "reconcile", "--no-listen"]
        )
        with output.open("ab") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", *program, *words],
                cwd=fleet.folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        return cls(fleet=fleet, process=process, output=output)

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def kill(self) -> None:
        """SIGKILL, to the reconciler alone."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(self.said()) from None

    def until_phase(self, task_id: str, *phases: str, seconds: float = 30) -> dict[str, Any]:
        """Wait for a task to be in one of the phases; what is observed of it then."""

        def look() -> bool:
            assert self.process.poll() is None, self.said()
            return self.fleet.phase(task_id) in phases

        try:
            until(look, seconds=seconds, every=0.1)
        except AssertionError as error:
            message = f"{task_id} is {self.fleet.phase(task_id)}, not {phases}: {self.said()[-3000:]}"
            raise AssertionError(message) from error
        return self.fleet.observed(task_id)
