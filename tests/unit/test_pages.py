"""The pages that name tests: every name is that of a test that exists, and no row is missing."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`([a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`")
PAGES = ("reliability.md", "security.md")


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


@cache
def names_in(file: str) -> frozenset[str]:
    """The names of the tests in a file, those in classes included."""
    path = ROOT / "tests" / file
    if not path.exists():
        return frozenset()
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("name", PAGES)
def test_every_test_that_a_page_names_exists(name: str) -> None:
    named = NAMED.findall(page(name))
    assert len(named) > 20
    assert [f"{file}::{test}" for file, test in named if test not in names_in(file)] == []


@pytest.mark.parametrize("name", PAGES)
def test_no_name_of_a_test_is_written_in_another_form(name: str) -> None:
    assert len(re.findall(r"::test_", page(name))) == len(NAMED.findall(page(name)))


def test_each_of_the_sixty_two_failures_has_its_row_and_its_answer() -> None:
    rows = re.findall(r"^\| (C[0-9]+) \| ([^|]+) \| ([^|]+) \|$", page("reliability.md"), re.MULTILINE)
    assert [name for name, _, _ in rows] == [f"C{number}" for number in range(1, 63)]
    assert [name for name, failure, answer in rows if len(failure) < 15 or len(answer) < 20] == []
