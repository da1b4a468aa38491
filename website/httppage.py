"""Makes the page of the HTTP interface from the program's own description of it.

It adds no fact of its own: what is missing on the page is missing in `/openapi.json`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.web import openapi
from website import schemapages
from website.schemapages import Known, Schema

METHODS = ("get", "post", "put", "delete")
SIGNED = "apiKey"

Json = Mapping[str, Any]


def page() -> str:
    """The whole page, as Markdown."""
    document: Json = openapi.document()
    known = Known(definitions=document["components"]["schemas"], linked=True)
    lines = [
        "# HTTP interface",
        "",
        f"{document['info']['description']} This page is made of the description that a reconciler serves at",
        f"`{openapi.PATH}`; a copy of it, for tools that make clients: [openapi.json](openapi.json).",
        "",
        *(line for path, item in document["paths"].items() for line in _path(path, item, document, known)),
        "## Bodies",
        "",
        *(line for name, schema in known.definitions.items() for line in _body(name, schema, known)),
    ]
    return "\n".join(lines)


def _path(path: str, item: Json, document: Json, known: Known) -> Iterator[str]:
    for method in METHODS:
        if method in item:
            yield from _operation(f"{method.upper()} {path}", item[method], document, known)


def _operation(title: str, one: Json, document: Json, known: Known) -> Iterator[str]:
    yield from (f"## `{title}` {{ #{one['operationId']} }}", "", f"**{one['summary']}.** {one['description']}", "")
    yield from (f"- Who may: {_who(one['security'], document)}", "")
    asked = [parameter for parameter in one.get("parameters", ()) if "$ref" not in parameter]
    if asked:
        yield from ("| asked | where | what |", "|---|---|---|")
        for parameter in asked:
            what = f"{parameter['description']} {_sentence(parameter['schema'], known)}"
            yield f"| `{parameter['name']}` | {parameter['in']} | {_cell(what)} |"
        yield ""
    if "requestBody" in one:
        (content,) = one["requestBody"]["content"].values()
        yield from (f"Takes {schemapages.described(content['schema'], known)}:", "")
        yield from _example(content)
    yield from ("| answer | body | meaning |", "|---|---|---|")
    for status, answer in one["responses"].items():
        (schema,) = [content["schema"] for content in answer.get("content", {}).values()] or [None]
        body = "" if schema is None else schemapages.described(schema, known)
        yield f"| {status} | {body} | {_cell(answer['description'])} |"
    yield ""
    for status, answer in one["responses"].items():
        for content in answer.get("content", {}).values():
            if int(status) < 300 and "example" in content:  # noqa: PLR2004 - below are the good answers
                yield from (f"Such as {status}:", "")
                yield from _example(content)


def _who(security: list[Json], document: Json) -> str:
    """Who may ask, in words."""
    kinds = document["components"]["securitySchemes"]
    names = [name for one in security for name in one]
    if not names:
        return "everybody who reaches the address"
    if all(kinds[name]["type"] == SIGNED for name in names):
        return "who signs it, by one of the headers " + ", ".join(f"`{name}`" for name in names)
    return "who has a token" + ("; without one, this machine itself" if {} in security else "")


def _example(content: Json) -> Iterator[str]:
    if "example" in content:
        yield from ("```json", schemapages.pretty(content["example"]), "```", "")


def _body(name: str, schema: Schema, known: Known) -> Iterator[str]:
    yield from (f"### {name} {{ #{name.lower()} }}", "", str(schema.get("description", "")), "")
    properties = schema.get("properties", {})
    if properties:
        yield from ("| key | type | meaning |", "|---|---|---|")
        for key, inner in properties.items():
            must = " (always there)" if key in schema.get("required", ()) else ""
            kind = _cell(schemapages.described(inner, known))
            yield f"| `{key}` | {kind}{must} | {_cell(str(inner.get('description', '')))} |"
        yield ""


def _sentence(schema: Schema, known: Known) -> str:
    said = schemapages.described(schema, known)
    return f"{said[:1].upper()}{said[1:]}."


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
