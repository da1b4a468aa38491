"""Keeps a term beside the loop: renews it, has the record pushed, takes in what people want; until another one leads.

What it finds out it tells `Lead`, for everybody who starts something, and keeps for other processes of this place.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import assert_never

from reconciler.core import leadership, printable
from reconciler.core import standing as standings
from reconciler.core.desired import Problem
from reconciler.core.standing import FILE, Halt, Standing
from reconciler.edges.lead import Lead
from reconciler.leading import upstream as upstreams
from reconciler.leading.pushing import Landed, NotLanded, Outcome, Overtaken, Pushing
from reconciler.leading.standby import MAX_REASON, Taken, rest
from reconciler.leading.upstream import Intent, Upstream
from reconciler.repo.git import GitFailed
from reconciler.repo.remote import record
from reconciler.repo.remote.door import RemoteFailed

PUSH_S = 1.0
"""The least time between two pushes of the record, but for one that a launch waits for."""
END_S = 8.0
"""How long a stop waits for the remote, twice: for what is under way, and to give the term back."""
GATHER_S = 0.2
"""How long more is waited for after something was recorded that nobody waits for."""
RETRY_FIRST_S, RETRY_MOST_S = 1.0, 15.0
"""Pauses after a push that did not land, longer each time."""


class Leader:
    """One term."""

    def __init__(self, upstream: Upstream, taken: Taken, lead: Lead, stand: Callable[[Standing], None]) -> None:
        """Hold the term that was taken; `stand` keeps how the fleet stands for other processes."""
        self._upstream = upstream
        self._lead = lead
        self._stand = stand
        self._pushing = Pushing(upstream, taken)
        self._renewed_s = taken.asked_s
        self._pushed_s = self._retry_s = self._look_s = upstream.clock_s()
        self._failures = 0
        self._ending = False
        self._told: tuple[tuple[Halt, ...], tuple[Problem, ...]] = ((), ())
        self._intent: asyncio.Future[Intent | str] | None = None
        self._again = False
        now = upstream.now()
        self._standing = Standing(
            role="leader",
            remote=upstream.remote.name,
            term=taken.term.number,
            leader=taken.term.name,
            since=now,
            heard_at=now,
        )
        self._tell()

    async def keep(self) -> None:
        """Keep the term until another one leads, and say so then."""
        lead = self._lead
        try:
            while not self._is_over():
                lead.news.clear()
                lead.urgent.clear()
                if self._upstream.clock_s() >= self._look_s or lead.take_doubt():
                    await self._tried(self._look)
                if not self._is_over() and await asyncio.to_thread(self._is_due):
                    await self._tried(self._push)
                if self._intent is not None and self._intent.done():
                    self._took(self._intent.result())
                await asyncio.to_thread(self._note)
                if not self._is_over():
                    await rest((lead.news,), self._pause_s())
                    await rest((lead.urgent,), GATHER_S)
        finally:
            if self._intent is not None:
                self._intent.cancel()

    async def end(self, keeping: asyncio.Future[None]) -> None:
        """Have `keep` return once what it does now is done, or cannot be done soon."""
        self._ending = True
        self._lead.news.set()
        self._lead.urgent.set()
        await asyncio.wait({keeping}, timeout=END_S)
        while not keeping.done():
            self._upstream.remote.interrupt()
            await asyncio.wait({keeping}, timeout=GATHER_S)

    async def release(self) -> None:
        """Push what is left of the record and give the term back; what cannot be pushed now is at the next start."""
        upstream = self._upstream
        outcome: Outcome
        try:
            async with asyncio.timeout(END_S):
                outcome = await asyncio.to_thread(self._pushing.release)
        except TimeoutError:
            upstream.remote.close()
            outcome = NotLanded(reason=f"no answer within {END_S:g} s")
        except (RemoteFailed, GitFailed) as error:
            outcome = NotLanded(reason=str(error))
        left = await asyncio.to_thread(record.behind, upstream.fleet, self._pushing.observed)
        if left.commits:
            why = f": {_short(outcome.reason)}" if isinstance(outcome, NotLanded) else ""
            upstream.warn(f"{left.commits} commits of observed are not on {upstream.remote.name} yet{why}")
        if isinstance(outcome, Landed):
            self._stand(
                replace(self._standing, leader=None, stopped=None, behind=left.commits, behind_since=left.since)
            )

    def _is_over(self) -> bool:
        return self._ending or self._lead.is_over()

    async def _tried(self, step: Callable[[], Awaitable[None]]) -> None:
        """Take a step that needs the remote."""
        try:
            await step()
        except (RemoteFailed, GitFailed) as error:
            self._failed(str(error))
            now = self._upstream.now()
            self._standing = replace(self._standing, silent_since=self._standing.silent_since or now)

    async def _look(self) -> None:
        upstream = self._upstream
        self._look_s = upstream.clock_s() + upstream.pace.fetch_s
        refs = await asyncio.to_thread(upstream.remote.refs)
        self._heard()
        outcome = await asyncio.to_thread(self._pushing.look, refs)
        match outcome:
            case Landed():
                self._renewed(outcome)
            case Overtaken():
                await self._deposed(outcome)
                return
            case None:
                pass
            case _:
                assert_never(outcome)
        if self._intent is None:
            self._intent = asyncio.ensure_future(_intent(upstream, refs))
            self._intent.add_done_callback(lambda _: self._lead.news.set())
        else:
            self._again = True

    def _took(self, intent: Intent | str) -> None:
        """Tell what came of the last look at what people want; it takes its time beside, for the term does not wait."""
        self._intent = None
        if self._again:
            self._again, self._look_s = False, self._upstream.clock_s()
        known = self._standing
        if isinstance(intent, str):
            wrong = Problem(file=FILE, line=0, column=0, message=f"what was pushed may not be in force yet: {intent}")
            self._standing = replace(known, problems=(wrong,))
            return
        self._standing = replace(known, refused=intent.refused, problems=intent.problems)
        if intent.moved:
            self._lead.changed()

    async def _push(self) -> None:
        waiting, mark = self._lead.unpushed, self._lead.mark
        self._pushed_s = self._upstream.clock_s()
        outcome: Outcome = await asyncio.to_thread(self._pushing.push)
        self._heard()
        match outcome:
            case Landed():
                self._failures, self._retry_s = 0, 0.0
                self._standing = replace(self._standing, reason=None)
                self._renewed(outcome)
                if outcome.whole:
                    self._lead.landed(waiting, mark)
            case NotLanded():
                self._failed(outcome.reason)
            case Overtaken():
                await self._deposed(outcome)
            case _:
                assert_never(outcome)

    def _renewed(self, landed: Landed) -> None:
        self._renewed_s = landed.asked_s
        self._lead.renewed(leadership.certain_until(landed.asked_s, self._upstream.pace))

    async def _deposed(self, overtaken: Overtaken) -> None:
        """Somebody else leads: nothing may start any more, whether it can be found out who that is or not."""
        self._lead.renewed(self._upstream.clock_s())
        try:
            term = await upstreams.read_term(self._upstream, overtaken.commit)
        except (RemoteFailed, GitFailed):
            self._lead.depose("another one")
            return
        self._lead.depose(f"{term.name} (term {term.number})" if term is not None else "nobody")

    def _failed(self, reason: str) -> None:
        """Try again later, and tell people when this is news."""
        pause_s = min(RETRY_FIRST_S * 2.0**self._failures, RETRY_MOST_S)
        self._failures += 1
        self._retry_s = self._upstream.clock_s() + pause_s
        if self._standing.reason is None:
            self._upstream.warn(f"{_short(reason)}; it is tried again")
        self._standing = replace(self._standing, reason=_short(reason))

    def _heard(self) -> None:
        self._standing = replace(self._standing, heard_at=self._upstream.now(), silent_since=None)

    def _is_due(self) -> bool:
        """Whether something is to be pushed now: the term before it gets old, the record as soon as there is any."""
        now_s = self._upstream.clock_s()
        if now_s < self._retry_s:
            return False
        if now_s >= self._renewed_s + self._upstream.pace.renew_s:
            return True
        if self._pushing.rewritten is not None:
            return False
        awaited = self._lead.is_awaited or bool(self._lead.unpushed)
        return awaited or (now_s >= self._pushed_s + PUSH_S and self._pushing.is_behind())

    def _pause_s(self) -> float:
        """How long nothing is to be done, if nothing is recorded meanwhile."""
        now_s = self._upstream.clock_s()
        push_s = self._renewed_s + self._upstream.pace.renew_s
        if self._standing.behind and self._pushing.rewritten is None:
            push_s = min(push_s, self._pushed_s + PUSH_S)
        return max(min(max(push_s, self._retry_s), self._look_s) - now_s, 0.0)

    def _note(self) -> None:
        """Find out what waits to be pushed, tell how the fleet stands, and wake the loop where that changes a plan."""
        upstream, lead = self._upstream, self._lead
        left = record.behind(upstream.fleet, self._pushing.observed)
        stopped = self._pushing.rewritten
        if stopped is None and not lead.is_certain():
            stopped = lead.uncertain
        self._standing = replace(self._standing, behind=left.commits, behind_since=left.since, stopped=stopped)
        self._tell()
        now = upstream.now()
        told = (standings.halts(self._standing), standings.problems(self._standing, now))
        before, self._told = self._told, told
        if told != before:
            lead.changed()

    def _tell(self) -> None:
        self._lead.stand(self._standing)
        self._stand(self._standing)


async def _intent(upstream: Upstream, refs: Mapping[str, str]) -> Intent | str:
    """What came of a look at what people want; what was met, where there came nothing."""
    try:
        return await upstreams.take_intent(upstream, refs)
    except (RemoteFailed, GitFailed) as error:
        return _short(str(error))


def _short(reason: str) -> str:
    return printable.short(reason, MAX_REASON)
