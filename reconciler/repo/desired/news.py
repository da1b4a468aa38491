"""What the files are looked at with: what may have changed, and what is recorded of their tasks.

It looks at nothing itself.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What may have changed since the last look: paths of the work tree, and tasks of which something was recorded.

    `everything`: any file may have.
    """

    paths: frozenset[Path] = frozenset()
    tasks: frozenset[str] = frozenset()
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """What the files are seen with: the recorded tasks, the finished ones among them, the hosts of live runs."""

    known: Collection[str]
    finished: Collection[str]
    live_hosts: frozenset[str]
