"""Publishes on the forge: opens a pull request, comments, sets a commit's status; each may be repeated.

What should stand there is decided by `core.publications`; a forge that does not answer or refuses is noted, not fought.
"""

from typing import assert_never

from reconciler.core import markdown, publications, pulls
from reconciler.core.actions import Publish
from reconciler.core.events import Event
from reconciler.core.observed import ObservedTask
from reconciler.core.publications import Mark, OpenPull, Say
from reconciler.core.pulls import Pull, Shown
from reconciler.edges import Edges
from reconciler.forge.client import Client, ForgeRefused, ForgeUnreachable, NewPull, Status

UNKNOWN_COMMIT = frozenset({404, 422, 500})
"""How forges say that they have no such commit, older ones with 500: it was pushed over, or is not there yet."""

MOST_WORDS = 500
"""How much of what the forge said is kept, in characters."""


async def publish(edges: Edges, action: Publish) -> tuple[Event, ...]:
    """Make it stand, and say what follows for the task; that the forge is silent or refuses is noted."""
    client = edges.forge.client
    if client is None:
        return ()
    try:
        events = await _stand(edges, client, action)
    except ForgeRefused as error:
        edges.forge.answered()
        unknown = isinstance(action.publication, Mark) and error.status in UNKNOWN_COMMIT
        _hold(edges, action, str(error), quiet=unknown)
        return ()
    except ForgeUnreachable as error:
        await _note_silence(edges, client, action, error)
        return ()
    edges.forge.answered()
    return events


async def _stand(edges: Edges, client: Client, action: Publish) -> tuple[Event, ...]:
    match action.publication:
        case OpenPull() as wanted:
            return await _open(edges, client, action, wanted)
        case Say() as say:
            await client.comment(say.repository, say.number, marker=say.marker, text=say.text)
        case Mark() as mark:
            await _mark(edges, client, mark)
        case _:
            assert_never(action.publication)
    edges.forge.did(action.publication.key)
    return ()


async def _open(edges: Edges, client: Client, action: Publish, wanted: OpenPull) -> tuple[Event, ...]:
    """Open the pull request, or take the one that is there, and say what a poll would say of it."""
    new = NewPull(
        repository=wanted.repository, branch=wanted.branch, title=wanted.title, body=wanted.body, base=wanted.base
    )
    pull = await client.open_pull(new)
    seen = edges.branch.tasks().get(action.task_id, ObservedTask())
    useless = _useless(pull, seen)
    if useless is not None:
        _hold(edges, action, useless)
        return ()
    edges.forge.did(wanted.key)
    shown = Shown(pulls=[pull], reviews={pull.number: ()}, by=pull.author)
    return pulls.facts(seen, shown, now=edges.now(), max_reviews=wanted.max_reviews)


def _useless(pull: Pull, seen: ObservedTask) -> str | None:
    """Why an open pull request that is in the way of a new one cannot be the task's."""
    if pull.number in seen.past_prs:
        return f"{pull.url} is open on the branch, for what was asked before: close it, or merge it by hand"
    if pull.draft:
        return f"{pull.url} is open on the branch as a draft: mark it as ready, or close it"
    return None


async def _mark(edges: Edges, client: Client, mark: Mark) -> None:
    """Set the status where it belongs; a commit that is no longer there needs none."""
    known = edges.forge.seen()
    for one in publications.spoken(mark, known.done if known is not None else frozenset()):
        status = Status(state=one.state, description=one.description, target_url=one.target_url)
        try:
            await client.set_status(one.repository, one.sha, status)
        except ForgeRefused as error:
            if one == mark or error.status not in UNKNOWN_COMMIT:
                raise
        if one != mark:
            edges.forge.did(one.key)


async def _note_silence(edges: Edges, client: Client, action: Publish, error: ForgeUnreachable) -> None:
    """Find out whether the forge is silent, or fails at this one thing only, which then must not stop the others."""
    silence = await _silence(client)
    if silence is not None:
        edges.forge.fell_silent(_words(silence))
        return
    edges.forge.answered()
    _hold(edges, action, str(error), quiet=isinstance(action.publication, Mark))


async def _silence(client: Client) -> str | None:
    """What is met when the forge is asked the simplest thing; `None` where it answers, if only with a refusal."""
    try:
        await client.login()
    except ForgeUnreachable as error:
        return str(error)
    except ForgeRefused:
        return None
    return None


def _hold(edges: Edges, action: Publish, why: str, *, quiet: bool = False) -> None:
    """Leave it alone for a while, and tell about it the first time."""
    key = action.publication.key
    known = edges.forge.seen()
    first = known is None or key not in known.held
    words = _words(why)
    edges.forge.refused(key, words)
    if first and not quiet:
        edges.warn(f"{action.task_id}: {_named(action)}: {words}; it is tried again")


def _named(action: Publish) -> str:
    match action.publication:
        case OpenPull(branch=branch):
            return f"no pull request for {branch}"
        case Say(number=number):
            return f"no comment on pull request {number}"
        case Mark(sha=sha):
            return f"no status for commit {sha}"
        case _:
            assert_never(action.publication)


def _words(text: str) -> str:
    return markdown.cut(markdown.one_line(text), MOST_WORDS)
