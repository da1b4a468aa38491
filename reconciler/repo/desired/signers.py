"""Whose SSH signatures count: git's own file of allowed signers, and git's verdict on commits by it.

No other kind of signature counts, and no configuration makes git run another program here.
"""

import hashlib
import os
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.core.desired import Trust
from reconciler.repo import git

MOST_AT_ONCE = 500
TIMEOUT_S = 300.0
CONFIGURED = "gpg.ssh.allowedSignersFile"
REVOKED = "gpg.ssh.revocationFile"

_UNUSABLE = os.devnull
_PROGRAMS = {
    "gpg.program": _UNUSABLE,
    "gpg.openpgp.program": _UNUSABLE,
    "gpg.x509.program": _UNUSABLE,
    "gpg.ssh.program": "ssh-keygen",
}

Look = tuple[str, int, int, int] | None


def in_fleet(trust: Trust | None) -> str | None:
    """The path in the fleet of the file of allowed signers, where it is one."""
    signed = trust.signed if trust is not None else None
    return signed if isinstance(signed, str) and not signed.startswith(("/", "~/")) else None


def on_machine(trust: Trust) -> str | None:
    """What names the file of allowed signers, where it is one of this machine: a path, or a key of git's settings."""
    if trust.signed is True:
        return CONFIGURED
    return None if trust.signed is None or in_fleet(trust) else trust.signed


@dataclass(slots=True)
class Machine:
    """The files of this machine that decide about signatures, each named by a path or a key of git's settings."""

    root: Path
    _read: dict[str, bytes | None] = field(default_factory=dict)
    _looks: dict[str, tuple[Path, Look]] = field(default_factory=dict)

    def content(self, source: str) -> bytes | None:
        """The file's bytes, as they were when they were first asked for; None where it cannot be read."""
        if source not in self._read:
            path = self._path(source)
            if path is not None:
                self._looks[source] = (path, _look(path))
            self._read[source] = _bytes(path)
        return self._read[source]

    def digest(self, source: str) -> str:
        """What tells the file's content from any other; empty where it cannot be read."""
        content = self.content(source)
        return "" if content is None else hashlib.sha256(content).hexdigest()

    def forget(self) -> None:
        """Read every file again when it is asked for."""
        self._read, self._looks = {}, {}

    def has_changed(self) -> bool:
        """Whether a file that was read is another one by now."""
        return any(_look(path) != look for path, look in self._looks.values())

    def _path(self, source: str) -> Path | None:
        if source.startswith("/"):
            return Path(source)
        given = ("-c", f"reconciler.signers={source}") if source.startswith("~/") else ()
        key = "reconciler.signers" if given else source
        found = git.run(self.root, *given, "config", "--type=path", "--get", key, check=False)
        return self.root / os.fsdecode(found.stdout.rstrip(b"\n")) if found.exit == 0 and found.stdout.strip() else None


def good(root: Path, commits: Sequence[str], allowed: bytes) -> frozenset[str]:
    """Those of the commits that carry a good signature of an allowed signer."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "allowed_signers"
        file.write_bytes(allowed)
        words = [
            word for key, value in {**_PROGRAMS, CONFIGURED: str(file)}.items() for word in ("-c", f"{key}={value}")
        ]
        starts = range(0, len(commits), MOST_AT_ONCE)
        return frozenset().union(*(_good(root, commits[at : at + MOST_AT_ONCE], words) for at in starts))


def _good(root: Path, commits: Collection[str], words: Sequence[str]) -> frozenset[str]:
    asked = "".join(f"{one}\n" for one in commits).encode()
    question = (
        "--no-replace-objects",
        "log",
        "--no-walk=unsorted",
        "--no-show-signature",
        "--format=%H %G?",
        "--stdin",
    )
    said = git.run(root, *words, *question, stdin=asked, timeout_s=TIMEOUT_S).text
    verdicts = (line.split(" ") for line in said.splitlines())
    return frozenset(verdict[0] for verdict in verdicts if verdict[1:] == ["G"])


def _look(path: Path) -> Look:
    try:
        found = path.stat()
    except OSError:
        return None
    return (str(path), found.st_mtime_ns, found.st_size, found.st_ino)


def _bytes(path: Path | None) -> bytes | None:
    try:
        return None if path is None else path.read_bytes()
    except OSError:
        return None
