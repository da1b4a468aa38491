"""Kills the program before or after some writes to the journal; loaded by Python where a test puts it in the way.

KILL_AT has the numbers of the writes, counted over all of the program's lives by files in the folder KILL_COUNT.
"""

import itertools
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection

from reconciler.repo.journal import Journal

COUNT = Path(os.environ["KILL_COUNT"])
AT = frozenset(os.environ["KILL_AT"].split())
WHEN = os.environ["KILL_WHEN"]
as_it_is = Journal.writing


def number() -> str:
    for one in itertools.count(1):
        try:
            (COUNT / str(one)).touch(exist_ok=False)
        except FileExistsError:
            continue
        return str(one)
    raise AssertionError


@contextmanager
def writing(self: Journal) -> Iterator[Connection]:
    met = number() in AT
    if met and WHEN == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    with as_it_is(self) as connection:
        yield connection
    if met:
        os.kill(os.getpid(), signal.SIGKILL)


setattr(Journal, "writing", writing)  # noqa: B010 - a method is not to be assigned otherwise
