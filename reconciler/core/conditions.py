"""Why a task does not move: the rules that the planner asks, as sentences with the one who can change them.

It explains; it plans nothing and changes no phase.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.core import forgewords, leases, massdeath, placement, publications, repositories, retry, trials
from reconciler.core.desired import Desired, Task
from reconciler.core.events import CancelReason
from reconciler.core.observed import UNTOUCHED, ForgeSeen, Observed, ObservedTask
from reconciler.core.publications import OpenPull
from reconciler.core.terms import TERMINAL, Cause, ExecutionMode, Outcome, Phase, Wish

DELETED_AFTER = timedelta(seconds=30)
"""How long a task's file must be gone before its absence cancels the task."""

ABOUT_PULL = frozenset({"pr_closed", "review_limit"})
"""Reasons of a block that lie with the pull request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One thing that keeps a task from moving, who can change it, and when it ends by itself, if that is known."""

    why: str
    who: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the fleet's limits count: live runs in all and by host, tasks in review."""

    running: int = 0
    in_review: int = 0
    by_host: Mapping[str, int] = field(default_factory=dict)


def usage(observed: Observed) -> Usage:
    """Count what the limits are about."""
    by_host = placement.load(observed)
    in_review = sum(task.phase is Phase.REVIEW_PENDING for task in observed.tasks.values())
    return Usage(running=by_host.total(), in_review=in_review, by_host=by_host)


def cancel_reason(task_id: str, desired: Desired, now: datetime) -> CancelReason | None:
    """Why the task is to be cancelled, if it is."""
    document = desired.tasks.get(task_id)
    if document is not None:
        return "requested" if document.value.desired is Wish.CANCEL else None
    gone_since = desired.absent.get(task_id)
    return "deleted" if gone_since is not None and now - gone_since >= DELETED_AFTER else None


def obstacles(task_id: str, desired: Desired, observed: Observed, now: datetime) -> Iterator[Condition]:
    """Everything about the task itself that keeps the planner from assigning it; hosts and fleet limits apart."""
    for _, found in _rules(task_id, desired, observed, now):
        yield from found


def cause(task_id: str, desired: Desired, observed: Observed, now: datetime) -> Cause | None:
    """Of which kind the first of a task's obstacles is; `None` where there is none, or it has a run or had its last."""
    ruled = _rules(task_id, desired, observed, now)
    return next((kind for kind, found in ruled if any(True for _ in found)), None)


def _rules(
    task_id: str, desired: Desired, observed: Observed, now: datetime
) -> Iterator[tuple[Cause | None, Iterable[Condition]]]:
    """What each rule says against the task, and of which kind that is for a task that waits."""
    seen = observed.tasks.get(task_id, UNTOUCHED)
    refused = desired.refused.get(task_id)
    if task_id not in desired.tasks:
        yield Cause.FILE, [Condition(why=refused or "it has no task file in force", who="author")]
        return
    task = desired.tasks[task_id].value
    if refused is not None:
        yield Cause.FILE, [Condition(why=refused, who="author")]
    if task.desired is not Wish.RUN:
        yield Cause.HOLD, [Condition(why=f"its file says desired: {task.desired}", who="author")]
    if seen.phase is Phase.REVIEW_PENDING:
        yield None, _review(task_id, seen, desired, observed)
    elif seen.phase is not Phase.CREATED:
        yield None, [_phase(seen)]
    yield None, _runs(task_id, seen, desired, observed, now)
    yield Cause.PAUSE, _time(seen, desired, now)
    if seen.phase is Phase.CREATED or seen.reason == massdeath.MASS_DEATH:
        holding = trials.holding(task, desired, observed, now)
        yield Cause.BREAKER, (Condition(why=one.sentence, who="operator", until=one.until) for one in holding)
    yield Cause.DEPENDENCY, _dependencies(task, desired, observed)
    yield Cause.ADAPTER, _adapter(task, desired)
    yield Cause.SECRET, _missing(task, desired)


def limits(desired: Desired, used: Usage) -> Iterator[Condition]:
    """The fleet's limits that are reached."""
    bounds = desired.settings.limits
    if bounds.running is not None and used.running >= bounds.running:
        yield Condition(why=f"limits.running: {used.running} of {bounds.running} runs are live", who="operator")
    if bounds.review is not None and used.in_review >= bounds.review:
        yield Condition(why=f"limits.review: {used.in_review} of {bounds.review} tasks wait for review", who="reviewer")


def waiting(
    task_id: str, desired: Desired, observed: Observed, now: datetime, used: Usage | None = None
) -> tuple[Condition, ...]:
    """All that keeps the task from moving, hosts and limits (of `used`) too; empty: the next pass assigns it."""
    found = list(obstacles(task_id, desired, observed, now))
    document = desired.tasks.get(task_id)
    seen = observed.tasks.get(task_id, UNTOUCHED)
    if document is None or seen.phase is not Phase.CREATED:
        return tuple(found)
    used = used or usage(observed)
    found.extend(Condition(why=halt.why, who=halt.who) for halt in observed.halts)
    found.extend(limits(desired, used))
    if (one := trials.Trials(desired, observed, trials.live(observed), now).waited_for(document.value)) is not None:
        found.append(Condition(why=one.trial_sentence, who="nobody"))
    found.extend(_hosts(document.value, desired, observed, used, now))
    return tuple(found)


