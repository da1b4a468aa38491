"""The forge as it really is: pull requests, their reviews, and a client by which the program asks it over a bad line.

It tells nobody anything: whoever is to hear of what happens is `told`.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, TypeVar

from reconciler.core.desired import Forge
from reconciler.core.issues import Issue
from reconciler.core.observed import Review
from reconciler.core.pulls import Pull
from reconciler.core.terms import Verdict
from reconciler.forge.answers import ForgeRefused, ForgeUnreachable
from reconciler.forge.client import Client, NewPull, Status
from tests.simulation.clock import BEGIN, Clock
from tests.simulation.life import Life
from tests.simulation.remotes import MAIN, Remote
from tests.simulation.weather import Weather

T = TypeVar("T")

REPOSITORY = "team/shop"
SILENT, LOST, SLOW, REFUSES = (
    "the forge does not answer",
    "an answer of the forge is lost",
    "the forge is slow",
    "the forge refuses",
)
CHANCES = {SILENT: 0.01, LOST: 0.01, SLOW: 0.01, REFUSES: 0.004}

Action = Literal["opened", "synchronized", "closed", "reopened", "reviewed"]


@dataclass
class SimulatedForge:
    """One repository of it. `told` hears of each thing that happens to a pull request.

    `of_branch` are the pull requests of each branch, `by_age` all of them, those that changed last at the end.
    """

    weather: Weather
    clock: Clock
    remote: Remote
    told: Callable[[Action, Pull, Review | None], None]
    away: bool = False
    pulls: dict[int, Pull] = field(default_factory=dict)
    of_branch: dict[str, list[int]] = field(default_factory=dict)
    by_age: dict[int, None] = field(default_factory=dict)
    reviews: dict[int, list[Review]] = field(default_factory=dict)
    comments: set[tuple[int, str]] = field(default_factory=set)

    def now(self) -> datetime:
        """Its clock, in whole seconds."""
        return BEGIN + timedelta(seconds=int(self.clock.now_s))

    def opened(self, branch: str, title: str, base: str | None) -> Pull:
        """The open pull request for a branch, made where there is none."""
        known = self.open_on(branch)
        if known is not None:
            return known
        number = len(self.pulls) + 1
        pull = Pull(
            repository=REPOSITORY,
            number=number,
            url=f"https://git.sim/{REPOSITORY}/pulls/{number}",
            title=title,
            state="open",
            branch=branch,
            same_repository=True,
            head_sha=self.remote.refs[branch],
            base=base or MAIN,
            author="bot",
            updated_at=self.now(),
        )
        self.reviews[number] = []
        self.of_branch.setdefault(branch, []).append(number)
        return self._is("opened", pull)

    def open_on(self, branch: str) -> Pull | None:
        return next((one for one in self.on(branch) if one.state == "open"), None)

    def on(self, branch: str) -> list[Pull]:
        """The pull requests for a branch, oldest first."""
        return [self.pulls[number] for number in self.of_branch.get(branch, [])]

    def pushed(self, branch: str) -> None:
        """The branch has a new head."""
        pull = self.open_on(branch)
        if pull is not None and pull.head_sha != self.remote.refs[branch]:
            self._is("synchronized", replace(pull, head_sha=self.remote.refs[branch]))

    def merge(self, number: int) -> None:
        pull = self.pulls[number]
        self.remote.merge(pull.branch)
        self._is("closed", replace(pull, state="merged"))

    def close(self, number: int) -> None:
        self._is("closed", replace(self.pulls[number], state="closed"))

    def reopen(self, number: int) -> None:
        pull = self.pulls[number]
        if pull.state == "closed" and self.open_on(pull.branch) is None:
            self._is("reopened", replace(pull, state="open", head_sha=self.remote.refs[pull.branch]))

    def review(self, number: int, reviewer: str, verdict: Verdict) -> Review:
        """Somebody reviews it as it stands."""
        said = Review(
            id=str(100 * number + len(self.reviews[number])),
            reviewer=reviewer,
            verdict=verdict,
            submitted_at=self.now(),
            body="Add tests." if verdict is not Verdict.APPROVED else "",
            head_sha=self.pulls[number].head_sha,
        )
        self.reviews[number].append(said)
        self._is("reviewed", self.pulls[number], said)
        return said

    def _is(self, action: Action, pull: Pull, review: Review | None = None) -> Pull:
        self.pulls[pull.number] = replace(pull, updated_at=self.now())
        self.by_age.pop(pull.number, None)
        self.by_age[pull.number] = None
        self.told(action, self.pulls[pull.number], review)
        return self.pulls[pull.number]


class SimulatedClient(Client):
    """The program's client in one life of it: what it asks may be lost on the way there or back."""

    def __init__(self, forge: SimulatedForge, life: Life) -> None:
        self._there, self._life = forge, life

    async def login(self) -> str:
        return await self._ask("login", lambda: "bot")

    async def pull(self, repository: str, number: int) -> Pull | None:  # noqa: ARG002 - there is one
        return await self._ask("a pull request", lambda: self._there.pulls.get(number))

    async def pulls(self, repository: str, *, since: datetime | None = None) -> list[Pull]:  # noqa: ARG002
        return await self._ask("pull requests", lambda: self._updated(since))

    async def open_pull(self, new: NewPull) -> Pull:
        return await self._ask("opening", lambda: self._opened(new), may_refuse=True)

    async def reviews(self, repository: str, number: int) -> tuple[Review, ...]:  # noqa: ARG002
        return await self._ask("reviews", lambda: tuple(self._there.reviews[number]))

    async def comment(self, repository: str, number: int, *, marker: str, text: str) -> None:  # noqa: ARG002
        await self._ask("a comment", lambda: self._there.comments.add((number, marker)), may_refuse=True)

    async def set_status(self, repository: str, sha: str, status: Status) -> None:  # noqa: ARG002
        await self._ask("a status", lambda: None, may_refuse=True)

    async def issue(self, repository: str, number: int) -> Issue | None:  # noqa: ARG002
        return await self._ask("an issue", lambda: None)

    async def issues(self, repository: str, label: str) -> list[Issue]:  # noqa: ARG002
        return await self._ask("issues", list[Issue])

    async def close(self) -> None:
        """Nothing is kept."""

    def _updated(self, since: datetime | None) -> list[Pull]:
        newest_first = (self._there.pulls[number] for number in reversed(self._there.by_age))
        return list(itertools.takewhile(lambda one: since is None or _at(one) >= since, newest_first))

    def _opened(self, new: NewPull) -> Pull:
        if new.branch not in self._there.remote.refs:
            raise ForgeRefused(f"there is no branch {new.branch}", 422)
        return self._there.opened(new.branch, new.title, new.base)

    async def _ask(self, what: str, do: Callable[[], T], *, may_refuse: bool = False) -> T:
        there, weather = self._there, self._there.weather
        self._life.may_end("before asking the forge:", what)
        name = weather.numbered(f"forge {what}")
        fault = next(_struck(weather, name, there.clock.now_s, may_refuse=may_refuse), "")
        await asyncio.sleep(weather.between(5.0, 30.0, f"slow {name}") if fault == SLOW else 0.02)
        if there.away or fault == SILENT:
            raise ForgeUnreachable("the forge did not answer")
        if fault == REFUSES:
            raise ForgeRefused("the forge refuses", 422)
        answer = do()
        await asyncio.sleep(0.02)
        if fault == LOST:
            raise ForgeUnreachable("the forge did not answer")
        self._life.may_end("after asking the forge:", what)
        return answer


def connect(forge: SimulatedForge, life: Life) -> Callable[[Forge, str], Client]:
    return lambda _, __: SimulatedClient(forge, life)


def _struck(weather: Weather, name: str, now_s: float, *, may_refuse: bool) -> Iterator[str]:
    for kind, chance in CHANCES.items():
        if (kind != REFUSES or may_refuse) and weather.strikes(kind, chance, name, now_s):
            yield kind


def _at(pull: Pull) -> datetime:
    return pull.updated_at or BEGIN
