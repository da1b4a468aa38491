"""What happened as files of the branch `observed`: which path a record has, which bytes, and back.

It never reads or writes a file, and never makes a record that could not be read again.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar

from reconciler.core.breaker import Breaker
from reconciler.core.observed import ObservedHost, ObservedTask, Review, Run
from reconciler.core.review import MOST_REVIEWS
from reconciler.core.terms import TERMINAL, Phase
from reconciler.repo import storage
from reconciler.repo.yaml import documents
from reconciler.repo.yaml.documents import InvalidDocument

ROOT = "state/observed"
FLEET = f"{ROOT}/fleet.yaml"
MAX_RECORD_BYTES = 240 * 1024
MAX_RUNS = 400
MAX_COMMENTS = 40
MAX_TEXT = 2000

T = TypeVar("T")

Record = ObservedTask | ObservedHost | Breaker | str
"""What one file of the branch holds; the text is the fleet's own id."""

_ID = r"[a-z0-9][a-z0-9_-]{0,62}"
_TASK = re.compile(rf"{ROOT}/(?:tasks|done/[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})/({_ID})\.yaml")
_HOST = re.compile(rf"{ROOT}/hosts/({_ID})\.yaml")
_BREAKER = re.compile(rf"{ROOT}/breakers/(fleet|(?:host|adapter|task)/{_ID}|usage/{_ID}\.[0-9a-f]{{12}})\.yaml")
_FLEET_ID = re.compile(rb"^id: *[\"']?([0-9a-f]{12})[\"']? *$", re.MULTILINE)


class UnreadableRecord(Exception):
    """A file of the branch cannot be understood; the message names it and says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Everything that the branch holds. `paths` are the files of `tasks`; `fleet` is None before the first commit."""

    fleet: str | None = None
    tasks: Mapping[str, ObservedTask] = field(default_factory=dict)
    hosts: Mapping[str, ObservedHost] = field(default_factory=dict)
    breakers: Mapping[str, Breaker] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)


def checked_id(name: str) -> str:
    """The id, if it is one; ValueError otherwise."""
    if not re.fullmatch(_ID, name):
        message = f"{name!r} is no id"
        raise ValueError(message)
    return name


def task_path(task_id: str, task: ObservedTask, before: str | None, at: datetime) -> str | None:
    """Where a task's record stands after a change at `at`; None for a task of which there is nothing to say."""
    name = f"{checked_id(task_id)}.yaml"
    if is_untouched(task):
        return None
    if task.phase not in TERMINAL:
        return f"{ROOT}/tasks/{name}"
    if before is not None and before.startswith(f"{ROOT}/done/"):
        return before
    return f"{ROOT}/done/{at.astimezone(UTC):%Y-%m-%d}/{name}"


def is_untouched(task: ObservedTask) -> bool:
    """Whether the task was never assigned and nothing else is known of it: such a task has no file."""
    return task.phase is Phase.CREATED and replace(task, last_activity_at=None) == ObservedTask()


def host_path(host_id: str) -> str:
    """Where a host's record stands."""
    return f"{ROOT}/hosts/{checked_id(host_id)}.yaml"


def breaker_path(name: str) -> str:
    """Where the record of the breaker with this name stands; ValueError where it is the name of none."""
    path = f"{ROOT}/breakers/{name}.yaml"
    if not _BREAKER.fullmatch(path):
        message = f"{name!r} is no name of a breaker"
        raise ValueError(message)
    return path


def fleet_record(fleet_id: str) -> bytes:
    """The file with the fleet's own id."""
    return f'id: "{fleet_id}"\n'.encode()


def encode(record: ObservedTask | ObservedHost | Breaker) -> bytes:
    """The record's file."""
    return documents.dump(storage.unstructure(record))


def fitted(task: ObservedTask) -> tuple[ObservedTask, bytes]:
    """The task and its file, cut down where it would grow past what can be read again.

    The texts of old runs and reviews go first, then the oldest runs and reviews; all of it stays in the branch's log.
    """
    content = encode(task)
    small = len(task.runs) <= MAX_RUNS and len(task.reviews) <= MOST_REVIEWS
    if small and len(content) <= MAX_RECORD_BYTES:
        return task, content
    for keep in (50, 10, 3, 1, 0):
        shorter = _shorter(task, keep)
        content = encode(shorter)
        if len(content) <= MAX_RECORD_BYTES:
            return shorter, content
    raise UnreadableRecord(
        f"the record would be {len(content)} bytes, more than {MAX_RECORD_BYTES}; it was not written"
    )


