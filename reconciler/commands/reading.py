"""Reads a fleet for commands that only look: what is wanted and what happened, also beside a running reconciler.

It takes no lock, commits nothing and asks no host.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from reconciler.commands import files, progress
from reconciler.commands.session import NotGood, Session
from reconciler.core import board, channels, notifications, publications
from reconciler.core import standing as standings
from reconciler.core.desired import Desired, Settings
from reconciler.core.notifications import Notified
from reconciler.core.observed import ForgeSeen, Observed, ObservedHost, ObservedTask
from reconciler.core.standing import Standing
from reconciler.core.terms import TERMINAL
from reconciler.repo import digestkey
from reconciler.repo import fleet as fleets
from reconciler.repo.desired.files import DesiredFiles
from reconciler.repo.fleet import IN_FORCE, Fleet
from reconciler.repo.journal import Journal
from reconciler.repo.notified import Channels
from reconciler.repo.observed import reading as happened
from reconciler.repo.published import Published
from reconciler.repo.remote import standings as kept

IN_MEMORY = Path(":memory:")
UNKNOWN_FLEET = "0" * 12
"""Stands for the id of a fleet that was never reconciled: no run id is made with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A fleet at one moment. `paths` are the files of what happened, on the branch `observed`.

    `standing`: how the fleet stands with its remote, as a reconciler in this clone last said; `notified`: what it wrote
    down of the channels that the settings name.
    """

    fleet: Fleet
    desired: Desired
    observed: Observed
    paths: Mapping[str, str] = field(default_factory=dict)
    standing: Standing | None = None
    notified: Mapping[str, Notified] = field(default_factory=dict)

    def task_ids(self) -> list[str]:
        """Every task that is not put away: those with a file, and those that happened and are not archived."""
        return sorted(board.task_ids(self.desired, self.observed.tasks))

    def presuming(self, now: datetime) -> Observed:
        """What happened, with every host that was not asked since its file changed taken for one that answers."""
        presumed = {
            host_id: ObservedHost(reachable=True, since=now, spec=document.spec)
            for host_id, document in self.desired.hosts.items()
            if (seen := self.observed.hosts.get(host_id)) is None or seen.spec != document.spec
        }
        return replace(self.observed, hosts={**self.observed.hosts, **presumed})

    def known(self, task_id: str) -> str:
        """The id, when there is such a task, archived ones included; NotGood with a hint otherwise."""
        known = dict.fromkeys((*self.task_ids(), *self.observed.tasks, *self.desired.archived))
        if task_id not in known:
            raise NotGood(files.unknown("task", task_id, known))
        return task_id


class Reader:
    """Reads one fleet, again and again, as far as it changed."""

    def __init__(self, session: Session) -> None:
        """Open the fleet of the session."""
        self._session = session
        self.fleet = session.fleet()
        writable = os.access(self.fleet.root, os.W_OK)
        if writable:
            fleets.exclude(self.fleet)
        self._journal = Journal(self.fleet.journal if writable else IN_MEMORY)
        if self._journal.warning is not None:
            session.screen.note(f"reconciler: {self._journal.warning}")
        digests = digestkey.read(self.fleet) if writable else b""
        self._files = DesiredFiles(
            self.fleet.root, journal=self._journal, secret=session.env.get, key=digests, ref=self.fleet.ref
        )
        self._happened = happened.Following(self.fleet)
        self._began = False

    def read(self) -> View:
        """The fleet as it is now; the first time is the one that may take long."""
        if self._began:
            return self._read()
        self._began = True
        with progress.working(self._session.screen, "reading the fleet"):
            return self._read()

    def happened(self) -> Mapping[str, ObservedTask]:
        """The tasks as they are recorded now, and nothing else: for who looks often."""
        return self._happened.read().tasks

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()

    def _read(self) -> View:
        now = self._session.now()
        recorded = self._happened.read()
        tasks = self._with_activity(recorded.tasks)
        desired = self._files.refresh(
            now,
            observed_ids=tasks.keys(),
            finished_ids=frozenset(task_id for task_id, seen in tasks.items() if seen.phase in TERMINAL),
            live_hosts=[seen.live_run.host for seen in tasks.values() if seen.live_run is not None],
        )
        forge = self._forge(desired.settings)
        follows = desired.settings.remote is not None or self.fleet.ref == IN_FORCE
        standing = kept.read(self._journal) if follows else None
        observed = Observed(
            fleet=recorded.fleet or UNKNOWN_FLEET,
            tasks=tasks,
            hosts=recorded.hosts,
            breakers=recorded.breakers,
            forge=forge,
            leases=self._journal.leases(),
            halts=standings.halts(standing),
        )
        notified = Channels(self._journal).known(channels.named(desired.settings.notify))
        wrong = (*standings.problems(standing, now), *notifications.problems(notified, now))
        desired = replace(desired, problems=(*desired.problems, *wrong))
        if forge is not None:
            held = publications.still_held(desired, observed)
            observed = replace(observed, forge=replace(forge, held=held))
        return View(
            fleet=self.fleet,
            desired=desired,
            observed=observed,
            paths=recorded.paths,
            standing=standing,
            notified=notified,
        )

    def _forge(self, settings: Settings) -> ForgeSeen | None:
        """What the reconciler last knew of the forge; `None` where there is none, or none that can be asked.

        Whether the reconciler has a token is known here only from what it wrote: a forge that it published on, that
        refused it or that did not answer it is one that it asks. Before it wrote anything, this session's own
        environment stands for the reconciler's, which is most often the same.
        """
        forge = settings.forge
        if forge is None:
            return None
        kept = Published(self._journal)
        silence, done, held = kept.silence(), kept.done(), kept.all_held()
        if not (silence or done or held or (forge.token_env is not None and self._session.env.get(forge.token_env))):
            return None
        return ForgeSeen(
            silent_since=silence.since if silence is not None else None,
            reason=silence.reason if silence is not None else None,
            done=done,
            held=held,
        )

    def _with_activity(self, tasks: Mapping[str, ObservedTask]) -> dict[str, ObservedTask]:
        """The tasks with what has moved in them since it was last recorded."""
        moved = dict(tasks)
        for task_id, at in self._journal.activities(tasks).items():
            known = tasks[task_id].last_activity_at
            if known is None or known < at:
                moved[task_id] = replace(tasks[task_id], last_activity_at=at)
        return moved


def load(session: Session) -> View:
    """The fleet as it is now, once."""
    reader = Reader(session)
    try:
        return reader.read()
    finally:
        reader.close()
