"""Rules between files: names that must be known, profiles, cycles, and branches that two tasks would share.

Never reads a file; says which key of which file is wrong, and the caller finds its place.
"""

import difflib
from collections import defaultdict, deque
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

from reconciler.core import repositories
from reconciler.core.desired import Adapter, Forge, Host, Settings, Task
from reconciler.core.terms import ExecutionMode
from reconciler.repo.desired import checks
from reconciler.repo.yaml.yamlnodes import Path, shown

MAX_SUGGESTIONS = 500
MAX_CYCLE_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """All values in force.

    `known` are the ids that a dependency may name, `finished` those of finished tasks, `broken` the kinds and ids of
    files that have no valid version.
    """

    settings: Settings
    tasks: Mapping[str, Task]
    hosts: Mapping[str, Host]
    adapters: Mapping[str, Adapter]
    known: Container[str]
    finished: Container[str]
    broken: Container[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One key that does not go with the other files. A task with a finding may not start."""

    kind: str
    id: str
    path: Path
    message: str


def findings(fleet: Fleet) -> Iterator[Finding]:
    """Everything that is wrong between the files."""
    yield from surroundings(fleet)
    for name, task in fleet.tasks.items():
        yield from of_task(name, task, fleet)
    yield from cycles(fleet.tasks)
    yield from shared_branches(fleet, fleet.tasks)


def surroundings(fleet: Fleet) -> Iterator[Finding]:
    """What is wrong between the files that are no tasks."""
    yield from _settings(fleet)
    for name, host in fleet.hosts.items():
        yield from _host(name, host, fleet)
    yield from _shared_tokens(fleet.hosts)


def _settings(fleet: Fleet) -> Iterator[Finding]:
    adapter = fleet.settings.default_adapter
    if adapter is not None and adapter not in fleet.adapters:
        message = _unknown("adapter", "default_adapter", adapter, fleet)
        yield Finding(kind="settings", id="settings", path=("default_adapter",), message=message)


def _host(name: str, host: Host, fleet: Fleet) -> Iterator[Finding]:
    for number, adapter in enumerate(host.adapters or ()):
        if adapter not in fleet.adapters:
            message = _unknown("adapter", "adapters", adapter, fleet)
            yield Finding(kind="host", id=name, path=("adapters", number), message=message)
    for number, jump in enumerate(host.jump):
        if checks.ID.fullmatch(jump) and (wrong := _jump_problem(name, jump, fleet)):
            yield Finding(kind="host", id=name, path=("jump", number), message=wrong)


def _jump_problem(name: str, jump: str, fleet: Fleet) -> str | None:
    if jump == name:
        return f'"jump" names the host itself: {shown(jump)}, remove it'
    if jump not in fleet.hosts:
        return f"{_unknown('host', 'jump', jump, fleet)} (or write user@address:port)"
    if fleet.hosts[jump].transport != "ssh":
        return f'"jump" needs an ssh host, {shown(jump)} is none'
    return '"jump" leads back to the host itself: remove it here or there' if _leads(jump, name, fleet.hosts) else None


def _leads(start: str, to: str, hosts: Mapping[str, Host]) -> bool:
    """Whether the way to a host leads over another one, by whatever jumps."""
    seen, ahead = set[str](), [start]
    while ahead:
        here = ahead.pop()
        if here == to:
            return True
        if here in hosts and here not in seen:
            seen.add(here)
            ahead.extend(hosts[here].jump)
    return False


def of_task(name: str, task: Task, fleet: Fleet) -> Iterator[Finding]:
    """What a task names that is not there or does not fit it."""
    if task.adapter is None and task.execution_mode is ExecutionMode.SSH_CLI:
        message = 'no adapter: add "adapter: ..." here or "default_adapter" to state/settings.yaml'
        yield Finding(kind="task", id=name, path=("adapter",), message=message)
    elif task.adapter is not None and (wrong := _adapter_problem(task, task.adapter, fleet)):
        yield Finding(kind="task", id=name, path=(wrong[0],), message=wrong[1])
    if task.host is not None and (why := _pin_problem(task, task.host, fleet)):
        yield Finding(kind="task", id=name, path=("host",), message=why)
    for number, other in enumerate(task.depends_on):
        if other not in fleet.known:
            message = _unknown("task", "depends_on", other, fleet)
            yield Finding(kind="task", id=name, path=("depends_on", number), message=message)


def _adapter_problem(task: Task, name: str, fleet: Fleet) -> tuple[str, str] | None:
    adapter = fleet.adapters.get(name)
    if adapter is None:
        return "adapter", _unknown("adapter", "adapter", name, fleet)
    if not adapter.permissions or task.permissions is None or task.permissions in adapter.permissions:
        return None
    profiles = ", ".join(profile.value for profile in adapter.permissions)
    return "permissions", f'the adapter "{name}" has no profile "{task.permissions}": it has {profiles}'


def _pin_problem(task: Task, name: str, fleet: Fleet) -> str | None:
    host = fleet.hosts.get(name)
    if host is None:
        return _unknown("host", "host", name, fleet)
    pulls = host.transport == "pull"
    if pulls and task.execution_mode is ExecutionMode.SSH_CLI:
        return f'the host "{name}" only pulls: set "execution_mode: http_pull" or name another host'
    if not pulls and task.execution_mode is ExecutionMode.HTTP_PULL:
        return f'an http_pull task needs a pull host, "{name}" is {host.transport}: name another host or none'
    return None


def cycles(tasks: Mapping[str, Task]) -> Iterator[Finding]:
    """The tasks that wait for themselves."""
    for name in _entangled(tasks):
        if cycle := way_back(name, tasks):
            message = f'"depends_on" goes round in a circle ({cycle}): remove one of the dependencies'
            yield Finding(kind="task", id=name, path=("depends_on",), message=message)


def _entangled(tasks: Mapping[str, Task]) -> list[str]:
    """The tasks that are left when those that wait for nothing are taken away again and again."""
    waits = {name: {one for one in task.depends_on if one in tasks} for name, task in tasks.items() if task.depends_on}
    dependents: dict[str, list[str]] = defaultdict(list)
    for name, others in waits.items():
        for other in others:
            dependents[other].append(name)
    free = deque(name for name in dependents if not waits.get(name))
    while free:
        for dependent in dependents[done := free.popleft()]:
            waits[dependent].discard(done)
            if not waits[dependent] and dependent in dependents:
                free.append(dependent)
    return [name for name, others in waits.items() if others]


def way_back(start: str, tasks: Mapping[str, Task]) -> str | None:
    """The shortest way from a task along its dependencies to itself, as text."""
    came_from: dict[str, str] = {}
    queue = deque([start])
    while queue:
        name = queue.popleft()
        for other in tasks[name].depends_on:
            if other == start:
                return _path(start, name, came_from)
            if other in tasks and other not in came_from:
                came_from[other] = name
                queue.append(other)
    return None


def _path(start: str, last: str, came_from: Mapping[str, str]) -> str:
    names = [last]
    while names[-1] != start:
        names.append(came_from[names[-1]])
    way = " -> ".join([*reversed(names), start])
    return way if len(way) <= MAX_CYCLE_SHOWN else f"{start} -> ... -> {start}"


def shared_branches(fleet: Fleet, names: Iterable[str]) -> Iterator[Finding]:
    """Those of these tasks that would work in one branch of one repository; `names` holds all with that branch."""
    users: dict[tuple[str, str | None], list[str]] = defaultdict(list)
    for name in names:
        task = fleet.tasks[name]
        if task.repository is not None and name not in fleet.finished:
            users[_place(task, task.repository, fleet.settings.forge), task.branch].append(name)
    for (_, branch), sharers in users.items():
        for name in sharers if len(sharers) > 1 else ():
            others = ", ".join(f'"{other}"' for other in sorted(sharers) if other != name)[:200]
            message = f'the branch "{branch}" of the same repository is also used by {others}: give each its own'
            yield Finding(kind="task", id=name, path=("branch",), message=message)


def _place(task: Task, repository: str, forge: Forge | None) -> str:
    """What two spellings of one repository have in common: on the forge its name, elsewhere what is written."""
    name = repositories.of(task, forge) if forge is not None else None
    return repositories.key(name) if name is not None else repository.rstrip("/").removesuffix(".git")


def _shared_tokens(hosts: Mapping[str, Host]) -> Iterator[Finding]:
    """A token says who asks, so no two hosts may have one together: their agents could not be told apart."""
    users: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for name, host in hosts.items():
        for number, digest in enumerate(host.token_sha256):
            users[digest].append((name, number))
    for places in users.values():
        for name, number in places if len(places) > 1 else ():
            others = ", ".join(f'"{other}"' for other, _ in places if other != name)[:200]
            message = f"{others} has the same token: remove it here, or there, and make another with `reconciler token`"
            yield Finding(kind="host", id=name, path=("token_sha256", number), message=message)


def _unknown(what: str, key: str, name: str, fleet: Fleet) -> str:
    if (what, name) in fleet.broken:
        return f'the {what} "{name}" in "{key}" has no valid version: mend its file'
    known: Collection[str] = {"adapter": fleet.adapters, "host": fleet.hosts, "task": fleet.tasks}[what]
    close = difflib.get_close_matches(name, known, n=1) if len(known) <= MAX_SUGGESTIONS else []
    hint = f'did you mean "{close[0]}"?' if close else f"add a file for it or remove the {what}"
    return f'unknown {what} "{name}" in "{key}": {hint}'
