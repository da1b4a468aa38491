"""Writes into the fleet what a look at issues came to: one after the other, one commit each, for one thread at a time.

It asks no forge; what cannot be written now is left for another time.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from reconciler.core import issues, printable, watched
from reconciler.core.desired import Desired
from reconciler.core.issues import Issue
from reconciler.core.observed import ObservedTask
from reconciler.repo.git import GitFailed, Refused
from reconciler.repo.main import issuetasks
from reconciler.repo.main.intakes import Intakes
from reconciler.repo.main.issuetasks import Newcomer, Sight, Withheld
from reconciler.repo.main.mainline import Mainline, Moved
from reconciler.repo.remote.door import RemoteFailed
from reconciler.repo.yaml.documents import InvalidDocument

MAX_TOLD = 300
MOST_LOST = 10
"""How often in a row somebody else's commit may come first before the rest is left for another time."""


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
    """Where it is to be done. `observed` gives the tasks as they are when it is called; `home` is the forge's host.

    `asked` are the keys of what pull requests on the fleet's own repository were opened for already.
    """

    mainline: Mainline
    desired: Desired
    observed: Callable[[], Mapping[str, ObservedTask]]
    home: str
    asked: Collection[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Whether files were changed, what only a pull request can do, and in one line what delays the rest."""

    changed: bool
    withheld: Sequence[Withheld]
    delayed: str | None


@dataclass(slots=True)
class _Pass:
    """How far it went until the end, or until somebody else's commit came first."""

    changed: bool = False
    withheld: list[Withheld] = field(default_factory=list)
    first: Exception | None = None

    def failed(self, error: Exception) -> None:
        self.first = self.first or error


Step = Callable[[], bool]


def write(place: Place, intakes: Intakes, work: Work) -> Outcome:
    """Do it all, as far as it can be done now. Where somebody else's commit came first all is looked at anew."""
    changed, lost = False, 0
    with intakes.writing:
        while True:
            done = _Pass()
            try:
                _write(place, intakes, work, done)
            except Moved:
                lost = 1 if done.changed else lost + 1
                changed = changed or done.changed
                if lost < MOST_LOST:
                    continue
                done.failed(Refused(f"others pushed first, {lost} times in a row"))
            delayed = printable.short(str(done.first), MAX_TOLD) if done.first is not None else None
            return Outcome(changed=changed or done.changed, withheld=done.withheld, delayed=delayed)


def _write(place: Place, intakes: Intakes, work: Work, done: _Pass) -> None:
    try:
        for step in _steps(place, intakes, work, done.withheld):
            try:
                done.changed = step() or done.changed
            except Withheld as withheld:
                done.withheld.append(withheld)
            except (Refused, InvalidDocument, OSError) as error:
                done.failed(error)
    except (Refused, GitFailed, RemoteFailed, OSError) as error:
        done.failed(error)


def has_begun(task_id: str, observed: Mapping[str, ObservedTask]) -> bool:
    """Whether an agent was at work on the task, or is about to be: what its issue says does not count any more."""
    seen = observed.get(task_id, ObservedTask())
    return seen.epoch > 0 and not watched.is_unstarted(seen)


def _steps(place: Place, intakes: Intakes, work: Work, withheld: Collection[Withheld]) -> Iterator[Step]:
    """What is to be done one after the other; each says whether it changed a file.

    Raises Refused, GitFailed or RemoteFailed where nothing can be committed at all.
    """
    mainline, observed = place.mainline, place.observed()
    mainline.begin(strictly=bool(work.newcomers) or place.desired.settings.remote is not None)
    sight = Sight(
        mainline=mainline,
        desired=place.desired,
        observed=observed,
        paths=mainline.task_paths(),
        home=place.home,
        asked=place.asked,
    )
    for known in work.known:
        yield partial(_known, intakes, sight, known)
    if not work.newcomers:
        return
    specs = (seen.spec for seen in observed.values() if seen.spec is not None)
    intakes.past.catch_up(mainline.fleet, mainline.tip())
    before = intakes.past.named(mainline.fleet, work.newcomers.keys(), specs)
    intakes.over |= before
    for url, newcomer in work.newcomers.items():
        if url not in before:
            asked = [one.proposal.task_id for one in withheld]
            yield partial(_newcomer, intakes, sight, newcomer, {*intakes.written.values(), *asked})


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


def _newcomer(intakes: Intakes, sight: Sight, newcomer: Newcomer, added: Collection[str]) -> bool:
    """Add its task; `added` are the ids that were taken since the sight."""
    task_id = issuetasks.add(sight, newcomer, ever=intakes.past.ids, added=added)
    if task_id is None:
        return False
    url = issues.same_url(newcomer.issue.url)
    intakes.written[url] = task_id
    intakes.settled.add(url)
    return True
