"""Asks by a pull request on the fleet's own repository for what its `main` does not take: once, and a no is a no.

It merges nothing: that is how people say yes.
"""

import asyncio
from collections.abc import Sequence

from reconciler.core import printable, proposals, repositories
from reconciler.core.pulls import Pull
from reconciler.edges import Edges
from reconciler.forge.client import Client, ForgeRefused, NewPull
from reconciler.repo.fleet import BRANCH
from reconciler.repo.git import GitFailed, Refused
from reconciler.repo.main.issuetasks import Withheld
from reconciler.repo.main.issuework import MAX_TOLD
from reconciler.repo.remote.door import RemoteFailed


def asked(edges: Edges) -> frozenset[str]:
    """The keys of what was asked for already, among others."""
    seen = edges.forge.seen()
    return seen.done if seen is not None else frozenset()


async def propose(edges: Edges, withheld: Sequence[Withheld]) -> str | None:
    """See to it that a pull request stood for each; what stands in the way of the first that has to wait, in one line.

    Raises ForgeUnreachable, and may be repeated at any time.
    """
    client, repository, delayed = edges.forge.client, _own_repository(edges), None
    pulls: list[Pull] | None = None
    for one in withheld:
        if client is None or repository is None:
            lacking = (
                "the settings name no forge with a token" if client is None else "it is not on the settings' forge"
            )
            return f"{BRANCH} is protected on the remote, and no pull request can be opened: {lacking}"
        try:
            pulls = await client.pulls(repository) if pulls is None else pulls
            await _ask(edges, (client, repository), one, pulls)
        except (ForgeRefused, Refused, GitFailed, RemoteFailed) as error:
            delayed = delayed or printable.short(str(error), MAX_TOLD)
    return delayed


def _own_repository(edges: Edges) -> str | None:
    """The fleet's own repository on the forge of the settings; `None` where it is not there."""
    forge = edges.forge.named
    return repositories.at(edges.lead.url, forge) if edges.lead is not None and forge is not None else None


async def _ask(edges: Edges, there: tuple[Client, str], one: Withheld, pulls: Sequence[Pull]) -> None:
    """Open the pull request, unless it stands or stood; Refused where another one has the branch."""
    (client, repository), wanted = there, one.proposal
    pull = proposals.standing(wanted, asked(edges), pulls)
    if pull is None:
        await asyncio.to_thread(one.origin.put, wanted.branch, one.commit)
        new = NewPull(repository=repository, branch=wanted.branch, title=wanted.title, body=wanted.body, base=BRANCH)
        pull = await client.open_pull(new)
    if not wanted.is_meant_by(pull):
        raise Refused(f"{pull.url} is open on {wanted.branch}, for something else: merge or close it")
    edges.forge.did(wanted.key)
