"""Which host keys are trusted: the pinned ones, or else what `known_hosts` says.

It never writes a `known_hosts` file, and never trusts a key because nothing is known.
"""

import itertools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import asyncssh

from reconciler.transport import Misconfigured

Trust = Callable[[str, str, int | None], Sequence[Sequence[object]]]
"""Host, peer address and port (None is 22) to trusted keys, trusted authorities, revoked keys, and so on."""

GLOBAL_KNOWN_HOSTS = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
MAX_KNOWN_HOSTS_BYTES = 16 * 1024 * 1024

_LOG = logging.getLogger(__name__)


def pinned(host_id: str, lines: Sequence[str]) -> Trust:
    """Trust these public keys and no other. Raises `Misconfigured` for a line without a key."""
    keys = [_public_key(host_id, line) for line in lines]
    return lambda _host, _address, _port: (keys, [], [])


def known(host_id: str, paths: Sequence[Path]) -> Trust:
    """Trust what these files say. Missing ones are empty; an unreadable one is `Misconfigured`."""
    entries = asyncssh.SSHKnownHosts()
    for path in paths:
        for number, line in enumerate(_lines(host_id, path), 1):
            _load(host_id, entries, line, f"{path} line {number}")
    return lambda host, address, port: entries.match(host.lower(), address or "", port)


def fingerprint(key: asyncssh.SSHKey) -> str:
    """A public key as a person compares it: algorithm and SHA256, as `ssh-keygen -l` prints it."""
    return f"{key.get_algorithm()} {key.get_fingerprint()}"


def _public_key(host_id: str, line: str) -> asyncssh.SSHKey:
    """The key in `[options or host] algorithm base64 [comment]`."""
    words = line.split()
    if not line.startswith("@"):
        for algorithm, data in itertools.pairwise(words):
            try:
                return asyncssh.import_public_key(f"{algorithm} {data}")
            except asyncssh.KeyImportError:
                continue
    message = f"{host_id}: host_keys holds {line[:60]!r}, which is no public key: write `ssh-ed25519 AAAA...`"
    raise Misconfigured(message)


def _lines(host_id: str, path: Path) -> Sequence[str]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(MAX_KNOWN_HOSTS_BYTES).splitlines()
    except FileNotFoundError:
        return ()
    except OSError as error:
        message = f"{host_id}: {path} cannot be read ({error.strerror}): mend it, or pin host_keys in the host's file"
        raise Misconfigured(message) from error


def _load(host_id: str, entries: asyncssh.SSHKnownHosts, line: str, place: str) -> None:
    """Add one line. Like OpenSSH, a broken line is passed over, but never one that may revoke a key."""
    try:
        entries.load(line)
    except ValueError as error:
        if line.lstrip().startswith("@"):
            message = f"{host_id}: {place} is broken and may revoke a key: mend it ({error})"
            raise Misconfigured(message) from error
        _LOG.warning("%s: %s is passed over: %s", host_id, place, error)
