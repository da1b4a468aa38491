"""The book of one world: what was recorded of every task, what happened when, and which invariants were broken.

It compares nothing itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.core.events import Event
from reconciler.core.observed import ObservedTask, Run
from tests.simulation.clock import BEGIN, Clock
from tests.simulation.files import Fleet
from tests.simulation.weather import Weather


@dataclass(frozen=True)
class Broken:
    """An invariant that does not hold: its name, when that was seen, and of what."""

    invariant: str
    at_s: float
    what: str


@dataclass
class Book:
    """What all who compare write into. `tasks` are as they were recorded last; `checked` counts comparisons.

    `live` are their live runs by host and task, kept along, so that a comparison need not look at every task.
    """

    clock: Clock
    weather: Weather
    fleet: Fleet
    broken: list[Broken] = field(default_factory=list)
    history: list[tuple[float, str]] = field(default_factory=list)
    tasks: dict[str, ObservedTask] = field(default_factory=dict)
    live: dict[str, dict[str, Run]] = field(default_factory=dict)
    checked: int = 0

    def take(self, task_id: str, seen: ObservedTask) -> None:
        """A task is recorded like this now."""
        before = self.tasks.get(task_id)
        if before is not None and before.live_run is not None:
            self.live[before.live_run.host].pop(task_id, None)
        self.tasks[task_id] = seen
        if seen.live_run is not None:
            self.live.setdefault(seen.live_run.host, {})[task_id] = seen.live_run

    def take_all(self, tasks: Mapping[str, ObservedTask]) -> None:
        """These are all the tasks that are recorded now."""
        self.tasks, self.live = {}, {}
        for task_id, seen in tasks.items():
            self.take(task_id, seen)


@dataclass
class Ledger:
    """Somebody who writes into the book."""

    book: Book

    @property
    def now_s(self) -> float:
        return self.book.clock.now_s

    def broke(self, invariant: str, what: str) -> None:
        self.book.broken.append(Broken(invariant, self.now_s, what))
        self.say(f"BROKEN {invariant}: {what}")

    def must(self, holds: bool, invariant: str, what: str) -> None:  # noqa: FBT001 - the condition itself
        self.book.checked += 1
        if not holds:
            self.broke(invariant, what)

    def say(self, line: str) -> None:
        self.book.history.append((self.now_s, line))


def seconds(event: Event) -> float:
    """When the program says that it happened."""
    return (event.at - BEGIN).total_seconds()


def run_of(task: ObservedTask | None, epoch: int) -> Run | None:
    return next((run for run in task.runs if run.epoch == epoch), None) if task is not None else None
