"""The JSON Schemas of `schemas/`, and what is wrong with a document by them: one line each, with its place.

Never reads a document's text, and never knows rules that no schema can say (`checks` and `crosscheck` do).
"""

import difflib
import functools
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import jsonschema_rs
from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError

from reconciler.core.desired import Problem
from reconciler.repo import shipped
from reconciler.repo.yaml.documents import Parsed
from reconciler.repo.yaml.yamlnodes import Path, shown

KINDS = ("task", "host", "adapter", "settings", "observed-task", "observed-host", "observed-breaker")
"""The kinds of files."""
MESSAGES = (
    "http-dequeue-request",
    "http-dequeue-response",
    "http-heartbeat-request",
    "http-heartbeat-response",
    "http-status-request",
    "http-status-response",
    "http-task",
    "http-tasks",
    "http-tasks-query",
    "http-problem",
)
"""The kinds of what agents and the API say to each other."""
MOST_WRONG = 100

_TYPES = {
    "string": "text",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}
_PYTHON: dict[type, str] = {
    str: "string", bool: "boolean", int: "integer", float: "number",
    list: "array", dict: "object", type(None): "null",
}  # fmt: skip


def schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of one kind of file, as it is shipped."""
    text = (shipped.folder("schemas") / f"{kind}.schema.json").read_text(encoding="utf-8")
    return cast("dict[str, Any]", json.loads(text))


def validate(kind: str, parsed: Parsed, file: str) -> tuple[Problem, ...]:
    """Everything that is wrong with a document by the schema of its kind; empty when it is valid."""
    found: list[Problem] = []
    for error in _validator(kind).iter_errors(parsed.data):
        for path, at_key, message in _told(error):
            line, column = parsed.key(path) if at_key else parsed.value(path)
            found.append(Problem(file=file, line=line, column=column, message=message))
    return tuple(sorted(found, key=lambda one: (one.line, one.column, one.message)))


def is_valid(kind: str, data: object) -> bool:
    """Whether nothing is wrong with a document's values, fast. What it calls invalid `validate` may yet take."""
    try:
        return _judge(kind).is_valid(data)
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """One thing that is wrong with a message, and where in it, as a JSON Pointer."""

    path: str
    message: str


def wrong(kind: str, message: object) -> tuple[Wrong, ...]:
    """What is wrong with a message by the schema of its kind, up to a bound; empty when it is valid."""
    if is_valid(kind, message):
        return ()
    told = (
        Wrong(path=pointer(_missed(path, error)), message=said)
        for error in _validator(kind).iter_errors(message)
        for path, _, said in _told(error)
    )
    found = set(itertools.islice(told, MOST_WRONG))
    return tuple(sorted(found, key=lambda one: (one.path, one.message)))


def pointer(path: Path) -> str:
    """The JSON Pointer of a path."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def _missed(path: Path, error: ValidationError) -> Path:
    """The path, to the missing key where that is the error."""
    return (*path, _missing_key(error)) if error.validator == "required" else path


def pattern_matches(pattern: str, text: str) -> bool:
    """Whether a schema's pattern matches; `$` is the very end of the text, as in ECMAScript."""
    return _pattern(pattern).search(text) is not None


@functools.cache
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\$(?=$|\))", r"\\Z", pattern))


