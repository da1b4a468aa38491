"""All values in force to one fleet: tasks with their settings filled in, what is wrong between them, who is refused.

Never reads a file: where a key stands is asked of a function that is handed in.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeVar, cast

from reconciler.core import desired as values
from reconciler.core.desired import Adapter, Document, Host, Problem, Settings, Task
from reconciler.repo.desired import crosscheck, fleetfiles
from reconciler.repo.desired.crosscheck import Finding, Fleet
from reconciler.repo.desired.fleetfiles import SETTINGS, Place
from reconciler.repo.desired.goodversions import Good
from reconciler.repo.yaml.yamlnodes import Path as KeyPath

V = TypeVar("V")

Locate = Callable[[str, KeyPath], tuple[int, int]]

_DEFAULTS = Settings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Every file, with the version of it that is in force (None: none is) and what is wrong with it alone."""

    places: Mapping[str, Place]
    good: Mapping[str, Good | None]
    problems: Mapping[str, tuple[Problem, ...]]
    known: Collection[str] = ()
    finished: Collection[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembled:
    """The fleet as the files say it."""

    settings: Settings
    tasks: dict[str, Document[Task]]
    hosts: dict[str, Document[Host]]
    adapters: dict[str, Document[Adapter]]
    refused: dict[str, str]
    problems: tuple[Problem, ...]


@dataclass(slots=True)
class Resolved:
    """Tasks with their settings filled in, kept from one assembly to the next."""

    settings: Settings = field(default_factory=Settings)
    tasks: dict[str, tuple[Task, Document[Task]]] = field(default_factory=dict)

    def task(self, name: str, good: Good, settings: Settings) -> Document[Task]:
        """The task of this id in force under these settings."""
        if settings is not self.settings:
            self.settings, self.tasks = settings, {}
        kept = self.tasks.get(name)
        if kept is not None and kept[0] is good.value and kept[1].spec == good.blob:
            return kept[1]
        if not isinstance(good.value, Task):
            raise TypeError(f"{name} is no task")
        document = Document(value=values.with_settings(name, good.value, settings), spec=good.blob)
        self.tasks[name] = (good.value, document)
        return document


def assemble(files: Files, resolved: Resolved, locate: Locate) -> Assembled:
    """The fleet that the files make up, with everything that is wrong in and between them."""
    settings = _settings(files)
    by_id = fleetfiles.stems(files.places)
    tasks: dict[str, Document[Task]] = {}
    refused: dict[str, str] = {}
    problems = [problem for some in files.problems.values() for problem in some]
    for name, paths in by_id.items():
        good = next((one for path in paths if (one := files.good.get(path))), None)
        if good is not None:
            tasks[name] = resolved.task(name, good, settings)
        else:
            refused[name] = _no_version(paths[0], files)
        if len(paths) > 1:
            refused[name] = f'several files have the id "{name}" ({", ".join(paths)}): rename all but one'[:500]
            problems += [_duplicate(name, path, paths) for path in paths]
    hosts = _documents(files, "host", Host)
    adapters = _documents(files, "adapter", Adapter)
    fleet = _fleet(files, settings, tasks, (hosts, adapters))
    for finding in crosscheck.findings(fleet):
        path = _path(finding, by_id)
        line, column = locate(path, finding.path) if path in files.places else (0, 0)
        problems.append(Problem(file=path, line=line, column=column, message=finding.message))
        if finding.kind == "task":
            refused.setdefault(finding.id, finding.message)
    ordered = tuple(sorted(set(problems), key=lambda one: (one.file, one.line, one.column, one.message)))
    return Assembled(settings=settings, tasks=tasks, hosts=hosts, adapters=adapters, refused=refused, problems=ordered)


def _fleet(
    files: Files,
    settings: Settings,
    tasks: Mapping[str, Document[Task]],
    places: tuple[Mapping[str, Document[Host]], Mapping[str, Document[Adapter]]],
) -> Fleet:
    hosts, adapters = places
    ids = {place.id for place in files.places.values() if place.kind == "task"}
    return Fleet(
        settings=settings,
        tasks={name: task.value for name, task in tasks.items()},
        hosts={name: host.value for name, host in hosts.items()},
        adapters={name: adapter.value for name, adapter in adapters.items()},
        known=ids.union(files.known),
        finished=files.finished,
        broken={(place.kind, place.id) for path, place in files.places.items() if files.good.get(path) is None},
    )


def _settings(files: Files) -> Settings:
    good = files.good.get(SETTINGS)
    return good.value if good is not None and isinstance(good.value, Settings) else _DEFAULTS


def _documents(files: Files, kind: str, cls: type[V]) -> dict[str, Document[V]]:
    found: dict[str, Document[V]] = {}
    for path, place in files.places.items():
        good = files.good.get(path)
        if place.kind == kind and good is not None and isinstance(good.value, cls):
            found[place.id] = Document(value=cast("V", good.value), spec=good.blob)
    return found


def _no_version(path: str, files: Files) -> str:
    first = next(iter(files.problems.get(path, ())), None)
    why = f"{first.file}:{first.line}:{first.column}: {first.message}" if first else path
    return f"the file is not valid and no valid version of it is known ({why})"


def _duplicate(name: str, path: str, paths: list[str]) -> Problem:
    others = ", ".join(other for other in paths if other != path)[:300]
    return Problem(file=path, line=0, column=0, message=f'the id "{name}" is also that of {others}: rename one of them')


def _path(finding: Finding, by_id: Mapping[str, list[str]]) -> str:
    match finding.kind:
        case "task":
            return by_id[finding.id][0]
        case "host":
            return f"hosts/{finding.id}.yaml"
        case "adapter":
            return f"adapters/{finding.id}.yaml"
        case _:
            return SETTINGS
