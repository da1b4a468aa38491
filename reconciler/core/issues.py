"""Turns an issue of the forge into a task: its id, and the keys of its file.

It writes nothing, and it trusts nobody: whose issues count is decided elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """One issue as the forge showed it at `updated_at`; `repository` is `owner/name`, `clone_url` where it is had.

    `vouched`: the forge said, in a signed delivery, that whoever caused it may write to the repository.
    """

    repository: str
    number: int
    url: str
    title: str
    body: str
    author: str
    labels: tuple[str, ...] = ()
    open: bool = True
    clone_url: str | None = None
    updated_at: datetime | None = None
    vouched: bool = False


def task_data(issue: Issue, repository: str) -> Mapping[str, object]:
    """The keys of the task's file: title, goal, constraints, validation, repository, issue."""
    raise NotImplementedError
