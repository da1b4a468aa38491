"""Bytes of one file to its value, or to everything that is wrong with it: reader, schema and rules in a row.

Never reads a file itself, and never looks at two files at once.
"""

from dataclasses import dataclass

from reconciler.core.desired import Adapter, Host, Problem, Settings, Task
from reconciler.repo import schemas, storage
from reconciler.repo.desired import checks
from reconciler.repo.desired.checks import Value
from reconciler.repo.yaml import documents
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
    try:
        parsed = documents.parse(text, file)
    except InvalidDocument as error:
        return Loaded(problems=error.problems)
    problems = schemas.validate(kind, parsed, file) or checks.time_problems(kind, parsed, file)
    if problems:
        return Loaded(problems=problems)
    value = storage.structure(CLASSES[kind], parsed.data)
    problems = checks.check(value, parsed, file)
    return Loaded(problems=problems) if problems else Loaded(value=value)
