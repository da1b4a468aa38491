"""Makes a page of a schema: for each key its type, default, meaning and an example.

It adds no fact of its own: what is missing on a page is missing in the schema.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.repo import schemas
from reconciler.repo.yaml import documents

KINDS: Mapping[str, str] = {
    "task": "`state/tasks/<id>.yaml`",
    "host": "`hosts/<id>.yaml`",
    "adapter": "`adapters/<id>.yaml`",
    "settings": "`state/settings.yaml`",
    "observed-task": "`state/observed/tasks/<id>.yaml` on the branch `observed`",
    "observed-host": "`state/observed/hosts/<id>.yaml` on the branch `observed`",
    "observed-breaker": "`state/observed/breakers/<name>.yaml` on the branch `observed`",
}
"""The kinds of files that have a page, and where a file of each is."""

LARGEST = 2**53 - 1
"""The largest whole number that every reader of JSON takes: as a bound it says nothing."""

MAX_LEVEL = 4
TYPES = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "`true` or `false`",
    "object": "a mapping",
    "null": "null",
}

LISTED, NAMED = "[]", "<name>"
BETWEEN: Mapping[str, Callable[[object], object]] = {
    LISTED: lambda value: [value],
    NAMED: lambda value: {"team": value},
}
"""What may stand between two keys, and how an example goes on there."""

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What references lead to, by name; `linked`: a page has a place for each of them."""

    definitions: Mapping[str, Schema]
    linked: bool = False

    def of(self, schema: Schema) -> Schema:
        """What the reference of a schema leads to."""
        return self.definitions[name_of(schema)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key of a file: the names from the outside in, with `[]` for a list and `<name>` for a name between them.

    `outer`: what it holds may be a mapping, or a list of them, with keys that are described by themselves.
    """

    path: tuple[str, ...]
    schema: Schema
    needed: bool
    outer: bool

    @property
    def name(self) -> str:
        """How it is called on its page: `limits.mass_death.deaths`."""
        return _dotted(self.path)

    @property
    def anchor(self) -> str:
        """The place on its page."""
        return re.sub(r"[^\w-]", "", self.name.replace(".", "-"))

    @property
    def depth(self) -> int:
        """How many keys it stands inside of, and itself."""
        return len([part for part in self.path if part not in BETWEEN])

    @property
    def default(self) -> str:
        """Its default as it would be written; empty where there is none."""
        return f"`{_json(self.schema['default'])}`" if "default" in self.schema else ""

    @property
    def example(self) -> object:
        """A value for it: one of the schema's, else a word it may be, else what it is without being said; else None."""
        if self.schema.get("examples"):
            return self.schema["examples"][0]
        default = self.schema.get("default")
        return next(iter(self.schema.get("enum", ())), None if default in ([], {}) else default)


def name_of(schema: Schema) -> str:
    """The name that a reference ends with."""
    return str(schema["$ref"].rsplit("/", 1)[1])


def page(kind: str) -> str:
    """The whole page of one kind, as Markdown."""
    schema = schemas.schema(kind)
    all_keys = list(keys(schema))
    rows = [f"| [`{one.name}`](#{one.anchor}) | {_first(one)} | {_about(one)} |" for one in all_keys]
    known = Known(definitions=schema.get("$defs", {}))
    head = [f"# {schema['title']}", "", f"{schema['description']}", "", f"Where it is: {KINDS[kind]}", ""]
    table = ["| key | default | |", "|---|---|---|", *rows, ""]
    return "\n".join([*head, *table, *(line for one in all_keys for line in _section(one, known))])


def keys(schema: Schema) -> Iterator[Key]:
    """Every key of a file, the outer ones before those inside of them."""
    yield from _inside(schema, Known(definitions=schema.get("$defs", {})), ())


def _inside(part: Schema, known: Known, path: tuple[str, ...]) -> Iterator[Key]:
    for name, schema in part.get("properties", {}).items():
        mappings = list(_mappings(schema, known))
        yield Key(path=(*path, name), schema=schema, needed=name in part.get("required", ()), outer=bool(mappings))
        for inner, between in mappings:
            yield from _inside(inner, known, (*path, name, *between))


def _mappings(schema: Schema, known: Known, between: tuple[str, ...] = ()) -> Iterator[tuple[Schema, tuple[str, ...]]]:
    """The mappings with keys of their own that a value may be or hold, and what is between it and them."""
    if "$ref" in schema:
        definition = known.of(schema)
        if "properties" in definition:
            yield definition, between
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from _mappings(branch, known, between)
    if "items" in schema:
        yield from _mappings(schema["items"], known, (*between, LISTED))
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _mappings(schema["additionalProperties"], known, (*between, NAMED))


def _dotted(path: Sequence[str]) -> str:
    return ".".join(path).replace(f".{LISTED}", LISTED)


def _first(key: Key) -> str:
    return "**required**" if key.needed else key.default


def _about(key: Key) -> str:
    return str(key.schema["description"]).replace("|", "\\|")


def _section(key: Key, known: Known) -> Iterator[str]:
    """What there is to say about one key."""
    yield f"{'#' * min(1 + key.depth, MAX_LEVEL)} `{key.name}` {{ #{key.anchor} }}"
    yield ""
    yield str(key.schema["description"])
    yield ""
    yield f"- Type: {described(key.schema, known)}"
    yield from (f"- {word}" for word in _else(key))
    yield ""
    if key.example is not None:
        written = documents.dump(nested(key)).decode().rstrip("\n")
        yield from ("```yaml", written, "```", "")


def _else(key: Key) -> Iterator[str]:
    if key.needed:
        yield f"Required{f' in `{_dotted(key.path[:-1])}`' if len(key.path) > 1 else ''}"
    if key.default:
        yield f"Default: {key.default}"


def nested(key: Key) -> dict[str, object]:
    """The example of a key in a file, with the keys around it."""
    value = key.example
    for part in reversed(key.path[1:]):
        value = BETWEEN[part](value) if part in BETWEEN else {part: value}
    return {key.path[0]: value}


def described(schema: Schema, known: Known) -> str:
    """The type of a value in words."""
    if "$ref" in schema:
        if known.linked:
            return f"[{name_of(schema)}](#{name_of(schema).lower()})"
        definition = known.of(schema)
        return "a mapping with the keys below" if "properties" in definition else str(definition["description"])
    if "enum" in schema:
        return "one of " + ", ".join(f"`{_json(one)}`" for one in schema["enum"])
    if "const" in schema:
        return f"`{_json(schema['const'])}`"
    branches = (*schema.get("anyOf", ()), *schema.get("oneOf", ()))
    if branches:
        return ", or ".join(described(one, known) for one in branches)
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return " or ".join(_plain(kind, schema, known) for kind in kinds)


def _plain(kind: str, schema: Schema, known: Known) -> str:
    match kind:
        case "array":
            most = f" of at most {schema['maxItems']}" if "maxItems" in schema else ""
            return f"a list{most}; each item {described(schema['items'], known)}"
        case "object" if isinstance(schema.get("additionalProperties"), dict):
            names = described({"type": "string", **schema.get("propertyNames", {})}, known)
            return f"a mapping; each name {names}; each value {described(schema['additionalProperties'], known)}"
        case "string":
            return _words(schema)
        case _:
            return f"{TYPES[kind]}{_bounds(schema)}"


def _words(schema: Schema) -> str:
    said = str(schema.get("patternErrorMessage", ""))
    if said:
        return said if "text" in said else f"text: {said}"
    return "text, not empty" if schema.get("minLength") else "text"


def _bounds(schema: Schema) -> str:
    low, high = schema.get("minimum", -LARGEST), schema.get("maximum", LARGEST)
    match low > -LARGEST, high < LARGEST:
        case True, True:
            return f" from {low} to {high}"
        case True, False:
            return f", at least {low}"
        case False, True:
            return f", at most {high}"
        case _:
            return ""


def _json(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def pretty(value: object) -> str:
    """A value as JSON on lines of its own."""
    return json.dumps(value, ensure_ascii=False, indent=2)
