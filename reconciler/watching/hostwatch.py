"""Watches one host: asks what it is, and polls all its runs with one command.

It decides nothing about tasks; a host that hangs keeps only its own watch waiting.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypedDict, Unpack

from reconciler.core import printable, versions
from reconciler.core.command import Command, Completed
from reconciler.core.desired import Adapter, Document, Host
from reconciler.core.observed import ObservedHost, Sighting
from reconciler.core.script import poll, probe
from reconciler.core.script.shell import ProtocolError
from reconciler.edges import MEMORY_LOST, Edges
from reconciler.repo.observed.draft import HostSeen
from reconciler.transport import Misconfigured, Unreachable
from reconciler.watching.folders import Watched
from reconciler.watching.runwatch import RunWatch

log = logging.getLogger(__name__)

FASTEST_S = 0.02
SLOWEST_S = 2.0
IDLE_S = 30.0
"""Pauses between polls: from the fastest to the slowest while nothing changes; without runs, a sign of life."""

LEFT_ALONE = 2
"""So many times as long as a poll took a host has to itself, whoever asks for the next."""
RETRY_FIRST_S = 1.0
RETRY_MOST_S = 30.0
MOST_SAID = 400
"""How many characters of what a host says are recorded: a record must stay small enough to be read again."""

TOLD_AFTER = timedelta(seconds=10)
"""For how long a host may be silent before a commit says so."""
HEARD_AGAIN = timedelta(minutes=1)
"""How much later than it says a silent host may have answered a poll before another commit says so."""


NOT_YET = Sighting(state="absent")
"""Of a run that was assigned and not launched: no poll is needed to know it."""


class _News(TypedDict, total=False):
    misconfigured: bool
    reason: str
    boot_id: str
    versions: Mapping[str, str]


class HostWatch:
    """The watch over one host; `sightings` and `silent_since` are what it knows."""

    def __init__(self, host_id: str, document: Document[Host], edges: Edges) -> None:
        """Know nothing yet; `watch` starts to ask."""
        self.document = document
        self.adapters: Mapping[str, Document[Adapter]] = {}
        self.runs: Mapping[str, Watched] = {}
        self.sightings: dict[str, Sighting] = {}
        self.silent_since: datetime | None = None
        self.asked = False
        self._heard_at: datetime | None = None
        self._host_id = host_id
        self._edges = edges
        self._fleet_id = edges.branch.fleet_id
        self._probed = False
        self._probed_at_s = 0.0
        self._boot_id = ""
        self._asked_for: frozenset[str] = frozenset()
        self._outdated: set[str] = set()
        self._expected: set[str] = set()
        self._wake = asyncio.Event()
        self._runs = RunWatch(edges, self._run)

    def look(self, launched: str | None = None) -> None:
        """Poll now rather than after the pause; what was seen of the run `launched` before counts no more."""
        if launched is not None:
            self._outdated.add(launched)
            self._expected.discard(launched)
            self.sightings = {name: seen for name, seen in self.sightings.items() if name != launched}
        self._wake.set()

    def expect(self, run_id: str) -> None:
        """Nothing of this run is on the host yet: it was not launched."""
        self._expected.add(run_id)
        self.sightings = {**self.sightings, run_id: NOT_YET}

    async def watch(self) -> None:
        """Ask until cancelled, or until a person must mend the host's file."""
        pause_s = failures = 0.0
        while True:
            self._wake.clear()
            asked_s = asyncio.get_running_loop().time()
            try:
                changed = await self._ask()
                pause_s, failures = self._pause(pause_s, changed=changed), 0
                if self._runs.is_behind:
                    continue
                took_s = asyncio.get_running_loop().time() - asked_s
                await asyncio.sleep(min(LEFT_ALONE * took_s, SLOWEST_S))
            except Misconfigured as error:
                await self._tell(reachable=False, misconfigured=True, reason=printable.short(str(error), MOST_SAID))
                self._fell_silent()
                return
            except (Unreachable, ProtocolError) as error:
                self._fell_silent()
                await self._tell_silence(str(error))
                pause_s = min(RETRY_FIRST_S * 2**failures, RETRY_MOST_S)
                failures += 1
            except OSError as error:
                log.warning("watching %s: %s; trying again", self._host_id, error)
                pause_s = RETRY_FIRST_S
            except MEMORY_LOST:
                raise
            except Exception:
                log.exception("watching %s met a defect of this program; please report it", self._host_id)
                self._fell_silent()
                pause_s = RETRY_MOST_S
            await _rest(self._wake, pause_s)

    def _pause(self, before_s: float, *, changed: bool) -> float:
        if not self.runs:
            return IDLE_S
        return FASTEST_S if changed else min(max(before_s, FASTEST_S) * 1.3, SLOWEST_S)

    async def _ask(self) -> bool:
        """One exchange; true when something changed that a plan may need."""
        if not (self._probed and self.adapters.keys() <= self._asked_for) or self._cli_was_too_old():
            await self._probe()
        self._outdated.clear()
        polled = await self._poll()
        seen = {name: sighting for name, sighting in polled.items() if name not in self._outdated}
        seen |= dict.fromkeys(self._expected, NOT_YET)
        seen = {name: known if (known := self.sightings.get(name)) == one else one for name, one in seen.items()}
        answered_again = self.silent_since is not None or not self.asked
        self.silent_since = None
        self.asked = True
        changed = _states(seen) != _states(self.sightings)
        if answered_again:
            await self._tell(reachable=True)
        self.sightings = seen
        if changed or answered_again:
            self._edges.changed()
        return changed

    async def _probe(self) -> None:
        asked = tuple(
            (adapter_id, document.value.version.run)
            for adapter_id, document in sorted(self.adapters.items())
            if document.value.version is not None and self._allowed(adapter_id)
        )
        host = self.document.value
        completed = await self._edges.run(
            self._host_id, host, probe.probe(host, asked, self._fleet_id, self._edges.term)
        )
        answer = probe.parse_probe(completed)
        wrong = probe.problems(answer)
        if wrong is not None:
            raise Misconfigured(f"{self._host_id}: {wrong}")
        await self._tell(
            reachable=True, boot_id=printable.short(answer.boot_id, MOST_SAID), versions=self._versions(answer)
        )
        self._boot_id = answer.boot_id
        self._asked_for = frozenset(self.adapters)
        self._probed = True
        self._probed_at_s = asyncio.get_running_loop().time()

    def _cli_was_too_old(self) -> bool:
        """Whether a CLI was too old at the last probe and that is a while ago: somebody may have renewed it."""
        if asyncio.get_running_loop().time() - self._probed_at_s < IDLE_S:
            return False
        known = self._edges.branch.hosts().get(self._host_id)
        return known is not None and any(
            versions.below_minimum(document.value.version, known.versions.get(adapter_id))
            for adapter_id, document in self.adapters.items()
        )

    def _allowed(self, adapter_id: str) -> bool:
        allowed = self.document.value.adapters
        return allowed is None or adapter_id in allowed

    def _versions(self, answer: probe.Probe) -> dict[str, str]:
        found = {"git": printable.short(answer.git_version, MOST_SAID)}
        for adapter_id, said in answer.versions.items():
            version = self.adapters[adapter_id].value.version
            if version is not None and said is not None:
                number = versions.extract(version.pattern, said)
                found |= {adapter_id: printable.short(number, MOST_SAID)} if number is not None else {}
        return found

    async def _poll(self) -> dict[str, Sighting]:
        seen = self._over()
        by_workdir: dict[str, list[Watched]] = {}
        self._runs.keep_only(self.runs.keys())
        for run_id, watched in self.runs.items():
            if run_id not in seen:
                by_workdir.setdefault(watched.workdir, []).append(watched)
        if not by_workdir:
            by_workdir[self.document.value.workdir] = []
        for workdir, group in by_workdir.items():
            names = [watched.name for watched in group]
            launcher = self.document.value.launcher
            command = poll.poll(workdir, self._fleet_id, names, launcher, self._edges.term)
            polled = poll.parse_poll(await self._run(command))
            self._heard()
            self._probed = polled.boot_id == self._boot_id and self.adapters.keys() <= self._asked_for
            if self.runs:
                await self._keep_heard()
            if not polled.runs.keys() >= set(names):
                raise ProtocolError("poll: the answer is not about the runs that were asked for")
            self._expected.difference_update(watched.run.run_id for watched in group)
            seen |= await self._runs.look(group, polled)
        return seen

    def _over(self) -> dict[str, Sighting]:
        """What was seen of runs that have ended: of these nothing new is to be seen, and all that they left is here."""
        known = ((run_id, self.sightings.get(run_id)) for run_id in self.runs)
        return {run_id: seen for run_id, seen in known if seen is not None and seen.state == "ended"}

    async def _run(self, command: Command) -> Completed:
        return await self._edges.run(self._host_id, self.document.value, command)

    def _heard(self) -> None:
        """It answered a poll: its runs are not lost, whatever else cannot be had from it."""
        self._heard_at = self._edges.now()
        if self.silent_since is not None:
            self.silent_since = self._heard_at

    async def _keep_heard(self) -> None:
        """Commit that a host answers that was silent for long, before more is asked of it: that may last."""
        known = self._edges.branch.hosts().get(self._host_id)
        if known is None or known.reachable or known.misconfigured or known.spec != self.document.spec:
            return
        if self._since(known, reachable=False) != known.since:
            await self._tell(reachable=False)

    def _fell_silent(self) -> None:
        if self.silent_since is not None:
            return
        known = self._edges.branch.hosts().get(self._host_id)
        out_of_reach = known is not None and not known.reachable and known.spec == self.document.spec
        since = known.since if known is not None and out_of_reach else self._edges.now()
        self.silent_since = max(since, self._heard_at or since)
        self._edges.changed()

    async def _tell_silence(self, reason: str) -> None:
        """Commit that the host does not answer, once that has lasted or was never otherwise."""
        known = self._edges.branch.hosts().get(self._host_id)
        lasting = self.silent_since is not None and self._edges.now() - self.silent_since >= TOLD_AFTER
        moved = known is not None and self._since(known, reachable=known.reachable) != known.since
        if known is None or known.spec != self.document.spec or lasting or moved:
            await self._tell(reachable=False, reason=printable.short(reason, MOST_SAID))

    async def _tell(self, *, reachable: bool, **news: Unpack[_News]) -> None:
        """Commit what is known of the host where it differs in more than words."""
        known = self._edges.branch.hosts().get(self._host_id)
        now = self._edges.now()
        host = ObservedHost(reachable=reachable, since=now, spec=self.document.spec, **news)
        if known is not None:
            same = (known.reachable, known.misconfigured) == (host.reachable, host.misconfigured)
            host = replace(
                host,
                since=self._since(known, reachable=reachable) if same else now,
                versions=host.versions or known.versions,
                boot_id=host.boot_id or known.boot_id,
                reason=known.reason if same and not reachable and not host.misconfigured else host.reason,
            )
        if host != known:
            seen = HostSeen(host=host, at=now, actor=f"host:{self._host_id}")
            await asyncio.to_thread(self._edges.branch.record_host, self._host_id, seen)
            self._edges.changed()

    def _since(self, known: ObservedHost, *, reachable: bool) -> datetime:
        """Since when it is as it is known to be: a silent host that answered a poll meanwhile, since that."""
        heard_at = self._heard_at
        moved = not reachable and heard_at is not None and heard_at - known.since >= HEARD_AGAIN
        return heard_at if moved and heard_at is not None else known.since


def _states(sightings: Mapping[str, Sighting]) -> dict[str, tuple[object, ...]]:
    """What of the sightings may need a new plan at once; elapsed and idle time have alarms of their own."""
    return {
        run_id: (seen.state, seen.stopping, seen.aborted, seen.lingering is not None)
        for run_id, seen in sightings.items()
    }


async def _rest(wake: asyncio.Event, pause_s: float) -> None:
    with contextlib.suppress(TimeoutError):  # wait_for would swallow a cancellation that comes along with a wake-up
        async with asyncio.timeout(pause_s):
            await wake.wait()
