"""What one channel is to be sent, and when: each cause once, many together, nothing in quiet hours.

A function of what stands and of what the channel was told; it sends nothing and reads no clock.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta, tzinfo

from reconciler.core import notices
from reconciler.core.channels import Channel, Quiet, Webhook
from reconciler.core.desired import Problem
from reconciler.core.notices import Notice
from reconciler.core.standing import FILE
from reconciler.core.terms import Occasion

FRESH = timedelta(hours=1)
"""What stood for longer when a channel was first looked at is known to people; newer causes may not have been told."""
MOST_AT_ONCE = 100
"""The most causes in one notification for programs; the rest follows in the next one."""
FAILING_MOST = timedelta(minutes=5)
"""How long a channel may not answer before that is a problem of the fleet; one that refuses is one at once."""

_ORDER = (Occasion.BREAKER, Occasion.PUSH_LAG, Occasion.BLOCKED, Occasion.FAILED, Occasion.REVIEW_PENDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long a channel waits: for more to come together, between two notifications, and after a failure."""

    gather: timedelta = timedelta(seconds=5)
    apart: timedelta = timedelta(seconds=30)
    retry_first: timedelta = timedelta(seconds=10)
    retry_most: timedelta = timedelta(minutes=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """What was met where a channel did not take something; `wanted` is how long it asks to be left alone."""

    why: str
    refused: bool = False
    wanted: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A channel did not take what it was sent, `tries` times since then: why, and when it is tried again.

    `refused`: it answered, and a person must act.
    """

    since: datetime
    why: str
    until: datetime
    tries: int = 1
    refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Notified:
    """What is known of one channel since it was first looked at, in the term in which it was looked at last.

    `told` are the keys of causes that were told there; the value is false for those that stood before and were not.
    `count` is how many notifications it took, `last_at` when it took the last one.
    """

    since: datetime
    term: int = 0
    count: int = 0
    last_at: datetime | None = None
    told: Mapping[str, bool] = field(default_factory=dict)
    failure: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """What goes to a channel at once. With the same `id` it is the same one: whoever got it already may drop it."""

    id: str
    fleet: str
    at: datetime
    notices: tuple[Notice, ...]
    link: str = ""


def begun(known: Notified | None, stands: Mapping[str, Notice], term: int, now: datetime) -> Notified:
    """The channel as this process takes it up.

    Where another reconciler led since it was looked at here, or it never was, nobody knows here what people were told:
    causes older than an hour count as told, newer ones are told, perhaps once more. A channel that refused is tried at
    once: what it takes may be there now.
    """
    begins = known or Notified(since=now.replace(microsecond=0))
    if begins.failure is not None and begins.failure.refused:
        begins = replace(begins, failure=replace(begins.failure, until=now))
    if known is not None and known.term in {term, term - 1}:
        return replace(begins, term=term)
    old = {key: False for key, one in stands.items() if one.at is not None and now - one.at > FRESH}
    return replace(begins, term=term, told={**old, **begins.told})


def untold(stands: Mapping[str, Notice], channel: Channel, known: Notified) -> tuple[Notice, ...]:
    """The causes that stand and were not told there, worst first."""
    found = (one for key, one in stands.items() if key not in known.told and one.occasion in channel.on)
    return tuple(sorted(found, key=lambda one: (_ORDER.index(one.occasion), one.about, one.key)))


def gone(stands: Mapping[str, Notice], channel: Channel, known: Notified) -> tuple[frozenset[str], frozenset[str]]:
    """The keys of causes that stand no more: those whose end is to be told as well, and those to be forgotten.

    Only what was told has an end that is told; what was over before it was told is not told at all.
    """
    past = known.told.keys() - stands.keys()
    ending = notices.ENDING & set(channel.on)
    ends = frozenset(key for key in past if known.told[key] and notices.occasion(key) in ending)
    return ends, frozenset(past - ends)


def portion(waiting: tuple[Notice, ...], channel: Channel) -> tuple[Notice, ...]:
    """As much of what waits as goes at once: for people everything, since what does not fit is counted for them."""
    return waiting[:MOST_AT_ONCE] if isinstance(channel, Webhook) else waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Since when something waits to be told, and what time it is by now."""

    since: datetime
    now: datetime


def due_at(channel: Channel, known: Notified, waiting: Waiting, pace: Pace, zone: tzinfo) -> datetime:
    """When what waits is to be sent: now, or later."""
    at = max(waiting.since + pace.gather, waiting.now)
    if known.last_at is not None:
        at = max(at, known.last_at + pace.apart)
    if known.failure is not None:
        at = max(at, known.failure.until)
    return after_quiet(at, channel.quiet, zone)


def after_quiet(at: datetime, quiet: Quiet | None, zone: tzinfo) -> datetime:
    """That moment, or the end of the quiet hours in which it lies, by the clocks of the zone."""
    if quiet is None:
        return at
    local = at.astimezone(zone)
    start, end = time.fromisoformat(quiet.start), time.fromisoformat(quiet.end)
    clock = local.time()
    inside = start <= clock < end if start <= end else clock >= start or clock < end
    if not inside:
        return at
    day = local.date() + timedelta(days=1 if clock >= end else 0)
    return max(at, datetime.combine(day, end, zone).astimezone(at.tzinfo))


def took(known: Notified, told: Collection[Notice], now: datetime) -> Notified:
    """The channel after it took a notification of these: what is over is forgotten, and may be told anew."""
    over = {one.key for one in told if one.over}
    keys = {key: was for key, was in known.told.items() if key not in over}
    keys |= {one.key: True for one in told if not one.over}
    return replace(known, told=keys, count=known.count + 1, last_at=now, failure=None)


def failed(known: Notified, met: Met, now: datetime, pace: Pace) -> Notified:
    """The channel after it did not take one: it is left alone for a while, longer each time."""
    before = known.failure
    tries = before.tries + 1 if before is not None else 1
    pause = max(min(pace.retry_first * (1 << min(tries - 1, 20)), pace.retry_most), met.wanted)
    since = before.since if before is not None else now
    failure = Failure(since=since, why=met.why, until=now + pause, tries=tries, refused=met.refused)
    return replace(known, failure=failure)


def forgotten(known: Notified, keys: Collection[str]) -> Notified:
    """The channel without what stands no more."""
    return replace(known, told={key: was for key, was in known.told.items() if key not in keys})


def trouble(name: str, known: Notified, now: datetime) -> str | None:
    """What is wrong with a channel, in a sentence, once that is worth one."""
    failure = known.failure
    if failure is None or not (failure.refused or now - failure.since >= FAILING_MOST):
        return None
    since = failure.since.strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{name} takes no notifications since {since}: {failure.why}"


def problems(channels: Mapping[str, Notified], now: datetime) -> tuple[Problem, ...]:
    """What is wrong with channels, as people see it beside the problems of their files."""
    said = (trouble(name, known, now) for name, known in sorted(channels.items()))
    return tuple(Problem(file=FILE, line=0, column=0, message=one) for one in said if one is not None)
