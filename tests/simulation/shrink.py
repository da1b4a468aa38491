"""Makes a failure small: takes back faults, edits and tasks as long as the same invariant still breaks.

It knows nothing of the program; a smaller world is only another set of decisions that are taken back.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from tests.simulation.simulation import Result
from tests.simulation.world import Plan


def shrunk(failed: Result, live: Callable[[Plan], Result], within_s: float) -> Result:
    """The smallest failure of the same invariant that was found in this time."""
    deadline = time.monotonic() + within_s
    best = _without(failed, _other_tasks(failed), live) or failed
    parts = 2
    while (left := _decisions(best)) and time.monotonic() < deadline:
        size = max(len(left) // parts, 1)
        smaller = None
        for start in range(0, len(left), size):
            if time.monotonic() >= deadline:
                break
            smaller = _without(best, left[start : start + size], live)
            if smaller is not None:
                break
        if smaller is not None:
            best, parts = smaller, max(parts - 1, 2)
        elif size == 1:
            break
        else:
            parts = min(parts * 2, len(left))
    return best


def _without(failed: Result, decisions: Sequence[str], live: Callable[[Plan], Result]) -> Result | None:
    """How it goes without these decisions, if the same invariant breaks."""
    plan = replace(failed.plan, without=failed.plan.without | frozenset(decisions))
    result = live(plan)
    same = bool(result.broken) and result.broken[0].invariant == failed.broken[0].invariant
    return result if same else None


def _decisions(result: Result) -> list[str]:
    """Everything that happened and was decided by the weather, each once."""
    return list(dict.fromkeys(struck.name for struck in result.struck))


def _other_tasks(result: Result) -> list[str]:
    """The tasks that the failure does not name."""
    what = result.broken[0].what.replace(".", " ").replace(":", " ").replace("'", " ").split()
    return [f"a task: task-{number}" for number in range(result.plan.tasks) if f"task-{number}" not in what]
