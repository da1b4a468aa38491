"""The description of the web application, OpenAPI 3.1, made of the schemas by which requests are judged.

It routes nothing, and repeats no schema: the bodies of the API are described by the files under `schemas/` alone, and
here only those of what no file is for.
"""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from importlib import metadata

import falcon

from reconciler.repo import schemas
from reconciler.web import etag, operations, problems, signature
from reconciler.web.operations import BEARER, Answer, Operation

PATH = "/openapi.json"
PROBLEM = "http-problem"
MAX_AGE_S = 300

Json = dict[str, object]

_SMALL: Mapping[str, Json] = {
    "delivery": {"type": "object", "description": "What a forge tells of an event, in its own words."},
    "stored": {
        "type": "object",
        "description": "Whether the delivery was new.",
        "required": ["status"],
        "additionalProperties": False,
        "properties": {"status": {"enum": ["stored", "known"]}},
    },
    "alive": {
        "type": "object",
        "description": "The process lives.",
        "required": ["status"],
        "additionalProperties": False,
        "properties": {"status": {"const": "ok"}},
    },
    "readiness": {
        "type": "object",
        "description": "Whether the reconciler is ready, and each condition of that.",
        "required": ["status", "checks"],
        "additionalProperties": False,
        "properties": {
            "status": {"enum": ["ready", "not ready"]},
            "checks": {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Check"}},
        },
    },
    "check": {
        "type": "object",
        "description": "One condition: a word for how it stands, since when, and more in a sentence.",
        "required": ["status"],
        "additionalProperties": False,
        "properties": {"status": {"type": "string"}, "since": {"type": "string"}, "detail": {"type": "string"}},
    },
    "role": {
        "type": "object",
        "description": "The part of this reconciler, and who leads in which term; alone, nobody has to.",
        "required": ["role", "leader", "term"],
        "additionalProperties": False,
        "properties": {
            "role": {"enum": ["alone", "leader", "standby"]},
            "leader": {"type": ["string", "null"]},
            "term": {"type": ["integer", "null"]},
        },
    },
    "numbers": {"type": "string", "description": "The text form of Prometheus."},
    "description": {
        "type": "object",
        "description": "An OpenAPI document.",
        "required": ["openapi", "info", "paths"],
        "properties": {"openapi": {"const": "3.1.0"}, "info": {"type": "object"}, "paths": {"type": "object"}},
    },
}
"""What only machines ask for, and no file describes."""

_HEADERS: Mapping[str, tuple[str, Json]] = {
    "ETag": ("The version of what is answered.", {"type": "string"}),
    "Link": ("The next page, where there is one, as rel=next.", {"type": "string"}),
    "Retry-After": ("After how many seconds to ask again.", {"type": "integer", "minimum": 0}),
    "WWW-Authenticate": ("What is wanted: Bearer.", {"type": "string"}),
}
_OF_A_FILE = frozenset({"$schema", "$id", "$defs"})
_REFERENCE = re.compile(r"(?:(?P<kind>[a-z-]+)\.schema\.json)?(?:#/\$defs/(?P<name>\w+))?")


class Described:
    """`/openapi.json`."""

    def __init__(self) -> None:
        """Make the document, once in a process."""
        self._body = _body()

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The document; 304 for whoever has it."""
        resp.cache_control = ["public", f"max-age={MAX_AGE_S}"]
        etag.answer(req, resp, self._body)

    on_head = on_get


@functools.cache
def _body() -> bytes:
    return json.dumps(document(), indent=1).encode()


def document() -> Json:
    """The whole description."""
    paths: dict[str, Json] = {}
    for one in operations.OPERATIONS:
        item = paths.setdefault(one.path, {})
        if "{task_id}" in one.path:
            item["parameters"] = [{"$ref": "#/components/parameters/task_id"}]
        item[one.method] = _operation(one)
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "reconciler",
            "version": metadata.version("reconciler"),
            "description": "What external agents, forges and monitors may ask of a reconciler.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": _components(),
    }


def _operation(one: Operation) -> Json:
    made: Json = {
        "operationId": one.id,
        "summary": one.summary,
        "description": one.text,
        "security": [{name: []} if name else {} for name in one.security],
        "responses": dict(sorted(_responses(one))),
    }
    parameters = [*_query(one.query), *([_IF_NONE_MATCH] if one.conditional else ())]
    if parameters:
        made["parameters"] = parameters
    if one.takes is not None:
        content = _content(one.takes, falcon.MEDIA_JSON, one.example)
        made["requestBody"] = {"required": True, "content": content}
    return made


_IF_NONE_MATCH: Json = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The ETag of an answer that is known.",
    "schema": {"type": "string"},
}


def _responses(one: Operation) -> Iterator[tuple[str, Json]]:
    for status, answer in one.answers.items():
        yield str(status), _response(answer)
    for status in (one.problems | operations.WAYS) - one.answers.keys():
        says = one.said.get(status, operations.PROBLEMS[status])
        example = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": says}
        headers = operations.HEADERS.get(status, ())
        answer = Answer(says=says, schema=PROBLEM, media=problems.MEDIA_TYPE, headers=headers, example=example)
        yield str(status), _response(answer)


def _response(answer: Answer) -> Json:
    made: Json = {"description": answer.says}
    if answer.headers:
        made["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in answer.headers}
    if answer.schema is not None:
        made["content"] = _content(answer.schema, answer.media, answer.example)
    return made


def _content(schema: str, media: str, example: Mapping[str, object] | None) -> Json:
    made: Json = {"schema": {"$ref": _place(schema)}}
    if example is not None:
        made["example"] = example
    return {media: made}


def _query(kind: str | None) -> Iterator[Json]:
    """Each property of a query's schema as a parameter."""
    properties = {} if kind is None else schemas.schema(kind)["properties"]
    for name, schema in properties.items():
        described = {key: value for key, value in schema.items() if key != "description"}
        yield {"name": name, "in": "query", "description": schema["description"], "schema": described}


def _components() -> Json:
    signatures = {
        header: {
            "type": "apiKey",
            "in": "header",
            "name": header,
            "description": f"`{prefix}` and the HMAC-SHA256 over the body as it is sent, in lower-case hex."
            if prefix
            else "The HMAC-SHA256 over the body as it is sent, in lower-case hex.",
        }
        for header, prefix in signature.PREFIXES.items()
    }
    token = {"type": "http", "scheme": "bearer", "description": "A pull host's token, from `reconciler token HOST`."}
    return {
        "schemas": dict(sorted(_schemas())),
        "headers": {name: {"description": says, "schema": schema} for name, (says, schema) in _HEADERS.items()},
        "parameters": {
            "task_id": {
                "name": "task_id",
                "in": "path",
                "required": True,
                "description": "The task's id.",
                "schema": schemas.schema("http-task")["properties"]["id"],
                "example": operations.EXAMPLE,
            }
        },
        "securitySchemes": {BEARER: token, **signatures},
    }


def _schemas() -> Iterator[tuple[str, object]]:
    """Every schema that an operation names, and those that they name in turn."""
    waiting = [PROBLEM, "check"]
    for one in operations.OPERATIONS:
        waiting += [name for name in (one.takes, *(answer.schema for answer in one.answers.values())) if name]
    seen: set[str] = set()
    while waiting:
        kind = waiting.pop()
        if kind in seen:
            continue
        seen.add(kind)
        if kind in _SMALL:
            yield _name(kind), _SMALL[kind]
            continue
        whole = schemas.schema(kind)
        for name, inner in whole.get("$defs", {}).items():
            yield _name(kind, name), _rewritten(inner, kind, waiting)
        own = {key: value for key, value in whole.items() if key not in _OF_A_FILE}
        yield _name(kind), _rewritten(own, kind, waiting)


def _rewritten(node: object, kind: str, needed: list[str]) -> object:
    """The same schema with its references to places of this document; the kinds that they name are noted."""
    match node:
        case dict():
            if isinstance(reference := node.get("$ref"), str):
                found = _REFERENCE.fullmatch(reference)
                if found is None:
                    raise ValueError(f"{kind}.schema.json: the reference {reference} names no schema of this program")
                needed.append(found["kind"] or kind)
                return {**node, "$ref": _place(found["kind"] or kind, found["name"])}
            return {key: _rewritten(value, kind, needed) for key, value in node.items()}
        case list():
            return [_rewritten(item, kind, needed) for item in node]
        case _:
            return node


def _place(kind: str, name: str | None = None) -> str:
    return f"#/components/schemas/{_name(kind, name)}"


def _name(kind: str, name: str | None = None) -> str:
    """`http-dequeue-request` is DequeueRequest; what it defines inside is called after both."""
    words = kind.removeprefix("http-").split("-")
    return "".join(word.capitalize() for word in words) + (name or "")
