"""The stories of tasks for pages: read from the branch once for every change of a task, by few at a time.

A story that cannot be read now is a sentence that says so.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence

from reconciler.core.observed import ObservedTask
from reconciler.repo.fleet import Fleet
from reconciler.repo.git import GitFailed
from reconciler.repo.observed import story
from reconciler.repo.observed.story import Step

MOST = 64
AT_ONCE = 2
PATIENCE_S = 3.0


class Histories:
    """Stories by task. Safe for many threads."""

    def __init__(self, fleet: Fleet) -> None:
        """Those of this fleet."""
        self._fleet = fleet
        self._lock = threading.Lock()
        self._readers = threading.BoundedSemaphore(AT_ONCE)
        self._known: OrderedDict[str, tuple[ObservedTask, Sequence[Step]]] = OrderedDict()

    def of(self, task_id: str, seen: ObservedTask) -> Sequence[Step] | str:
        """The task's story as of this record, newest first."""
        with self._lock:
            known = self._known.get(task_id)
        if known is not None and known[0] is seen:
            return known[1]
        if not self._readers.acquire(timeout=PATIENCE_S):
            return "others are being read; it will be here in a moment"
        try:
            found = story.of(self._fleet, task_id)
        except GitFailed as error:
            return f"it cannot be read now: {error}"
        finally:
            self._readers.release()
        with self._lock:
            self._known[task_id] = (seen, found)
            self._known.move_to_end(task_id)
            if len(self._known) > MOST:
                self._known.popitem(last=False)
        return found
