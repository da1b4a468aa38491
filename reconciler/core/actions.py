"""What the planner can ask for: each action is one effect, and may be repeated.

An action says what, never how: `dispatch` does it.
"""

from dataclasses import dataclass

from reconciler.core.breaker import Switch
from reconciler.core.events import CancelReason, Event
from reconciler.core.observed import Run
from reconciler.core.publications import Publication
from reconciler.core.terms import StopReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Commit what follows from an event."""

    task_id: str
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Prepare the workspace and start the agent.

    `reuse`: in the workspace of the run before on its host; not when that one was not seen to end.
    """

    task_id: str
    run: Run
    reuse: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """Make sure on the host that a run which did not start never will."""

    task_id: str
    run: Run
    cancel: CancelReason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """End a run's processes. Asked for again until they are gone."""

    task_id: str
    run: Run
    reason: StopReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Collect:
    """Fetch what an ended run left, judge it, deliver it where `wanted`, and record its end."""

    task_id: str
    run: Run
    wanted: bool = True
    cancel: CancelReason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Make something stand on the forge: a pull request, a comment, a commit status."""

    task_id: str
    publication: Publication


Effect = Launch | GiveUp | Stop | Collect | Publish
"""What is done outside of the record, for one task."""

Action = Record | Switch | Effect
