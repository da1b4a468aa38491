"""Sees: one watch for each host and one for the forge, and what all of them know together.

It decides nothing and starts nothing; a watch that fails is started again only when its host's file changes.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime

from reconciler.agents.leasing import LeaseWatch
from reconciler.core import overlay
from reconciler.core.desired import Adapter, Desired, Document, Host, Task
from reconciler.core.observed import Observed, ObservedTask, Run, Sighting
from reconciler.core.tally import Tally
from reconciler.core.terms import ExecutionMode, Outcome
from reconciler.edges import Edges
from reconciler.repo import metas
from reconciler.repo.observed.draft import HostSeen
from reconciler.watching.forgewatch import ForgeWatch
from reconciler.watching.hostwatch import HostWatch
from reconciler.watching.runwatch import Watched

OVER = frozenset({"absent", "void", "ended", "gone"})


class Observer:
    """The watches over all hosts of the fleet, and over its forge."""

    def __init__(self, edges: Edges, tally: Tally) -> None:
        """Watch nothing yet; `follow` says what to watch. `tally` is kept up to date by somebody else."""
        self._edges = edges
        self._tally = tally
        self._adapters: Counter[str] = Counter()
        self._wanted: Mapping[str, Document[Task]] = {}
        self._forge = ForgeWatch(edges)
        self._leases = LeaseWatch(edges)
        self._watches: dict[str, HostWatch] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._confirmed: set[str] = set()
        self._unknown_since: dict[str, datetime] = {}
        self._workdirs: dict[str, str] = {}
        self._failure: BaseException | None = None

    async def follow(self, desired: Desired) -> None:
        """Watch the hosts that are in force, on each the runs whose end was not seen, and the forge."""
        self._edges.forge.use(desired.settings)
        self._forge.follow(desired)
        if self._edges.desk.reachable:
            await asyncio.to_thread(self._leases.look, desired, self._tally)
        runs = self._unended(desired)
        adapters = self._in_use(desired)
        for host_id in [host_id for host_id in self._watches if host_id not in desired.hosts]:
            await self._end(host_id)
        for host_id, document in desired.hosts.items():
            wanted = runs.pop(host_id, {})
            if document.value.transport == "pull" or (host_id in desired.retired_hosts and not wanted):
                continue
            await self._watch(host_id, document, adapters, wanted)
        await self._forget(desired, in_use=frozenset(runs))
        self._unknown_since = {host_id: self._unknown_since.get(host_id, self._edges.now()) for host_id in runs}

    def observed(self) -> Observed:
        """What happened and what is seen, for the planner; of hosts only what holds for those asked by this process."""
        sightings: dict[str, Sighting] = {}
        silent = dict(self._unknown_since)
        for host_id, watch in self._watches.items():
            sightings |= watch.sightings
            if watch.silent_since is not None:
                silent[host_id] = watch.silent_since
        branch, lead = self._edges.branch, self._edges.lead
        hosts = {host_id: seen for host_id, seen in branch.hosts().items() if not self._unasked(host_id)}
        return Observed(
            fleet=branch.fleet_id,
            tasks=branch.tasks(),
            hosts=hosts,
            sightings=sightings,
            silent=silent,
            forge=self._edges.forge.seen(),
            breakers=branch.breakers(),
            leases=self._edges.journal.leases() if self._edges.desk.reachable else {},
            halts=lead.halts() if lead is not None else (),
            unpushed=lead.unpushed if lead is not None else frozenset(),
        )

    async def first_look(self) -> None:
        """Return once the forge was asked for the first time, or did not answer."""
        await self._forge.first_look()

    def look(self, host_id: str, launched: str | None = None) -> None:
        """Have a host polled now; what was seen of the run `launched` before counts no more."""
        if host_id in self._watches:
            self._watches[host_id].look(launched)

    def assigned(self, host_id: str, run_id: str) -> None:
        """A run was assigned just now, by this process: nothing of it is there, and no host need be asked for that."""
        if host_id in self._watches:
            self._watches[host_id].expect(run_id)

    def pending(self) -> bool:
        """Whether a host was not asked yet since its watch began, a webhook not acted on, an assignment not pushed."""
        lead = self._edges.lead
        if lead is not None and lead.unpushed and lead.is_certain():
            return True
        return self._forge.pending() or any(self._unasked(host_id) for host_id in self._watches)

    def _unasked(self, host_id: str) -> bool:
        watch = self._watches.get(host_id)
        return watch is not None and not watch.asked and watch.silent_since is None

    def check(self) -> None:
        """Raise what a watch failed with that is no matter of its host: a branch that moved, a full disk, a defect."""
        self._forge.check()
        if self._failure is not None:
            raise self._failure

    async def close(self) -> None:
        """End all watches; runs on hosts go on."""
        await self._forge.close()
        for host_id in list(self._watches):
            await self._end(host_id)

    def _unended(self, desired: Desired) -> dict[str, dict[str, Watched]]:
        """By host, the runs to look at: live ones, and lost ones that were not seen to have ended since."""
        found: dict[str, dict[str, Watched]] = {}
        for task_id, seen in {**self._tally.lost, **self._tally.live}.items():
            for run in self._open_runs(seen):
                found.setdefault(run.host, {})[run.run_id] = self._watched(task_id, run, desired)
        watched = {run_id for runs in found.values() for run_id in runs}
        self._workdirs = {run_id: workdir for run_id, workdir in self._workdirs.items() if run_id in watched}
        return found

    def _open_runs(self, seen: ObservedTask) -> Iterator[Run]:
        if seen.live_run is not None and seen.execution_mode is not ExecutionMode.HTTP_PULL:
            yield seen.live_run
        for run in seen.runs:
            if run.outcome is Outcome.LOST and run.claim is None and not self._over(run):
                yield run

    def _over(self, run: Run) -> bool:
        """Whether a run that was given up as lost is known to live no more."""
        watch = self._watches.get(run.host)
        sighting = watch.sightings.get(run.run_id) if watch is not None else None
        if sighting is not None and sighting.state in OVER:
            self._confirmed.add(run.run_id)
        return run.run_id in self._confirmed

    def _in_use(self, desired: Desired) -> dict[str, Document[Adapter]]:
        """The adapters that some task names: only their versions are asked for."""
        before, self._wanted = self._wanted, desired.tasks
        for task_id in overlay.differing(desired.tasks, before):
            for tasks, change in ((before, -1), (desired.tasks, 1)):
                name = tasks[task_id].value.adapter if task_id in tasks else None
                if name is not None:
                    self._adapters[name] += change
        return {name: document for name, document in desired.adapters.items() if self._adapters[name] > 0}

    def _watched(self, task_id: str, run: Run, desired: Desired) -> Watched:
        host = desired.hosts.get(run.host)
        workdir = self._kept_workdir(run) or (host.value.workdir if host is not None else "")
        return Watched(task_id=task_id, run=run, workdir=workdir, desired=desired)

    def _kept_workdir(self, run: Run) -> str | None:
        """Where the run was started; what the journal says of that never changes, and is read once."""
        if run.run_id not in self._workdirs:
            kept = metas.kept_workdir(self._edges.journal, run.run_id)
            if kept is None:
                return None
            self._workdirs[run.run_id] = kept
        return self._workdirs[run.run_id]

    async def _watch(
        self,
        host_id: str,
        document: Document[Host],
        adapters: Mapping[str, Document[Adapter]],
        runs: Mapping[str, Watched],
    ) -> None:
        watch = self._watches.get(host_id)
        if watch is None or watch.document.spec != document.spec:
            await self._end(host_id)
            watch = HostWatch(host_id, document, self._edges)
            self._watches[host_id] = watch
            watch.adapters = adapters
            watch.runs = runs
            self._tasks[host_id] = asyncio.create_task(watch.watch(), name=f"watch {host_id}")
            self._tasks[host_id].add_done_callback(self._ended)
            return
        news = runs.keys() - watch.runs.keys() - watch.sightings.keys()
        unknown = adapters.keys() - watch.adapters.keys()
        watch.adapters = adapters
        watch.runs = runs
        if unknown:
            watch.asked = False
        if news or unknown:
            watch.look()

    async def _forget(self, desired: Desired, in_use: frozenset[str]) -> None:
        """Record that hosts without a file are no hosts any more, once nothing of them is left to see."""
        now = self._edges.now()
        for host_id in self._edges.branch.hosts().keys() - desired.hosts.keys() - in_use:
            gone = HostSeen(host=None, at=now, actor="person:desired")
            await asyncio.to_thread(self._edges.branch.record_host, host_id, gone)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._failure = self._failure or error
            self._edges.changed()

    async def _end(self, host_id: str) -> None:
        watch = self._watches.pop(host_id, None)
        task = self._tasks.pop(host_id, None)
        if watch is None or task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self._edges.transports[watch.document.value.transport].forget(host_id)
