"""Reads the time at which a usage limit ends, as the CLIs word it. Never asks for the time: `now` is an argument."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

LONGEST = timedelta(days=40)
"""A limit that seems to end later than this was misread; monthly quotas are the longest that there are."""

MOST_TEXT = 500
"""How many characters may say it: an agent wrote them, and the time that patterns take grows by their square."""

_STAMP = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?", re.IGNORECASE)
_EPOCH = re.compile(r"(?<!\d)(\d{10})(\d{3})?(?:\.\d+)?(?!\d)")
_SPAN = re.compile(
    r"(\d+(?:\.\d+)?)\s*(milliseconds?|ms|days?|d|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s)(?![a-z])"
)
_CLOCK = re.compile(r"(?<![\d:])(\d{1,2})(?::(\d\d))?\s*([ap])\.?m\b|(?<![\d:])(\d{1,2}):(\d\d)(?![\d:])")
_DAY = re.compile(r"\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?\s+(\d{1,2})(?:st|nd|rd|th)?\b")
_YEAR = re.compile(r"\b(20\d\d)\b")
_ZONE = re.compile(r"\(([A-Za-z_]+(?:/[A-Za-z_+\-0-9]+)*)\)")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def parse(text: str, now: datetime) -> datetime | None:
    """When the limit ends, in UTC; `None` where the text does not say so or says something absurd.

    Understood: RFC 3339, seconds since 1970, spans (`in 2 hours 5 minutes`, `90s`), times of day (`3:45pm`, with a day
    like `Nov 25th` and a zone like `(Europe/Berlin)` where given; else the next such time in UTC).
    """
    text = text[:MOST_TEXT]
    try:
        found = _stamp(text) or _epoch(text) or _span(text.lower(), now) or _clock(text, now)
    except (ValueError, OverflowError, OSError, ZoneInfoNotFoundError):
        return None
    if found is None or found - now > LONGEST:
        return None
    return max(found, now).astimezone(UTC).replace(microsecond=0)


def _stamp(text: str) -> datetime | None:
    found = _STAMP.search(text)
    if found is None:
        return None
    moment = datetime.fromisoformat(found.group().upper())
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _epoch(text: str) -> datetime | None:
    found = _EPOCH.search(text)
    return datetime.fromtimestamp(int(found.group(1)), UTC) if found else None


def _span(text: str, now: datetime) -> datetime | None:
    parts = [(float(number), unit) for number, unit in _SPAN.findall(text)]
    return now + sum((_duration(number, unit) for number, unit in parts), timedelta()) if parts else None


def _duration(number: float, unit: str) -> timedelta:
    if unit.startswith(("ms", "milli")):
        return timedelta(milliseconds=number)
    match unit[0]:
        case "d":
            return timedelta(days=number)
        case "h":
            return timedelta(hours=number)
        case "m":
            return timedelta(minutes=number)
        case _:
            return timedelta(seconds=number)


def _clock(text: str, now: datetime) -> datetime | None:
    """A time of day, on the day that is named, else the next such time."""
    found = _CLOCK.search(text.lower())
    if found is None:
        return None
    zone = _ZONE.search(text)
    here = now.astimezone(ZoneInfo(zone.group(1)) if zone else UTC)
    hour, minute = _hour(found), int(found.group(2) or found.group(5) or 0)
    moment = here.replace(hour=hour, minute=minute, second=0, microsecond=0)
    day = _DAY.search(text.lower())
    if day is None:
        return moment if moment > here else moment + timedelta(days=1)
    year = _YEAR.search(text)
    moment = moment.replace(
        year=int(year.group(1)) if year else here.year,
        month=_MONTHS.index(day.group(1)) + 1,
        day=int(day.group(2)),
    )
    return moment if year or moment > here - timedelta(days=1) else moment.replace(year=here.year + 1)


def _hour(found: re.Match[str]) -> int:
    if found.group(3) is None:
        return int(found.group(4))
    return int(found.group(1)) % 12 + (12 if found.group(3) == "p" else 0)
