"""Pushes the record and renews the term in one step, and finds out what came of it by looking, never from git's words.

It decides nothing about time: whoever keeps the term says when.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.core import leadership
from reconciler.core.leadership import Term
from reconciler.leading.standby import Taken
from reconciler.leading.upstream import Upstream
from reconciler.repo import git
from reconciler.repo.remote import record, termcommits
from reconciler.repo.remote.door import LEADER, OBSERVED, Move, RemoteFailed

PORTION = 500
"""The most commits in one push, so that even a long backlog leaves time to renew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """The remote has it. `asked_s`: when it was asked for first; `whole`: nothing of the record is missing there."""

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
    """What the remote is known to have of one term. For one thread at a time."""

    def __init__(self, upstream: Upstream, taken: Taken) -> None:
        """Begin with the term that was taken."""
        self._upstream = upstream
        self._term = taken.term
        self._commit = taken.commit
        self._asked_s: float | None = None
        self.observed = taken.observed
        """The newest commit of the record that the remote has."""
        self.rewritten: str | None = None
        """Why the record cannot be pushed at all, though the term is held: somebody else changed it there."""

    def is_behind(self) -> bool:
        """Whether the remote lacks something of the record that could be pushed."""
        return self.rewritten is None and record.tip(self._upstream.fleet) != self.observed

    def push(self) -> Outcome:
        """Renew the term, with what fits of the record; may be repeated. RemoteFailed: what came of it is open."""
        return self._move(leadership.renewed(self._term))

    def release(self) -> Outcome:
        """Give the term back, with as much of the record as fits."""
        return self._move(leadership.released(self._term))

    def look(self, refs: Mapping[str, str]) -> Overtaken | None:
        """Compare what the remote has with what was put there; RemoteFailed where something has to be fetched."""
        asked = termcommits.write(self._upstream.fleet.top, leadership.renewed(self._term), self._upstream.identity)
        if refs.get(LEADER) not in {self._commit, asked}:
            return Overtaken(commit=refs.get(LEADER))
        if refs.get(OBSERVED) != self.observed or self.rewritten is not None:
            self._compare(refs.get(OBSERVED))
        return None

    def _move(self, term: Term) -> Outcome:
        upstream = self._upstream
        commit = termcommits.write(upstream.fleet.top, term, upstream.identity)
        moves = [Move(ref=LEADER, old=self._commit, new=commit)]
        target = record.portion(upstream.fleet, self.observed, PORTION) if self.rewritten is None else None
        if target is not None:
            moves.append(Move(ref=OBSERVED, old=self.observed, new=target))
        self._asked_s = asked_s = self._asked_s if self._asked_s is not None else upstream.clock_s()
        try:
            upstream.remote.push(moves)
        except RemoteFailed as error:
            refs = upstream.remote.refs()
            if refs.get(LEADER) == self._commit:
                self._compare(refs.get(OBSERVED))
                return NotLanded(reason=str(error))
            if refs.get(LEADER) != commit:
                return Overtaken(commit=refs.get(LEADER))
            self.observed = refs.get(OBSERVED)
        else:
            self.observed = target if target is not None else self.observed
        self._term, self._commit, self._asked_s = term, commit, None
        return Landed(asked_s=asked_s, whole=not self.is_behind())

    def _compare(self, theirs: str | None) -> None:
        """Find out what somebody did to the remote's record though only this process may write it."""
        upstream, ours = self._upstream, self.observed
        self.rewritten = None
        if theirs == ours:
            return
        if theirs is None:
            upstream.warn(f"the record was deleted on {upstream.remote.name}; it is put back")
            self.observed = None
            return
        upstream.remote.fetch({OBSERVED: record.FETCHED_OBSERVED})
        theirs = git.tip(upstream.fleet.top, record.FETCHED_OBSERVED) or theirs
        if record.goes_on(upstream.fleet, theirs):
            self.observed = theirs
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
