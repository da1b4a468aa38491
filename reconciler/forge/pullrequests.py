"""Pull requests and reviews of one forge, as it lists them: found by branch, by time, with their comments.

It opens none and changes none.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from reconciler.core.desired import Forge
from reconciler.core.observed import Comment, Review
from reconciler.core.pulls import Pull
from reconciler.forge import paging, reading
from reconciler.forge.answers import Answer
from reconciler.forge.fields import Unreadable
from reconciler.forge.paging import Enough
from reconciler.forge.rest import Call, Rest


class PullRequests:
    """Raises ForgeUnreachable and ForgeRefused, nothing else."""

    def __init__(self, forge: Forge, rest: Rest) -> None:
        """Ask nothing yet; whether the server sorts is found out when it matters."""
        self._kind = forge.kind
        self._rest = rest
        self._sorts: bool | None = None

    def read(self, answer: Answer, repository: str, doing: str) -> Pull:
        """The pull request that an answer shows, called by the name of the repository that was asked for."""
        try:
            return self._pull(answer.data, repository)
        except Unreadable as error:
            raise self._rest.unreadable(doing, str(error)) from error

    async def since(self, repository: str, since: datetime | None) -> list[Pull]:
        """Those in every state, last updated first; none updated before `since`."""
        recent = {"sort": "updated", "direction": "desc"} if self._kind == "github" else {"sort": "recentupdate"}
        call = Call(path=(*place(repository), "pulls"), query={"state": "all", **recent})
        enough = self._enough(call, since) if since is not None else None
        entries = await paging.listed(self._rest, call, f"list the pull requests of {repository}", enough)
        found = [
            one
            for one in self._readable(entries, repository)
            if since is None or one.updated_at is None or one.updated_at >= since
        ]
        return sorted(found, key=lambda one: one.updated_at.timestamp() if one.updated_at else 0.0, reverse=True)

    async def open_one(self, repository: str, branch: str) -> Pull | None:
        """The newest open one on the branch of the repository itself; one that is no draft before one that is.

        Everything is filtered here: most servers ignore the filter by branch, without a word.
        """
        call = Call(path=(*place(repository), "pulls"), query={"state": "open"})
        entries = await paging.listed(self._rest, call, f"list the open pull requests of {repository}")
        found = [
            one
            for one in self._readable(entries, repository)
            if one.state == "open" and one.branch == branch and one.same_repository
        ]
        return max(found, key=lambda one: (not one.draft, one.number), default=None)

    async def reviews(self, repository: str, number: int) -> tuple[Review, ...]:
        """The submitted reviews, oldest first, with their inline comments; dismissed ones left out."""
        path = (*place(repository), "pulls", number, "reviews")
        entries = await paging.listed(self._rest, Call(path=path), f"list the reviews of {repository}#{number}")
        found = []
        for entry in entries:
            for review in paging.readable([entry], lambda one: reading.review(one, self._kind)):
                if review is not None:
                    comments = await self._comments(path, entry, review)
                    found.append(replace(review, comments=comments))
        return tuple(sorted(found, key=lambda one: (one.submitted_at, one.id)))

    async def _comments(self, path: Sequence[str | int], entry: object, review: Review) -> tuple[Comment, ...]:
        """The inline comments of a review; none are asked for where the forge counts none."""
        if isinstance(entry, dict) and entry.get("comments_count") == 0:
            return ()
        call = Call(path=(*path, review.id, "comments"))
        entries = await paging.listed(self._rest, call, f"list the comments of review {review.id}")
        return tuple(paging.readable(entries, reading.comment))

    def _readable(self, entries: Sequence[object], repository: str) -> list[Pull]:
        return paging.readable(entries, lambda one: self._pull(one, repository))

    def _pull(self, entry: object, repository: str) -> Pull:
        """One of the repository, whatever it is called by now: it may have been renamed since it was written down."""
        try:
            return replace(reading.pull(entry, self._kind), repository=repository)
        except Unreadable:
            return reading.pull(entry, self._kind, repository)

    def _enough(self, call: Call, since: datetime) -> Enough:
        """Whether all that follows was updated before `since`: so it is where the server really sorts by that."""
        moments: list[datetime] = []
        first: list[object] = []

        async def enough(entries: list[object]) -> bool:
            first.extend(entries[:1])
            found = paging.readable(entries, lambda one: reading.pull(one, self._kind))
            moments.extend(one.updated_at for one in found if one.updated_at is not None)
            if not moments or moments[-1] >= since or moments != sorted(moments, reverse=True):
                return False
            return await self._sorted(call, first[0])

        return enough

    async def _sorted(self, call: Call, first: object) -> bool:
        """Whether the server sorts as it is asked to: then the other way round another pull request comes first."""
        if self._sorts is None:
            other = {"direction": "asc"} if self._kind == "github" else {"sort": "leastupdate"}
            answer = await self._rest.ask(replace(call, query={**call.query, **other, **self._rest.page(1, 1)}))
            entries = answer.data if answer.good and isinstance(answer.data, list) else []
            self._sorts = bool(entries) and _number(entries[0]) != _number(first)
        return self._sorts


def place(repository: str) -> tuple[str, str, str]:
    """The beginning of every path about a repository."""
    owner, _, name = repository.partition("/")
    return "repos", owner, name


def _number(entry: object) -> object:
    return entry.get("number") if isinstance(entry, dict) else None
