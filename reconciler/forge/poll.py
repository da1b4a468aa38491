"""Asks a forge about the pull requests and issues of one repository: no more than is needed to miss nothing.

It records nothing; what it must remember from one look to the next is a value that its caller keeps.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from reconciler.core.issues import Issue
from reconciler.core.observed import Review
from reconciler.core.pulls import Pull
from reconciler.forge.client import Client, ForgeRefused, ForgeUnreachable

OVERLAP = timedelta(minutes=1)
"""How far a listing goes back behind the newest that was seen: the forge's clock is not exact."""

MAX_SINGLE = 50
"""Pull requests that one look reads one by one because no listing shows them; the others have their turn later."""

MAX_KNOWN = 20_000
"""Pull requests that are remembered of one repository; the last updated count."""

REVIEWS_EVERY = 10
"""Looks after which reviews are read again though nothing changed: a dismissal leaves no other trace."""

READ_TWICE = 2
"""How often they are read after a change: what happens in the same second leaves the time of the change as it was."""

AT_ONCE = 4
"""Readings under way at a time: as many as there are connections to a forge."""

MAX_FAILURES = 2
"""Readings that fail, with no answer to any other meanwhile, when the forge is taken to be silent."""

NEVER = datetime(1970, 1, 1, tzinfo=UTC)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is remembered of a repository: its pull requests as last seen, and when what was read.

    `reviewed` has the `updated_at` at which reviews were read, and how often; `read` the look in which one was read by
    itself. `listed_to` is the newest `updated_at` in a listing: what is read by itself says nothing about the rest.
    """

    pulls: Mapping[int, Pull] = field(default_factory=dict)
    reviewed: Mapping[int, tuple[datetime | None, int]] = field(default_factory=dict)
    read: Mapping[int, int] = field(default_factory=dict)
    looks: int = 0
    listed_to: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What to find out. `listing`: what changed in the whole repository, and not only in the pull requests `marked`.

    `own` are pull requests to be read even where no listing shows them. `matters` says whether the reviews of one are
    wanted, given that it was reopened or not.
    """

    repository: str
    matters: Callable[[Pull, bool], bool]
    listing: bool = True
    marked: frozenset[int] = frozenset()
    own: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the forge showed. `known` is to be kept once it is recorded, and not before.

    `failed`: pull requests that could not be read though the forge answers otherwise, with the reason.
    """

    known: Known
    reviews: Mapping[int, tuple[Review, ...]]
    reopened: frozenset[int]
    failed: Mapping[int, str]


async def look(client: Client, ask: Ask, known: Known) -> Found:
    """Look at a repository. Raises ForgeUnreachable, and ForgeRefused where the listing is refused."""
    looking = _Look(client, ask, known)
    if ask.listing:
        await looking.list()
    await looking.read_singly()
    await looking.read_reviews()
    return looking.found()


async def issues(client: Client, repository: str, label: str, others: Iterable[int]) -> list[Issue]:
    """The open issues with the label, and those of the others that are not among them."""
    labelled = await client.issues(repository, label)
    return [*labelled, *await read_issues(client, repository, set(others) - {issue.number for issue in labelled})]


async def read_issues(client: Client, repository: str, numbers: Iterable[int]) -> list[Issue]:
    """These issues one by one; those that are gone are left out."""
    found: list[Issue] = []

    async def read(number: int) -> None:
        issue = await client.issue(repository, number)
        if issue is not None:
            found.append(issue)

    await _some_at_once(sorted(numbers), read)
    return sorted(found, key=lambda issue: issue.number)


async def _some_at_once(items: Iterable[T], read: Callable[[T], Awaitable[None]]) -> None:
    """Read all of them, a few at a time, beginning with the first; the first failure ends it, and nothing goes on."""
    left = iter(items)

    async def reader() -> None:
        for item in left:
            await read(item)

    readers = [asyncio.ensure_future(reader()) for _ in range(AT_ONCE)]
    try:
        await asyncio.gather(*readers)
    finally:
        for one in readers:
            one.cancel()
        await asyncio.gather(*readers, return_exceptions=True)


class _Look:
    """One look under way."""

    def __init__(self, client: Client, ask: Ask, known: Known) -> None:
        self._client = client
        self._ask = ask
        self._known = known
        self._pulls = dict(known.pulls)
        self._reviewed = dict(known.reviewed)
        self._read = dict(known.read)
        self._fresh: set[int] = set()
        self._reviews: dict[int, tuple[Review, ...]] = {}
        self._failed: dict[int, str] = {}
        self._failures = 0
        self._answers = 0
        self._listed_to = known.listed_to

    async def list(self) -> None:
        since = self._listed_to - OVERLAP if self._listed_to is not None else None
        for pull in await self._client.pulls(self._ask.repository, since=since):
            self._see(pull)
            self._listed_to = max(_age(pull), self._listed_to or NEVER)
        self._answers += 1

    async def read_singly(self) -> None:
        """Read what there is news of, and as many as may be of the task's own that were not shown, oldest first."""
        unseen = sorted(self._ask.own - self._fresh - self._ask.marked, key=lambda number: self._read.get(number, -1))
        await _some_at_once([*sorted(self._ask.marked - self._fresh), *unseen[:MAX_SINGLE]], self._read_singly)

    async def read_reviews(self) -> None:
        await _some_at_once(list(self._wanted()), self._read_reviews)

    async def _read_singly(self, number: int) -> None:
        self._read[number] = self._known.looks
        pull = await self._reading(number, self._client.pull)
        if pull is not None:
            self._see(pull)
        elif number not in self._failed:
            self._pulls.pop(number, None)

    async def _read_reviews(self, pull: Pull) -> None:
        reviews = await self._reading(pull.number, self._client.reviews)
        if reviews is None or (_is_ahead(reviews, pull) and not await self._see_again(pull)):
            return
        self._reviews[pull.number] = reviews
        self._reviewed[pull.number] = (pull.updated_at, self._times_read(pull) + 1)

    async def _see_again(self, before: Pull) -> bool:
        """Read a pull request that may have moved before its reviews were read; whether it could be had."""
        pull = await self._reading(before.number, self._client.pull)
        if pull is None:
            return False
        self._see(pull)
        return True

    def found(self) -> Found:
        newest = sorted(self._pulls.values(), key=_age)[-MAX_KNOWN:]
        kept = {pull.number: pull for pull in newest}
        known = replace(
            self._known,
            pulls=kept,
            reviewed={number: at for number, at in self._reviewed.items() if number in kept},
            read={number: at for number, at in self._read.items() if number in self._ask.own},
            looks=self._known.looks + self._ask.listing,
            listed_to=self._listed_to,
        )
        return Found(known=known, reviews=self._reviews, reopened=self._reopened(), failed=self._failed)

    async def _reading(self, number: int, read: Callable[[str, int], Awaitable[T]]) -> T | None:
        """What a reading gives; `None`, and a line in `failed`, where only this one cannot be had."""
        answers = self._answers
        try:
            answer = await read(self._ask.repository, number)
        except ForgeRefused as error:
            self._failed[number] = str(error)
            answer = None
        except ForgeUnreachable as error:
            self._failures += answers == self._answers
            if not self._answers or self._failures >= MAX_FAILURES or error.retry_after is not None:
                raise
            self._failed[number] = str(error)
            return None
        self._answers, self._failures = self._answers + 1, 0
        return answer

    def _see(self, pull: Pull) -> None:
        self._pulls[pull.number] = pull
        self._fresh.add(pull.number)

    def _wanted(self) -> Iterator[Pull]:
        """The pull requests whose reviews are to be read."""
        reopened = self._reopened()
        again = self._ask.listing and (self._known.looks + 1) % REVIEWS_EVERY == 0
        for number, pull in sorted(self._pulls.items()):
            changed = self._ask.listing and self._times_read(pull) < READ_TWICE
            news = changed or number in self._ask.marked or (again and number in self._ask.own)
            if news and number not in self._failed and self._ask.matters(pull, number in reopened):
                yield pull

    def _times_read(self, pull: Pull) -> int:
        """How often the reviews were read since the pull request changed."""
        updated_at, times = self._reviewed.get(pull.number, (None, 0))
        return times if updated_at == pull.updated_at else 0

    def _reopened(self) -> frozenset[int]:
        before = self._known.pulls
        return frozenset(
            number
            for number, pull in self._pulls.items()
            if pull.state == "open" and number in before and before[number].state == "closed"
        )


def _is_ahead(reviews: Iterable[Review], pull: Pull) -> bool:
    """Whether a review may be about a head that was pushed after the pull request was read."""
    return any(one.head_sha not in {None, pull.head_sha} and one.submitted_at >= _age(pull) for one in reviews)


def _age(pull: Pull) -> datetime:
    return pull.updated_at or NEVER
