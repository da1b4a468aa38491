"""Which tasks are finished, which have live or lost runs, on which hosts: kept from what changed in the record.

It decides nothing.
"""

from collections import Counter
from collections.abc import Mapping

from reconciler.core import overlay
from reconciler.core.observed import ObservedTask
from reconciler.core.terms import TERMINAL, ExecutionMode, Outcome


class Tally:
    """What is counted of all recorded tasks."""

    def __init__(self) -> None:
        """Nothing was recorded yet."""
        self.tasks: Mapping[str, ObservedTask] = {}
        """The record that was counted last."""
        self.finished: set[str] = set()
        self.live: dict[str, ObservedTask] = {}
        """Those with a run on a host that is asked for it, whose end was not seen."""
        self.held: dict[str, ObservedTask] = {}
        """Those with a live run that a pull agent has."""
        self.taken: set[str] = set()
        """Those that agents came to have, or have anew, until somebody takes note."""
        self.lost: dict[str, ObservedTask] = {}
        """Those with a run that was lost."""
        self.hosts: Counter[str] = Counter()
        """How many live runs each host has."""

    def follow(self, tasks: Mapping[str, ObservedTask]) -> frozenset[str]:
        """Count what is recorded now; the tasks of which something else is recorded than before."""
        changed = frozenset(overlay.differing(tasks, self.tasks))
        self.tasks = tasks
        for task_id in changed:
            self._count(task_id, tasks.get(task_id))
        return changed

    def _count(self, task_id: str, seen: ObservedTask | None) -> None:
        before = self.live.pop(task_id, None) or self.held.pop(task_id, None)
        if before is not None and before.live_run is not None:
            host_id = before.live_run.host
            self.hosts[host_id] -= 1
            if not self.hosts[host_id]:
                del self.hosts[host_id]
        self.lost.pop(task_id, None)
        self.finished.discard(task_id)
        if seen is None:
            return
        if seen.phase in TERMINAL:
            self.finished.add(task_id)
        if seen.live_run is not None:
            if seen.execution_mode is ExecutionMode.HTTP_PULL:
                self.held[task_id] = seen
                self.taken.add(task_id)
            else:
                self.live[task_id] = seen
            self.hosts[seen.live_run.host] += 1
        if any(run.outcome is Outcome.LOST for run in seen.runs):
            self.lost[task_id] = seen
