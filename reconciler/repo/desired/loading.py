"""Bytes of one file to its value, or to everything that is wrong with it: reader, schema and rules in a row.

Never reads a file itself, and never looks at two files at once.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from reconciler.core.desired import Adapter, Host, Problem, Settings, Task
from reconciler.repo import schemas, storage
from reconciler.repo.desired import checks
from reconciler.repo.desired.checks import Value
from reconciler.repo.desired.filling import Filled, Left
from reconciler.repo.yaml import documents, ordinary
from reconciler.repo.yaml.documents import InvalidDocument

CLASSES: dict[str, type[Task] | type[Host] | type[Adapter] | type[Settings]] = {
    "task": Task,
    "host": Host,
    "adapter": Adapter,
    "settings": Settings,
}


class Loaded(NamedTuple):
    """What came of one file: its value when nothing is wrong, else the problems; `left` is what was filled in."""

    value: Value | None = None
    problems: tuple[Problem, ...] = ()
    left: Left | None = None


Fill = Callable[[Mapping[str, object]], Filled]


def load(kind: str, text: bytes, file: str) -> Loaded:
    """The value of a `task`, `host`, `adapter` or `settings` file, or all of its problems."""
    return read(kind, text, file)[0]


def read(kind: str, text: bytes, file: str, fill: Fill | None = None) -> tuple[Loaded, dict[str, object] | None]:
    """The same with what the text says, where nothing is wrong with it.

    An ordinary text without a problem is read and judged fast; what any other is worth is found out thoroughly.
    """
    data = ordinary.read(text)
    loaded = judged(kind, data, fill) if data is not None else None
    return (loaded, data) if loaded is not None else examined(kind, text, file, fill)


def judged(kind: str, data: dict[str, object], fill: Fill | None = None) -> Loaded | None:
    """The value that a file's text says, None where anything may be wrong with it."""
    if not schemas.is_valid(kind, data) or any(checks.times(kind, data)):
        return None
    loaded = _valued(kind, data, fill)
    return None if loaded.value is None or any(checks.found(loaded.value)) else loaded


def _valued(kind: str, data: Mapping[str, object], fill: Fill | None) -> Loaded:
    filled, left = fill(data) if fill is not None else (data, None)
    return Loaded(value=storage.structure(CLASSES[kind], filled), left=left)


def examined(kind: str, text: bytes, file: str, fill: Fill | None = None) -> tuple[Loaded, dict[str, object] | None]:
    """The same as `read`, by the readers that can say what is wrong."""
    try:
        parsed = documents.parse(text, file)
    except InvalidDocument as error:
        return Loaded(problems=error.problems), None
    problems = schemas.validate(kind, parsed, file) or checks.time_problems(kind, parsed, file)
    if problems:
        return Loaded(problems=problems), None
    loaded = _valued(kind, parsed.data, fill)
    problems = checks.check(loaded.value, parsed, file) if loaded.value is not None else ()
    return (Loaded(problems=problems), None) if problems else (loaded, parsed.data)
