"""Looks at one repository of the forge: asks, records what it shows, and has its issues taken in.

When to look is not decided here; nothing is kept where the forge did not answer.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.core import repositories, watched
from reconciler.core.desired import Desired, Forge
from reconciler.core.issues import Issue
from reconciler.core.observed import ObservedTask
from reconciler.core.pulls import Pull, Shown
from reconciler.core.terms import TERMINAL
from reconciler.core.watched import Watched
from reconciler.forge import poll
from reconciler.forge.client import Client, ForgeRefused
from reconciler.forge.poll import Ask, Found
from reconciler.watching import intake
from reconciler.watching.forgenews import News
from reconciler.watching.forgeplaces import Marks, Place
from reconciler.watching.intake import IntakeDelayed


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What holds for one step of the watch: the tasks that the forge can have news of, and where it would have them."""

    desired: Desired
    forge: Forge
    seen: Mapping[str, ObservedTask]
    tasks: tuple[Watched, ...]
    where: watched.Where

    def by_place(self) -> dict[str, list[Watched]]:
        """The tasks by the key of their repository."""
        found: dict[str, list[Watched]] = {}
        for one in self.tasks:
            found.setdefault(repositories.key(one.repository), []).append(one)
        return found


async def look(news: News, client: Client, scene: Scene, place: Place, marks: Marks) -> list[str]:
    """Read again what is marked, and the whole repository where it is due; a line for each thing that cannot be had.

    Raises ForgeUnreachable, ForgeRefused where the repository as a whole is refused, and what the branch raises.
    """
    now, now_s = news.edges.now(), asyncio.get_running_loop().time()
    tasks = scene.by_place().get(repositories.key(place.name), [])
    thorough = place.is_thorough(now_s)
    listing = thorough or place.due_s(tasks, now) <= now_s
    ask = Ask(
        repository=place.name,
        matters=_matters(scene, marks),
        listing=listing,
        marked=frozenset(marks.pulls),
        own=frozenset(_own(tasks, now, everything=thorough)) if listing else frozenset(),
    )
    found = await poll.look(client, ask, place.known)
    await news.record(_shown(scene, found, marks), scene.forge)
    place.known = found.known
    missed = [f"{place.name}: {why}" for why in found.failed.values()]
    try:
        issues = await _issues(client, scene, place, marks, unstarted=_unstarted(tasks) if thorough else None)
    except ForgeRefused as error:
        issues, missed = [], [*missed, f"{place.name}: {error}"]
    if issues:
        try:
            await intake.take(news.edges, scene.desired, issues)
        except IntakeDelayed:
            place.put_off(marks, [issue.number for issue in issues], now_s)
            marks.issue_deliveries = []
    if listing:
        place.looked(tasks, now_s, thorough=thorough)
    return missed


def _matters(scene: Scene, marks: Marks) -> Callable[[Pull, bool], bool]:
    def matters(pull: Pull, reopened: bool) -> bool:  # noqa: FBT001 - the second of two words of one question
        again = reopened or pull.number in marks.reopened
        return any(watched.reviews_matter(one, pull, reopened=again) for one in watched.about(scene.where, pull))

    return matters


def _own(tasks: Iterable[Watched], now: datetime, *, everything: bool) -> Iterator[int]:
    """The open pull requests of tasks: all of them, or those of which news are to be expected."""
    for one in tasks:
        pr = one.seen.pr
        open_one = pr is not None and pr.state == "open" and one.seen.phase not in TERMINAL
        if pr is not None and open_one and (everything or watched.is_lively(one, now)):
            yield pr.number


def _shown(scene: Scene, found: Found, marks: Marks) -> list[tuple[Watched, Shown]]:
    """What the forge shows about each task, also what it showed before."""
    reopened = found.reopened | marks.reopened
    about: dict[str, tuple[Watched, list[Pull]]] = {}
    for pull in found.known.pulls.values():
        for one in watched.about(scene.where, pull):
            about.setdefault(one.task_id, (one, []))[1].append(pull)
    return [(one, _of_one(pulls, found, reopened, marks)) for one, pulls in about.values()]


def _of_one(pulls: Sequence[Pull], found: Found, reopened: frozenset[int], marks: Marks) -> Shown:
    numbers = {pull.number for pull in pulls}
    return Shown(
        pulls=tuple(pulls),
        reviews={number: reviews for number, reviews in found.reviews.items() if number in numbers},
        reopened=reopened & numbers,
        by=next((by for number, by in reversed(marks.pulls.items()) if number in numbers), ""),
    )


def _unstarted(tasks: Iterable[Watched]) -> frozenset[int]:
    """The issues of tasks of which nothing was started yet: one that lost its label puts its task on hold."""
    return frozenset(one.issue[1] for one in tasks if one.issue and repositories.same(one.issue[0], one.repository))


async def _issues(
    client: Client, scene: Scene, place: Place, marks: Marks, *, unstarted: frozenset[int] | None
) -> list[Issue]:
    """The issues of which there is news; also all with the label, where the `unstarted` ones are given."""
    if unstarted is None:
        found = await poll.read_issues(client, place.name, marks.issues)
    else:
        found = await poll.issues(client, place.name, scene.forge.label, unstarted | marks.issues.keys())
    return [replace(issue, vouched=issue.vouched or marks.issues.get(issue.number, False)) for issue in found]
