"""The key of this machine under which digests of secrets are kept, so that nobody can try secrets against them.

It never leaves the folder of what belongs to this machine alone.
"""

import secrets
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