def decode(files: Mapping[str, bytes]) -> Recorded:
    """The records in the branch's files; a file that is none of them is left out. Raises UnreadableRecord."""
    return gathered({path: record(path, content) for path, content in sorted(files.items()) if belongs(path)})


def record(path: str, content: bytes) -> Record:
    """The record in one file of the branch, of the fleet's own file its id. Raises UnreadableRecord."""
    if _TASK.fullmatch(path):
        return _structured(ObservedTask, path, content)
    if _HOST.fullmatch(path):
        return _structured(ObservedHost, path, content)
    if found := _BREAKER.fullmatch(path):
        return _breaker(found[1], path, content)
    return _fleet_id(content)


def gathered(found: Mapping[str, Record]) -> Recorded:
    """The records of the branch, by the paths of their files. Raises UnreadableRecord where a task has two."""
    tasks: dict[str, ObservedTask] = {}
    hosts: dict[str, ObservedHost] = {}
    breakers: dict[str, Breaker] = {}
    paths: dict[str, str] = {}
    fleet = None
    for path, one in found.items():
        name = path.rpartition("/")[2].removesuffix(".yaml")
        match one:
            case ObservedTask():
                if name in tasks:
                    said = f"{path} and {paths[name]} are records of one task; remove one on the branch"
                    raise UnreadableRecord(said)
                tasks[name], paths[name] = one, path
            case ObservedHost():
                hosts[name] = one
            case Breaker():
                breakers[one.name] = one
            case str():
                fleet = one
    return Recorded(fleet=fleet, tasks=tasks, hosts=hosts, breakers=breakers, paths=paths)


def belongs(path: str) -> bool:
    """Whether a path of the branch is that of a record."""
    return path == FLEET or any(kind.fullmatch(path) for kind in (_TASK, _HOST, _BREAKER))


def tasks(paths: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
    """The ids of all tasks with a record among these paths of the branch, and of those that are finished."""
    found = {match[1]: path for path in paths if (match := _TASK.fullmatch(path))}
    done = f"{ROOT}/done/"
    return frozenset(found), frozenset(name for name, path in found.items() if path.startswith(done))


def _breaker(name: str, path: str, content: bytes) -> Breaker:
    found = _structured(Breaker, path, content)
    if found.name != name:
        raise UnreadableRecord(f"{path} on the branch is the record of {found.name}; see `git log observed -- {path}`")
    return found


def _structured(cls: type[T], path: str, content: bytes) -> T:
    try:
        return storage.structure(cls, documents.parse(content, path).data)
    except (InvalidDocument, ValueError) as error:
        raise UnreadableRecord(
            f"{path} on the branch cannot be read: {error}; see `git log observed -- {path}`"
        ) from error


def _fleet_id(content: bytes) -> str:
    found = _FLEET_ID.search(content)
    if found is None:
        raise UnreadableRecord(f"{FLEET} on the branch holds no id of 12 hex digits; see `git log observed -- {FLEET}`")
    return found[1].decode()


def _shorter(task: ObservedTask, keep: int) -> ObservedTask:
    runs, reviews = task.runs[-MAX_RUNS:], task.reviews[-MOST_REVIEWS:]
    old_runs, old_reviews = max(0, len(runs) - keep), max(0, len(reviews) - max(keep, 1))
    return replace(
        task,
        runs=tuple(_bare(run) for run in runs[:old_runs]) + runs[old_runs:],
        reviews=tuple(_cut(review, 0) for review in reviews[:old_reviews])
        + tuple(_cut(review, MAX_COMMENTS) if keep <= 1 else review for review in reviews[old_reviews:]),
    )


def _bare(run: Run) -> Run:
    return replace(run, summary=None, error=None, warnings=())


def _cut(review: Review, comments: int) -> Review:
    body = review.body[: MAX_TEXT * 8] if comments else review.body[: MAX_TEXT // 10]
    shorter = (
        replace(one, body=one.body[:MAX_TEXT], hunk=one.hunk[:MAX_TEXT] if one.hunk else None)
        for one in review.comments[:comments]
    )
    return replace(review, body=body, comments=tuple(shorter))
