"""No shell sees text that a person, an agent or a forge wrote: every script is a constant, every word is data."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.core import command as commands

PACKAGE = Path(__file__).parents[2] / "reconciler"
SCRIPTS = sorted((PACKAGE / "core" / "script").glob("*.py"))
BUILDERS = [path for path in SCRIPTS if "Command(" in path.read_text()]
STARTERS = {"Popen", "call", "check_call", "check_output", "create_subprocess_exec", "run", "subprocess_exec"}
SHELLS = {"create_subprocess_shell", "getoutput", "getstatusoutput", "popen", "spawnlp", "subprocess_shell", "system"}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def calls(path: Path, *names: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and called(node) in names:
            yield node


def called(node: ast.Call) -> str:
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def constants(path: Path) -> dict[str, ast.expr]:
    """The names that are assigned once at the top of a module, with what they are."""
    found: dict[str, ast.expr] = {}
    for node in tree(path).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                assert name not in found, f"{path.name} assigns {name} twice"
                found[name] = value
            case _:
                continue
    return found


def fixed(value: ast.expr, here: Path) -> bool:
    """Whether an expression at the top of a module can depend on nothing but constants of the package."""
    match value:
        case ast.Constant():
            parts: list[ast.expr] = []
        case ast.BinOp(left=left, op=ast.Add() | ast.Mult(), right=right):
            parts = [left, right]
        case ast.FormattedValue(value=inner):
            parts = [inner]
        case ast.JoinedStr(values=parts) | ast.Tuple(elts=parts):
            pass
        case ast.Name(id=name) | ast.Attribute(value=ast.Name(), attr=name):
            return name.isupper()
        case ast.Call(args=parts) if called(value) in {"take", "quoted", "str"}:
            pass
        case _:
            return False
    return all(fixed(part, here) for part in parts)


def test_every_command_is_built_here_with_a_script_that_is_a_constant() -> None:
    everywhere = {path for path in PACKAGE.rglob("*.py") for call in calls(path, "Command") if keyword(call, "script")}
    assert everywhere == set(BUILDERS)
    assert len(BUILDERS) >= 8


@pytest.mark.parametrize("path", BUILDERS, ids=lambda path: path.name)
def test_a_script_depends_on_nothing_that_is_known_later(path: Path) -> None:
    for call in calls(path, "Command"):
        script = keyword(call, "script")
        assert isinstance(script, ast.Name), ast.unparse(call)
        assert script.id.isupper(), ast.unparse(call)
        assert fixed(constants(path)[script.id], path), script.id


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_what_scripts_are_made_of_is_constant_too(path: Path) -> None:
    """Every constant of text in the folder of scripts, whether a script is made of it or not."""
    for name, value in constants(path).items():
        is_text = isinstance(value, ast.BinOp | ast.JoinedStr) or (
            isinstance(value, ast.Constant) and isinstance(value.value, str)
        )
        assert not is_text or fixed(value, path), name


NAMES_SHELLS = frozenset({"demo.py", "completion.py"})
"""The one runs the test of its own sample project, the other starts nothing: it prints what a person's shell reads."""


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_other_shell_is_started(path: Path) -> None:
    """`shell=True` and its kin stand nowhere, and `sh` is named by the one constant command line alone."""
    assert not list(calls(path, *SHELLS))
    for call in calls(path, *STARTERS):
        assert keyword(call, "shell") is None, ast.unparse(call)
    texts = [node.value for node in ast.walk(tree(path)) if isinstance(node, ast.Constant)]
    names = [text for text in texts if text in {"sh", "bash", "/bin/sh", "-c eval"}]
    assert not names or path.name in NAMES_SHELLS, names
    assert path.name != "completion.py" or not list(calls(path, *STARTERS))


def test_the_one_command_line_holds_a_length_and_nothing_of_the_script() -> None:
    order = commands.Command(name="x", script="echo $(id) 'quoted'", words=("$(id)",), payload=b"`id`")
    line = commands.command_line(order)
    assert line == f"sh -c 'eval \"$(dd bs={len(order.script)} count=1 iflag=fullblock 2>/dev/null)\"'"


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((word.value for word in call.keywords if word.arg == name), None)
