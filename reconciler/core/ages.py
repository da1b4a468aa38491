"""How long ago something was, and how long it took, in words for people.

It reads no clock.
"""

from datetime import datetime

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86400


def age(moment: datetime, now: datetime) -> str:
    """How long ago, in one unit."""
    return f"{span((now - moment).total_seconds())} ago"


def span(seconds: float) -> str:
    """A length of time in its largest whole unit."""
    whole = max(0, int(seconds))
    for unit_s, letter in ((DAY_S, "d"), (HOUR_S, "h"), (MINUTE_S, "min")):
        if whole >= unit_s:
            return f"{whole // unit_s} {letter}"
    return f"{whole} s"
