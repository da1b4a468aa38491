"""What people are to be told: the causes that stand now, each with a key that stays the same for as long as it stands.

It tells nobody, and does not know who was told already.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.core import mask, notes, printable, publications
from reconciler.core import standing as standings
from reconciler.core.breaker import Breaker
from reconciler.core.desired import Desired
from reconciler.core.observed import Observed, ObservedTask
from reconciler.core.standing import Standing
from reconciler.core.terms import Occasion, Phase

MOST_TITLE = 120
MOST_WORDS = 400
"""The longest texts of others in a notice, in characters."""

_PHASES = {
    Phase.BLOCKED: Occasion.BLOCKED,
    Phase.FAILED: Occasion.FAILED,
    Phase.REVIEW_PENDING: Occasion.REVIEW_PENDING,
}
ENDING = frozenset({Occasion.BREAKER, Occasion.PUSH_LAG})
"""What is about the whole fleet: whoever was told of it is told of its end as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One cause for telling people something. Every text is on one line and within a bound.

    `about` is the id of the task, the name of the breaker or that of the remote. `at`: when it came about, or when
    something last moved there; `None` where nobody knows. `owner` is who can change it, `said` what the run said that
    led there. `over`: it stands no more.
    """

    key: str
    occasion: Occasion
    about: str
    at: datetime | None
    title: str = ""
    reason: str = ""
    needs: str = ""
    said: str = ""
    owner: str = ""
    link: str = ""
    pull_request: str = ""
    over: bool = False


def occasion(key: str) -> Occasion:
    """What a key is about."""
    return Occasion(key.partition("/")[0])


def masked(notice: Notice, secrets: Collection[str]) -> Notice:
    """The notice without secrets in what others wrote."""
    return replace(
        notice,
        title=mask.mask(notice.title, secrets),
        reason=mask.mask(notice.reason, secrets),
        needs=mask.mask(notice.needs, secrets),
        said=mask.mask(notice.said, secrets),
    )


def of_task(task_id: str, seen: ObservedTask, desired: Desired, observed: Observed) -> Notice | None:
    """What is to be told of a task as it stands.

    One that comes to stand alike again in the same run, such as a pull request that is closed, reopened and closed, has
    the same key: between the two it did not stand.
    """
    kind = _PHASES.get(seen.phase)
    if kind is None:
        return None
    counts = f"{seen.generation}.{seen.epoch}.{seen.review_count}"
    why = f"/{seen.reason}" if kind is Occasion.BLOCKED else ""
    return Notice(
        key=f"{kind}/{task_id}/{counts}{why}",
        occasion=kind,
        about=task_id,
        at=seen.last_activity_at,
        title=printable.short(notes.title(task_id, desired, observed), MOST_TITLE),
        reason=printable.short(seen.reason or "", MOST_WORDS),
        needs=printable.short(seen.needs or "", MOST_WORDS),
        said=printable.short(_said(seen), MOST_WORDS),
        owner=seen.owner or ("reviewer" if kind is Occasion.REVIEW_PENDING else ""),
        link=printable.short(publications.page(task_id, desired) or "", MOST_WORDS),
        pull_request=printable.short(seen.pr.url, MOST_WORDS) if seen.pr is not None else "",
    )


def of_fleet(
    desired: Desired, breakers: Mapping[str, Breaker], standing: Standing | None, now: datetime
) -> Iterator[Notice]:
    """What is to be told of everything around the tasks: open circuit breakers, a record that is not pushed."""
    board = _board(desired)
    for name, one in breakers.items():
        if one.is_open:
            yield Notice(
                key=f"{Occasion.BREAKER}/{name}",
                occasion=Occasion.BREAKER,
                about=name,
                at=one.opened_at,
                reason=printable.short(one.reason, MOST_WORDS),
                needs=printable.short(one.needs, MOST_WORDS),
                owner="operator",
                link=board,
            )
    if standing is not None and standings.lag(standing, now) >= standings.LAG_MOST:
        yield Notice(
            key=f"{Occasion.PUSH_LAG}/{standing.remote}",
            occasion=Occasion.PUSH_LAG,
            about=printable.short(standing.remote, MOST_TITLE),
            at=standing.behind_since,
            reason=printable.short(standing.reason or "", MOST_WORDS),
            needs="see why the remote does not take it; everything is pushed in order once it does",
            owner="operator",
            link=board,
        )


def ended(key: str, desired: Desired, breakers: Mapping[str, Breaker], now: datetime) -> Notice:
    """What is to be told of a cause around the tasks that stands no more, to whoever was told that it stood."""
    about, told = key.partition("/")[2], occasion(key)
    known = breakers.get(about) if told is Occasion.BREAKER else None
    return Notice(
        key=key,
        occasion=told,
        about=printable.short(about, MOST_TITLE),
        at=known.closed_at if known is not None else now,
        reason=printable.short((known.closed_because if known is not None else None) or "", MOST_WORDS),
        link=_board(desired),
        over=True,
    )


def _board(desired: Desired) -> str:
    return printable.short(desired.settings.public_url or "", MOST_WORDS)


def _said(seen: ObservedTask) -> str:
    """What the last run said of its failure, where that is why the task stands so: an error, or what an agent asks."""
    run = seen.last_run
    if run is None or run.failure is None or run.failure != seen.reason:
        return ""
    return run.error or run.summary or ""
