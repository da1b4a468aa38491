"""The rules of the house that no linter checks: sizes, names, and that every module is of use."""

import ast
import re
import statistics
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from reconciler.commands import everything

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "reconciler"
MODULES = sorted(PACKAGE.rglob("*.py"))
FILE_LINES = 300
FUNCTION_LINES = 40
MEDIAN_FUNCTION_LINES = 10
PARAMETERS = 5
BANNED = {"util", "utils", "common", "helper", "helpers", "manager", "base", "types", "misc"}
ENTRY_POINTS = {"reconciler.__main__"}
UNFINISHED = ("TO" + "DO", "FIX" + "ME", "XX" + "X")
PLACES = ("/ho" + "me/", "/ro" + "ot/", "/Us" + "ers/")

Function = ast.FunctionDef | ast.AsyncFunctionDef
every_module = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.relative_to(ROOT).as_posix())


@cache
def tree(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"))


def functions(module: Path) -> Iterator[Function]:
    return (node for node in ast.walk(tree(module)) if isinstance(node, Function))


def length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def excused(module: Path, function: Function) -> bool:
    """Whether the line says why the function takes more."""
    return "noqa: PLR0913" in module.read_text(encoding="utf-8").splitlines()[function.lineno - 1]


def dotted(module: Path) -> str:
    return ".".join(module.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@every_module
def test_a_file_can_be_read_at_one_sitting(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= FILE_LINES


@every_module
def test_functions_are_short_and_take_few_parameters(module: Path) -> None:
    for function in functions(module):
        arguments = function.args
        named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        taken = [argument for argument in named if argument.arg not in {"self", "cls"}]
        assert length(function) <= FUNCTION_LINES, function.name
        assert len(taken) <= PARAMETERS or excused(module, function), function.name


def test_the_median_function_is_a_few_lines() -> None:
    lengths = [length(function) for module in MODULES for function in functions(module)]
    assert statistics.median(lengths) <= MEDIAN_FUNCTION_LINES


@every_module
def test_a_module_is_named_for_what_it_does_and_says_so(module: Path) -> None:
    assert not BANNED & set(module.relative_to(PACKAGE).with_suffix("").parts)
    assert ast.get_docstring(tree(module))


@every_module
def test_nothing_is_left_unfinished_or_swallowed(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    assert not [word for word in UNFINISHED if word in text]
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ExceptHandler):
            assert [type(line) for line in node.body] != [ast.Pass], node.lineno


@every_module
def test_no_path_of_one_machine_stands_in_the_code(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    assert not [place for place in PLACES if place in text]


def test_every_module_is_imported_or_an_entry_point() -> None:
    imported = {name for module in MODULES for name in imports(module)}
    imported |= {f"reconciler.commands.{name}" for name in everything.MODULES.values()}
    alone = {dotted(module) for module in MODULES if module.name != "__init__.py"} - imported - ENTRY_POINTS
    assert alone == set()


def test_the_architecture_names_every_module_beside_the_commands() -> None:
    named = set(re.findall(r"[a-z_]+", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")))
    modules = {module.stem for module in MODULES if module.name != "__init__.py" and module.parent.name != "commands"}
    assert modules - named == set()


def imports(module: Path) -> Iterator[str]:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
