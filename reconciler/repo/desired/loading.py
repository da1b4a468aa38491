"""Bytes of one file to its value, or to everything that is wrong with it: reader, schema and rules in a row.

Never reads a file itself, and never looks at two files at once.
"""

from dataclasses import dataclass

from reconciler.core.desired import Adapter, Host, Problem, Settings, Task
from reconciler.repo import schemas, storage
from reconciler.repo.desired import checks
from reconciler.repo.desired.checks import Value
from reconciler.repo.yaml import documents, ordinary
from reconciler.repo.yaml.documents import InvalidDocument

CLASSES: dict[str, type[Task] | type[Host] | type[Adapter] | type[Settings]] = {
    "task": Task,
    "host": Host,
    "adapter": Adapter,
    "settings": Settings,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What came of one file: its value when nothing is wrong, else the problems."""

    value: Value | None = None
    problems: tuple[Problem, ...] = ()


def load(kind: str, text: bytes, file: str) -> Loaded:
    """The value of a `task`, `host`, `adapter` or `settings` file, or all of its problems."""
    return read(kind, text, file)[0]


def read(kind: str, text: bytes, file: str) -> tuple[Loaded, dict[str, object] | None]:
    """The same with what the text says, where nothing is wrong with it.

    An ordinary text without a problem is read and judged fast; what any other is worth is found out thoroughly.
    """
    data = ordinary.read(text)
    value = judged(kind, data) if data is not None else None
    return (Loaded(value=value), data) if value is not None else examined(kind, text, file)


def judged(kind: str, data: dict[str, object]) -> Value | None:
    """The value that a file's text says, None where anything may be wrong with it."""
    if not schemas.is_valid(kind, data) or any(checks.times(kind, data)):
        return None
    value = storage.structure(CLASSES[kind], data)
    return None if any(checks.found(value)) else value


def examined(kind: str, text: bytes, file: str) -> tuple[Loaded, dict[str, object] | None]:
    """The same as `read`, by the readers that can say what is wrong."""
    try:
        parsed = documents.parse(text, file)
    except InvalidDocument as error:
        return Loaded(problems=error.problems), None
    problems = schemas.validate(kind, parsed, file) or checks.time_problems(kind, parsed, file)
    if problems:
        return Loaded(problems=problems), None
    value = storage.structure(CLASSES[kind], parsed.data)
    problems = checks.check(value, parsed, file)
    return (Loaded(problems=problems), None) if problems else (Loaded(value=value), parsed.data)
