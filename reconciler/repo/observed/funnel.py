"""The funnel: every fact about a task or host becomes a commit on `observed` here, and nowhere else.

It decides nothing: what follows from a fact is `lifecycle.advance`. It never shows what is not yet on disk.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from time import monotonic

from reconciler.core.breaker import Breaker, Switch
from reconciler.core.desired import Identity
from reconciler.core.events import Event
from reconciler.core.observed import Lease, ObservedHost, ObservedTask
from reconciler.repo import git
from reconciler.repo.fleet import OBSERVED, Fleet
from reconciler.repo.journal import Journal
from reconciler.repo.lock import Lock
from reconciler.repo.observed import reading, records, requests
from reconciler.repo.observed.branch import Branch, BranchAdvanced, BranchFailed, BranchMoved, Place
from reconciler.repo.observed.draft import Draft, HostSeen
from reconciler.repo.observed.fastimport import Change
from reconciler.repo.observed.grouping import Closed, Group
from reconciler.repo.observed.messages import TaskStep
from reconciler.repo.observed.projection import Projection
from reconciler.repo.observed.records import Recorded
from reconciler.repo.observed.requests import Outcome, Request

MAX_RELOADS = 10
CLOSE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What the funnel is given. `new_id` gives 12 random hex digits; `lock` is held for as long as it is open.

    `on_record` is called in the writer's thread with (task id, before, after, event) once a fact is on disk, before
    whoever waits for it goes on; `warn` is told in one line what went wrong where nobody waits for an answer. `term`:
    the one in which this process leads, where the fleet lives on a remote. `committed`: facts, seconds of a commit.
    """

    fleet: Fleet
    journal: Journal
    lock: Lock
    identity: Identity
    new_id: Callable[[], str]
    on_record: Callable[[str, ObservedTask, ObservedTask, Event], None]
    warn: Callable[[str], None]
    term: int | None = None
    committed: Callable[[int, float], None] = lambda _, __: None


