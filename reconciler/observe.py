"""Sees: one watch for each host and one for the forge, and what all of them know together.

It decides nothing and starts nothing; a watch that fails is started again only when its host's file changes.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime

from reconciler.agents.leasing import LeaseWatch
from reconciler.core import overlay
from reconciler.core.desired import Adapter, Desired, Document, Host, Task
from reconciler.core.observed import Observed, Run, Sighting
from reconciler.core.overlay import Overlay
from reconciler.core.tally import Tally
from reconciler.edges import Edges
from reconciler.repo.observed.draft import HostSeen
from reconciler.watching.folders import Watched
from reconciler.watching.forgewatch import ForgeWatch
from reconciler.watching.hostwatch import HostWatch
from reconciler.watching.openruns import OpenRuns

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
        self._runs = OpenRuns(edges.journal, tally, self._is_over)
        self._unknown_since: dict[str, datetime] = {}
        self._followed: tuple[object, ...] = ()
        """Which hosts and adapters were in force when the watches were looked at last."""
        self._shown: dict[str, Mapping[str, Sighting]] = {}
        self._sightings: Overlay[Sighting] = Overlay()
        self._failure: BaseException | None = None

    async def follow(self, desired: Desired) -> None:
        """Watch the hosts that are in force, on each the runs whose end was not seen, and the forge."""
        self._edges.forge.use(desired.settings)
        self._forge.follow(desired)
        if self._edges.desk.reachable:
            await asyncio.to_thread(self._leases.look, desired, self._tally)
        touched = self._runs.follow(desired)
        adapters, runs = self._in_use(desired), self._runs.by_host
        in_force = (desired.hosts, desired.retired_hosts, adapters)
        if in_force != self._followed:
            self._followed, touched = in_force, {*desired.hosts}
            for host_id in [host_id for host_id in self._watches if host_id not in desired.hosts]:
                await self._end(host_id)
        for host_id in sorted(touched & desired.hosts.keys()):
            wanted, document = runs.get(host_id, {}), desired.hosts[host_id]
            if document.value.transport == "pull" or (host_id in desired.retired_hosts and not wanted):
                continue
            await self._watch(host_id, document, adapters, wanted)
        unknown = runs.keys() - desired.hosts.keys()
        await self._forget(desired, in_use=unknown)
        self._unknown_since = {host_id: self._unknown_since.get(host_id, self._edges.now()) for host_id in unknown}

    def observed(self) -> Observed:
        """What happened and what is seen, for the planner; of hosts only what holds for those asked by this process."""
        silent = dict(self._unknown_since)
        unasked: set[str] = set()
        for host_id, watch in self._watches.items():
            if watch.silent_since is not None:
                silent[host_id] = watch.silent_since
            elif not watch.asked:
                unasked.add(host_id)
        branch, lead = self._edges.branch, self._edges.lead
        hosts = branch.hosts()
        if unasked:
            hosts = {host_id: seen for host_id, seen in hosts.items() if host_id not in unasked}
        return Observed(
            fleet=branch.fleet_id,
            tasks=branch.tasks(),
            hosts=hosts,
            sightings=self._seen(),
            silent=silent,
            forge=self._edges.forge.seen(),
            breakers=branch.breakers(),
            leases=self._edges.journal.leases() if self._edges.desk.reachable else {},
            halts=lead.halts() if lead is not None else (),
            unpushed=lead.unpushed if lead is not None else frozenset(),
        )

    def _seen(self) -> Overlay[Sighting]:
        """The sightings of all hosts; only what changed since this was asked last is gone over."""
        before = self._shown
        now: dict[str, Mapping[str, Sighting]] = {name: watch.sightings for name, watch in self._watches.items()}
        changes: dict[str, Sighting | None] = {}
        for host_id in before.keys() - now.keys():
            changes.update(dict.fromkeys(before[host_id]))
        for host_id, seen in now.items():
            shown = before.get(host_id, {})
            if seen is not shown:
                changes.update(dict.fromkeys(shown.keys() - seen.keys()))
                changes.update({run_id: one for run_id, one in seen.items() if shown.get(run_id) is not one})
        self._shown, self._sightings = now, self._sightings.changed(changes)
        return self._sightings

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

    def _is_over(self, run: Run) -> bool:
        """Whether the run was seen to live no more."""
        watch = self._watches.get(run.host)
        sighting = watch.sightings.get(run.run_id) if watch is not None else None
        return sighting is not None and sighting.state in OVER

    def _in_use(self, desired: Desired) -> dict[str, Document[Adapter]]:
        """The adapters that some task names: only their versions are asked for."""
        before, self._wanted = self._wanted, desired.tasks
        for task_id in overlay.differing(desired.tasks, before):
            for tasks, change in ((before, -1), (desired.tasks, 1)):
                name = tasks[task_id].value.adapter if task_id in tasks else None
                if name is not None:
                    self._adapters[name] += change
        return {name: document for name, document in desired.adapters.items() if self._adapters[name] > 0}

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

    async def _forget(self, desired: Desired, in_use: Collection[str]) -> None:
        """Record that hosts without a file are no hosts any more, once nothing of them is left to see."""
        now = self._edges.now()
        for host_id in self._edges.branch.hosts().keys() - desired.hosts.keys() - set(in_use):
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
