"""`token`: a new token for an external agent that asks for work.

The token itself is printed once and kept nowhere; the host's file gets its digest.
"""

import hashlib
from collections.abc import Mapping

from reconciler.commands import files
from reconciler.commands.command import Command
from reconciler.commands.session import NotGood, Session
from reconciler.repo import git
from reconciler.repo.desired import fleetfiles
from reconciler.repo.main import commits
from reconciler.repo.yaml import documents

KEPT = 2
"""How many digests stay: the new one and the one before, until the agent has the new token."""


def token(session: Session, *, host: str) -> int:
    """Make a new token for a pull host and print it, once.

    Its SHA-256 digest goes into `token_sha256` of the host's file, which is committed when git tracks it. The token
    before stays valid until the next one is made, so that the agent can be changed over.
    """
    fleet = session.fleet()
    path = files.host_path(fleet, host)
    data = documents.parse(fleetfiles.read(fleet.root, path), path).data
    if data.get("transport") != "pull":
        raise NotGood(f"{path}: only a pull host has tokens; this one says transport: {data.get('transport')}")
    made = session.outside.new_token()
    digest = hashlib.sha256(made.encode()).hexdigest()

    def change(before: Mapping[str, object]) -> Mapping[str, object]:
        known = before.get("token_sha256")
        return {"token_sha256": [*(known if isinstance(known, list) else ()), digest][-KEPT:]}

    if git.tracked(fleet.root, path):
        commits.edit(fleet, "host", path, change, f"Give {host} a new token")
    else:
        old = fleetfiles.read(fleet.root, path)
        files.replace(fleet, path, documents.edit(old, change(data)))
    session.screen.line(made)
    return 0


COMMANDS = (
    Command(
        name="token",
        group="Change",
        does=token,
        positional="host",
        options={"host": "the id of a pull host"},
        example="reconciler token laptop > token.txt",
    ),
)
