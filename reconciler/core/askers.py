"""The pull agents that ask for work while a pass of assignments is made: each takes one task at most.

Which task goes first, and whether its host may take it, is decided elsewhere.
"""

from collections.abc import Container

from reconciler.core.desired import Task
from reconciler.core.observed import Asking, Observed
from reconciler.core.terms import ExecutionMode

Claim = tuple[str, str | None]
"""A host, and the key under which an agent of it asked."""


class Askers:
    """Those that were given nothing yet. Who has a run under its claim already is no longer among them."""

    def __init__(self, observed: Observed, claims: Container[Claim]) -> None:
        """Begin with all who ask; of several with one claim only the first. `claims` are those under which runs are."""
        held: set[Claim] = set()
        self._left: dict[str, list[Asking]] = {}
        for asking in observed.asking:
            claim = asking.host, asking.claim
            if claim not in held and claim not in claims:
                self._left.setdefault(asking.host, []).append(asking)
            if asking.claim is not None:
                held.add(claim)

    def asking(self, task: Task, fit: frozenset[str]) -> frozenset[str]:
        """Those of the fit hosts of which an agent asks that can do the task."""
        return frozenset(one for one in fit if any(_able(asking, task) for asking in self._left.get(one, ())))

    def take(self, task: Task, host_id: str) -> str | None:
        """The claim of the agent that gets the task: of those that can do it the one that can do least else."""
        if task.execution_mode is not ExecutionMode.HTTP_PULL:
            return None
        able = [asking for asking in self._left[host_id] if _able(asking, task)]
        taker = min(able, key=_breadth)
        self._left[host_id].remove(taker)
        return taker.claim


def _able(asking: Asking, task: Task) -> bool:
    return asking.capabilities is None or asking.capabilities.issuperset(task.requires)


def _breadth(asking: Asking) -> float:
    return float("inf") if asking.capabilities is None else len(asking.capabilities)
