"""Compares what the program records with what is true in the simulated world, at every step, from the outside.

It believes nothing that the program says of itself, and changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.core.events import (
    Assigned,
    Event,
    Finished,
    Merged,
    NotStarted,
    Regenerated,
    Released,
    Reviewed,
    Revived,
)
from reconciler.core.observed import ObservedTask, Run
from reconciler.core.terms import Failure, Outcome, Phase
from tests.simulation.agents import SECRET
from tests.simulation.breakertruth import BreakerTruth
from tests.simulation.clock import BEGIN
from tests.simulation.hosts import Folder, Host
from tests.simulation.ledger import Ledger, run_of, seconds
from tests.simulation.pulltruth import PullTruth

SLACK_S = 2.0
"""Times are kept in whole seconds."""

HEARD_SLACK_S = 62.0
"""Since when a host is silent is committed anew only where that differs by a minute."""

LAUNCHES_PER_HOUR = 6
PROMPT_S, FAIR_AFTER_S = 20.0, 60.0
"""Where nothing went wrong for a while, the end of an agent is recorded within this time."""

LOST_SLACK_S, UP_S = 300.0, 120.0
"""How much later than its time a run may be given up as lost, once a program up for so long met the silence."""

PROVIDERS_OWN = frozenset({"provider", "loops"})
"""Agents that end because their provider fails: from the fourth in a row that is an attempt."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 10.0, 300.0


