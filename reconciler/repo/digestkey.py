"""The key of this machine under which digests of secrets are kept, so that nobody can try secrets against them.

The key never leaves the folder of what belongs to this machine alone.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path

from reconciler.repo.fleet import Fleet

KEY_BYTES = 32


def read(fleet: Fleet) -> bytes:
    """The key of this machine under which digests of secrets are kept; made when missing, and safe to delete."""
    path = fleet.local / "key"
    if not path.exists():
        fleet.local.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = Path(f"{path}.new")
        temporary.touch(mode=0o600)
        temporary.write_bytes(secrets.token_bytes(KEY_BYTES))
        temporary.replace(path)
    return path.read_bytes()


def digests(key: bytes, secret: Callable[[str], str | None], names: Iterable[str]) -> dict[str, str]:
    """A digest of the value of each of these secrets that has one; `secret` gives it by its name."""
    found = {name: secret(name) for name in sorted(names)}
    return {
        name: hmac.new(key, value.encode(errors="surrogateescape"), hashlib.sha256).hexdigest()
        for name, value in found.items()
        if value is not None
    }
