"""Gathers the keys that we may prove ourselves with: from the ssh agent and from unencrypted files.

It never asks for a passphrase, and never sends a key anywhere.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh

from reconciler.core.desired import Host
from reconciler.transport import Misconfigured, options


@asynccontextmanager
async def offered(
    host_id: str, host: Host, way: options.Route, surroundings: options.Surroundings
) -> AsyncIterator[Sequence[asyncssh.SSHKeyPair]]:
    """The keys to offer, those of the agent first, usable inside the block. Raises `Misconfigured`."""
    files = options.identity_files(host, way, surroundings)
    loaded = [pair for path in files for pair in _from_file(host_id, path, required=bool(host.identity_file))]
    agent = await _connected(way.agent)
    if agent is None:
        _require_some(host_id, host, loaded)
        yield loaded
        return
    try:
        names = [blob for path in files for blob in _public_blobs(path)]
        # An empty list would mean "all" to the agent: an identity that has no public half allows none.
        allowed = (names or [b""]) if options.only_these_identities(host, way) else None
        held = list(await agent.get_keys(allowed))
        _require_some(host_id, host, [*held, *loaded])
        yield [*held, *loaded]
    finally:
        agent.close()
        await agent.wait_closed()


def _require_some(host_id: str, host: Host, pairs: Sequence[asyncssh.SSHKeyPair]) -> None:
    if host.identity_file and not pairs:
        message = (
            f"{host_id}: {host.identity_file} is encrypted and no ssh agent holds its key: "
            "run ssh-add and start the reconciler with SSH_AUTH_SOCK, or name a key without a passphrase"
        )
        raise Misconfigured(message)


def _from_file(host_id: str, path: Path, *, required: bool) -> Sequence[asyncssh.SSHKeyPair]:
    """The key of one file; nothing where it is encrypted, or where it is missing and nobody named it for this host."""
    try:
        return asyncssh.load_keypairs(str(path), ignore_encrypted=True)
    except (OSError, ValueError) as error:
        if required:
            reason = error.strerror if isinstance(error, OSError) else error
            message = f"{host_id}: identity_file {path} cannot be used: {reason}: mend hosts/{host_id}.yaml or the file"
            raise Misconfigured(message) from error
        return []


def _public_blobs(path: Path) -> Sequence[bytes]:
    """The public half of a key file, from `path.pub`, or from the file, which may be encrypted or public itself."""
    for candidate in (Path(f"{path}.pub"), path):
        try:
            return [asyncssh.read_public_key(candidate).public_data]
        except (OSError, ValueError):
            continue
    return []


async def _connected(path: str | None) -> asyncssh.SSHAgentClient | None:
    """The agent; `None` where none answers, as ssh itself goes on without one."""
    if path is None:
        return None
    try:
        return await asyncssh.connect_agent(path)
    except OSError:
        return None
