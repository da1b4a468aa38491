"""The description of the HTTP interface: it is true, whole, valid, and made of the schemas themselves."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import falcon
import falcon.inspect
import pytest
import schemathesis
from jsonschema import Draft202012Validator

from reconciler.repo import schemas, shipped
from reconciler.web import openapi, operations
from reconciler.web.api import Api
from reconciler.web.app import app
from reconciler.web.site import Site
from tests.contract.web import Answer, Running, request, running

IMPLIED = {"HEAD", "OPTIONS"}
"""Answered wherever GET is, and everywhere."""


@pytest.fixture(name="web")
def _web(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path) as made:
        yield made


@pytest.fixture(name="document")
def _document(web: Running) -> dict[str, Any]:
    answer = web.ask("GET", "/openapi.json")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    found: dict[str, Any] = answer.json
    return found


def routes() -> set[tuple[str, str]]:
    """The methods and paths that the application answers itself; it needs neither site nor API to know them."""
    nothing = object()
    made = app(cast("Site", nothing), cast("Api", nothing))
    assert isinstance(made, falcon.App)
    return {
        (method.method, route.path)
        for route in falcon.inspect.inspect_routes(made)
        for method in route.methods
        if not method.internal and method.method not in IMPLIED
    }


def described(document: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }


def references(node: object) -> Iterator[str]:
    match node:
        case dict():
            if isinstance(found := node.get("$ref"), str):
                yield found
            for value in node.values():
                yield from references(value)
        case list():
            for value in node:
                yield from references(value)


def test_every_route_is_described_and_every_description_is_routed(document: dict[str, Any]) -> None:
    assert described(document).keys() == routes()


def test_it_is_a_valid_document_of_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    schemathesis.openapi.from_dict(document).validate()
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_reference_leads_somewhere_and_nothing_is_left_over(document: dict[str, Any]) -> None:
    named = set(references(document))
    for reference in named:
        node: Any = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
    held = {
        f"#/components/{kind}/{name}"
        for kind, things in document["components"].items()
        if kind != "securitySchemes"
        for name in things
    }
    assert held == named
    wanted = {name for one in described(document).values() for way in one["security"] for name in way}
    assert wanted == document["components"]["securitySchemes"].keys()


def test_bodies_are_described_by_the_very_schemas_that_judge_them(document: dict[str, Any]) -> None:
    """What a file says stands in the document word for word, but for where its references lead."""
    kinds = {path.name.removesuffix(".schema.json") for path in shipped.folder("schemas").iterdir()}
    shown = document["components"]["schemas"]
    parameters = {one["name"]: one for one in described(document)["GET", "/api/v1/tasks"]["parameters"]}
    for kind in sorted(kinds):
        if not kind.startswith("http-"):
            continue
        schema = schemas.schema(kind)
        if kind == "http-tasks-query":
            for name, one in schema["properties"].items():
                assert {**parameters[name]["schema"], "description": parameters[name]["description"]} == one
            continue
        name = "".join(word.capitalize() for word in kind.split("-")[1:])
        for inside, inner in schema.pop("$defs", {}).items():
            assert plain(shown[f"{name}{inside}"]) == plain(inner)
        assert plain(shown[name]) == plain({key: schema[key] for key in schema if key not in {"$schema", "$id"}})


def plain(schema: object) -> str:
    return re.sub(r'"\$ref": "[^"]*"', '"$ref": ""', json.dumps(schema))


def test_every_operation_says_what_it_is_and_how_it_refuses(document: dict[str, Any]) -> None:
    operations_described = described(document)
    names = [one["operationId"] for one in operations_described.values()]
    assert len(set(names)) == len(names)
    for one in operations_described.values():
        assert one["summary"]
        assert one["description"].endswith(".")
        for status, answer in one["responses"].items():
            assert answer["description"]
            if int(status) >= 400 and not re.search("Readiness|Role", json.dumps(answer)):
                (media,) = answer["content"]
                assert media == "application/problem+json"


def test_every_example_fits_its_schema(document: dict[str, Any]) -> None:
    count = 0
    for content in contents(document):
        if "example" in content:
            whole = {**content["schema"], "components": document["components"]}
            Draft202012Validator(whole).validate(content["example"])
            count += 1
    assert count > 20


def contents(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for one in described(document).values():
        for holder in (*one["responses"].values(), one.get("requestBody", {})):
            yield from holder.get("content", {}).values()


def test_writes_are_for_tokens_and_webhooks_for_signatures(document: dict[str, Any]) -> None:
    for (method, path), one in described(document).items():
        ways = [set(way) for way in one["security"]]
        if path.startswith("/webhooks/"):
            assert {operations.BEARER} not in ways
            assert len(ways) == 4
            assert set() not in ways
        elif method == "POST":
            assert ways == [{operations.BEARER}]
        assert ("401" in one["responses"]) == bool(ways)


def etag(answer: Answer) -> str:
    return next(value for name, value in answer.headers.items() if name.lower() == "etag")


def test_it_is_sent_once_to_whoever_keeps_it(web: Running) -> None:
    first = web.ask("GET", "/openapi.json")
    tag = etag(first)
    for known in (tag, f'"other", {tag}', "*", f"W/{tag}"):
        again = request(web.port, "GET", "/openapi.json", headers={"If-None-Match": known})
        assert (again.status, again.body, etag(again)) == (304, b"", tag)
    other = request(web.port, "GET", "/openapi.json", headers={"If-None-Match": '"other"'})
    assert (other.status, other.body) == (200, first.body)
    head = web.ask("HEAD", "/openapi.json")
    assert (head.status, head.body, etag(head)) == (200, b"", tag)
    assert head.headers["Content-Length"] == str(len(first.body))


def test_the_document_is_the_same_every_time() -> None:
    assert json.dumps(openapi.document()) == json.dumps(openapi.document())
