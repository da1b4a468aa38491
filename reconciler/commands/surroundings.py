"""How what is around the tasks looks to people: the remote, open circuit breakers, a forge that is in the way.

It reads no file and decides nothing.
"""

from datetime import datetime

from reconciler.commands.ages import age
from reconciler.commands.reading import View
from reconciler.commands.screen import Screen
from reconciler.core import standing as standings
from reconciler.repo import storage


def remote(screen: Screen, view: View, now: datetime) -> None:
    """Who leads, where the fleet lives on a remote, and what waits to be pushed there."""
    known = view.standing
    if known is None:
        return
    screen.line()
    part = "this reconciler leads" if known.role == "leader" else "this reconciler stands by"
    leader = f"{known.leader} leads in term {known.term}" if known.leader is not None else "nobody leads"
    role = part if known.leader is not None else "the last term was given back"
    heard = f"heard {age(known.heard_at, now)}" if known.heard_at is not None else "never heard"
    screen.line(f"{known.remote}: {leader}; {role}; {heard}", style="" if known.silent_since is None else "red")
    if known.silent_since is not None:
        since = storage.timestamp(known.silent_since)
        screen.line(f"{known.remote} has not answered since {since}: {known.reason}", style="red")
    if known.behind:
        late = standings.lag(known, now) >= standings.LAG_MOST
        since = f", the first from {age(known.behind_since, now)}" if known.behind_since is not None else ""
        said = f"{known.behind} commits of observed wait to be pushed{since}"
        screen.line(said, style="red" if late else "yellow")


def breakers(screen: Screen, view: View, now: datetime) -> None:
    """The circuit breakers that are open."""
    opened = [one for _, one in sorted(view.observed.breakers.items()) if one.is_open]
    if opened:
        screen.line()
    for one in opened:
        until = f"until {storage.timestamp(one.until)}" if one.holds(now) else "its time is over and one run may try"
        screen.line(f"{one.sentence}; {until}", style="red")


def forge(screen: Screen, view: View) -> None:
    """A forge that is in the way: it does not answer, or it refuses something; of one that is well, nothing."""
    named, known = view.desired.settings.forge, view.observed.forge
    if named is None or known is None or (known.silent_since is None and not known.held):
        return
    screen.line()
    if known.silent_since is not None:
        reason = f": {known.reason}" if known.reason else ""
        since = storage.timestamp(known.silent_since)
        screen.line(f"forge {named.url} has not answered since {since}{reason}", style="red")
    for key, held in sorted(known.held.items()):
        until = storage.timestamp(held.until)
        screen.line(f"forge {named.url} refused {key}, tried again after {until}: {held.why}", style="yellow")
