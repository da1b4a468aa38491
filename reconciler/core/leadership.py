"""Who leads a fleet that lives on a remote, and for how long that is certain: terms, and the clocks that judge them.

Every time here is in seconds of a clock of the one who judges, which never jumps and also counts while the machine
sleeps. Nothing is asked and nothing is written here.
"""

from dataclasses import dataclass, replace

TURNS = 1024
"""Renewals after which the same commits are used again, so that a remote keeps so many of them and no more."""


class NotLeading(Exception):
    """Another reconciler leads the fleet, or may; the message names it and says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The times that all reconcilers of a fleet have in common.

    A term stands for `ttl_s` after it was last renewed; its holder renews it every `renew_s`, and starts nothing more
    `margin_s` before it could be taken: what is under way must have arrived by then. A standby looks every `look_s`, so
    it sees the last renewal at most so late; a leader looks every `fetch_s` for what people want, without being told.
    """

    ttl_s: float = 60.0
    renew_s: float = 20.0
    margin_s: float = 10.0
    look_s: float = 10.0
    fetch_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One term: its number, which only grows, and who holds it; `name` is for people, `holder` for programs.

    `turn` counts renewals, so that each of them is another commit. A term that was `released` may be followed at once.
    """

    number: int
    holder: str
    name: str
    turn: int = 0
    released: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a standby sees: the commit by which the term was last renewed, `None` for none, and since when it does.

    `looked_s` is when it last looked.
    """

    commit: str | None
    since_s: float
    looked_s: float


def renewed(term: Term) -> Term:
    """The term as its next renewal says it."""
    return replace(term, turn=(term.turn + 1) % TURNS)


def renewed_after(asked: Term, held: Term) -> Term:
    """The renewal after one that was asked for in vain, though it may still arrive: another commit than all of these.

    A push that asks for what is there already would move nothing, and so be bound to no term.
    """
    found = renewed(asked)
    return renewed(found) if found.turn == held.turn else found


def released(term: Term) -> Term:
    """The term as its holder gives it back."""
    return replace(term, released=True)


def following(last: Term | None, number: int, *, holder: str, name: str) -> Term:
    """The term after the last one that is known; `number` is the highest that anything else ever told of."""
    return Term(number=max(number, last.number if last is not None else 0) + 1, holder=holder, name=name)


def seen(before: Sight | None, commit: str | None, now_s: float, pace: Pace) -> Sight:
    """What is seen now: the same sight for as long as nothing was renewed.

    Whoever did not look for a whole term starts anew: meanwhile renewals may have come round to the same commit.
    """
    if before is not None and before.commit == commit and now_s - before.looked_s < pace.ttl_s:
        return replace(before, looked_s=now_s)
    return Sight(commit=commit, since_s=now_s, looked_s=now_s)


def may_take_at(sight: Sight, last: Term | None, holder: str, pace: Pace, *, first: bool) -> float:
    """When `holder` may take the next term, unless something is seen before.

    At once where nobody ever held one (`first`), where the last one was given back, and where its holder is the one who
    asks: then that one is a process of the same place that has ended. Else when the term was not renewed for its whole
    time, counted from when that was seen here; likewise where somebody removed the ref, or made it say nothing.
    """
    if (sight.commit is None and first) or (last is not None and (last.released or last.holder == holder)):
        return sight.since_s
    return sight.since_s + pace.ttl_s


def certain_until(asked_s: float, pace: Pace) -> float:
    """Until when the holder may start things after a renewal that it asked for at `asked_s`, and that was made.

    Whoever waits for the term saw the renewal later than it was asked for, so nobody takes it before.
    """
    return asked_s + pace.ttl_s - pace.margin_s
