"""Reads what the forge said in a delivery, and records what it showed as facts about tasks.

It asks the forge nothing, and decides nothing: what follows is `core.pulls.facts`.
"""

import asyncio
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from reconciler.core import pulls, repositories
from reconciler.core.desired import Forge
from reconciler.core.events import Event
from reconciler.core.observed import ObservedTask, Review
from reconciler.core.pulls import Shown
from reconciler.core.terms import TERMINAL, Verdict
from reconciler.core.watched import Watched
from reconciler.edges import Edges, recording
from reconciler.edges.lead import Lead
from reconciler.forge import payloads
from reconciler.forge.payloads import Hint, IssueNews, Nothing, PullNews, Pushed
from reconciler.forge.reading import ForgeKind
from reconciler.repo.fleet import BRANCH
from reconciler.repo.inbox import Delivery
from reconciler.watching.once import Once

log = logging.getLogger(__name__)

TRIES = 3
"""How often the same is recorded when something else was recorded of the task in between."""

MAX_TOLD = 10_000

KINDS: Mapping[str, ForgeKind] = {"forgejo": "forgejo", "gitea": "gitea", "github": "github"}


def hint(delivery: Delivery, forge: Forge, lead: Lead | None = None) -> Hint:
    """What a delivery is about; nothing where it cannot be read, or is about a repository that is not watched.

    A push to the fleet itself has its remote looked at, whether that repository is listed or not.
    """
    try:
        payload = json.loads(delivery.body)
    except (ValueError, RecursionError):
        return Nothing(why="the body cannot be read as JSON")
    found = payloads.read(delivery.event, delivery.event_type, payload, KINDS.get(delivery.kind, forge.kind))
    repository = repository_of(found)
    if lead is not None and isinstance(found, Pushed) and _is_intent(found, lead, forge):
        lead.doubt()
        return Nothing(why="it is the fleet's own, whose remote is looked at")
    listed = not forge.repositories or any(repositories.same(repository, one) for one in forge.repositories)
    return (
        found
        if listed or isinstance(found, Nothing)
        else Nothing(why=f"{repository} is not listed in forge.repositories")
    )


def _is_intent(pushed: Pushed, lead: Lead, forge: Forge) -> bool:
    """Whether somebody pushed to the branch that says what is wanted."""
    fleet = repositories.at(lead.url, forge)
    return pushed.branch == BRANCH and fleet is not None and repositories.same(pushed.repository, fleet)


def repository_of(found: Hint) -> str:
    """The repository that a hint is about, as `owner/name`; empty for nothing."""
    match found:
        case PullNews() | Pushed():
            return found.repository
        case IssueNews():
            return found.issue.repository
        case Nothing():
            return ""


def body(news: PullNews) -> Shown:
    """What the forge shows, where the body of a delivery is all there is."""
    number = news.pull.number
    return Shown(
        pulls=(news.pull,),
        reviews={number: (news.review,)} if news.review is not None else {},
        reopened=frozenset({number} if news.reopened else ()),
        retitled=frozenset({number} if news.retitled else ()),
        by=news.by,
    )


class News:
    """Records what the forge showed, over the fleet's `edges`."""

    def __init__(self, edges: Edges) -> None:
        self.edges = edges
        self._strangers = Once(MAX_TOLD)

    async def record(self, shown: Sequence[tuple[Watched, Shown]], forge: Forge) -> None:
        """Record what follows for each of the tasks, all at once; nothing where nothing is new.

        Raises what the branch raises when nothing can be recorded.
        """
        counting = [(one, self._without_strangers(one, what, forge)) for one, what in shown]
        for _ in range(TRIES):
            seen, now = self.edges.branch.tasks(), self.edges.now()
            facts = [
                (one.task_id, event)
                for one, what in counting
                for event in pulls.facts(
                    seen.get(one.task_id, ObservedTask()), what, now=now, max_reviews=one.max_reviews
                )
            ]
            if not facts or await self._all_recorded(facts):
                return

    async def moved(self, watched: Iterable[Watched]) -> None:
        """Remember that somebody worked on the tasks; that is committed along with whatever comes next."""
        now = self.edges.now()
        for one in watched:
            if one.seen.phase not in TERMINAL:
                await asyncio.to_thread(self.edges.journal.keep_activity, one.task_id, now)

    async def _all_recorded(self, facts: Sequence[tuple[str, Event]]) -> bool:
        """Commit them; false where one was overtaken by something that was recorded since the task was looked at."""
        return None not in await recording.record(self.edges.branch, facts)

    def _without_strangers(self, watched: Watched, shown: Shown, forge: Forge) -> Shown:
        """What is shown without the demands of people who are not listed as reviewers."""
        if forge.reviewers is None:
            return shown
        listed = {name.casefold() for name in forge.reviewers}
        reviews = {
            number: tuple(review for review in said if self._counts(watched, review, listed))
            for number, said in shown.reviews.items()
        }
        return replace(shown, reviews=reviews)

    def _counts(self, watched: Watched, review: Review, listed: set[str]) -> bool:
        if review.verdict is not Verdict.CHANGES_REQUESTED or review.reviewer.casefold() in listed:
            return True
        if self._strangers.is_news((watched.task_id, review.id)):
            log.warning(
                "%s: the changes that %s requests do not count; list them in forge.reviewers if they should",
                watched.task_id,
                review.reviewer,
            )
        return False
