"""Stands by: follows what the leader writes and what people want, and takes the next term when nobody holds one.

It starts nothing on a host, and writes nothing to the remote but the one ref that says who leads.
"""

import asyncio
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from reconciler.core import leadership, printable
from reconciler.core.leadership import NotLeading, Sight, Term
from reconciler.core.standing import Standing
from reconciler.leading import upstream as upstreams
from reconciler.leading.upstream import Upstream
from reconciler.repo import git
from reconciler.repo.fleet import IN_FORCE
from reconciler.repo.git import GitFailed
from reconciler.repo.remote import record, termcommits
from reconciler.repo.remote.door import LEADER, OBSERVED, Move, RemoteFailed

RETRY_S = 10.0
"""How soon a remote that did not answer is asked again."""
RACED_S = 1.0
"""How soon it is looked at again who was faster."""
MAX_REASON = 300


class RemoteChanged(Exception):
    """The settings in force name another remote than the one that is followed, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A term that this process holds: the commit that says so on the remote, and when it was asked for.

    `observed` is the remote's record at that time, `None` where it has none: nobody else writes it from then on.
    """

    term: Term
    commit: str
    asked_s: float
    observed: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """The remote that the settings name: those in force, and those of this clone's own branch and work tree."""

    in_force: str | None
    here: str | None


