"""A planner that is kept from pass to pass, held against one that sees everything for the first time in each."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from reconciler.core.desired import Desired
from reconciler.core.observed import Observed
from reconciler.core.overlay import Overlay
from reconciler.core.plan import Plan, Planner

V = TypeVar("V")


@dataclass
class Steady:
    """The planner, and what it was given last: what is equal to that is given again as the same object."""

    planner: Planner = field(default_factory=Planner)
    overlays: dict[str, Overlay[object]] = field(default_factory=dict)

    def check(self, desired: Desired, observed: Observed, now: datetime, planned: Plan) -> None:
        """The kept planner decides the same, and asks to be woken at the same time."""
        desired = replace(
            desired,
            tasks=self.same("tasks", desired.tasks),
            refused=self.same("refused", desired.refused),
            since=self.same("since", desired.since),
        )
        observed = replace(
            observed,
            tasks=self.same("seen", observed.tasks),
            sightings=self.same("sightings", observed.sightings),
            hosts=self.same("hosts", observed.hosts),
        )
        kept = self.planner.plan(desired, observed, now)
        assert len(kept.actions) == len(planned.actions)
        assert [one for one in kept.actions if one not in planned.actions] == []
        assert kept.wake_at == planned.wake_at
        again = self.planner.plan(desired, observed, now)  # nothing was done: hosts may be looked at before it is
        assert len(again.actions) == len(kept.actions)
        assert [one for one in again.actions if one not in kept.actions] == []

    def same(self, name: str, values: Mapping[str, V]) -> Mapping[str, V]:
        """These values, as a change of those that were given before."""
        before: Overlay[V] = self.overlays.get(name, Overlay())  # type: ignore[assignment]  # by its name it holds these
        changes: dict[str, V | None] = {key: value for key, value in values.items() if before.get(key) != value}
        changes |= {key: None for key in before if key not in values}
        self.overlays[name] = after = before.changed(changes)  # type: ignore[assignment]  # likewise
        assert dict(after) == dict(values)
        assert len(after) == len(values)
        return after
