"""What the site of the documents is made of, without MkDocs: a whole reference, and a way to every page."""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from reconciler.commands import everything
from reconciler.repo import schemas
from reconciler.repo.yaml import documents
from reconciler.web import operations
from website import __main__ as website
from website import commandpage, httppage, places, schemapages

ROOT = Path(__file__).parents[2]
WRITTEN = ("task", "host", "adapter", "settings")
"""The kinds of files that people write."""


def leaves(nav: object) -> Iterator[str]:
    match nav:
        case str():
            yield nav
        case dict():
            for part in nav.values():
                yield from leaves(part)
        case list():
            for part in nav:
                yield from leaves(part)


def test_every_page_is_in_the_navigation_once() -> None:
    listed = list(leaves(documents.parse((ROOT / "mkdocs.yml").read_bytes(), "mkdocs.yml").data["nav"]))
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").glob("*.md")}
    made = {place for place in [*places.made(), *places.BROUGHT.values()] if place.endswith(".md")}
    assert sorted(listed) == sorted({*pages, *made, "adr/"})


@pytest.mark.parametrize("kind", schemapages.KINDS)
def test_a_page_of_a_kind_of_file_has_every_key_and_what_the_schema_says_of_it(kind: str) -> None:
    page = schemapages.page(kind)
    for key in schemapages.keys(schemas.schema(kind)):
        _, _, section = page.partition(f"`{key.name}` {{ #{key.anchor} }}\n")
        assert section.split("\n#", 1)[0].startswith(f"\n{key.schema['description']}\n\n- Type: ")
        assert f"(#{key.anchor})" in page


@pytest.mark.parametrize("kind", WRITTEN)
def test_every_key_that_people_write_has_an_example_that_is_good(kind: str) -> None:
    whole = schemas.schema(kind)
    judge = jsonschema.Draft202012Validator(whole)
    for key in schemapages.keys(whole):
        assert key.example is not None or key.outer, key.name
        if key.example is not None:
            assert list(judge.evolve(schema=key.schema).iter_errors(plain(key.example))) == [], key.name


def plain(value: object) -> Any:  # noqa: ANN401 - a document has whatever shape it has
    """The value as it comes out of a file that it was written into."""
    return documents.parse(documents.dump({"it": value}), "example.yaml").data["it"]


def test_the_page_of_the_interface_has_every_operation_and_every_answer() -> None:
    page = httppage.page()
    for one in operations.OPERATIONS:
        _, _, section = page.partition(f"## `{one.method.upper()} {one.path}` {{ #{one.id} }}\n")
        section = section.split("\n## ", 1)[0]
        assert one.text in section
        for status in one.answers:
            assert f"| {status} |" in section
    assert json.loads(places.made()["reference/openapi.json"]())["openapi"] == "3.1.0"


def test_the_page_of_the_commands_has_every_command_and_every_option() -> None:
    page = commandpage.page()
    for command in everything.commands():
        section = page.partition(f"\n### {command.name}\n")[2].split("\n### ", 1)[0]
        assert command.teaching in section
        for parameter in command.parameters:
            assert f"| `{parameter.option}" in section or parameter.name == command.positional


def test_links_and_pictures_are_as_the_site_has_them() -> None:
    written = "[a](../adapters/README.md#b) [c](../schemas/task.schema.json) [d](forge.md) [e](https://example.org/)"
    assert places.text(written, "agents.md") == (
        "[a](adapters.md#b) [c](reference/task.md) [d](forge.md) [e](https://example.org/)"
    )
    assert places.text("[a](docs/adr/0001.md)", "contributing.md") == "[a](adr/0001.md)"
    two = places.text((ROOT / "docs" / "index.md").read_text(encoding="utf-8"), "index.md")
    assert "(img/board-light.png#only-light)" in two
    assert "(img/board-dark.png#only-dark)" in two
    assert "<picture>" not in two


def test_without_mkdocs_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert website.main([]) == 1
    assert capsys.readouterr().err == f"{website.MISSING}\n"
