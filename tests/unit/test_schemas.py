"""The schemas and the dataclasses say the same: names, types, enums, defaults, what is required, references."""

import dataclasses
import re
import types
import typing
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, get_args, get_origin

import pytest
from jsonschema import Draft202012Validator

from reconciler.core.breaker import Breaker
from reconciler.core.desired import Adapter, Host, Settings, Task, Word
from reconciler.core.observed import ObservedHost, ObservedTask
from reconciler.repo import schemas, storage
from reconciler.repo.yaml import documents

CLASSES: dict[str, type] = {
    "task": Task,
    "host": Host,
    "adapter": Adapter,
    "settings": Settings,
    "observed-task": ObservedTask,
    "observed-host": ObservedHost,
    "observed-breaker": Breaker,
}
RENAMED = {("FailurePattern", "failure"): "class"}
ONE_OR_MANY = {"summary", "session", "error", "input_tokens", "output_tokens", "cost_usd", "webhook_secret_env"}
WRITTEN_ALWAYS = {("ObservedTask", "phase"), ("ObservedTask", "generation"), ("ObservedTask", "epoch")}
PLACE_OF_TIME = re.compile(r"\[0-9\]\{4\}-\[0-9\]\{2\}")

Node = dict[str, Any]


def pairs() -> Iterator[tuple[str, type, Node, Node]]:
    """Every dataclass that stands in a file, with its schema and the root that its references point into."""
    for kind, cls in CLASSES.items():
        root = schemas.schema(kind)
        seen: set[type] = set()
        waiting = [(cls, root)]
        while waiting:
            one, node = waiting.pop()
            seen.add(one)
            yield kind, one, node, root
            found = {inner for hint in typing.get_type_hints(one).values() for inner in records(hint)}
            waiting += [(inner, root["$defs"][inner.__name__]) for inner in found - seen]


def records(hint: object) -> Iterator[type]:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        yield hint
    for inner in () if hint is Word else get_args(hint):
        if not isinstance(inner, str | typing.ForwardRef):
            yield from records(inner)


ALL = sorted(
    (pytest.param(cls, node, root, id=f"{kind}-{cls.__name__}") for kind, cls, node, root in pairs()),
    key=lambda case: str(case.id),
)


def key(cls: type, field: dataclasses.Field[Any]) -> str:
    return RENAMED.get((cls.__name__, field.name), field.name)


@pytest.mark.parametrize("kind", schemas.KINDS + schemas.MESSAGES)
def test_a_schema_is_valid_and_explains_every_key(kind: str) -> None:
    schema = schemas.schema(kind)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"].endswith(f"/{kind}.schema.json")
    assert schema["title"]
    for node in (schema, *schema.get("$defs", {}).values()):
        assert node["description"].endswith(".")
        for name, child in node.get("properties", {}).items():
            assert child["description"].endswith("."), name


@pytest.mark.parametrize("kind", schemas.KINDS + schemas.MESSAGES)
def test_examples_and_defaults_of_a_schema_are_valid_by_it(kind: str) -> None:
    root = schemas.schema(kind)
    for node in (root, *root.get("$defs", {}).values()):
        for child in node.get("properties", {}).values():
            validator = Draft202012Validator({"$defs": root.get("$defs", {}), **child})
            for value in (*child.get("examples", ()), *([child["default"]] if "default" in child else ())):
                validator.validate(value)


@pytest.mark.parametrize(("cls", "node", "root"), ALL)
def test_names_and_required_keys_are_those_of_the_dataclass(cls: type, node: Node, root: Node) -> None:
    fields = dataclasses.fields(cls)
    assert set(node["properties"]) == {key(cls, field) for field in fields}, root["title"]
    assert node["additionalProperties"] is False
    needed = {
        key(cls, field)
        for field in fields
        if field.default is field.default_factory is dataclasses.MISSING or (cls.__name__, field.name) in WRITTEN_ALWAYS
    }
    assert set(node.get("required", ())) == needed


@pytest.mark.parametrize(("cls", "node", "root"), ALL)
def test_types_are_those_of_the_dataclass(cls: type, node: Node, root: Node) -> None:
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        said = node["properties"][key(cls, field)]
        assert describes(said, hints[field.name], root, field.name), (field.name, said, hints[field.name])