@dataclass
class Truth(Ledger):
    """What is known to be true of every run, and what was broken."""

    pulled: PullTruth
    breakers: BreakerTruth
    places: dict[str, tuple[Host, Folder]] = field(default_factory=dict)
    at_work: dict[str, dict[str, int]] = field(default_factory=dict)
    heard_s: dict[str, list[float]] = field(default_factory=dict)
    assigned_s: dict[str, list[float]] = field(default_factory=dict)
    pauses: dict[str, tuple[float, int]] = field(default_factory=dict)
    slots: dict[str, int] = field(default_factory=dict)
    demands: dict[str, set[str]] = field(default_factory=dict)
    noted: dict[str, tuple[str, float, float]] = field(default_factory=dict)
    answered_s: dict[str, float] = field(default_factory=dict)
    restarted_s: float = 0.0

    def heard(self, host_id: str, polled: bool) -> None:  # noqa: FBT001 - one of two
        """An answer of the host has reached the program; `polled`: it was one to a poll."""
        self.answered_s[host_id] = self.now_s
        if not polled:
            return
        times = self.heard_s.setdefault(host_id, [])
        times.append(self.now_s)
        del times[:-50]

    def killed(self) -> None:
        """What a process heard in its last moments it may have taken with it."""
        for times in self.heard_s.values():
            while times and times[-1] > self.now_s - 5.0:
                times.pop()

    def began(self, host: Host, folder: Folder) -> None:
        """An agent really begins."""
        task_id, _, epoch = folder.name.rpartition(".")
        self.say(f"{host.id}: {folder.name} begins ({folder.process.act.name if folder.process else ''})")
        run = run_of(self.book.tasks.get(task_id), int(epoch))
        self.must(run is not None and run.host == host.id, "commit before launch", f"{folder.name} on {host.id}")
        self.must(folder.name not in self.places, "an epoch runs once", folder.name)
        self.must(
            len(host.living()) <= self.slots.get(host.id, 0),
            "no host over its slots",
            f"{host.id}: {[one.name for one in host.living()]}",
        )
        at_work = self.at_work.setdefault(task_id, {})
        for name, number in at_work.items():
            older = run_of(self.book.tasks.get(task_id), number)
            lost = older is not None and older.outcome is Outcome.LOST
            self.must(lost, "one live run per task", f"{folder.name} beside {name}")
        at_work[folder.name] = int(epoch)
        shared = [one.name for one in host.living() if one.workspace == folder.workspace and one is not folder]
        self.must(not shared, "no two agents in one workspace", f"{folder.name} beside {shared}")
        self.places[folder.name] = (host, folder)

    def ended(self, host: Host, folder: Folder) -> None:
        self.at_work[folder.name.rpartition(".")[0]].pop(folder.name, None)
        self.say(f"{host.id}: {folder.name} ends with {folder.exit!r}")

    def reopened(self, tasks: Mapping[str, ObservedTask]) -> None:
        """The program reads its memory anew: nothing that was recorded is missing there."""
        for task_id, known in self.book.tasks.items():
            now = tasks.get(task_id, ObservedTask())
            kept = [(run.epoch, run.outcome) for run in now.runs]
            ends = {(run.epoch, run.outcome) for run in known.runs if run.outcome is not None}
            self.must(now.epoch >= known.epoch and ends <= set(kept), "nothing recorded is lost", task_id)
        self.book.take_all(tasks)
        self.restarted_s = self.now_s

    def recorded(self, task_id: str, before: ObservedTask, after: ObservedTask, event: Event) -> None:
        """Something was recorded, and is on disk."""
        self.say(
            f"{task_id}: {before.phase} -> {after.phase} ({type(event).__name__} {event.epoch or ''}: {event.why})"
        )
        if event.epoch is not None and not isinstance(event, Assigned):
            self.must(event.epoch == before.epoch, "a stale epoch changes nothing", f"{task_id}: {event}")
        counted = sum(run.counts_as_attempt for run in after.runs if run.generation == after.generation)
        self.must(after.attempts == counted, "attempts are those of runs that count", f"{task_id}: {after.attempts}")
        told = after.owner and after.needs and after.reason
        self.must(after.phase is not Phase.BLOCKED or bool(told), "blocked says who must do what", task_id)
        self._ends_stay(task_id, before, after)
        self._reviews(task_id, after)
        match event:
            case Assigned():
                self._assigned(task_id, before, event)
            case Finished():
                self._finished(task_id, before, after, event)
                self.breakers.ended(task_id, after.runs[-1], event)
            case NotStarted():
                self._paused(task_id, before, after, event)
            case Regenerated() | Released() | Revived() | Reviewed() | Merged():
                self.pauses.pop(task_id, None)
        self.book.take(task_id, after)

    def _ends_stay(self, task_id: str, before: ObservedTask, after: ObservedTask) -> None:
        for old, new in zip(before.runs, after.runs, strict=False):
            same = old.outcome is None or old.outcome is new.outcome
            self.must(same, "an end is recorded once", f"{task_id}.{old.epoch}: {old.outcome} -> {new.outcome}")

    def _reviews(self, task_id: str, after: ObservedTask) -> None:
        known = self.demands.get(task_id, set())
        self.must(
            after.review_count <= len(known),
            "a review counts once",
            f"{task_id}: {after.review_count} of {sorted(known)}",
        )

    def _assigned(self, task_id: str, before: ObservedTask, event: Assigned) -> None:
        now_s = seconds(event)
        self.breakers.assigned(task_id, event)
        self.must(event.epoch == before.epoch + 1, "epochs follow one another", f"{task_id}.{event.epoch}")
        self.must(before.live_run is None, "one live run per task", f"{task_id}: assigned while one is not ended")
        recent = [at_s for at_s in self.assigned_s.get(task_id, []) if at_s > now_s - 3600 + SLACK_S]
        self.must(len(recent) < LAUNCHES_PER_HOUR, "launches per hour are bounded", task_id)
        self.assigned_s[task_id] = [*recent, now_s]
        live = self.book.live.get(event.host, {})
        self.must(len(live) < self.slots.get(event.host, 0), "no host over its slots", f"{task_id} beside {list(live)}")
        ended_s, failures = self.pauses.pop(task_id, (now_s, 0))
        if failures:
            pause_s = min(FIRST_PAUSE_S * 2 ** (failures - 1), LONGEST_PAUSE_S)
            self.must(
                now_s >= ended_s + pause_s - SLACK_S,
                "backoff is respected",
                f"{task_id}: {now_s - ended_s:.0f} s after failure {failures}, not {pause_s:.0f}",
            )

    def _paused(self, task_id: str, before: ObservedTask, after: ObservedTask, event: Event) -> None:
        """Remember when the next run may begin at the earliest: for one that a review asks for there is no pause."""
        self.pauses.pop(task_id, None)
        last = after.last_run
        if last is None or last.outcome in {Outcome.SUCCEEDED, Outcome.CANCELLED}:
            return
        if after.phase is Phase.CREATED and before.phase is not Phase.REVIEW_PENDING:
            failures = 0
            for run in reversed(after.runs):
                if run.generation != last.generation or run.outcome in {None, Outcome.SUCCEEDED, Outcome.CANCELLED}:
                    break
                failures += 1
            self.pauses[task_id] = (seconds(event), failures)

    def _finished(self, task_id: str, before: ObservedTask, after: ObservedTask, event: Finished) -> None:
        self._paused(task_id, before, after, event)
        run = run_of(after, event.epoch or 0)
        told = f"{event.summary} {event.error} {event.session}"
        self.must(SECRET not in told, "no secret is recorded", f"{task_id}.{event.epoch}")
        if run is None:
            return
        if run.claim is not None:
            self.pulled.ended(f"{task_id}.{event.epoch}", event)
            return
        host, folder = self.places.get(f"{task_id}.{event.epoch}", (None, None))
        if event.outcome is Outcome.LOST:
            self._lost(f"{task_id}.{event.epoch}", run, seconds(event))
            return
        process = folder.process if folder is not None else None
        self.must(process is not None, "only what ran can end", f"{task_id}.{event.epoch}")
        if host is None or folder is None or process is None:
            return
        name = f"{folder.name} ({process.act.name})"
        self.must(not process.alive, "an end is recorded after it", name)
        stopped = folder.stop[0] if folder.stop is not None else None
        good = process.act.good and (stopped in {None, "lingered"}) and process.ended_s is not None
        if event.outcome is Outcome.SUCCEEDED:
            self.must(good and folder.exit is not None, "success is true", f"{name}: {folder.exit!r}, stop {stopped}")
        if run.counts_as_attempt:
            self._counted(name, folder, run)
        if run.failure is Failure.USAGE_LIMIT:
            self._limited(name, process.act.until, run, event)
        self.must(process.strays == 0, "nothing of an ended run lives on", name)
        self._prompt(name, process.born_s, process.ended_s or 0.0)

    def _counted(self, name: str, folder: Folder, run: Run) -> None:
        """An attempt is charged for what the agent did, and for nothing that happened to it."""
        process = folder.process
        if process is None:
            return
        lived_s = (process.ended_s or 0.0) - process.born_s
        true = process.act.counts or process.act.name in PROVIDERS_OWN or folder.exit is None
        if run.failure is Failure.TIMED_OUT:
            true = true or lived_s >= self._timeout(folder.name).total_seconds() - SLACK_S
        self.must(true and not process.vanished, "attempts are charged for what counts", f"{name}: {run.failure}")

    def _limited(self, name: str, told: datetime | None, run: Run, event: Finished) -> None:
        """The end of a usage limit is what the agent was told, where that is still to come."""
        known = run.resets_at is None if told is None else run.resets_at is not None and run.resets_at >= told
        early = run.resets_at is None or told is None or run.resets_at <= max(told, event.at)
        self.must(known and early, "a usage limit ends when it was said to", f"{name}: {run.resets_at}, not {told}")

    def _timeout(self, name: str) -> timedelta:
        file = self.book.fleet.tasks.get(name.rpartition(".")[0])
        return file.value.timeout if file is not None else timedelta(0)

    def _lost(self, name: str, run: Run, at_s: float) -> None:
        """Lost is only what could not be reached for so long, or what its host's reboot ended."""
        host, folder = self.places.get(name, (None, None))
        process = folder.process if folder is not None else None
        if process is not None and host is not None and (process.boot != host.boot or name not in host.folders):
            return
        silent_s = at_s - max((one for one in self.heard_s.get(run.host, []) if one <= at_s), default=0.0)
        after_s = self.book.fleet.settings.lost_after.ssh.total_seconds()
        self.must(
            silent_s >= after_s - HEARD_SLACK_S, "lost only after its time", f"{name}: silent for {silent_s:.0f} s"
        )

    def _prompt(self, name: str, born_s: float, ended_s: float) -> None:
        fair_s = max(self.book.weather.fair_since_s(), self.restarted_s)
        if born_s > fair_s + FAIR_AFTER_S:
            late_s = self.now_s - ended_s
            self.must(late_s <= PROMPT_S, "in fair weather nothing waits", f"{name}: recorded {late_s:.0f} s later")

    def look(self, specs: Mapping[str, str]) -> None:
        """What cannot be reached for long enough is given up: `specs` are the hosts' files as they are now."""
        self.breakers.look(self.restarted_s)
        if self.now_s < self.restarted_s + UP_S:
            return
        for host_id, spec in specs.items():
            state = (spec, self.answered_s.get(host_id, 0.0))
            if self.noted.get(host_id, ("", 0.0, 0.0))[:2] != state and self.now_s > state[1] + UP_S:
                self.noted[host_id] = (*state, self.now_s)
        after_s = self.book.fleet.settings.lost_after.ssh.total_seconds() + LOST_SLACK_S
        for host_id, (spec, answered_s, noted_s) in self.noted.items():
            if (spec, answered_s) != (specs.get(host_id), self.answered_s.get(host_id, 0.0)):
                continue
            for task_id, run in self.book.live.get(host_id, {}).items():
                late = self.now_s - max(noted_s, (run.assigned_at - BEGIN).total_seconds()) > after_s
                self.must(not late, "what is lost is given up in time", f"{task_id}.{run.epoch} on {host_id}")
