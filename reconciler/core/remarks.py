"""What is to be said of everything around the tasks: the remote, open circuit breakers, a forge that is in the way.

Sentences for people, for a terminal and a page alike; it asks nobody and reads no clock.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from reconciler.core import standing as standings
from reconciler.core.ages import age
from reconciler.core.desired import Desired
from reconciler.core.observed import Observed
from reconciler.core.standing import Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """A sentence, and whether it is only to be known, to be watched, or wrong."""

    text: str
    level: Literal["plain", "warning", "error"] = "plain"


def remote(known: Standing | None, now: datetime) -> Iterator[Remark]:
    """Who leads, where the fleet lives on a remote, and what waits to be pushed there."""
    if known is None:
        return
    part = "this reconciler leads" if known.role == "leader" else "this reconciler stands by"
    leader = f"{known.leader} leads in term {known.term}" if known.leader is not None else "nobody leads"
    role = part if known.leader is not None else "the last term was given back"
    heard = f"heard {age(known.heard_at, now)}" if known.heard_at is not None else "never heard"
    level: Literal["plain", "error"] = "plain" if known.silent_since is None else "error"
    yield Remark(text=f"{known.remote}: {leader}; {role}; {heard}", level=level)
    if known.silent_since is not None:
        said = f"{known.remote} has not answered since {_moment(known.silent_since)}: {known.reason}"
        yield Remark(text=said, level="error")
    if known.behind:
        late = standings.lag(known, now) >= standings.LAG_MOST
        since = f", the first from {age(known.behind_since, now)}" if known.behind_since is not None else ""
        said = f"{known.behind} commits of observed wait to be pushed{since}"
        yield Remark(text=said, level="error" if late else "warning")


def breakers(observed: Observed, now: datetime) -> Iterator[Remark]:
    """The circuit breakers that are open."""
    for _, one in sorted(observed.breakers.items()):
        if one.is_open:
            until = f"until {_moment(one.until)}" if one.holds(now) else "its time is over and one run may try"
            yield Remark(text=f"{one.sentence}; {until}", level="error")


def forge(desired: Desired, observed: Observed) -> Iterator[Remark]:
    """A forge that is in the way: it does not answer, or it refuses something; of one that is well, nothing."""
    named, known = desired.settings.forge, observed.forge
    if named is None or known is None:
        return
    if known.silent_since is not None:
        reason = f": {known.reason}" if known.reason else ""
        said = f"forge {named.url} has not answered since {_moment(known.silent_since)}{reason}"
        yield Remark(text=said, level="error")
    for key, held in sorted(known.held.items()):
        said = f"forge {named.url} refused {key}, tried again after {_moment(held.until)}: {held.why}"
        yield Remark(text=said, level="warning")


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