class ObservedBranch:
    """The branch `observed` of one fleet, open for writing. Safe for many threads; one thread of its own commits.

    Opening makes the fleet's id where there is none, and lays the files out under `state/observed/`; `put_back` are
    the paths there that a person had changed. Raises UnreadableRecord, BranchMoved or BranchFailed.
    """

    def __init__(self, setting: Setting, at: datetime) -> None:
        self._setting, fleet = setting, setting.fleet
        reading.adopt(fleet)
        self._branch = Branch(_place(setting))
        self._group: Group[Request] = Group()
        self._claims: dict[str, set[str]] = {}
        try:
            self._recorded = self._load()
            if self._recorded.fleet is None:
                self._begin(setting.new_id(), at)
        except BaseException:
            self._branch.close()
            raise
        name = reading.namer(git.object_format(fleet.top))
        self._view = Projection(fleet.observed, lambda ids: git.read_blobs(fleet.top, ids), name, setting.warn)
        laid_out = fleet.observed.exists()
        shown = self._show_all()
        self.put_back = shown if laid_out else []
        self._writer = threading.Thread(target=self._run, name="observed", daemon=True)
        self._writer.start()

    @property
    def fleet_id(self) -> str:
        """The fleet's own id: 12 hex digits."""
        return self._recorded.fleet or ""

    @property
    def child(self) -> int | None:
        """The process id of the git process that writes, None between two."""
        return self._branch.child

    def tasks(self) -> Mapping[str, ObservedTask]:
        """Every task of which something is recorded, as it is on disk now; does not change under the reader."""
        return self._recorded.tasks

    def claimed(self, claim: str) -> tuple[str, ...]:
        """The tasks that have a run under this claim."""
        return tuple(self._claims.get(claim, ()))

    def hosts(self) -> Mapping[str, ObservedHost]:
        """Every host of which something is recorded."""
        return self._recorded.hosts

    def breakers(self) -> Mapping[str, Breaker]:
        """Every circuit breaker of which something is recorded, by name."""
        return self._recorded.breakers

    def record(self, task_id: str, event: Event) -> ObservedTask:
        """Record a fact; the task after it, once that is on disk.

        Raises IllegalTransition or Superseded when the fact changes nothing, BranchFailed or BranchMoved when it could
        not be written; in each case nothing of it is recorded.
        """
        request = Request(task_id, event)
        self._enqueue([request])
        return request.result()

    def record_held(self, task_id: str, event: Event, lease: Lease) -> Lease:
        """Record a fact of an agent that goes on holding the task; the lease that stands, once both are on disk.

        Raises what `record` raises, and JournalFailed: then the lease may not stand, whatever became of the fact.
        """
        request = Request(task_id, event, lease)
        self._enqueue([request])
        request.result()
        return request.standing or lease

    def record_many(self, facts: Sequence[tuple[str, Event]]) -> list[ObservedTask | Exception]:
        """Record facts as one batch: for each the task after it, or the error that `record` would have raised."""
        waiting = [Request(task_id, event) for task_id, event in facts]
        self._enqueue(waiting)
        return [request.outcome() for request in waiting]

    def record_host(self, host_id: str, seen: HostSeen) -> None:
        """Record what was seen of a host, or that it is forgotten; returns once that is on disk."""
        request = Request(host_id, seen)
        self._enqueue([request])
        request.result()

    def switch(self, switches: Sequence[Switch]) -> None:
        """Record what circuit breakers are to be, as one batch; returns once that is on disk."""
        waiting = [Request(one.name, one) for one in switches]
        self._enqueue(waiting)
        for request in waiting:
            request.result()

    def sign_as(self, identity: Identity) -> None:
        """Make the commits from now on as this identity."""
        self._branch.identity = identity

    def restore(self, paths: Iterable[Path] = ()) -> list[str]:
        """Put back what a person changed under `state/observed/`, all of it when none is named; what was put back."""
        return [f"{records.ROOT}/{path}" for path in self._view.restore(paths)]

    def flush(self) -> None:
        """Return when the files under `state/observed/` show everything that is recorded."""
        self._view.flush()

    def close(self) -> None:
        """Commit what is queued, show it, and end the child. What is recorded afterwards is refused."""
        self._group.close()
        self._writer.join(CLOSE_S)
        self._branch.close()
        self._view.close()

    def _enqueue(self, waiting: Sequence[Request]) -> None:
        for request in waiting:
            request.check()
        try:
            self._group.put(waiting)
        except Closed as error:
            raise BranchFailed("the reconciler is stopping; nothing more is recorded") from error

    def _run(self) -> None:
        while batch := self._group.take():
            self._commit(batch)

    def _commit(self, batch: Sequence[Request]) -> None:
        """Make one commit of a batch and answer everybody in it; a failed commit fails them all alike."""
        try:
            draft, answers = self._landed(batch)
        except Exception as error:  # noqa: BLE001 - whoever waits raises it; the thread must live for the others
            for request in batch:
                request.let_go(error)
            return
        for step in draft.steps:
            if isinstance(step, TaskStep):
                self._tell(step)
        for request, answer in zip(batch, answers, strict=True):
            request.let_go(answer)

    def _landed(self, batch: Sequence[Request]) -> tuple[Draft, list[Outcome]]:
        for _ in range(MAX_RELOADS):
            tasks = {request.id for request in batch if not isinstance(request.fact, HostSeen | Switch)}
            draft = Draft(self._recorded, self._setting.journal, tasks)
            answers = [_applied(draft, request) for request in batch]
            keep_leases = partial(self._keep_leases, batch, answers)
            change = draft.change(self._setting.term)
            if change is None:
                keep_leases()
                return draft, answers
            began_s = monotonic()
            try:
                self._branch.commit(change, keep_leases)
            except BranchAdvanced:
                self._reload()
                continue
            took_s = monotonic() - began_s
            self._recorded = draft.recorded()
            for step in draft.steps:
                if isinstance(step, TaskStep):
                    self._index(step.id, step.after)
            self._view.update({path.removeprefix(f"{records.ROOT}/"): new for path, new in change.files.items()})
            self._setting.committed(len(draft.steps), took_s)
            return draft, answers
        raise BranchFailed(f"somebody else keeps committing on {OBSERVED}; stop the other writer")

    def _keep_leases(self, batch: Sequence[Request], answers: list[Outcome]) -> None:
        """Keep the leases that come with facts; where that fails, that is the answer to whoever waits for one."""
        wanted = requests.leases(zip(batch, answers, strict=True))
        if not wanted:
            return
        try:
            standing = self._setting.journal.keep_leases(wanted)
        except Exception as error:  # noqa: BLE001 - git is at work on the commit, whose answer is to be read all the same
            answers[:] = [
                error if request.lease is not None else answer for request, answer in zip(batch, answers, strict=True)
            ]
            return
        for request in batch:
            if request.lease is not None:
                request.standing = standing.get(request.id)

    def _tell(self, step: TaskStep) -> None:
        try:
            self._setting.on_record(step.id, step.before, step.after, step.event)
        except Exception as error:  # noqa: BLE001 - a listener's fault must not stop the recording
            self._setting.warn(f"{step.id}: a listener failed: {type(error).__name__}: {error}")

    def _begin(self, fleet_id: str, at: datetime) -> None:
        term = f"\nTerm: {self._setting.term}" if self._setting.term is not None else ""
        message = f"Begin the record of fleet {fleet_id}\n\nActor: planner\nEvent: Begun{term}"
        self._branch.commit(Change(message=message, at=at, files={records.FLEET: records.fleet_record(fleet_id)}))
        self._recorded = self._load()

    def _load(self) -> Recorded:
        found = reading.load(self._setting.fleet, self._branch.files())
        for task_id, task in found.tasks.items():
            self._index(task_id, task)
        return found

    def _index(self, task_id: str, task: ObservedTask) -> None:
        for run in task.runs:
            if run.claim is not None:
                self._claims[run.claim] = {*self._claims.get(run.claim, ()), task_id}

    def _reload(self) -> None:
        """Take over what somebody else committed on top, unless it takes back an epoch: a run would start twice."""
        before, known = self._recorded, self._branch.tip
        self._branch.follow()
        now = self._load()
        back = [name for name, task in before.tasks.items() if now.tasks.get(name, ObservedTask()).epoch < task.epoch]
        if back or now.fleet != before.fleet:
            self._branch.tip = known
            what = f"takes back the epoch of {back[0]}" if back else "changes the fleet's id"
            raise BranchMoved(f"a commit on {OBSERVED} {what}; undo it with `git branch --force {OBSERVED} {known}`")
        self._recorded = now
        self._show_all()

    def _show_all(self) -> list[str]:
        prefix = f"{records.ROOT}/"
        files = {path: blob for path, blob in self._branch.files().items() if records.belongs(path)}
        shown = self._view.replace({path.removeprefix(prefix): blob for path, blob in files.items()})
        return [f"{prefix}{path}" for path in shown]


def _applied(draft: Draft, request: Request) -> Outcome:
    try:
        if isinstance(request.fact, HostSeen):
            draft.record_host(request.id, request.fact)
            return ObservedTask()
        if isinstance(request.fact, Switch):
            draft.record_breaker(request.fact)
            return ObservedTask()
        return draft.record(request.id, request.fact)
    except Exception as error:  # noqa: BLE001 - it is raised where that fact is waited for, and nowhere else
        return error


def _place(setting: Setting) -> Place:
    return Place(
        repository=setting.fleet.top,
        common=setting.fleet.common,
        name=OBSERVED,
        identity=setting.identity,
        writer=setting.new_id(),
        shares=setting.lock.descriptors,
    )
