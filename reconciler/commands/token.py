"""`token`: a new token for an external agent that asks for work, or for whoever reads the board from elsewhere.

The token itself is printed once and kept nowhere; the host's file, or the settings, get its digest.
"""

import hashlib
from collections.abc import Mapping

from reconciler.commands import files
from reconciler.commands.command import Command
from reconciler.commands.session import NotGood, Session, WrongUsage
from reconciler.repo import git
from reconciler.repo.desired import fleetfiles
from reconciler.repo.fleet import Fleet
from reconciler.repo.main import commits
from reconciler.repo.main.commits import Change
from reconciler.repo.yaml import documents

KEPT = 2
"""How many digests stay: the new one and the one before, until whoever uses it has the new token."""


def token(session: Session, *, host: str = "", board: bool = False) -> int:
    """Make a new token, for a pull host or for the board, and print it, once.

    Its SHA-256 digest goes into `token_sha256` of the host's file, or with --board of `board` in the settings. That
    file is committed, unless git does not track it. The token before stays valid until the next one is made, so that
    whoever uses it can be changed over.
    """
    if bool(host) == board:
        raise WrongUsage("token takes a pull host, or --board; for example: reconciler token --board")
    fleet = session.fleet()
    made = session.outside.new_token()
    digest = hashlib.sha256(made.encode()).hexdigest()
    if board:
        _give_board(fleet, digest)
    else:
        _give_host(fleet, host, digest)
    session.screen.line(made)
    if commits.settings(fleet).remote is not None:
        session.screen.note("it is valid once the commit with its digest is pushed")
    return 0


def _give_host(fleet: Fleet, host: str, digest: str) -> None:
    path = files.host_path(fleet, host)
    data = documents.parse(fleetfiles.read(fleet.root, path), path).data
    if data.get("transport") != "pull":
        raise NotGood(f"{path}: only a pull host has tokens; this one says transport: {data.get('transport')}")

    def change(before: Mapping[str, object]) -> Mapping[str, object]:
        return _with_digest(before, digest)

    if git.tracked(fleet.root, path):
        commits.edit(fleet, "host", path, change, f"Give {host} a new token")
    else:
        _replace(fleet, "host", path, change)


def _give_board(fleet: Fleet, digest: str) -> None:
    path = fleetfiles.SETTINGS

    def change(before: Mapping[str, object]) -> Mapping[str, object]:
        known = before.get("board")
        board = known if isinstance(known, Mapping) else {}
        return {"board": {**board, **_with_digest(board, digest)}}

    if (fleet.root / path).exists() and not git.tracked(fleet.root, path):
        _replace(fleet, "settings", path, change)
    else:
        commits.edit_settings(fleet, change, "Give the board a new token")


def _with_digest(before: Mapping[str, object], digest: str) -> Mapping[str, object]:
    """The newest digests, this one among them."""
    known = before.get("token_sha256")
    return {"token_sha256": [*(known if isinstance(known, list) else ()), digest][-KEPT:]}


def _replace(fleet: Fleet, kind: str, path: str, change: Change) -> None:
    """Write a file that git does not know."""
    files.replace(fleet, path, commits.edited(kind, path, fleetfiles.read(fleet.root, path), change))


COMMANDS = (
    Command(
        name="token",
        group="Change",
        does=token,
        positional="host",
        options={"host": "the id of a pull host", "board": "for people who read the board from elsewhere"},
        example="reconciler token laptop > token.txt\nreconciler token --board",
    ),
)
