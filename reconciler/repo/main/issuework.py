"""Writes into the fleet what a look at issues came to: one after the other, one commit each, for one thread at a time.

It asks no forge; what cannot be written now is left for another time.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from reconciler.core import printable, watched
from reconciler.core.desired import Desired
from reconciler.core.issues import Issue
from reconciler.core.observed import ObservedTask
from reconciler.repo import git
from reconciler.repo.desired import fleetfiles
from reconciler.repo.fleet import BRANCH, Fleet
from reconciler.repo.git import GitFailed, Refused
from reconciler.repo.main import issuetasks
from reconciler.repo.main.intakes import Intakes
from reconciler.repo.main.issuetasks import Newcomer, Sight
from reconciler.repo.yaml.documents import InvalidDocument

MAX_TOLD = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """An issue whose task there is already; `wanted` while it is open and has the label."""

    issue: Issue
    url: str
    task_id: str
    wanted: bool


@dataclass(slots=True)
class Work:
    """What is to be done. The newcomers are kept by URL."""

    known: list[Known] = field(default_factory=list)
    newcomers: dict[str, Newcomer] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where it is to be done. `observed` gives the tasks as they are when it is called; `home` is the forge's host."""

    fleet: Fleet
    desired: Desired
    observed: Callable[[], Mapping[str, ObservedTask]]
    home: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Whether files were changed, and what stood in the way of the rest, in one line."""

    changed: bool
    delayed: str | None


Step = Callable[[], bool]


def write(place: Place, intakes: Intakes, work: Work) -> Outcome:
    """Do it all, as far as it can be done now."""
    first: Exception | None = None
    changed = False
    with intakes.writing:
        try:
            for step in _steps(place, intakes, work):
                try:
                    changed = step() or changed
                except (Refused, InvalidDocument, OSError) as error:
                    first = first or error
        except (Refused, GitFailed, OSError) as error:
            first = first or error
    return Outcome(changed=changed, delayed=None if first is None else printable.short(str(first), MAX_TOLD))


def has_begun(task_id: str, observed: Mapping[str, ObservedTask]) -> bool:
    """Whether an agent was at work on the task, or is about to be: what its issue says does not count any more."""
    seen = observed.get(task_id, ObservedTask())
    return seen.epoch > 0 and not watched.is_unstarted(seen)


def _steps(place: Place, intakes: Intakes, work: Work) -> Iterator[Step]:
    """What is to be done one after the other; each says whether it changed a file.

    Raises Refused or GitFailed where nothing can be committed at all.
    """
    observed = place.observed()
    paths = fleetfiles.task_paths(place.fleet.root)
    sight = Sight(fleet=place.fleet, desired=place.desired, observed=observed, paths=paths, home=place.home)
    if work.newcomers or place.desired.settings.remote is not None:
        git.refuse_unready(place.fleet.top, BRANCH)
    for known in work.known:
        yield partial(_known, intakes, sight, known)
    if not work.newcomers:
        return
    specs = (seen.spec for seen in observed.values() if seen.spec is not None)
    intakes.past.catch_up(place.fleet)
    before = intakes.past.named(place.fleet, work.newcomers.keys(), specs)
    intakes.over |= before
    for url, newcomer in work.newcomers.items():
        if url not in before:
            yield partial(_newcomer, intakes, sight, url, newcomer)


def _known(intakes: Intakes, sight: Sight, known: Known) -> bool:
    """Look after the file of a task that there is."""
    changed = False
    document = sight.desired.tasks.get(known.task_id)
    if known.wanted and known.url not in intakes.settled:
        repository = document.value.repository if document is not None else None
        newcomer = Newcomer(issue=known.issue, repository=repository or "")
        changed = issuetasks.complete(sight, known.task_id, newcomer)
        intakes.settled.add(known.url)
    if not has_begun(known.task_id, sight.observed):
        changed = issuetasks.follow(sight, known.task_id, known.issue, wanted=known.wanted) or changed
    if changed:
        intakes.written[known.url] = known.task_id
    return changed


def _newcomer(intakes: Intakes, sight: Sight, url: str, newcomer: Newcomer) -> bool:
    """Add its task."""
    task_id = issuetasks.add(sight, newcomer, ever=intakes.past.ids, added=intakes.written.values())
    intakes.written[url] = task_id
    intakes.settled.add(url)
    return True
