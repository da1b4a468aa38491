"""Replaces the record on the remote by a rewritten one, under a term that is taken for just that.

It rewrites nothing itself, and it never replaces what it has not seen: everything moves in one step, or nothing does.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from reconciler.core import leadership
from reconciler.core.leadership import NotLeading, Term
from reconciler.leading.standby import Named, Standby, Taken
from reconciler.leading.upstream import Upstream
from reconciler.repo.git import GitFailed
from reconciler.repo.observed.forgetting import Publish
from reconciler.repo.remote import termcommits
from reconciler.repo.remote.door import LEADER, OBSERVED, Move, RemoteFailed


@contextmanager
def leading(upstream: Upstream) -> Iterator[Publish]:
    """Lead for a while; what replaces the record on the remote. The record here has all that the remote's has, then.

    Raises NotLeading while another one leads, which takes a while to find out, and RemoteFailed.
    """
    named = Named(in_force=upstream.remote.name, here=upstream.remote.name)
    taken = asyncio.run(Standby(upstream, lambda: named, lambda _: None).wait(asyncio.Event(), patient=False))
    if taken is None:
        raise NotLeading("no term was taken; try again")
    term = _Term(upstream, taken)
    try:
        yield term.publish
    finally:
        term.release()


class _Term:
    """The term that was taken, and where its ref is."""

    def __init__(self, upstream: Upstream, taken: Taken) -> None:
        self._upstream = upstream
        self._taken = taken

    def publish(self, old: str, new: str, tag: str) -> None:
        """Have the remote's record be `new`, and the tag keep `old`; RemoteFailed, with nothing moved there."""
        remote, ref = self._upstream.remote, f"refs/tags/{tag}"
        tagged = remote.refs(ref).get(ref)
        if tagged not in {None, old}:
            raise RemoteFailed(f"the tag {tag} on {remote.name} keeps another history; delete it there first")
        moves = [Move(ref=OBSERVED, old=self._taken.observed, new=new), Move(ref=ref, old=tagged, new=old)]
        self._move(leadership.renewed(self._taken.term), *moves)

    def release(self) -> None:
        """Give the term back; where that does not work it runs out by itself."""
        try:
            self._move(leadership.released(self._taken.term))
        except (RemoteFailed, GitFailed) as error:
            self._upstream.warn(f"the term could not be given back and runs out by itself: {error}")

    def _move(self, term: Term, *moves: Move) -> None:
        """Move the term's ref with others; what came of it is read from the refs."""
        upstream, failure = self._upstream, None
        commit = termcommits.write(upstream.fleet.top, term, upstream.identity)
        try:
            upstream.remote.push([Move(ref=LEADER, old=self._taken.commit, new=commit), *moves])
        except RemoteFailed as error:
            failure = error
        refs = upstream.remote.refs(*(move.ref for move in moves))
        if refs.get(LEADER) != commit or any(refs.get(move.ref) != move.new for move in moves):
            raise failure or RemoteFailed(
                f"{upstream.remote.name} does not have what was pushed; nothing was moved here"
            )
        self._taken = replace(self._taken, term=term, commit=commit)
