"""Which tasks the forge's news are about, and how soon it is to be asked about them again.

It asks nobody, and decides nothing about a task.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.core import repositories
from reconciler.core.desired import Desired, Forge, Task
from reconciler.core.observed import ObservedTask
from reconciler.core.pulls import Pull
from reconciler.core.terms import TERMINAL, Phase

LIVELY = timedelta(minutes=10)
"""For how long after something moved in a task its repository is asked about often."""

OFTEN_S = 15.0
SELDOM_S = 120.0

_PAGE = re.compile(r"(?P<repository>.+)/(?:pulls?|issues)/(?P<number>[1-9][0-9]{0,15})/?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One task as the forge can have news of it. `repository` is `owner/name`.

    `branches` are the one that its file names and, while it is not finished, the one that its last run worked on.
    `issue` are repository and number of the issue that it came from, as long as nothing of it was started.
    """

    task_id: str
    repository: str
    branches: frozenset[str]
    seen: ObservedTask
    max_reviews: int = 3
    issue: tuple[str, int] | None = None

    @property
    def own(self) -> int | None:
        """The number of the task's pull request."""
        return self.seen.pr.number if self.seen.pr is not None else None


Where = Mapping[tuple[str, str | int], tuple[Watched, ...]]
"""Tasks by the key of their repository and a branch of theirs, or the number of their pull request."""


def tasks(desired: Desired, seen: Mapping[str, ObservedTask]) -> tuple[Watched, ...]:
    """The tasks whose work is on the fleet's forge; also those without a file whose pull request is known."""
    forge = desired.settings.forge
    if forge is None:
        return ()
    found = [
        _with_file(task_id, document.value, seen.get(task_id), forge) for task_id, document in desired.tasks.items()
    ]
    left = seen.keys() - desired.tasks.keys()
    found += [_without_file(task_id, seen[task_id], forge) for task_id in sorted(left)]
    return tuple(watched for watched in found if watched is not None)


def placed(watched: Iterable[Watched]) -> Where:
    """The tasks by where the forge's news say that something happened."""
    found: dict[tuple[str, str | int], tuple[Watched, ...]] = {}
    for one in watched:
        repository = repositories.key(one.repository)
        for what in (*sorted(one.branches), *(() if one.own is None else (one.own,))):
            found[repository, what] = (*found.get((repository, what), ()), one)
    return found


def about(where: Where, pull: Pull) -> tuple[Watched, ...]:
    """The tasks that a pull request is about; finished ones only where it is their own, or no other claims it."""
    owners = where.get((repositories.key(pull.repository), pull.number), ())
    on_branch = where.get((repositories.key(pull.repository), pull.branch), ()) if pull.same_repository else ()
    claims = {one.task_id: one for one in (*owners, *on_branch)}
    unfinished = {task_id for task_id, one in claims.items() if one.seen.phase not in TERMINAL}
    return tuple(
        one for task_id, one in claims.items() if not unfinished or task_id in unfinished or one.own == pull.number
    )


def on_branch(where: Where, repository: str, branch: str) -> tuple[Watched, ...]:
    """The tasks that are worked on in a branch of a repository."""
    return where.get((repositories.key(repository), branch), ())


def reviews_matter(watched: Watched, pull: Pull, *, reopened: bool = False) -> bool:
    """Whether the reviews of a pull request can be about the task: it is its own, or may become so, and it has news."""
    seen, known = watched.seen, watched.seen.pr
    if pull.number in seen.past_prs and not reopened:
        return False
    if known is None or known.number != pull.number:
        newer = known is None or pull.number > known.number
        return seen.phase is not Phase.COMPLETED and (newer or pull.state == "open")
    if seen.phase not in TERMINAL or pull.updated_at is None or known.updated_at is None:
        return True
    return known.updated_at < pull.updated_at


def is_lively(watched: Watched, now: datetime) -> bool:
    """Whether news of the task are to be expected: something of it runs, or moved a short while ago."""
    seen = watched.seen
    if seen.phase in TERMINAL:
        return False
    moments = (seen.last_activity_at, seen.pr.updated_at if seen.pr is not None else None)
    return seen.live_run is not None or any(moment is not None and now - moment < LIVELY for moment in moments)


def pause_s(watched: Iterable[Watched], now: datetime) -> float:
    """After how many seconds the forge is asked again about these tasks."""
    return OFTEN_S if any(is_lively(one, now) for one in watched) else SELDOM_S


def page(url: str, forge: Forge) -> tuple[str, int] | None:
    """Repository and number of a pull request or issue from its URL; `None` where it is not one of this forge."""
    found = _PAGE.fullmatch(url)
    if found is None:
        return None
    repository = repositories.of(Task(title="", goal="", repository=found["repository"]), forge)
    return (repository, int(found["number"])) if repository is not None else None


def _with_file(task_id: str, task: Task, seen: ObservedTask | None, forge: Forge) -> Watched | None:
    repository = repositories.of(task, forge)
    if repository is None:
        return None
    known = seen or ObservedTask()
    return Watched(
        task_id=task_id,
        repository=repository,
        branches=frozenset(_branches(task, known)),
        seen=known,
        max_reviews=task.max_reviews,
        issue=page(task.issue, forge) if task.issue is not None and is_unstarted(known) else None,
    )


def is_unstarted(seen: ObservedTask) -> bool:
    """Whether no agent was at work on the task yet, and none is about to be."""
    return seen.phase is Phase.CREATED and not any(run.started_at is not None for run in seen.runs)


def _branches(task: Task, seen: ObservedTask) -> Iterator[str]:
    if task.branch is not None:
        yield task.branch
    yield from _left_on(seen)


def _left_on(seen: ObservedTask) -> Iterator[str]:
    """The branch of the last run, as long as the task is not finished."""
    if seen.branch_name is not None and seen.phase not in TERMINAL:
        yield seen.branch_name


def _without_file(task_id: str, seen: ObservedTask, forge: Forge) -> Watched | None:
    """Only its pull request says which repository it is about; a merge completes it even if it was given up."""
    found = page(seen.pr.url, forge) if seen.pr is not None and seen.phase is not Phase.COMPLETED else None
    if found is None:
        return None
    return Watched(task_id=task_id, repository=found[0], branches=frozenset(_left_on(seen)), seen=seen)
