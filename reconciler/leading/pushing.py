"""Pushes the record and renews the term in one step, and finds out what came of it by looking, never from git's words.

It decides nothing about time: whoever keeps the term says when.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.core import leadership
from reconciler.core.leadership import Term
from reconciler.leading.standby import Taken
from reconciler.leading.upstream import Upstream
from reconciler.repo import git
from reconciler.repo.remote import record, termcommits
from reconciler.repo.remote.door import LEADER, OBSERVED, TIMEOUT_S, Move, RemoteFailed

PORTION = 500
"""The most commits in one push, so that even a long backlog leaves time to renew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """The remote has it. `asked_s`: when it was asked for; `whole`: with all that was recorded before that."""

    asked_s: float
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NotLanded:
    """The remote has nothing of it; what git said."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Overtaken:
    """The term's ref is not where this process had put it: another one leads."""

    commit: str | None


Outcome = Landed | NotLanded | Overtaken


class Pushing:
    """What the remote is known to have of one term. Safe for many threads."""

    def __init__(self, upstream: Upstream, taken: Taken) -> None:
        """Begin with the term that was taken."""
        self._upstream = upstream
        self._term = taken.term
        self._commit = taken.commit
        self._open: dict[str, tuple[Term, float]] = {}
        """The renewals that were asked for since, of which it is not known what came: each may still arrive."""
        self._lock = threading.Lock()
        self.observed = taken.observed
        """The newest commit of the record that the remote has."""
        self.rewritten: str | None = None
        """Why the record cannot be pushed at all, though the term is held: somebody else changed it there."""

    def is_behind(self) -> bool:
        """Whether the remote lacks something of the record that could be pushed."""
        return self.rewritten is None and record.tip(self._upstream.fleet) != self.observed

    def push(self) -> Outcome:
        """Renew the term, with what fits of the record; may be repeated. RemoteFailed: what came of it is open."""
        with self._lock:
            return self._move(self._next())

    def release(self) -> Outcome:
        """Give the term back, with as much of the record as fits."""
        with self._lock:
            outcome = self._move(leadership.released(self._next()))
            if isinstance(outcome, Landed) and not self._term.released:
                outcome = self._move(leadership.released(self._next()))  # what had arrived was a renewal before
            return outcome

    def look(self, refs: Mapping[str, str]) -> Landed | Overtaken | None:
        """Compare what the remote has with what was put there; RemoteFailed where something has to be fetched.

        A renewal that arrived late has landed.
        """
        with self._lock:
            return self._found(refs, record.tip(self._upstream.fleet))

    def _next(self) -> Term:
        asked = next((term for term, _ in reversed(self._open.values())), self._term)
        return leadership.renewed_after(asked, self._term)

    def _move(self, term: Term) -> Outcome:
        upstream = self._upstream
        commit = termcommits.write(upstream.fleet.top, term, upstream.identity)
        moves = [Move(ref=LEADER, old=self._commit, new=commit)]
        tip = record.tip(upstream.fleet)
        target = record.portion(upstream.fleet, self.observed, PORTION) if self.rewritten is None else None
        if target is not None:
            moves.append(Move(ref=OBSERVED, old=self.observed, new=target))
        self._open.pop(commit, None)
        self._open[commit] = (term, upstream.clock_s())
        try:
            upstream.remote.push(moves)
        except RemoteFailed as error:
            return self._found(upstream.remote.refs(), tip) or NotLanded(reason=str(error))
        self.observed = target if target is not None else self.observed
        return self._landed(commit, tip)

    def _found(self, refs: Mapping[str, str], tip: str | None) -> Landed | Overtaken | None:
        """What came of renewals, by what the remote has; `tip`: the record that was to be there."""
        there = refs.get(LEADER)
        if there is None or (there != self._commit and there not in self._open):
            return Overtaken(commit=there)
        self._compare(refs.get(OBSERVED))
        return self._landed(there, tip) if there in self._open else None

    def _landed(self, commit: str, tip: str | None) -> Landed:
        """The term is renewed by this commit: none of the others that were asked for can arrive any more."""
        self._term, asked_s = self._open[commit]
        self._commit = commit
        self._open.clear()
        return Landed(asked_s=asked_s, whole=self.rewritten is None and self.observed == tip)

    def _compare(self, theirs: str | None) -> None:
        """Find out what somebody did to the remote's record though only this process may write it."""
        upstream, ours = self._upstream, self.observed
        if theirs is None and ours is not None:
            upstream.warn(f"the record was deleted on {upstream.remote.name}; it is put back")
        if theirs is None or theirs == ours:
            self.observed, self.rewritten = theirs, None
            return
        if not record.has(upstream.fleet, theirs):
            upstream.remote.fetch({OBSERVED: record.FETCHED_OBSERVED}, TIMEOUT_S)
            theirs = git.tip(upstream.fleet.top, record.FETCHED_OBSERVED) or theirs
        if record.goes_on(upstream.fleet, theirs):
            self.observed, self.rewritten = theirs, None
        else:
            self.rewritten = _said(upstream.remote.name, theirs, ours)


def _said(remote: str, theirs: str, ours: str | None) -> str:
    back = (
        f"git push --force-with-lease=observed:{theirs[:12]} {remote} {(ours or 'observed')[:12]}:refs/heads/observed"
    )
    return (
        f"observed on {remote} was rewritten by somebody: {theirs[:12]} and what is recorded here have diverged; "
        f"nothing new starts. Put it back: `{back}`"
    )
