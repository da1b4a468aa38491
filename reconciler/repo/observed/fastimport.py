"""One `git fast-import` child: commits go in, the id under which git stored each comes out.

It never says that a branch moved: fast-import answers also when the branch stayed, so the caller reads the branch.
"""

import os
import re
import select
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from reconciler.core.desired import Identity
from reconciler.repo import git

ANSWER_S = 60.0
END_S = 10.0
REF_LOCK_MS = 1000
"""How long git waits for the branch's lock: upkeep, and people's `git gc`, hold it now and then."""
MAX_ANSWER_BYTES = 200
MAX_COMPLAINT_BYTES = 8192

_ID = re.compile(rb"[0-9a-f]{40}([0-9a-f]{24})?")
_PATH = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")


def nothing() -> None:
    """What is done while git works, where nothing is."""


class ImporterGone(Exception):
    """The child has ended or does not answer; whether its last commit landed is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one commit does: path -> new content, None removes it. `message` ends with its trailers, no newline."""

    message: str
    at: datetime
    files: Mapping[str, bytes | None]


class Importer:
    """A running child that writes to the one branch `ref`; it shares the descriptors it is given, and no other."""

    def __init__(self, repository: Path, ref: str, identity: Identity, shares: tuple[int, ...]) -> None:
        self._ref = ref
        self.identity = identity
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        words = ("fast-import", "--quiet", "--date-format=raw", "--done")
        durably = ("-c", "fastimport.unpackLimit=0", "-c", "core.fsync=committed,reference")
        # each commit is on top of the one before: a reflog would say the same once more, a line for each
        settings = (*durably, "-c", "core.logAllRefUpdates=false", "-c", f"core.filesRefLockTimeout={REF_LOCK_MS}")
        try:
            self._child = subprocess.Popen(
                git.command(*git.identity_words(identity), *settings, *words),
                cwd=repository,
                env=git.environment(os.environ),
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._complaints,
                pass_fds=shares,
                start_new_session=True,
            )
        except OSError as error:
            self._complaints.close()
            raise ImporterGone(f"git fast-import cannot be started: {error.strerror}") from error
        self._pending = b"feature done\n"
        if self._child.stdin is not None:
            os.set_blocking(self._child.stdin.fileno(), False)

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    def commit(self, change: Change, parent: str | None, meanwhile: Callable[[], None] = nothing) -> str:
        """The id of the commit that was stored and checkpointed; `meanwhile` is called as long as the child works.

        Raises ImporterGone.
        """
        stream = self._pending + _stream(change, self._ref, self.identity, parent)
        self._pending = b""
        try:
            answer = self._exchange(stream, meanwhile)
        except OSError as error:
            raise ImporterGone(f"git fast-import has ended: {self.complaint() or error.strerror}") from error
        if not _ID.fullmatch(answer):
            raise ImporterGone(f"git fast-import answered {answer[:80]!r}")
        return answer.decode()

    def complaint(self) -> str:
        """What the child has said on stderr, as one line; empty when nothing."""
        descriptor = self._complaints.fileno()
        return git.first_line(os.pread(descriptor, MAX_COMPLAINT_BYTES, 0))

    def end(self) -> None:
        """Have the child finish cleanly, which also lets go of the packs it has written."""
        if self._child.stdin is not None:
            try:
                os.set_blocking(self._child.stdin.fileno(), True)
                self._child.stdin.write(self._pending + b"done\n")
                self._child.stdin.close()
                self._child.wait(END_S)
            except (OSError, subprocess.TimeoutExpired):
                self._child.kill()
        self.kill()

    def kill(self) -> None:
        """End the child now; when this returns it can write nothing more."""
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()
        self._complaints.close()

    def _exchange(self, stream: bytes, meanwhile: Callable[[], None]) -> bytes:
        """Feed the stream and read the one line of the answer, never blocked by either for longer than `ANSWER_S`."""
        if self._child.stdin is None or self._child.stdout is None:
            raise ImporterGone("git fast-import has no pipes")
        source, sink = self._child.stdout.fileno(), self._child.stdin.fileno()
        rest, answer, deadline = memoryview(stream), b"", time.monotonic() + ANSWER_S
        poll = select.poll()
        poll.register(source, select.POLLIN)
        poll.register(sink, select.POLLOUT)
        while not answer.endswith(b"\n") and len(answer) < MAX_ANSWER_BYTES:
            ready = {descriptor for descriptor, _ in poll.poll(max(0.0, deadline - time.monotonic()) * 1000)}
            if not ready:
                raise ImporterGone(f"git fast-import gave no answer within {ANSWER_S:g} s")
            if sink in ready and rest:
                rest = rest[os.write(sink, rest) :]
                if not rest:
                    poll.unregister(sink)
                    meanwhile()
            if source in ready:
                chunk = os.read(source, MAX_ANSWER_BYTES)
                if not chunk:
                    raise ImporterGone(f"git fast-import has ended: {self.complaint() or 'killed'}")
                answer += chunk
        return answer.strip()


def _stream(change: Change, ref: str, identity: Identity, parent: str | None) -> bytes:
    who = f"{git.who(identity)} {int(change.at.timestamp())} +0000"
    message = (change.message + "\n").encode(errors="replace")
    head = f"commit {ref}\nmark :1\nauthor {who}\ncommitter {who}\ndata {len(message)}\n".encode()
    origin = f"from {parent}\n".encode() if parent else b""
    removals = [f"D {_checked(path)}\n".encode() for path, content in change.files.items() if content is None]
    writes = [
        f"M 100644 inline {_checked(path)}\ndata {len(content)}\n".encode() + content + b"\n"
        for path, content in change.files.items()
        if content is not None
    ]
    return b"".join((head, message, b"\n", origin, *removals, *writes, b"\ncheckpoint\nget-mark :1\n"))


def _checked(path: str) -> str:
    """The path, if it is one that every git accepts everywhere: fast-import itself would store `.git/x`."""
    if not _PATH.fullmatch(path):
        message = f"{path!r} is no path for a file on the branch"
        raise ValueError(message)
    return path
