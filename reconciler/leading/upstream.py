"""What both roles need: the fleet, its remote, who this process is, clocks; and looking at the remote's `main`.

It takes no term and pushes nothing.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from reconciler.core.desired import Identity, Problem
from reconciler.core.leadership import Pace, Term
from reconciler.repo import git
from reconciler.repo.fleet import Fleet
from reconciler.repo.remote import acceptance, intent, termcommits
from reconciler.repo.remote.door import LEADER, TIMEOUT_S, Remote

FETCHED_LEADER = "refs/reconciler/fetched/leader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """The remote of a fleet. `clock_s` never jumps and counts sleep; `said` and `warn` are told one line each."""

    fleet: Fleet
    remote: Remote
    holder: str
    name: str
    identity: Identity
    now: Callable[[], datetime]
    clock_s: Callable[[], float]
    said: Callable[[str], None]
    warn: Callable[[str], None]
    pace: Pace


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What came of a look at the remote's `main`: whether what is in force moved, and what is wrong."""

    moved: bool
    refused: str | None
    problems: tuple[Problem, ...]


async def take_intent(upstream: Upstream, refs: Mapping[str, str]) -> Intent:
    """Put the remote's `main` in force as far as it may be. Raises RemoteFailed, and GitFailed of this clone."""
    return await asyncio.to_thread(_take_intent, upstream, refs)


async def read_term(upstream: Upstream, commit: str | None) -> Term | None:
    """The term that the remote's ref says; `None` where there is none. Raises RemoteFailed."""
    return None if commit is None else await asyncio.to_thread(_read_term, upstream, commit)


def _take_intent(upstream: Upstream, refs: Mapping[str, str]) -> Intent:
    fleet, remote = upstream.fleet, upstream.remote
    verdict = intent.put_in_force(fleet, remote, refs)
    problems = acceptance.follow(fleet, remote.name) if verdict.refused is None else ()
    return Intent(moved=verdict.moved, refused=verdict.refused, problems=problems)


def _read_term(upstream: Upstream, commit: str) -> Term | None:
    top = upstream.fleet.top
    known = termcommits.read(top, commit)
    if known is None:
        upstream.remote.fetch({LEADER: FETCHED_LEADER}, TIMEOUT_S)
        commit = git.tip(top, FETCHED_LEADER) or commit
        known = termcommits.read(top, commit)
    if known is not None:
        termcommits.remember(top, commit, known)
    return known
