"""Knows which runs are to be looked at on each host: live ones, and lost ones that were not seen to have ended since.

It asks no host for anything, and goes only over what changed in the record since it was asked last.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from reconciler.core import overlay
from reconciler.core.desired import Desired
from reconciler.core.observed import ObservedTask, Run
from reconciler.core.tally import Tally
from reconciler.core.terms import ExecutionMode, Outcome
from reconciler.repo import metas
from reconciler.repo.journal import Journal
from reconciler.watching.folders import Watched


class OpenRuns:
    """The runs whose end was not seen."""

    def __init__(self, journal: Journal, tally: Tally, over: Callable[[Run], bool]) -> None:
        """`tally` is kept up to date by somebody else; `over` says whether a run was seen to live no more."""
        self.by_host: dict[str, Mapping[str, Watched]] = {}
        """By host and run id. What is known of a host is replaced when it changes, never changed."""
        self._journal = journal
        self._tally = tally
        self._over = over
        self._tasks: Mapping[str, ObservedTask] = {}
        self._of: dict[str, dict[str, Watched]] = {}
        self._unsure: set[str] = set()
        """Tasks with a run that was lost and may live, or of which the journal does not know where it was started."""
        self._ended: set[str] = set()
        self._workdirs: dict[str, str] = {}

    def follow(self, desired: Desired) -> set[str]:
        """Take in what was recorded since; the hosts on which other runs are to be looked at than before."""
        tasks = self._tally.tasks
        changed, self._tasks = overlay.differing(tasks, self._tasks), tasks
        kept = (self._tally.live, self._tally.lost, self._of)
        touched = {task_id for task_id in changed if any(task_id in of for of in kept)} | self._unsure
        return self._take_in({task_id: self._found(task_id, desired) for task_id in sorted(touched)})

    def _take_in(self, found: Mapping[str, dict[str, Watched]]) -> set[str]:
        hosts: dict[str, dict[str, Watched]] = {}
        for task_id, runs in found.items():
            before = self._of.pop(task_id, {})
            if runs:
                self._of[task_id] = runs
            if runs == before:
                continue
            for run_id, gone in before.items():
                self._of_host(gone.run.host, hosts).pop(run_id, None)
                if run_id not in runs:
                    self._workdirs.pop(run_id, None)
            for run_id, watched in runs.items():
                self._of_host(watched.run.host, hosts)[run_id] = watched
        if hosts:
            self.by_host = {host_id: runs for host_id, runs in {**self.by_host, **hosts}.items() if runs}
        return set(hosts)

    def _of_host(self, host_id: str, hosts: dict[str, dict[str, Watched]]) -> dict[str, Watched]:
        """The runs of a host as they are to be from now on."""
        if host_id not in hosts:
            hosts[host_id] = dict(self.by_host.get(host_id, {}))
        return hosts[host_id]

    def _found(self, task_id: str, desired: Desired) -> dict[str, Watched]:
        """The runs of a task that are to be looked at."""
        seen = self._tally.live.get(task_id) or self._tally.lost.get(task_id)
        self._unsure.discard(task_id)
        runs = self._open(seen) if seen is not None else ()
        return {run.run_id: self._watched(task_id, run, desired) for run in runs}

    def _open(self, seen: ObservedTask) -> Iterable[Run]:
        if seen.live_run is not None and seen.execution_mode is not ExecutionMode.HTTP_PULL:
            yield seen.live_run
        yield from (run for run in self._lost(seen) if not self._is_over(run))

    def _lost(self, seen: ObservedTask) -> Iterator[Run]:
        return (run for run in seen.runs if run.outcome is Outcome.LOST and run.claim is None)

    def _is_over(self, run: Run) -> bool:
        """Whether a run that was given up as lost is known to live no more."""
        if run.run_id not in self._ended and self._over(run):
            self._ended.add(run.run_id)
        return run.run_id in self._ended

    def _watched(self, task_id: str, run: Run, desired: Desired) -> Watched:
        workdir = self._kept_workdir(run)
        if workdir is None or run.outcome is Outcome.LOST:
            self._unsure.add(task_id)
        if workdir is None:
            host = desired.hosts.get(run.host)
            workdir = host.value.workdir if host is not None else ""
        return Watched(task_id=task_id, run=run, workdir=workdir)

    def _kept_workdir(self, run: Run) -> str | None:
        """Where the run was started; what the journal says of that never changes, and is read once."""
        if run.run_id not in self._workdirs:
            kept = metas.kept_workdir(self._journal, run.run_id)
            if kept is None:
                return None
            self._workdirs[run.run_id] = kept
        return self._workdirs[run.run_id]
