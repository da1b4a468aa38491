"""Kills the program before or after some of the effects that it counts.

KILL_AT has their numbers, counted over all of the program's lives by files in the folder KILL_COUNT.
"""

import itertools
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COUNT = Path(os.environ["KILL_COUNT"])
AT = frozenset(os.environ["KILL_AT"].split())
WHEN = os.environ["KILL_WHEN"]


@contextmanager
def counted() -> Iterator[None]:
    """Count what is done within, and end the program before or after it if its turn has come."""
    met = _number() in AT
    if met and WHEN == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    yield
    if met:
        os.kill(os.getpid(), signal.SIGKILL)


def _number() -> str:
    for one in itertools.count(1):
        try:
            (COUNT / str(one)).touch(exist_ok=False)
        except FileExistsError:
            continue
        return str(one)
    raise AssertionError
