"""The one door to the fleet's remote: which refs it has, fetching them, and moving them by compare-and-swap.

It never says that a push landed or was refused: whoever needs to know looks at the refs afterwards.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from reconciler.repo import git

TIMEOUT_S = 20.0
"""How long the remote may take to answer: several tries fit into one term."""
FETCH_S = 300.0
"""The same for what may be large."""
LEFT_S = 0.5
"""How long it may take until nobody holds the pipes of a git that was ended."""
LEADER = "refs/reconciler/leader"
MAIN = "refs/heads/main"
OBSERVED = "refs/heads/observed"
WATCHED = (MAIN, OBSERVED, LEADER)

_SSH = "ssh -oBatchMode=yes -oConnectTimeout=15 -oServerAliveInterval=5 -oServerAliveCountMax=3"


class RemoteFailed(Exception):
    """The remote could not be reached, or did not do what it was asked; one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A ref of the remote from one commit to another; `None`: it is not there, or is to be removed."""

    ref: str
    old: str | None
    new: str | None


class Remote:
    """The remote `name` (of the repository's configuration, or a URL). Safe for many threads."""

    def __init__(self, repository: Path, name: str, timeout_s: float = TIMEOUT_S) -> None:
        """Ask nothing yet."""
        self.name = name
        self._repository = repository
        self._timeout_s = timeout_s
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._mains = threading.Lock()
        self._closed = False
        self._own_ssh = git.run(repository, "config", "core.sshCommand", check=False).exit == 0

    def url(self) -> str:
        """Where the remote is, with what git's configuration makes of its name."""
        found = git.run(self._repository, "remote", "get-url", "--", self.name, check=False)
        return found.text if found.exit == 0 else self.name

    def refs(self, *others: str) -> dict[str, str]:
        """The refs that are watched, and others, each with its commit; one that is not there is left out."""
        said = self._run("ls-remote", "--refs", "--", self.name, *WATCHED, *others, timeout_s=self._timeout_s)
        lines = (line.split("\t", 1) for line in said.decode(errors="replace").splitlines() if "\t" in line)
        return {ref: commit for commit, ref in lines}

    def fetch(self, refs: Mapping[str, str], timeout_s: float = FETCH_S) -> None:
        """Bring refs of the remote, and all that they need, to refs of this repository, whatever stood there."""
        words = [f"+{theirs}:{ours}" for theirs, ours in refs.items()]
        alone = self._mains if MAIN in refs else nullcontext()  # two at a time would be in each other's way at its ref
        with alone:
            self._run(
                "fetch", "--quiet", "--no-tags", "--no-auto-maintenance", "--no-write-fetch-head",
                "--no-recurse-submodules", "--refmap=", "--", self.name, *words, timeout_s=timeout_s,
            )  # fmt: skip

    def push(self, moves: Sequence[Move]) -> None:
        """Make all moves or none, each only from where the ref was known to be.

        Raises RemoteFailed where git says that it did not work; then, too, it may have.
        """
        expected = [f"--force-with-lease={move.ref}:{move.old or ''}" for move in moves]
        words = [f"{move.new or ''}:{move.ref}" for move in moves]
        self._run(
            "push", "--quiet", "--atomic", "--no-verify", "--no-signed", "--no-follow-tags", "--recurse-submodules=no",
            *expected, "--", self.name, *words, timeout_s=self._timeout_s,
        )  # fmt: skip

    def interrupt(self) -> None:
        """End what is under way: whoever waits for it gets RemoteFailed."""
        with self._lock:
            running = list(self._running)
        for process in running:
            _end(process)

    def close(self) -> None:
        """End what is under way, and refuse everything from now on."""
        with self._lock:
            self._closed = True
        self.interrupt()

    def _run(self, *args: str, timeout_s: float) -> bytes:
        verb = next(word for word in args if word in {"ls-remote", "fetch", "push"})
        process = self._started(args)
        try:
            out, complaint = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            _end(process)
            _let_go(process)
            raise RemoteFailed(f"{self.name}: git {verb}: no answer within {timeout_s:g} s") from error
        finally:
            with self._lock:
                self._running.discard(process)
        if process.returncode != 0:
            raise RemoteFailed(self._advice(verb, _refusal(complaint) or f"exit {process.returncode}"))
        return out

    def _advice(self, verb: str, said: str) -> str:
        known = git.run(self._repository, "remote", check=False).text.split("\n")
        if self.name not in known and not {"/", ":"} & set(self.name):
            return f"there is no remote {self.name} in this clone: `git remote add {self.name} URL`"
        return f"{self.name}: git {verb}: {said}"

    def _started(self, args: Sequence[str]) -> subprocess.Popen[bytes]:
        environment = git.environment(os.environ)
        if not {"GIT_SSH", "GIT_SSH_COMMAND"} & environment.keys() and not self._own_ssh:
            environment["GIT_SSH_COMMAND"] = _SSH
        with self._lock:
            if self._closed:
                raise RemoteFailed(f"{self.name}: the reconciler is stopping")
            try:
                process = subprocess.Popen(
                    git.command(*args),
                    cwd=self._repository,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
            except OSError as error:
                raise RemoteFailed(f"{self.name}: git cannot be started: {error.strerror}") from error
            self._running.add(process)
        return process


def _refusal(complaint: bytes) -> str:
    """What git complained about: of a push the ref that was refused itself, else the line that says most."""
    lines = (line.strip(b" !") for line in complaint.splitlines() if b"rejected]" in line)
    return git.first_line(next((line for line in lines if b"atomic" not in line), complaint))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process with those that it started to reach the remote."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _let_go(process: subprocess.Popen[bytes]) -> None:
    """Take leave of a process that was ended: one that it started and that left its group may hold the pipes."""
    with suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=LEFT_S)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    process.wait()
