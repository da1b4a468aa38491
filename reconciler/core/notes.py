"""What is said of a task or a host in one line, on a terminal and on a page: its title, a note, a host's state.

It decides nothing: it says what `conditions` found, or what the record holds.
"""

from datetime import datetime
from enum import StrEnum

from reconciler.core import conditions
from reconciler.core.desired import Desired
from reconciler.core.observed import Observed, ObservedTask
from reconciler.core.terms import Phase


class HostState(StrEnum):
    """How a host is, in the word that people see."""

    MISCONFIGURED = "misconfigured"
    DRAINING = "draining"
    REACHABLE = "reachable"
    UNREACHABLE = "unreachable"
    PULLS = "pulls"
    NOT_ASKED = "not asked yet"


IN_TROUBLE = (HostState.MISCONFIGURED, HostState.UNREACHABLE, HostState.DRAINING)
"""Those that need a look."""


def title(task_id: str, desired: Desired, observed: Observed) -> str:
    """What its file calls the task, else what the record does."""
    document = desired.tasks.get(task_id)
    return document.value.title if document else observed.tasks.get(task_id, ObservedTask()).pr_title or ""


def note(task_id: str, desired: Desired, observed: Observed, now: datetime) -> str:
    """What is to be known of the task first: why its file is refused, what it needs, what it waits for; or nothing."""
    document, seen = desired.tasks.get(task_id), observed.tasks.get(task_id, ObservedTask())
    if task_id in desired.refused:
        return desired.refused[task_id]
    if seen.reason:
        return f"{seen.reason}: {seen.needs}" if seen.needs else seen.reason
    if seen.phase is Phase.REVIEW_PENDING:
        waits = next(conditions.obstacles(task_id, desired, observed, now), None)
        return seen.pr.url if seen.pr is not None else (waits.why if waits is not None else "")
    if document and document.value.desired != "run":
        return f"desired: {document.value.desired}"
    awaited = conditions.awaited(task_id, desired, observed, now)
    return awaited.why if awaited is not None else ""


def host_state(host_id: str, desired: Desired, observed: Observed) -> HostState:
    """How a host is, as far as it was asked; this machine is always there."""
    document, known = desired.hosts.get(host_id), observed.hosts.get(host_id)
    if known is not None and known.misconfigured:
        return HostState.MISCONFIGURED
    if document is not None and document.value.drain is not None:
        return HostState.DRAINING
    if known is not None:
        answers = known.reachable and host_id not in observed.silent
        return HostState.REACHABLE if answers else HostState.UNREACHABLE
    transport = document.value.transport if document is not None else None
    if transport == "local":
        return HostState.REACHABLE
    return HostState.PULLS if transport == "pull" else HostState.NOT_ASKED


def host_note(host_id: str, desired: Desired, observed: Observed, now: datetime) -> str:
    """Why a host takes nothing, plainly; of one that does, nothing."""
    document, known = desired.hosts.get(host_id), observed.hosts.get(host_id)
    if host_id in desired.retired_hosts or document is None:
        return f"hosts/{host_id}.yaml is gone or broken: it takes nothing new"
    state, drain = host_state(host_id, desired, observed), document.value.drain
    if state is HostState.DRAINING and drain is not None:
        until = f", until {drain.until:%Y-%m-%d %H:%M} UTC" if drain.until is not None else ""
        over = " (that is over)" if drain.until is not None and drain.until <= now else ""
        return f"takes no new runs: {drain.reason}{until}{over}"
    if state in IN_TROUBLE:
        silent = observed.silent.get(host_id)
        since = f" since {silent:%H:%M} UTC" if silent is not None else ""
        return f"{known.reason if known is not None and known.reason else 'it does not answer'}{since}"
    return ""
