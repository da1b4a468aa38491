"""The next commit in the making: facts applied one after the other to what is recorded.

Nothing of a draft counts before it is committed; it writes no file and no branch.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from reconciler.core.breaker import Breaker, Switch
from reconciler.core.events import Event
from reconciler.core.lifecycle import advance
from reconciler.core.observed import ObservedHost, ObservedTask
from reconciler.core.overlay import Overlay
from reconciler.repo.journal import Journal
from reconciler.repo.observed import messages, records
from reconciler.repo.observed.fastimport import Change
from reconciler.repo.observed.messages import BreakerStep, HostStep, Step, TaskStep
from reconciler.repo.observed.records import Recorded

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSeen:
    """What is to be recorded of a host; `host` is None when it is to be forgotten."""

    host: ObservedHost | None
    at: datetime
    actor: str


class Draft:
    """What `recorded` will be after some facts, and the commit that makes it so."""

    def __init__(self, recorded: Recorded, journal: Journal, tasks: Iterable[str]) -> None:
        """`tasks` are those that facts will be about."""
        self._recorded, self._journal = recorded, journal
        self._activity = journal.activities(tasks)
        self._tasks: dict[str, ObservedTask | None] = {}
        self._paths: dict[str, str | None] = {}
        self._hosts: dict[str, ObservedHost | None] = {}
        self._breakers: dict[str, Breaker | None] = {}
        self._files: dict[str, bytes | None] = {}
        self._at: datetime | None = None
        self.steps: list[Step] = []

    def record(self, task_id: str, event: Event) -> ObservedTask:
        """The task after the event. Raises what `advance` raises, and nothing is changed then."""
        before = self._task(task_id)
        after = advance(before, event)
        if after == before:
            return before
        after, content = records.fitted(self._with_activity(task_id, after))
        old = self._paths[task_id] if task_id in self._paths else self._recorded.paths.get(task_id)
        path = records.task_path(task_id, after, old, event.at)
        if path is None and old is None:
            if after.last_activity_at:
                self._journal.keep_activity(task_id, after.last_activity_at)
                self._activity[task_id] = after.last_activity_at
            return after
        if old is not None and old != path:
            self._files[old] = None
        if path is not None:
            self._files[path] = content
        self._tasks[task_id], self._paths[task_id] = (after if path else None), path
        self._note(TaskStep(id=task_id, before=before, after=after, event=event), event.at)
        return after

    def record_host(self, host_id: str, seen: HostSeen) -> None:
        """Take over what was seen of a host; nothing happens when it is known."""
        before = self._hosts[host_id] if host_id in self._hosts else self._recorded.hosts.get(host_id)
        if before == seen.host:
            return
        self._files[records.host_path(host_id)] = records.encode(seen.host) if seen.host else None
        self._hosts[host_id] = seen.host
        self._note(HostStep(id=host_id, before=before, after=seen.host, actor=seen.actor), seen.at)

    def record_breaker(self, switch: Switch) -> None:
        """Take over what a breaker is to be; nothing happens when it is so."""
        name = switch.name
        before = self._breakers[name] if name in self._breakers else self._recorded.breakers.get(name)
        if before == switch.breaker:
            return
        self._files[records.breaker_path(name)] = records.encode(switch.breaker) if switch.breaker else None
        self._breakers[name] = switch.breaker
        self._note(BreakerStep(before=before, switch=switch), switch.at)

    def change(self, term: int | None = None) -> Change | None:
        """The commit, made in this term; None when there is nothing to commit."""
        if self._at is None:
            return None
        return Change(message=messages.message(self.steps, term), at=self._at, files=dict(self._files))

    def recorded(self) -> Recorded:
        """What is recorded once the commit is on the branch."""
        return replace(
            self._recorded,
            tasks=_merged(self._recorded.tasks, self._tasks),
            hosts=_merged(self._recorded.hosts, self._hosts),
            breakers=_merged(self._recorded.breakers, self._breakers),
            paths=_merged(self._recorded.paths, self._paths),
        )

    def _task(self, task_id: str) -> ObservedTask:
        known = self._tasks[task_id] if task_id in self._tasks else self._recorded.tasks.get(task_id)
        return known or ObservedTask()

    def _with_activity(self, task_id: str, task: ObservedTask) -> ObservedTask:
        at, known = self._activity.get(task_id), task.last_activity_at
        return replace(task, last_activity_at=at) if at and (known is None or known < at) else task

    def _note(self, step: Step, at: datetime) -> None:
        self.steps.append(step)
        self._at = at if self._at is None else max(self._at, at)


def _merged(before: Mapping[str, T], changes: Mapping[str, T | None]) -> Mapping[str, T]:
    whole = before if isinstance(before, Overlay) else Overlay(before)
    return whole.changed(changes)
