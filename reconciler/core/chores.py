"""When the fleet's clone is tended: which chore is due, from what was done when and how many packs there are.

It runs nothing and knows no git.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum


class Chore(Enum):
    """A piece of upkeep, in the order in which those that are due are done."""

    PACKS = "packs"
    """Small packs and loose objects are folded into fewer packs."""
    GRAPH = "graph"
    """The index of commits, by which `git log -- PATH` is fast, is brought up to date."""
    REFS = "refs"
    """Branches and tags are kept in one file."""
    PRUNE = "prune"
    """Loose objects that nothing needs go, once they are old enough."""
    WHOLE = "whole"
    """Everything is packed anew, and old objects that nothing needs leave the packs."""


EVERY: Mapping[Chore, timedelta] = {
    Chore.PACKS: timedelta(hours=1),
    Chore.GRAPH: timedelta(hours=1),
    Chore.REFS: timedelta(days=1),
    Chore.PRUNE: timedelta(days=1),
    Chore.WHOLE: timedelta(days=7),
}
MANY_PACKS = 300
"""Packs that are folded without waiting for the hour: with more of them every commit gets slower."""
AGAIN_AFTER = timedelta(days=1)
"""How long a chore that failed is left alone, where it would not be due before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """When each chore was last done, a chore that never was counting from when it could have been; and last failed."""

    done: Mapping[Chore, datetime] = field(default_factory=dict)
    failed: Mapping[Chore, datetime] = field(default_factory=dict)


def due(past: Past, packs: int, now: datetime) -> Chore | None:
    """The chore to do now, if any. `packs` counts those that may be folded."""
    return next((chore for chore in Chore if _is_due(chore, past, packs, now)), None)


def _is_due(chore: Chore, past: Past, packs: int, now: datetime) -> bool:
    failed = past.failed.get(chore)
    if failed is not None and _is_within(min(EVERY[chore], AGAIN_AFTER), failed, now):
        return False
    if chore is Chore.PACKS and packs >= MANY_PACKS:
        return True
    return not _is_within(EVERY[chore], past.done.get(chore, now), now)


def _is_within(span: timedelta, since: datetime, now: datetime) -> bool:
    """Whether less than `span` has passed; a time to come counts for nothing, it says that the clock was set back."""
    return since <= now < since + span