def _hosts(task: Task, desired: Desired, observed: Observed, used: Usage, now: datetime) -> list[Condition]:
    if not desired.hosts:
        return [Condition(why="the fleet has no host: add hosts/<id>.yaml", who="operator")]
    found = []
    pulling = []
    tried = trials.Trials(desired, observed, trials.live(observed), now)
    for host_id in sorted(desired.hosts.keys() & {task.host} or desired.hosts):
        if (one := tried.of_host(host_id)) is not None:
            found.append(Condition(why=one.trial_sentence, who="nobody"))
            continue
        reason = placement.unfit(task, host_id, desired, observed, now) or placement.full(
            host_id, desired, used.by_host
        )
        if reason is None and task.execution_mode is ExecutionMode.HTTP_PULL:
            pulling.append(host_id)
        elif reason is None:
            return []
        else:
            found.append(Condition(why=reason.why, who=reason.who, until=reason.until))
    return [_agents(pulling, desired)] if pulling else list(dict.fromkeys(found))


def awaited(task_id: str, desired: Desired, observed: Observed, now: datetime) -> Condition | None:
    """What a task for external agents waits for where it is up to these: that one asks for it, or gives a sign of life.

    How full their hosts are is not looked at.
    """
    document, seen = desired.tasks.get(task_id), observed.tasks.get(task_id, UNTOUCHED)
    if seen.live_run is not None:
        return _unheard(task_id, seen, desired, observed, now)
    if document is None or document.value.execution_mode is not ExecutionMode.HTTP_PULL:
        return None
    if seen.phase is not Phase.CREATED or next(obstacles(task_id, desired, observed, now), None) is not None:
        return None
    fit = [one for one in sorted(desired.hosts) if not placement.unfit(document.value, one, desired, observed, now)]
    return _agents(fit, desired) if fit else None


def _unheard(task_id: str, seen: ObservedTask, desired: Desired, observed: Observed, now: datetime) -> Condition | None:
    """That the agent of a live run let its lease run out."""
    run = seen.live_run if seen.execution_mode is ExecutionMode.HTTP_PULL else None
    lease = leases.of_run(task_id, run, observed) if run is not None else None
    if run is None or lease is None or lease.until > now:
        return None
    why = f"its agent on {run.host} is unreachable since its lease ran out: the run is lost after that"
    return Condition(why=why, who="agent", until=leases.lost_at(task_id, run, desired, observed))


def _agents(host_ids: list[str], desired: Desired) -> Condition:
    """Which external agents could ask for the task."""
    known = [host_id for host_id in host_ids if desired.hosts[host_id].value.token_sha256]
    if not known:
        why = f"no agent of {' or '.join(host_ids)} has a token yet: make one with `reconciler token {host_ids[0]}`"
        return Condition(why=why, who="operator")
    return Condition(why=f"it waits for an agent of {' or '.join(known)} to ask for it", who="agent")


def _phase(seen: ObservedTask) -> Condition:
    if seen.phase is Phase.BLOCKED:
        error = seen.last_run.error if seen.last_run is not None and seen.reason == seen.last_run.failure else None
        cause = f"{seen.reason}: {' '.join(error.split())}" if error else seen.reason
        about = f" ({seen.pr.url})" if seen.pr is not None and seen.reason in ABOUT_PULL else ""
        return Condition(why=f"it is blocked ({cause}): {seen.needs}{about}", who=seen.owner or "operator")
    if seen.phase in TERMINAL:
        reason = f" ({seen.reason})" if seen.reason else ""
        return Condition(why=f"it is {seen.phase}{reason}: retry it to have it done again", who="author")
    return Condition(why=f"it is {seen.phase}", who="nobody")


def _review(task_id: str, seen: ObservedTask, desired: Desired, observed: Observed) -> Iterator[Condition]:
    """What a task in review waits for: its pull request, or what people do with it."""
    forge, known = desired.settings.forge, observed.forge
    if seen.pr is not None:
        yield Condition(why=forgewords.awaited(seen, seen.pr), who="reviewer")
        if forge is not None and known is not None and known.silent_since is not None:
            yield Condition(why=f"{forgewords.silence(forge, known)}: what happened there is not known", who="operator")
        return
    branch = seen.branch_name or desired.tasks[task_id].value.branch or f"task/{task_id}"
    if forge is None:
        yield Condition(why=f"no forge is known that could have {branch}: add forge to the settings", who="operator")
    elif repositories.of(desired.tasks[task_id].value, forge) is None:
        why = f"its repository is not one of those on {forge.url} that the settings name"
        yield Condition(why=f"{why}: mend the task's repository, or forge.repositories", who="operator")
    elif known is None:
        yield Condition(why=f"{forgewords.tokenless(forge)}: open a pull request for {branch} by hand", who="operator")
    else:
        yield _unopened(task_id, branch, desired, observed, known)


