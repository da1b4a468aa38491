"""Turns every expected error into one line and an exit code, in one place.

An error that is not expected passes through: `__main__` reports it as a defect.
"""

import os
import sys

from reconciler.commands.session import NotGood, WrongUsage
from reconciler.core import printable
from reconciler.core.leadership import NotLeading
from reconciler.repo.fleet import NoFleet
from reconciler.repo.git import GitFailed, Refused
from reconciler.repo.journal import JournalFailed
from reconciler.repo.lock import Locked
from reconciler.repo.observed.branch import BranchAdvanced, BranchFailed, BranchMoved
from reconciler.repo.observed.records import UnreadableRecord
from reconciler.repo.remote.door import RemoteFailed
from reconciler.repo.yaml.documents import InvalidDocument
from reconciler.transport import Misconfigured, Unreachable
from reconciler.web.server import CannotListen

NOT_GOOD = 1
WRONG_USAGE = 2
INTERRUPTED = 130

EXPECTED = (
    BranchAdvanced,
    BranchFailed,
    BranchMoved,
    CannotListen,
    GitFailed,
    InvalidDocument,
    JournalFailed,
    Locked,
    Misconfigured,
    NoFleet,
    NotGood,
    NotLeading,
    OSError,
    RecursionError,
    RemoteFailed,
    Refused,
    Unreachable,
    UnreadableRecord,
    WrongUsage,
)


def sentence(error: Exception) -> str:
    """What went wrong and what to do next, in one line."""
    match error:
        case InvalidDocument():
            first, *more = error.problems
            rest = f" (and {len(more)} more: reconciler validate)" if more else ""
            text = f"{first.file}:{first.line}:{first.column}: {first.message}{rest}"
        case OSError():
            where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
            text = f"{where}{error.strerror or error}"
        case _:
            text = str(error)
    return printable.line(text)


def code(error: Exception) -> int:
    """2 where the command line is wrong, 1 where the thing asked about is."""
    return WRONG_USAGE if isinstance(error, WrongUsage | NoFleet) else NOT_GOOD


def silence_output() -> None:
    """Nobody reads standard output any more (`| head`): let what is still to come go nowhere, without a complaint."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
