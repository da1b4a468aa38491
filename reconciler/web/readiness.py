"""Finds out whether the reconciler is ready: turns go round, the journal can be written, the forge answers.

It repairs nothing, and it is cheap: the disk is tried at most every few seconds, however often somebody asks.
"""

import threading
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta

from reconciler.core import channels, notifications
from reconciler.core import standing as standings
from reconciler.core.standing import Standing
from reconciler.edges.forgelink import ForgeLink
from reconciler.edges.reads import Reads
from reconciler.repo.journal import Journal, JournalFailed
from reconciler.repo.notified import Channels
from reconciler.web.site import Check

TURN_MOST_S = 120.0
"""How long ago the last turn may have ended."""
PROOF_S = 5.0
"""How long a write that went well stands for the journal."""


class Readiness:
    """The conditions of one reconciler. Safe for many threads."""

    def __init__(self, reads: Reads, forge: ForgeLink | None, clock: Callable[[], float]) -> None:
        """`clock` counts seconds, and never backwards. Without a `forge` it is not asked here."""
        self._store = reads.journal
        self._link = forge
        self._view = reads.view
        self._now = reads.now
        self._standing = reads.standing
        self._clock = clock
        self._lock = threading.Lock()
        self._turned: float | None = None
        self._turned_at: datetime | None = None
        self._proved: float | None = None
        self._journal = Check(good=False, status="unknown")

    def turned(self) -> None:
        """A turn has ended."""
        self._turned, self._turned_at = self._clock(), self._now()

    def checks(self) -> Mapping[str, Check]:
        """Every condition by name."""
        found = {"loop": self._loop(), "journal": self._written()}
        if self._link is not None:
            found["forge"] = _forge(self._link)
        named = channels.named(self._view.settings().notify)
        if named:
            found["notify"] = _notify(self._store, named, self._now())
        standing = self._standing()
        return found if standing is None else found | {"remote": _remote(standing, self._now())}

    def _loop(self) -> Check:
        turned = self._turned
        if turned is None:
            return Check(good=False, status="starting", detail="no turn has ended yet")
        age = timedelta(seconds=int(self._clock() - turned))
        if age.total_seconds() > TURN_MOST_S:
            said = f"the last turn ended {age} ago; the log may say what holds the next one up"
            return Check(good=False, status="late", since=self._turned_at, detail=said)
        return Check(good=True, status="ok", since=self._turned_at)

    def _written(self) -> Check:
        with self._lock:
            now = self._clock()
            if self._proved is None or now - self._proved >= PROOF_S:
                self._journal, self._proved = _journal(self._store), now
            return self._journal


def _remote(standing: Standing, now: datetime) -> Check:
    """Whether what people push comes in, and what happened goes out."""
    role = "leading" if standing.role == "leader" else "standing by"
    said = standings.problems(standing, now)
    stopped = [problem.message for problem in said if problem.file == standings.FILE]
    if standing.silent_since is not None:
        reason = standing.reason or "it does not answer"
        return Check(good=False, status="silent", since=standing.silent_since, detail=f"{role}; {reason}")
    if stopped:
        return Check(good=False, status=role, since=standing.behind_since, detail=stopped[0])
    leader = f"{standing.leader} leads in term {standing.term}" if standing.leader is not None else "nobody leads"
    behind = f"; {standing.behind} commits wait to be pushed" if standing.behind else ""
    return Check(good=True, status=role, since=standing.since, detail=f"{leader}{behind}")


def _journal(journal: Journal) -> Check:
    try:
        journal.prove()
    except JournalFailed as error:
        return Check(good=False, status="failed", detail=str(error))
    return Check(good=True, status="ok")


def _notify(journal: Journal, names: Collection[str], now: datetime) -> Check:
    """A channel that fails makes nothing unready: no work waits for it. Why it fails is for those who may read more."""
    try:
        known = Channels(journal).known(names)
    except JournalFailed:
        return Check(good=True, status="unknown", detail="the journal cannot be read")
    failing = [name for name, one in known.items() if notifications.trouble(name, one, now) is not None]
    said = f"{', '.join(failing)}: see reconciler status" if failing else None
    return Check(good=True, status="failing" if failing else "ok", detail=said)


def _forge(link: ForgeLink) -> Check:
    if link.named is None:
        return Check(good=True, status="not configured")
    seen = link.seen()
    if seen is None:
        return Check(good=True, status="no token", detail="it is never asked; webhooks alone tell of it")
    if seen.silent_since is None:
        return Check(good=True, status="ok")
    said = f"{seen.reason or 'it does not answer'}; runs go on, and it is asked again"
    return Check(good=False, status="silent", since=seen.silent_since, detail=said)