def describes(node: Node, hint: object, root: Node, name: str = "") -> bool:
    """Whether a schema takes exactly the values that storage turns into the type."""
    hint, optional = without_none(hint)
    if "$ref" in node:
        target = node["$ref"].rsplit("/", 1)[-1]
        return target in root["$defs"] and (target == "Word" or getattr(hint, "__name__", "") == target)
    if name in ONE_OR_MANY and "anyOf" in node:
        one, many = node["anyOf"]
        return describes(one, str, root) and describes(many, hint, root)
    branches = node.get("anyOf") or node.get("oneOf")
    if branches:
        words = [branch["const"] for branch in branches if "const" in branch]
        rest = [branch for branch in branches if "const" not in branch]
        literals, others = split(hint)
        return words == (literals or (["none"] if optional else [])) and all(
            describes(one, others, root) for one in rest
        )
    if isinstance(node["type"], list):
        kinds = {str: "string", int: "integer"}
        members = [kinds[one] for one in (get_args(hint) or (hint,))]
        return node["type"] == members or (optional and node["type"] == [*members, "null"])
    return is_simple(node, hint, root, optional=optional)


def is_simple(node: Node, hint: object, root: Node, *, optional: bool) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if words := closed_set(hint):
        return node["type"] == "string" and node.get("enum") == words
    if hint is timedelta:
        allows_none = schemas.pattern_matches(node["pattern"], "none")
        return schemas.pattern_matches(node["pattern"], "1h30m") and allows_none == optional
    if hint is datetime:
        return PLACE_OF_TIME.search(node["pattern"]) is not None
    if origin is tuple:
        return node["type"] == "array" and describes(node["items"], arguments[0], root)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return node["type"] == "object" and describes(node["additionalProperties"], arguments[1], root)
    simple = {str: "string", int: "integer", float: "number", bool: "boolean"}
    return isinstance(hint, type) and node["type"] == simple[hint] and "enum" not in node


def closed_set(hint: object) -> list[str]:
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return [word.value for word in hint]
    return list(get_args(hint)) if get_origin(hint) is Literal else []


def without_none(hint: object) -> tuple[object, bool]:
    if get_origin(hint) not in (typing.Union, types.UnionType) or hint == Word:
        return hint, False
    members = [one for one in get_args(hint) if one is not types.NoneType]
    rest: object = members[0]
    for member in members[1:]:
        rest = typing.cast("Any", rest) | member
    return rest, len(members) < len(get_args(hint))


def split(hint: object) -> tuple[list[str], object]:
    members = get_args(hint) if get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    words = [word for one in members if get_origin(one) is Literal for word in get_args(one)]
    return words, next(one for one in members if get_origin(one) is not Literal)


@pytest.mark.parametrize(("cls", "node", "root"), ALL)
def test_defaults_are_those_of_the_dataclass(cls: type, node: Node, root: Node) -> None:
    for field in dataclasses.fields(cls):
        said = node["properties"][key(cls, field)]
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        if default is dataclasses.MISSING or default is None:
            assert "default" not in said, (root["title"], field.name)
        else:
            assert as_value(said["default"], default) == default, (root["title"], field.name)


def as_value(said: object, default: object) -> object:
    if isinstance(default, timedelta):
        return storage.duration(str(said))
    return storage.structure(type(default), said) if dataclasses.is_dataclass(default) else as_tuple(said)


def as_tuple(said: object) -> object:
    return tuple(said) if isinstance(said, list) else said


@pytest.mark.parametrize(("kind", "cls"), CLASSES.items())
def test_the_smallest_document_becomes_the_default_value_and_goes_back(kind: str, cls: type) -> None:
    documents_by_kind: dict[str, Node] = {
        "task": {"title": "t", "goal": "g"},
        "host": {"transport": "local"},
        "adapter": {"run": ["x"]},
        "settings": {},
        "observed-task": {"phase": "created", "generation": 1, "epoch": 0},
        "observed-host": {"reachable": True, "since": "2026-11-22T17:00:00Z"},
        "observed-breaker": {
            "scope": "fleet",
            "state": "open",
            "reason": "5 runs died",
            "needs": "mend it",
            **dict.fromkeys(("opened_at", "since", "until"), "2026-11-22T17:00:00Z"),
        },
    }
    smallest = documents_by_kind[kind]
    parsed = documents.parse(documents.dump(smallest), kind)
    assert schemas.validate(kind, parsed, "x.yaml") == ()
    value: object = storage.structure(cls, parsed.data)
    assert smallest.items() <= storage.unstructure(value).items()
    assert storage.structure(cls, storage.unstructure(value)) == value