@functools.cache
def _judge(kind: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(schema(kind))


@functools.cache
def _validator(kind: str) -> Draft202012Validator:
    extend = cast("Callable[..., type[Draft202012Validator]]", validators.extend)
    return extend(Draft202012Validator, {"pattern": _check_pattern})(schema(kind))


def _check_pattern(_: object, pattern: str, instance: object, __: object) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not pattern_matches(pattern, instance):
        yield ValidationError("pattern")


Told = tuple[Path, bool, str]


def _told(error: ValidationError) -> Iterator[Told]:
    """Path, whether the key (else the value) is meant, and the message, for each thing that one error says."""
    path = tuple(error.absolute_path)
    rules: Any = error.schema
    instance: Any = error.instance
    match error.validator:
        case "additionalProperties":
            known = tuple(rules.get("properties", {}))
            for key in instance:
                if key not in known:
                    yield (*path, key), True, _unknown(key, known)
        case "required":
            yield path, True, _missing(error)
        case "anyOf" | "oneOf":
            yield from _one_of(error)
        case "if":
            for inner in error.context or ():
                yield from _told(inner)
        case _ if error.parent is not None and error.parent.validator == "propertyNames":
            yield from ()
        case _ if "propertyNames" in error.absolute_schema_path:
            yield (*path, str(error.instance)), True, f"the key {shown(error.instance)} {_rule(error)}"
        case _:
            yield path, False, f"{_name(path)} {_rule(error)}"


def _unknown(key: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    hint = f'did you mean "{close[0]}"?' if close else f"known are {', '.join(known)}"
    return f"unknown key {shown(key)}: {hint}"


def _missing(error: ValidationError) -> str:
    missing = _missing_key(error)
    if "then" in error.absolute_schema_path:
        return f'"{missing}" is missing, an ssh host needs it: add "{missing}: ..."'
    where = f" in {_name(tuple(error.absolute_path))}" if error.absolute_path else ""
    return f'the required key "{missing}" is missing{where}: add "{missing}: ..."'


def _missing_key(error: ValidationError) -> str:
    required: Any = error.validator_value
    return next(str(key) for key in required if f"'{key}' is a required" in error.message)


def _one_of(error: ValidationError) -> Iterator[Told]:
    """The errors of the branch that was meant, by the type of the value; else what all branches would take."""
    path = tuple(error.absolute_path)
    choices: Any = error.validator_value
    branches: dict[int, list[ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(int(inner.schema_path[0]), []).append(inner)
    for number, errors in branches.items():
        branch = _resolved(choices[number])
        if branch.get("type") == _PYTHON.get(type(error.instance)):
            for inner in errors:
                yield from _told(inner)
            return
    options = " or ".join(_option(_resolved(one)) for one in choices)
    yield path, False, f"{_name(path)} must be {options}, not {shown(error.instance)}"


def _resolved(branch: Mapping[str, Any]) -> Mapping[str, Any]:
    return _definition(str(branch["$ref"])) if "$ref" in branch else branch


@functools.cache
def _definition(reference: str) -> Mapping[str, Any]:
    name = reference.rsplit("/", 1)[-1]
    for kind in KINDS:
        found: Mapping[str, Any] | None = schema(kind).get("$defs", {}).get(name)
        if found is not None:
            return found
    raise KeyError(reference)


def _option(branch: Mapping[str, Any]) -> str:
    if "const" in branch:
        return "true" if branch["const"] is True else str(branch["const"])
    return _TYPES[str(branch["type"])] if "type" in branch else "a word or a list of words"


def _name(path: Path) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return shown(text.lstrip(".")) if path else "the document"


def _rule(error: ValidationError) -> str:
    value: Any = error.instance
    rule: Any = error.validator_value
    rules: Any = error.schema
    match error.validator:
        case "type":
            said = f"must be {_wanted(rule, rules, value)}, {_instead(value, rule, rules)}"
        case "enum":
            said = f"must be one of {', '.join(rule)}, not {shown(value)}{_close(value, rule)}"
        case "pattern":
            said = f"must be {rules.get('patternErrorMessage', f'like {rule}')}, not {shown(value)}"
        case "minimum" | "maximum":
            said = f"must be at {'least' if error.validator == 'minimum' else 'most'} {rule}, not {shown(value)}"
        case "minLength" | "minItems":
            said = "must not be empty: write a value or remove the key"
        case "maxLength" | "maxItems":
            said = f"must be at most {rule} {'characters' if error.validator == 'maxLength' else 'items'} long"
        case "uniqueItems":
            twice = next(item for at, item in enumerate(value) if item in value[:at])
            said = f"holds {shown(twice)} twice: remove one of them"
        case _:
            said = f"breaks the rule {error.validator}: {' '.join(error.message.split())[:200]}"
    return said


def _wanted(rule: str | list[str], rules: Mapping[str, Any], value: object) -> str:
    if isinstance(value, int | float) and "patternErrorMessage" in rules:
        return str(rules["patternErrorMessage"])
    return " or ".join(_TYPES[kind] for kind in ([rule] if isinstance(rule, str) else rule))


def _instead(value: object, rule: str | list[str], rules: Mapping[str, Any]) -> str:
    if value is None:
        return "but has no value: write one or remove the key"
    number = "string" in rule and isinstance(value, int | float)
    quotable = number and pattern_matches(str(rules.get("pattern", "")), str(value))
    return f"not {shown(value)}{': put it in quotes if it is text' if quotable else ''}"


def _close(value: object, words: Sequence[str]) -> str:
    close = difflib.get_close_matches(str(value), [str(word) for word in words], n=1)
    return f': did you mean "{close[0]}"?' if close else ""
