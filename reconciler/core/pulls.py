"""What a forge shows of pull requests, as values, and the facts about a task that follow from them.

Level, not edge: the same pull requests and reviews give the same facts, whoever saw them and however often.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from reconciler.core.events import Event
from reconciler.core.observed import ObservedTask, Review


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """One pull request as the forge showed it at `updated_at`.

    `repository` is `owner/name`, the one that it wants to change. `branch` is the head's name without an owner, also
    when that branch is gone. `same_repository`: the head is in that repository too, and not in a fork.
    """

    repository: str
    number: int
    url: str
    title: str
    state: Literal["open", "closed", "merged"]
    branch: str
    same_repository: bool
    draft: bool = False
    head_sha: str | None = None
    base: str | None = None
    author: str = ""
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the forge shows of one task's branch: its pull requests, and the reviews of each by its number.

    `reopened` are numbers that a person reopened, as the forge said in so many words. `by` is who caused the news.
    """

    pulls: Sequence[Pull]
    reviews: dict[int, tuple[Review, ...]]
    reopened: frozenset[int] = frozenset()
    by: str = ""


def facts(seen: ObservedTask, shown: Shown, *, now: datetime, max_reviews: int) -> tuple[Event, ...]:
    """What happened to the task, as events in the order in which they are to be recorded; none where nothing is new."""
    raise NotImplementedError
