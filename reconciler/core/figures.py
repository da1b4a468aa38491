"""What runs came to over a span of time: how many ended how, how long they took, what they used. By whatever key.

It reads no clock, and knows only what is recorded: a run that lives is not counted.
"""

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from reconciler.core.observed import ObservedTask, Run
from reconciler.core.terms import Outcome

Number = TypeVar("Number", int, float)

Key = Callable[[str, Run], str]
"""What a run is counted under, from its task's id and itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the runs under one key came to.

    `took` is the median from start to end, `waited` that from being assigned to the start; `None` where no run started.
    Tokens and cost are `None` where no run told any: what is not told is not zero.
    """

    runs: int
    tasks: int
    outcomes: Mapping[Outcome, int]
    took: timedelta | None
    waited: timedelta | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None

    @property
    def success(self) -> float | None:
        """Which part of the runs that an agent had in its hands was good, from 0 to 1; `None` where there was none."""
        judged = self.outcomes[Outcome.SUCCEEDED] + self.outcomes[Outcome.FAILED]
        return self.outcomes[Outcome.SUCCEEDED] / judged if judged else None


def _adapter(_: str, run: Run) -> str:
    return run.adapter or run.host


def _day(_: str, run: Run) -> str:
    return run.finished_at.astimezone(UTC).date().isoformat() if run.finished_at is not None else ""


def _failure(_: str, run: Run) -> str:
    return run.failure.value if run.failure is not None else str(run.outcome)


KEYS: Mapping[str, Key] = {
    "adapter": _adapter,
    "host": lambda _, run: run.host,
    "day": _day,
    "task": lambda task_id, _: task_id,
    "failure": _failure,
}
"""By what runs can be counted. A pull agent without an adapter counts under the name of its host."""


def since(begin: datetime, tasks: Mapping[str, ObservedTask], key: Key) -> dict[str, Figures]:
    """The runs that ended at `begin` or later, by key, in the order of the keys."""
    groups: dict[str, list[tuple[str, Run]]] = defaultdict(list)
    for task_id, run in ended(begin, tasks):
        groups[key(task_id, run)].append((task_id, run))
    return {name: of(groups[name]) for name in sorted(groups)}


def ended(begin: datetime, tasks: Mapping[str, ObservedTask]) -> Iterable[tuple[str, Run]]:
    """The runs that ended at `begin` or later, each with its task's id."""
    for task_id, task in tasks.items():
        for run in task.runs:
            if run.finished_at is not None and run.finished_at >= begin:
                yield task_id, run


def of(runs: Iterable[tuple[str, Run]]) -> Figures:
    """What these came to."""
    listed = list(runs)
    outcomes = Counter(run.outcome for _, run in listed if run.outcome is not None)
    started = [run for _, run in listed if run.started_at is not None]
    return Figures(
        runs=len(listed),
        tasks=len({task_id for task_id, _ in listed}),
        outcomes=outcomes,
        took=_median([run.finished_at - run.started_at for run in started if run.finished_at and run.started_at]),
        waited=_median([run.started_at - run.assigned_at for run in started if run.started_at]),
        input_tokens=_sum([run.input_tokens for _, run in listed]),
        output_tokens=_sum([run.output_tokens for _, run in listed]),
        cost_usd=_sum([run.cost_usd for _, run in listed]),
    )


def _median(spans: list[timedelta]) -> timedelta | None:
    if not spans:
        return None
    return timedelta(seconds=statistics.median(max(one.total_seconds(), 0.0) for one in spans))


def _sum(told: list[Number | None]) -> Number | None:
    known = [one for one in told if one is not None]
    return sum(known[1:], known[0]) if known else None
