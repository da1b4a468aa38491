"""Fetches the `main` that the remote has, and puts it in force as far as it may be.

It touches no branch that somebody has checked out.
"""

from collections.abc import Mapping

from reconciler.repo import git
from reconciler.repo.fleet import Fleet
from reconciler.repo.remote import acceptance
from reconciler.repo.remote.acceptance import Verdict
from reconciler.repo.remote.door import MAIN, Remote


def put_in_force(fleet: Fleet, remote: Remote, refs: Mapping[str, str]) -> Verdict:
    """Take over what the remote has by its `refs`. Raises RemoteFailed, and GitFailed of this clone."""
    wanted = refs.get(MAIN)
    if wanted is not None and git.tip(fleet.top, acceptance.FETCHED_MAIN) != wanted:
        remote.fetch({MAIN: acceptance.FETCHED_MAIN})
        wanted = git.tip(fleet.top, acceptance.FETCHED_MAIN)
    return acceptance.accept(fleet, remote.name, wanted)