class Standby:
    """One wait for a term."""

    def __init__(self, upstream: Upstream, named: Callable[[], Named], stand: Callable[[Standing], None]) -> None:
        """`named` reads which remote the settings name; `stand` is told how the fleet stands, after every look."""
        self._upstream = upstream
        self._named = named
        self._stand = stand
        self._sight: Sight | None = None
        self._homeless: str | None = None
        self._turn = secrets.randbelow(leadership.TURNS)
        self._asked: dict[str, float] = {}
        self._standing = Standing(role="standby", remote=upstream.remote.name)
        self.news = asyncio.Event()
        """Set to have the remote looked at now."""

    async def wait(self, stop: asyncio.Event, *, patient: bool) -> Taken | None:
        """The next term, once it is this process's; `None` when it is to stop.

        Without patience NotLeading is raised as soon as somebody is seen to lead, RemoteFailed where nobody answers.
        Raises RemoteChanged where the settings come to name another remote, or none where no other place led last.
        """
        first: str | None = None
        while not stop.is_set():
            self.news.clear()
            try:
                taken, pause_s = await self._look()
            except (RemoteFailed, GitFailed) as error:
                if stop.is_set():
                    return None
                if not patient:
                    raise
                self._silent(str(error))
                taken, pause_s = None, RETRY_S
            if taken is not None:
                return taken
            seen = self._sight.commit if self._sight is not None else None
            first = first or seen
            if not patient and self._homeless is not None:
                raise NotLeading(self._homeless)
            if not patient and seen != first:
                raise NotLeading(
                    f"{self._standing.leader} leads this fleet; it does what can be done, or stop it first"
                )
            await rest((stop, self.news), pause_s)
        return None

    async def _look(self) -> tuple[Taken | None, float]:
        """A term, or after how many seconds to look again."""
        upstream = self._upstream
        refs = await asyncio.to_thread(upstream.remote.refs)
        self._sight = sight = leadership.seen(self._sight, refs.get(LEADER), upstream.clock_s(), upstream.pace)
        term = await upstreams.read_term(upstream, sight.commit)
        await self._follow(refs, term)
        before, self._homeless = self._homeless, await asyncio.to_thread(self._where, term)
        if self._homeless is not None:
            if self._homeless != before:
                upstream.warn(self._homeless)
            self._stand(replace(self._standing, refused=self._homeless))
            return None, upstream.pace.look_s
        first = await asyncio.to_thread(termcommits.highest, upstream.fleet.top) == 0
        at_s = leadership.may_take_at(sight, term, upstream.holder, upstream.pace, first=first)
        now_s = upstream.clock_s()
        if now_s < at_s:
            self._stand(self._standing)
            return None, min(upstream.pace.look_s, at_s - now_s)
        return await asyncio.to_thread(self._take, sight, term), RACED_S

    async def _follow(self, refs: Mapping[str, str], term: Term | None) -> None:
        """Take over what the remote has, and tell who leads."""
        upstream, now = self._upstream, self._upstream.now()
        intent = await upstreams.take_intent(upstream, refs)
        await asyncio.to_thread(self._take_record, refs)
        held = term is not None and not term.released
        leader = term.name if term is not None and held else None
        news = leader != self._standing.leader or self._standing.heard_at is None
        self._standing = Standing(
            role="standby",
            remote=upstream.remote.name,
            term=term.number if term is not None else 0,
            leader=leader,
            since=now if news else self._standing.since,
            heard_at=now,
            refused=intent.refused,
            problems=intent.problems,
        )
        if news and term is not None and held and term.holder != upstream.holder:
            upstream.said(f"standing by: {printable.short(term.name, MAX_REASON)} leads in term {term.number}")

    def _where(self, term: Term | None) -> str | None:
        """Why no term may be taken on this remote though nobody holds one; `None`: it is the one that counts."""
        upstream = self._upstream
        named = self._named()
        if named.in_force == upstream.remote.name:
            return None
        if named.in_force is not None:
            raise RemoteChanged
        if named.here is not None:
            return (
                f"the settings on {upstream.remote.name} name no remote, and those of this clone do: push them, "
                "or bring this clone up to date; nothing starts before"
            )
        if term is None or term.holder == upstream.holder:
            raise RemoteChanged
        return left(f"{term.name}, which led last on {upstream.remote.name}")

    def _take_record(self, refs: Mapping[str, str]) -> str | None:
        """Have the branch `observed` here say what the remote's says; the remote's tip."""
        fleet, theirs = self._upstream.fleet, refs.get(OBSERVED)
        if theirs is None or theirs == record.tip(fleet):
            return theirs
        self._upstream.remote.fetch({OBSERVED: record.FETCHED_OBSERVED})
        theirs = git.tip(fleet.top, record.FETCHED_OBSERVED)
        taken = record.take_over(fleet, theirs)
        if taken.aside is not None:
            self._upstream.warn(f"records that another leader has overtaken are kept at {taken.aside}")
        return theirs

    def _take(self, sight: Sight, last: Term | None) -> Taken | None:
        """Take the next term; `None` where somebody else was faster, RemoteFailed where the remote does not let it."""
        upstream, remote = self._upstream, self._upstream.remote
        highest = termcommits.highest(upstream.fleet.top)
        term = leadership.following(last, highest, holder=upstream.holder, name=upstream.name)
        term = replace(term, turn=self._turn)
        commit = termcommits.write(upstream.fleet.top, term, upstream.identity)
        # an earlier try of the same words may have arrived meanwhile, and have been seen by others since
        asked_s = self._asked.setdefault(commit, upstream.clock_s())
        failure: RemoteFailed | None = None
        try:
            remote.push([Move(ref=LEADER, old=sight.commit, new=commit)])
        except RemoteFailed as error:
            failure = error
        refs = remote.refs()
        if refs.get(LEADER) == commit:
            termcommits.remember(upstream.fleet.top, commit, term)
            return Taken(term=term, commit=commit, asked_s=asked_s, observed=self._take_record(refs))
        if failure is not None and refs.get(LEADER) == sight.commit:
            raise failure
        return None

    def _silent(self, reason: str) -> None:
        now = self._upstream.now()
        known = self._standing
        if known.silent_since is None:
            self._upstream.warn(f"{printable.short(reason, MAX_REASON)}; it is tried again")
        self._standing = replace(
            known, silent_since=known.silent_since or now, reason=printable.short(reason, MAX_REASON)
        )
        self._stand(self._standing)


def left(other: str) -> str:
    """What people are told where a clone followed a remote that the settings name no more, and another one goes on."""
    return (
        f"the settings name no remote any more: {other} goes on alone, and nothing starts here. Stop this reconciler; "
        "where it is to be the one that goes on, stop the other first, and remove what is in force here: "
        f"`git update-ref -d {IN_FORCE}`"
    )


async def rest(events: Collection[asyncio.Event], pause_s: float) -> None:
    """Wait until one of these is set, at most so long."""
    waiting = {asyncio.ensure_future(event.wait()) for event in events}
    try:
        await asyncio.wait(waiting, timeout=pause_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiting:
            waiter.cancel()
