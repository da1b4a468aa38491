"""What this process remembers of issues that came in, so that nothing is asked, written or told twice.

It is a memory and no truth: without it the fleet's files and git's history say the same, more slowly.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.core import issues
from reconciler.core.issues import Issue
from reconciler.repo.main.past import Past

MAX_REMEMBERED = 20_000
MAY_FOR = timedelta(minutes=10)
"""How long the forge's word on who may write to a repository is taken to be true."""


@dataclass(slots=True)
class Intakes:
    """URLs here have the form of `issues.same_url`.

    `writing` is held by the thread that writes: a lock that a cancelled wait could not give back too early.
    `written` are the tasks whose files this process added or changed; `settled` are issues whose task's file is known
    to be committed; `over` are those that had a task once. `delayed` is what was last told about a delay. `past` is
    only looked at by the thread that writes.
    """

    writing: threading.Lock = field(default_factory=threading.Lock)
    written: dict[str, str] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)
    over: set[str] = field(default_factory=set)
    delayed: str | None = None
    past: Past = field(default_factory=Past)
    _told: set[str] = field(default_factory=set)
    _shown: dict[str, datetime] = field(default_factory=dict)
    _may: dict[tuple[str, str], tuple[bool, datetime]] = field(default_factory=dict)

    def newest(self, seen: Iterable[Issue]) -> dict[str, Issue]:
        """The newest sight of each issue, by URL; none that is older than what was seen before."""
        self._forget()
        found: dict[str, Issue] = {}
        for issue in seen:
            url = issues.same_url(issue.url)
            known = self._shown.get(url)
            if issue.updated_at is not None:
                if known is not None and issue.updated_at < known:
                    continue
                self._shown[url] = issue.updated_at
            found[url] = issue
        return found

    def tell(self, url: str) -> bool:
        """Whether people are to be told about this issue: once."""
        if url in self._told:
            return False
        self._told.add(url)
        return True

    def may(self, repository: str, login: str, now: datetime) -> bool | None:
        """What the forge said about this account a short while ago; `None` where it is to be asked."""
        answer, at = self._may.get((repository.casefold(), login.casefold()), (None, now))
        return answer if abs(now - at) < MAY_FOR else None

    def said(self, repository: str, login: str, now: datetime, *, may: bool) -> None:
        """Remember what the forge says about an account."""
        self._may[repository.casefold(), login.casefold()] = (may, now)

    def _forget(self) -> None:
        for memory in (self.written, self.settled, self.over, self._told, self._shown, self._may):
            if len(memory) > MAX_REMEMBERED:
                memory.clear()
