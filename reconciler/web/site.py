"""What the web application gets from the rest of the program: functions, in one value.

It does nothing by itself; every function may be called from many threads at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.core.standing import Standing
from reconciler.repo.inbox import Delivery
from reconciler.web.meters import Counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One condition of being ready: whether it holds, a word for how it stands, since when, and more in a sentence."""

    good: bool
    status: str
    since: datetime | None = None
    detail: str | None = None


def _alone() -> None:
    """A fleet that lives on no remote."""
    return


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The outside of the web application.

    `secrets` are those that a webhook may be signed with now; where there are none, webhooks do not exist. `keep`
    returns, once a delivery is on disk, whether it was new, and raises JournalFailed; `arrived` is told after that.
    `readiness` names the conditions of being ready. `refused` is told in one line what was not taken, and from whom.
    `standing` says how the fleet stands with its remote, `None` where it lives on none. `meters` are told
    what is answered.
    """

    secrets: Callable[[], tuple[str, ...]]
    keep: Callable[[Delivery], bool]
    arrived: Callable[[], None]
    readiness: Callable[[], Mapping[str, Check]]
    now: Callable[[], datetime]
    refused: Callable[[str], None]
    standing: Callable[[], Standing | None] = _alone
    meters: Counted = field(default_factory=Counted)
