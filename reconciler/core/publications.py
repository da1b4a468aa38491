"""What should stand on the forge about a task: its pull request, a word to the reviewers, the state of its run.

It publishes nothing: `publishing` does, and what was published once is not wanted again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from reconciler.core.desired import Desired
from reconciler.core.observed import ObservedTask


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPull:
    """A pull request of the task's branch; `base` is `None` where the repository's default is meant."""

    repository: str
    branch: str
    base: str | None
    title: str
    body: str
    generation: int

    @property
    def key(self) -> str:
        """What it is known by, once it stands."""
        return f"pull {self.repository} {self.branch} {self.generation}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """A comment on a pull request. `marker` stands in it, hidden: one with the same marker is the same comment."""

    repository: str
    number: int
    marker: str
    text: str

    @property
    def key(self) -> str:
        """What it is known by, once it stands."""
        return f"comment {self.repository} {self.number} {self.marker}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The status of a commit: how the run with this epoch, which works on it, stands."""

    repository: str
    sha: str
    epoch: int
    state: Literal["pending", "success", "failure"]
    description: str
    target_url: str | None = None

    @property
    def key(self) -> str:
        """What it is known by, once it stands."""
        return f"status {self.repository} {self.sha} {self.epoch} {self.state}"


Publication = OpenPull | Say | Mark


def wanted(task_id: str, seen: ObservedTask, desired: Desired) -> Iterator[Publication]:
    """What should stand on the forge about the task as it is now."""
    if desired.settings.forge is None or task_id not in desired.tasks or seen.pr is None:
        return
    yield from ()
