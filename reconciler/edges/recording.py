"""Records facts about tasks for whoever must not wait in its thread, and tells which of them came too late.

It decides nothing: what follows from a fact is `lifecycle.advance`.
"""

import asyncio
import logging
from collections.abc import Sequence

from reconciler.core.events import Event
from reconciler.core.lifecycle import IllegalTransition, Superseded
from reconciler.core.observed import ObservedTask
from reconciler.repo.observed.funnel import ObservedBranch

log = logging.getLogger(__name__)


async def record(branch: ObservedBranch, facts: Sequence[tuple[str, Event]]) -> list[ObservedTask | None]:
    """Commit what follows from the facts, all at once: each task as it is after; `None` for a fact that was dropped.

    Dropped, with a line in the log, is what a newer fact has overtaken. Raises whatever else the branch raises.
    """
    recorded: list[ObservedTask | None] = []
    for (task_id, event), after in zip(facts, await asyncio.to_thread(branch.record_many, facts), strict=True):
        if isinstance(after, IllegalTransition | Superseded):
            log.info("%s of %s was dropped: %s", type(event).__name__, task_id, after)
            recorded.append(None)
        elif isinstance(after, Exception):
            raise after
        else:
            recorded.append(after)
    return recorded