def _unopened(task_id: str, branch: str, desired: Desired, observed: Observed, known: ForgeSeen) -> Condition:
    """Why there is no pull request yet on a forge that can be asked."""
    forge, seen = desired.settings.forge, observed.tasks[task_id]
    if forge is not None and known.silent_since is not None:
        return Condition(why=f"{forgewords.silence(forge, known)}: its pull request waits for that", who="operator")
    wanted = publications.wanted(task_id, seen, desired)
    keys = [publication.key for publication in wanted if isinstance(publication, OpenPull)]
    if not keys:
        who = "agent" if seen.execution_mode is ExecutionMode.HTTP_PULL else "author"
        return Condition(why=f"it waits for somebody to open a pull request for {branch}", who=who)
    held = known.held.get(keys[0])
    if held is not None:
        why = f"the forge has no pull request for {branch}, and it is tried again: {held.why}"
        return Condition(why=why, who="operator", until=held.until)
    if keys[0] in known.done:
        return Condition(why=f"its pull request for {branch} was opened and is to be seen", who="nobody")
    return Condition(why=f"its pull request for {branch} is to be opened by the reconciler", who="nobody")


def _runs(task_id: str, seen: ObservedTask, desired: Desired, observed: Observed, now: datetime) -> Iterator[Condition]:
    for run in seen.runs:
        lost = run.outcome is Outcome.LOST and run.host not in observed.silent
        sighting = observed.sightings.get(run.run_id) if lost else None
        if sighting is not None and sighting.state in {"alive", "queued"}:
            yield Condition(why=f"run {run.run_id} was lost and came back on {run.host}: it is stopped", who="nobody")
    live = seen.live_run
    if live is None:
        return
    yield Condition(why=f"run {live.run_id} on {live.host} has not ended", who="nobody")
    if live.started_at is None:
        yield from _unlaunched(live.run_id, observed)
    if live.host in observed.silent:
        lost_at = max(observed.silent[live.host], live.assigned_at) + desired.settings.lost_after.ssh
        yield Condition(why=f"{live.host} does not answer: its run is lost after that", who="operator", until=lost_at)
    unheard = _unheard(task_id, seen, desired, observed, now)
    if unheard is not None:
        yield unheard


def _unlaunched(run_id: str, observed: Observed) -> Iterator[Condition]:
    """Why a run that was assigned is not launched."""
    yield from (Condition(why=halt.why, who=halt.who) for halt in observed.halts)
    if run_id in observed.unpushed:
        yield Condition(why=f"the assignment of {run_id} is to reach the fleet's remote first", who="nobody")


def _time(seen: ObservedTask, desired: Desired, now: datetime) -> Iterator[Condition]:
    if seen.phase is Phase.CREATED and seen.not_before is not None and seen.not_before > now:
        yield Condition(why="it waits after a failure", who="nobody", until=seen.not_before)
    again_at = retry.next_launch_at(seen, desired.settings.limits.launches_per_task_per_hour, now)
    if seen.phase is Phase.CREATED and again_at is not None:
        bound = desired.settings.limits.launches_per_task_per_hour
        yield Condition(why=f"it was launched {bound} times within an hour", who="nobody", until=again_at)


def _dependencies(task: Task, desired: Desired, observed: Observed) -> Iterator[Condition]:
    for other in task.depends_on:
        before = observed.tasks.get(other, UNTOUCHED)
        if before.phase is Phase.COMPLETED:
            if other in desired.tasks and desired.tasks[other].value.generation > before.generation:
                yield Condition(why=f"it depends on {other}, which is to be done again", who="nobody")
        else:
            who = "author" if before.phase in TERMINAL else before.owner or "nobody"
            yield Condition(why=f"it depends on {other}, which is {before.phase}", who=who)


def _adapter(task: Task, desired: Desired) -> Iterator[Condition]:
    if task.execution_mode is ExecutionMode.HTTP_PULL:
        return
    if task.adapter is None:
        yield Condition(why="it names no adapter, and the settings have no default_adapter", who="author")
    elif task.adapter not in desired.adapters:
        yield Condition(why=f"there is no adapter {task.adapter}: add adapters/{task.adapter}.yaml", who="operator")


def _missing(task: Task, desired: Desired) -> Iterator[Condition]:
    for name in _secrets(task, desired):
        if name not in desired.secrets:
            yield Condition(why=f"the secret {name} is not set where the reconciler runs", who="operator")


def _secrets(task: Task, desired: Desired) -> tuple[str, ...]:
    """The names of what the reconciler hands over; an agent that asks for work brings its own."""
    if task.execution_mode is ExecutionMode.HTTP_PULL:
        return ()
    adapter = desired.adapters.get(task.adapter or "")
    return (*task.secrets, *(adapter.value.secrets if adapter is not None else ()))
