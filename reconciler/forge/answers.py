"""What comes back from a forge: an answer, no answer, or a refusal; and for how long it wants to be left alone.

It asks nobody.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

LONGEST_PATIENCE = timedelta(hours=1)
"""Longer than the forges' own windows; whatever a server says, it is asked again then."""

_SECONDS = re.compile(r"[0-9]{1,10}")
_SPENT = ("x-ratelimit-remaining", "ratelimit-remaining")
_RESETS = ("x-ratelimit-reset", "ratelimit-reset")


class ForgeUnreachable(Exception):
    """The forge gave no answer in time, or asked for patience (5xx, 429): nothing is known; to be asked again."""

    def __init__(self, message: str, retry_after: timedelta | None = None) -> None:
        """Keep how long the forge wants to be left alone, where it said so."""
        super().__init__(message)
        self.retry_after = retry_after


class ForgeRefused(Exception):
    """The forge answered that it will not (4xx); `status` is the HTTP status, the message says what to do.

    A status of 0: what it was to be asked cannot be put into a request.
    """

    def __init__(self, message: str, status: int) -> None:
        """Keep the status beside the sentence."""
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer read whole. `data` is its JSON where it is some (`spoken`); `words` are the forge's own, in one line.

    The names of `headers` are in lower case.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    spoken: bool = False
    data: object = None
    words: str = ""

    @property
    def good(self) -> bool:
        """Whether it did what was asked."""
        return 200 <= self.status < 300  # noqa: PLR2004 - the range is HTTP's

    @property
    def fields(self) -> Mapping[str, object]:
        """The members of its object; none where it is no object."""
        return self.data if isinstance(self.data, dict) else {}


def asks_for_patience(answer: Answer) -> bool:
    """Whether it says "later" and not "no": too many requests in any of the ways that forges have to say so."""
    if answer.status == 403:  # noqa: PLR2004 - Forbidden, also GitHub's word for a spent allowance
        return "retry-after" in answer.headers or any(answer.headers.get(name, "").strip() == "0" for name in _SPENT)
    return answer.status == 429 or (answer.status == 503 and "retry-after" in answer.headers)  # noqa: PLR2004 - HTTP


def patience(headers: Mapping[str, str]) -> timedelta | None:
    """For how long it wants to be left alone; `None` where it does not say. Points in time count from its own clock."""
    here = _moment(headers.get("date", ""))
    said = headers.get("retry-after", "").strip()
    wanted = timedelta(seconds=int(said)) if _SECONDS.fullmatch(said) else _until(_moment(said), here)
    for name in _RESETS:
        at = headers.get(name, "").strip()
        if wanted is None and here is not None and _SECONDS.fullmatch(at):
            wanted = timedelta(seconds=int(at) - here.timestamp())
    return min(max(wanted, timedelta(0)), LONGEST_PATIENCE) if wanted is not None else None


def _until(then: datetime | None, here: datetime | None) -> timedelta | None:
    return then - here if then is not None and here is not None else None


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else None
