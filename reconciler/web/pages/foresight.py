"""What a pass would do next, for pages: the planner is asked at most every few seconds, however many look.

Nothing of it is done here.
"""

import threading
from collections.abc import Callable
from datetime import datetime

from reconciler.core import plan as planning
from reconciler.core.breaker import Switch
from reconciler.core.plan import Plan
from reconciler.edges.reads import Reads
from reconciler.repo import shapes

STANDS_S = 3.0


class Foresight:
    """The last plan. Safe for many threads."""

    def __init__(self, reads: Reads, clock: Callable[[], float]) -> None:
        """`clock` counts seconds, and never backwards."""
        self._reads = reads
        self._clock = clock
        self._lock = threading.Lock()
        self._plan = Plan(actions=(), wake_at=None)
        self._made_s: float | None = None

    def about(self, task_id: str) -> tuple[list[str], datetime | None]:
        """What it would do with one task, in lines, and when it would look again."""
        plan = self._latest()
        lines = [shapes.sentence(one) for one in plan.actions if not isinstance(one, Switch) and one.task_id == task_id]
        return lines, plan.wake_at

    def _latest(self) -> Plan:
        with self._lock:
            if self._made_s is None or self._clock() - self._made_s >= STANDS_S:
                picture = self._reads.view.latest()
                self._plan = planning.plan(picture.desired, picture.observed, self._reads.now())
                self._made_s = self._clock()
            return self._plan
