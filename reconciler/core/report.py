"""Turns what a CLI left behind (exit code, output, files) into a result, by the expressions of its adapter.

Never reads a file or a clock, and never asks the agent's word for what git can see.
"""

from collections.abc import Iterator

import jmespath
from jmespath import functions
from jmespath.exceptions import JMESPathError


def compile_problem(expression: str) -> str | None:
    """Why a JMESPath expression can never be evaluated, in one line; `None` when it can.

    Beside the grammar this sees functions that do not exist and calls with the wrong number of arguments.
    """
    try:
        parsed = jmespath.compile(expression).parsed
        return next(_bad_calls(parsed), None)
    except JMESPathError as error:
        return " ".join(str(error).split())
    except RecursionError:
        return "the expression is nested too deeply"


def _bad_calls(node: object) -> Iterator[str]:
    """One sentence for each call in the syntax tree that cannot work."""
    if not isinstance(node, dict):
        return
    if node["type"] == "function_expression":
        name, given = str(node["value"]), len(node["children"])
        known = functions.Functions.FUNCTION_TABLE.get(name)
        if known is None:
            yield f"there is no function {name}()"
        elif not _takes(known["signature"], given):
            yield f"{name}() takes another number of arguments than {given}"
    for child in node["children"]:
        yield from _bad_calls(child)


def _takes(signature: tuple[dict[str, object], ...], given: int) -> bool:
    if signature and signature[-1].get("variadic"):
        return given >= len(signature)
    return given == len(signature)
