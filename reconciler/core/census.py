"""What is counted of all tasks for whoever watches the fleet: where they stand, what runs came to. Kept, not made anew.

It decides nothing, and looks only at tasks that changed since it did so last. What ended is counted once and for ever.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from reconciler.core import overlay
from reconciler.core.desired import Desired, Document, Task
from reconciler.core.observed import UNTOUCHED, ObservedTask, Run
from reconciler.core.terms import Failure, Outcome, Phase, Wish

OWN = "(own)"
"""The adapter of runs that have none: those of agents that ask for work and run what they like. No adapter's id."""
NOBODY = "operator"
"""Who must act where a record does not say it."""
NANO = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How runs ended, and with which adapter."""

    adapter: str
    outcome: Outcome
    failure: Failure | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What is counted at one moment. `blocked` by who must act, `live` and tokens by adapter, `load` by host.

    `blocked_since` is since when the one waits that has waited for longest. `cost_usd` is what the agents' tools said.
    """

    phases: Mapping[Phase, int]
    on_hold: int
    blocked: Mapping[str, int]
    blocked_since: datetime | None
    live: Mapping[str, int]
    load: Mapping[str, int]
    ended: Mapping[Ending, int]
    ended_on: Mapping[tuple[str, Outcome], int]
    input_tokens: Mapping[str, int]
    output_tokens: Mapping[str, int]
    cost_usd: Mapping[str, float]


class Census:
    """The counts of one fleet. Money is counted in whole billionths: what only grows may not be rounded down again."""

    def __init__(self) -> None:
        """Nothing is there yet."""
        self.phases: Counter[Phase] = Counter()
        self.on_hold = 0
        """Tasks that have not begun, and whose files say that they shall not."""
        self.blocked: dict[str, ObservedTask] = {}
        self.live: Counter[str] = Counter()
        """Runs whose end was not seen, by adapter."""
        self.load: Counter[str] = Counter()
        """The same, by host."""
        self.ended: Counter[Ending] = Counter()
        self.ended_on: Counter[tuple[str, Outcome]] = Counter()
        """Runs that ended, by host and outcome."""
        self.input_tokens: Counter[str] = Counter()
        self.output_tokens: Counter[str] = Counter()
        self.cost_nano_usd: Counter[str] = Counter()
        self._wanted: Mapping[str, Document[Task]] = {}
        self._refused: Mapping[str, str] = {}
        self._seen: Mapping[str, ObservedTask] = {}

    def follow(self, desired: Desired, seen: Mapping[str, ObservedTask]) -> None:
        """Count what is wanted and recorded now."""
        recorded = overlay.differing(seen, self._seen)
        changed = recorded | overlay.differing(desired.tasks, self._wanted)
        changed |= overlay.differing(desired.refused, self._refused)
        for task_id in changed:
            self._count(task_id, -1)
        before, self._seen = self._seen, seen
        self._wanted, self._refused = desired.tasks, desired.refused
        for task_id in changed:
            self._count(task_id, 1)
        for task_id in recorded:
            self._count_ends(before.get(task_id, UNTOUCHED), seen.get(task_id, UNTOUCHED))

    def counts(self) -> Counts:
        """What is counted now; it does not change any more."""
        since = (blocked_since(seen) for seen in self.blocked.values())
        return Counts(
            phases=self.phases.copy(),
            on_hold=self.on_hold,
            blocked=Counter(seen.owner or NOBODY for seen in self.blocked.values()),
            blocked_since=min((one for one in since if one is not None), default=None),
            live=self.live.copy(),
            load=self.load.copy(),
            ended=self.ended.copy(),
            ended_on=self.ended_on.copy(),
            input_tokens=self.input_tokens.copy(),
            output_tokens=self.output_tokens.copy(),
            cost_usd={adapter: nano / NANO for adapter, nano in self.cost_nano_usd.items()},
        )

    def _count(self, task_id: str, by: int) -> None:
        """Count a task in, or out again."""
        document, task = self._wanted.get(task_id), self._seen.get(task_id)
        if document is None and task is None and task_id not in self._refused:
            return
        task = task or UNTOUCHED
        self.phases[task.phase] += by
        if task.phase is Phase.CREATED and document is not None and document.value.desired is Wish.HOLD:
            self.on_hold += by
        if task.phase is Phase.BLOCKED:
            self.blocked[task_id] = task
        if by < 0:
            self.blocked.pop(task_id, None)
        if (run := task.live_run) is not None:
            self.live[run.adapter or OWN] += by
            self.load[run.host] += by

    def _count_ends(self, before: ObservedTask, after: ObservedTask) -> None:
        """Count the runs that have ended since; those that are cut from a long record stay counted."""
        known = before.epoch - (before.live_run is not None)
        for run in _ended_after(known, after):
            adapter = run.adapter or OWN
            if run.outcome is not None:
                self.ended[Ending(adapter=adapter, outcome=run.outcome, failure=run.failure)] += 1
                self.ended_on[run.host, run.outcome] += 1
            self.input_tokens[adapter] += run.input_tokens or 0
            self.output_tokens[adapter] += run.output_tokens or 0
            self.cost_nano_usd[adapter] += round((run.cost_usd or 0.0) * NANO)


def _ended_after(epoch: int, task: ObservedTask) -> Iterator[Run]:
    """The ended runs of later epochs, newest first."""
    for run in reversed(task.runs):
        if run.epoch <= epoch:
            return
        if run.finished_at is not None:
            yield run


def blocked_since(task: ObservedTask) -> datetime | None:
    """When something last moved in a task that is blocked: from then on somebody has kept it waiting."""
    run = task.last_run
    moments = [task.last_activity_at, run.finished_at if run is not None else None]
    return max((one for one in moments if one is not None), default=None)
