"""Which host can take a task: what makes one unfit, and whether it is full.

It knows slots and capabilities; which of several takes a task is `assigning`'s part, whether it is ready `conditions`'.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from reconciler.core import versions
from reconciler.core.desired import Desired, Document, Host, Task
from reconciler.core.observed import Observed, ObservedHost, Run
from reconciler.core.terms import ExecutionMode, Outcome, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfit:
    """Why a host cannot take a task: `passing` where it can become free by itself, at `until` where that is known."""

    why: str
    who: str
    passing: bool = False
    until: datetime | None = None


def load(observed: Observed) -> Counter[str]:
    """How many live runs each host has, whatever the phase of their tasks; those that came back count too."""
    used = Counter(run.host for task in observed.tasks.values() if (run := task.live_run) is not None)
    used.update(run.host for _, run in returned(observed))
    return used


def returned(observed: Observed) -> Iterator[tuple[str, Run]]:
    """The runs that were taken for lost and are seen alive, or about to be, with the ids of their tasks."""
    for name, sighting in observed.sightings.items():
        if sighting.state not in {"alive", "queued"}:
            continue
        task_id = name.split(".")[1]
        runs = observed.tasks[task_id].runs if task_id in observed.tasks else ()
        for run in runs:
            if run.run_id == name and run.outcome is Outcome.LOST and run.host not in observed.silent:
                yield task_id, run


def unfit(task: Task, host_id: str, desired: Desired, observed: Observed, now: datetime) -> Unfit | None:
    """Why the host can never, or not now, take the task; slots are not looked at. `None`: it fits."""
    lasting = mismatch(task, host_id, desired.hosts[host_id].value)
    if lasting is not None:
        return Unfit(why=lasting, who="author")
    old = too_old(task, host_id, desired, observed)
    return kept_out(host_id, desired, now) or old or shut(host_id, desired, observed, now)


def shut(host_id: str, desired: Desired, observed: Observed, now: datetime) -> Unfit | None:
    """Why the host takes nothing at all now; slots are not looked at."""
    against = kept_out(host_id, desired, now)
    if against is not None or desired.hosts[host_id].value.transport == "pull":
        return against
    broken = _broken(host_id, observed, now)
    return broken or _out_of_reach(host_id, desired.hosts[host_id], observed.hosts.get(host_id), silent=observed.silent)


def kept_out(host_id: str, desired: Desired, now: datetime) -> Unfit | None:
    """What people said against it: it is drained, or its file is gone or broken."""
    drain = desired.hosts[host_id].value.drain
    if host_id in desired.retired_hosts:
        return Unfit(why=f"hosts/{host_id}.yaml is gone or broken: it takes nothing new", who="operator")
    if drain is None or (drain.until is not None and drain.until <= now):
        return None
    return Unfit(why=f"{host_id} is drained: {drain.reason}", who="operator", passing=True, until=drain.until)


def full(host_id: str, desired: Desired, used: Mapping[str, int]) -> Unfit | None:
    """Why the host has no free slot, `None` where it has one."""
    slots = desired.hosts[host_id].value.slots
    if used.get(host_id, 0) < slots:
        return None
    return Unfit(why=f"{host_id} is full: {used.get(host_id, 0)} of {slots} slots in use", who="nobody", passing=True)


def mismatch(task: Task, host_id: str, host: Host) -> str | None:
    """Why the host can never take the task."""
    if task.host is not None and task.host != host_id:
        return f"the task is pinned to {task.host}"
    if (task.execution_mode is ExecutionMode.HTTP_PULL) != (host.transport == "pull"):
        return f"{host_id} has transport {host.transport}, the task's execution_mode is {task.execution_mode}"
    own_choice = host.transport == "pull" and task.adapter is None
    if host.adapters is not None and task.adapter not in host.adapters and not own_choice:
        return f"{host_id} does not allow the adapter {task.adapter}"
    lacking = [word for word in task.requires if word not in host.capabilities]
    return f"{host_id} lacks {', '.join(lacking)}" if lacking else None


def too_old(task: Task, host_id: str, desired: Desired, observed: Observed) -> Unfit | None:
    """That the host's CLI is known to be older than its adapter's minimum; what an agent that asks has is its own."""
    adapter_id = task.adapter or ""
    adapter = desired.adapters.get(adapter_id)
    wanted = adapter.value.version if adapter is not None else None
    if wanted is None or desired.hosts[host_id].value.transport == "pull":
        return None
    seen = observed.hosts.get(host_id)
    found = seen.versions.get(adapter_id) if seen is not None else None
    if not versions.below_minimum(wanted, found):
        return None
    why = f"{host_id} has {adapter_id} {found}, and the adapter needs {wanted.minimum} or newer"
    return Unfit(why=why, who="operator")


def _broken(host_id: str, observed: Observed, now: datetime) -> Unfit | None:
    """What is said of a host that is held by its circuit breaker."""
    breaker = observed.breakers.get(f"{Scope.HOST}/{host_id}")
    if breaker is None or not breaker.holds(now):
        return None
    return Unfit(why=breaker.sentence, who="operator", passing=True, until=breaker.until)


def _out_of_reach(
    host_id: str, document: Document[Host], seen: ObservedHost | None, *, silent: Mapping[str, datetime]
) -> Unfit | None:
    if seen is None or seen.spec != document.spec:
        if host_id in silent:
            return Unfit(why=f"{host_id} does not answer", who="operator", passing=True)
        return Unfit(why=f"{host_id} was not asked yet", who="nobody", passing=True)
    if seen.misconfigured:
        return Unfit(why=f"{host_id} is misconfigured: {seen.reason}", who="operator")
    if not seen.reachable or host_id in silent:
        return Unfit(why=f"{host_id} does not answer: {seen.reason or 'no answer'}", who="operator", passing=True)
    return None
