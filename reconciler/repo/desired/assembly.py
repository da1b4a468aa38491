"""All values in force to one fleet: tasks with their settings filled in, what is wrong between them, who is refused.

Never reads a file: what is in it, and where a key stands, is asked of functions that are handed in.
"""

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

from reconciler.core import desired as values
from reconciler.core.desired import Adapter, Document, Host, Problem, Settings, Task
from reconciler.core.overlay import Overlay
from reconciler.repo.desired import crosscheck, fleetfiles
from reconciler.repo.desired.crosscheck import Finding, Fleet
from reconciler.repo.desired.fleetfiles import SETTINGS, Place
from reconciler.repo.desired.goodversions import Good
from reconciler.repo.desired.ties import Ties
from reconciler.repo.yaml.yamlnodes import Path as KeyPath

V = TypeVar("V")

Locate = Callable[[str, KeyPath], tuple[int, int]]

_DEFAULTS = Settings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Every file, which version of it is in force (None: none is), and what is wrong with it alone.

    `wrong` are the paths of all with which something is, and may be others. `known` and `archived` are ids that a
    dependency may name beside those of files, `finished` those of finished tasks, `misnamed` says which names of files
    are wrong.
    """

    places: Mapping[str, Place]
    good: Callable[[str], Good | None]
    problems: Callable[[str], tuple[Problem, ...]]
    locate: Locate
    wrong: Collection[str]
    known: Container[str] = ()
    archived: Container[str] = ()
    finished: Container[str] = ()
    misnamed: tuple[Problem, ...] = ()


@dataclass(slots=True)
class Resolved:
    """Tasks with their settings filled in, kept from one assembly to the next."""

    settings: Settings = field(default_factory=Settings)
    tasks: Mapping[str, Document[Task]] = field(default_factory=dict)

    def task(self, name: str, good: Good, settings: Settings) -> Document[Task]:
        """The task of this id in force under these settings."""
        kept = self.tasks.get(name) if settings is self.settings else None
        if kept is not None and kept.spec == good.blob:
            return kept
        if not isinstance(good.value, Task):
            raise TypeError(f"{name} is no task")
        task = good.value if good.filled else values.with_settings(name, good.value, settings)
        return Document(value=task, spec=good.blob)


@dataclass(frozen=True, slots=True)
class _Values(Mapping[str, Task]):
    """Tasks without the blob ids of their files."""

    documents: Mapping[str, Document[Task]]

    def __getitem__(self, name: str) -> Task:
        return self.documents[name].value

    def __iter__(self) -> Iterator[str]:
        return iter(self.documents)

    def __len__(self) -> int:
        return len(self.documents)


@dataclass(frozen=True, slots=True)
class _Known(Container[str]):
    """The ids that a dependency may name."""

    by_id: Container[str]
    files: Files

    def __contains__(self, name: object) -> bool:
        return name in self.by_id or name in self.files.known or name in self.files.archived


@dataclass(frozen=True, slots=True)
class _Broken(Container[tuple[str, str]]):
    """The kinds and ids of files that have no valid version."""

    others: frozenset[tuple[str, str]]
    by_id: Container[str]
    tasks: Container[str]

    def __contains__(self, one: object) -> bool:
        match one:
            case ("task", str() as name):
                return name in self.by_id and name not in self.tasks
            case _:
                return one in self.others


class Assembly:
    """The fleet as its files say it: made of all of them, then changed by those of tasks alone."""

    def __init__(self, files: Files, resolved: Resolved) -> None:
        self._files, self._resolved = files, resolved
        good = files.good(SETTINGS) if SETTINGS in files.places else None
        self.settings = good.value if good is not None and isinstance(good.value, Settings) else _DEFAULTS
        tasks, others = fleetfiles.sorted_out(files.places)
        self.hosts = _documents(files, others, Host)
        self.adapters = _documents(files, others, Adapter)
        self._by_id = {name: tuple(sorted(paths)) if paths[1:] else paths for name, paths in tasks.items()}
        self._ties = Ties()
        self._alone: dict[str, str] = {}
        self._wrong = {path: found for path in files.wrong if (found := files.problems(path))}
        self.tasks: Overlay[Document[Task]] = Overlay(
            {name: task for name in self._by_id if (task := self._task(name)) is not None}
        )
        resolved.settings, resolved.tasks = self.settings, self.tasks
        self._broken = frozenset((place.kind, place.id) for path, place in others if not files.good(path))
        self._broken_hosts = frozenset(one.id for path, one in others if one.kind == "host" and path in self._wrong)
        self._fleet = self._as_fleet()
        self._findings: dict[str, tuple[Finding, ...]] = {}
        self._around = tuple(crosscheck.surroundings(self._fleet))
        self._judge_all()

    @property
    def secrets(self) -> Collection[str]:
        """The names of the secrets of tasks."""
        return self._ties.secrets

    @property
    def broken_hosts(self) -> frozenset[str]:
        """The hosts whose files are broken as they stand."""
        return self._broken_hosts

    def has_file(self, name: str) -> bool:
        """Whether a file carries the id of a task."""
        return name in self._by_id

    def change(self, files: Files, paths: Collection[str], records: Collection[str]) -> set[str]:
        """Take in files of tasks that changed, came or went, and other tasks of which something else is recorded.

        The ids of the tasks of these files.
        """
        self._files = files
        ids = {self._file(path) for path in paths}
        near = {*ids, *records, *self._sharers({*ids, *records})}
        self.tasks = self._resolved.tasks = self.tasks.changed({name: self._task(name) for name in ids})
        self._fleet = self._as_fleet()
        near |= {*self._sharers(near), *(one for name in near for one in self._ties.dependents.get(name, ()))}
        if len(self.tasks) <= crosscheck.MAX_SUGGESTIONS:
            near.update(self._findings)
        self._judge(near, ids)
        return ids

    def _file(self, path: str) -> str:
        """Take in that a file is there or not, and what is wrong with it; the id of its task."""
        name = path.rpartition("/")[2].removesuffix(fleetfiles.SUFFIX)
        paths = (
            {*self._by_id.pop(name, ()), path} if path in self._files.places else {*self._by_id.pop(name, ())} - {path}
        )
        if paths:
            self._by_id[name] = tuple(sorted(paths))
        found = self._files.problems(path) if path in self._files.places else ()
        self._wrong.pop(path, None)
        if found:
            self._wrong[path] = found
        return name

    def _sharers(self, names: Iterable[str]) -> set[str]:
        """The tasks that work in a branch with the name of one of theirs."""
        branches = {self.tasks[name].value.branch for name in names if name in self.tasks}
        return {one for branch in branches for one in self._ties.in_branch(branch) if one in self.tasks}

    def _as_fleet(self) -> Fleet:
        return Fleet(
            settings=self.settings,
            tasks=_Values(self.tasks),
            hosts={name: host.value for name, host in self.hosts.items()},
            adapters={name: adapter.value for name, adapter in self.adapters.items()},
            known=_Known(self._by_id, self._files),
            finished=self._files.finished,
            broken=_Broken(self._broken, self._by_id, self.tasks),
        )

    def _task(self, name: str) -> Document[Task] | None:
        """The task of this id in force, and why it is refused by its files alone."""
        paths = self._by_id.get(name, ())
        good = None
        for path in paths:
            good = good or self._files.good(path)
        self._alone.pop(name, None)
        if len(paths) > 1:
            self._alone[name] = f'several files have the id "{name}" ({", ".join(paths)}): rename all but one'[:500]
        elif paths and good is None:
            self._alone[name] = _no_version(paths[0], self._wrong)
        task = self._resolved.task(name, good, self.settings) if good is not None else None
        self._ties.put(name, task.value if task is not None else None)
        return task

    def _judge_all(self) -> None:
        found: dict[str, list[Finding]] = {}
        for name, task in self.tasks.items():
            if of_task := [*crosscheck.of_task(name, task.value, self._fleet)]:
                found[name] = of_task
        between = (
            *crosscheck.cycles(self._fleet.tasks),
            *crosscheck.shared_branches(self._fleet, self._ties.sharing() & self.tasks.keys()),
        )
        for finding in between:
            found.setdefault(finding.id, []).append(finding)
        self._findings = {name: tuple(some) for name, some in found.items()}
        self.refused: Overlay[str] = Overlay(
            {name: why for name in {*self._alone, *self._findings} if (why := self._why(name)) is not None}
        )
        self.problems = self._all_problems()

    def _judge(self, near: set[str], ids: set[str]) -> None:
        """Judge these tasks anew; all where some wait for themselves, or come to do so by those that changed."""
        tasks = self._fleet.tasks
        circles = any(one.path == ("depends_on",) for some in self._findings.values() for one in some)
        if circles or any(crosscheck.way_back(name, tasks) for name in ids if name in tasks):
            self._judge_all()
            return
        shared: dict[str, list[Finding]] = {}
        for finding in crosscheck.shared_branches(self._fleet, self._sharers(near)):
            shared.setdefault(finding.id, []).append(finding)
        for name in near:
            of_task = crosscheck.of_task(name, tasks[name], self._fleet) if name in tasks else ()
            self._findings.pop(name, None)
            if found := (*of_task, *shared.get(name, ())):
                self._findings[name] = found
        self.refused = self.refused.changed({name: self._why(name) for name in near})
        self.problems = self._all_problems()

    def _why(self, name: str) -> str | None:
        """Why a task may not start."""
        found = self._findings.get(name)
        return self._alone.get(name) or (found[0].message if found else None)

    def _all_problems(self) -> tuple[Problem, ...]:
        problems = [*self._files.misnamed, *(problem for some in self._wrong.values() for problem in some)]
        for name, why in self._alone.items():
            paths = self._by_id[name]
            problems += [_duplicate(name, path, paths) for path in paths if len(paths) > 1 and why]
        for finding in (*self._around, *(finding for some in self._findings.values() for finding in some)):
            path = _path(finding, self._by_id)
            line, column = self._files.locate(path, finding.path) if path in self._files.places else (0, 0)
            problems.append(Problem(file=path, line=line, column=column, message=finding.message))
        return tuple(sorted(set(problems), key=lambda one: (one.file, one.line, one.column, one.message)))


def _documents(files: Files, places: Iterable[tuple[str, Place]], cls: type[V]) -> dict[str, Document[V]]:
    found: dict[str, Document[V]] = {}
    for path, place in places:
        good = files.good(path)
        if good is not None and isinstance(good.value, cls):
            found[place.id] = Document(value=cast("V", good.value), spec=good.blob)
    return found


def _no_version(path: str, wrong: Mapping[str, tuple[Problem, ...]]) -> str:
    first = next(iter(wrong.get(path, ())), None)
    why = f"{first.file}:{first.line}:{first.column}: {first.message}" if first else path
    return f"the file is not valid and no valid version of it is known ({why})"


def _duplicate(name: str, path: str, paths: Collection[str]) -> Problem:
    others = ", ".join(other for other in paths if other != path)[:300]
    return Problem(file=path, line=0, column=0, message=f'the id "{name}" is also that of {others}: rename one of them')


def _path(finding: Finding, by_id: Mapping[str, Sequence[str]]) -> str:
    match finding.kind:
        case "task":
            return by_id[finding.id][0]
        case "host":
            return f"hosts/{finding.id}.yaml"
        case "adapter":
            return f"adapters/{finding.id}.yaml"
        case _:
            return SETTINGS
