"""The name under which this place of a fleet holds terms: the same at every start, another one in a copy of the folder.

Whoever holds the fleet's lock and finds a term under its own name knows that the process that held it has ended.
"""

import hashlib
import os
import secrets
import socket

from reconciler.repo.fleet import Fleet

ID_BYTES = 16
DIGITS = 12


def holder(fleet: Fleet) -> str:
    """12 hex digits. Without `.reconciler/holder`, which may be deleted, a new name is made; then a term runs out."""
    path = fleet.local / "holder"
    if not path.exists():
        fleet.local.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(f"holder.{os.getpid()}.new")
        temporary.write_text(f"{secrets.token_hex(ID_BYTES)}\n", "ascii")
        temporary.replace(path)
    place = path.stat()
    said = f"{path.read_text('ascii').strip()} {socket.gethostname()} {place.st_dev} {place.st_ino}"
    return hashlib.sha256(said.encode()).hexdigest()[:DIGITS]


def name(fleet: Fleet) -> str:
    """The same for people: host and folder."""
    return f"{socket.gethostname()}:{fleet.root}"
