"""Turns what a CLI left behind (exit code, output, files) into a result, by the expressions of its adapter.

Never reads a file or a clock, and never asks the agent's word for what git can see.
"""

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import jmespath
from jmespath import functions
from jmespath.exceptions import JMESPathError

from reconciler.core import output as outputs
from reconciler.core import verdict
from reconciler.core.desired import Adapter
from reconciler.core.observed import Meta
from reconciler.core.output import RawOutput
from reconciler.core.terms import StopReason
from reconciler.core.verdict import Ended, Result, Said

SESSION = re.compile(r"[^\s\x00-\x1f\x7f-][^\s\x00-\x1f\x7f]{0,255}")
"""What may be handed back to a CLI as a session: one word that no CLI takes for an option."""


REASON_LENGTH = 200
"""How many characters a warning quotes of why an expression cannot be evaluated."""

_FAULTS = (JMESPathError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What an expression that compiles may still raise on values of the wrong kind, infinite ones included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """The session that a run was to go on with, and what it had used before."""

    session: str
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the output of a live run says so far."""

    finished: bool
    aborted: bool
    session: str | None


def judge(
    adapter: Adapter, output: RawOutput, *, stop: StopReason | None, resumed: Resumed | None, now: datetime
) -> Result:
    """The result of a run that has ended; `stop` is why the reconciler stopped it, if it did.

    After a lingering process was stopped, its exit code is that of our own signal and says nothing: it counts as 0.
    """
    seen = replace(output, exit_code=0, signal=None) if stop is StopReason.LINGERED else output
    reader = _Reader(seen)
    said = _said(adapter, reader, resumed)
    ended = Ended(stop=stop, resumed=resumed.session if resumed else None, now=now)
    result = verdict.reach(adapter, seen, said, ended)
    warnings = tuple(dict.fromkeys((*output.warnings, *reader.warnings, *result.warnings)))
    return replace(result, exit_code=output.exit_code, signal=output.signal, warnings=warnings)


def look(adapter: Adapter, output: RawOutput) -> Look:
    """Whether a live run has emitted its final result, whether it is in a loop for ever, and which session it has."""
    reader = _Reader(output)
    return Look(
        finished=_truth(reader, adapter.output.finished) is True,
        aborted=_truth(reader, adapter.output.abort) is True,
        session=_session(reader, adapter.output.session),
    )


def resumed(meta: Meta) -> Resumed | None:
    """What a run was to go on with, from the `meta.json` that it was started with."""
    if meta.session is None:
        return None
    return Resumed(
        session=meta.session,
        input_tokens=meta.before_input_tokens,
        output_tokens=meta.before_output_tokens,
        cost_usd=meta.before_cost_usd,
    )


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


class _Reader:
    """Evaluates expressions over one output and remembers those that failed: each failure is null and a warning."""

    def __init__(self, output: RawOutput) -> None:
        self._seen = {
            "events": output.events,
            "stdout": output.stdout_tail,
            "stderr": output.stderr_tail,
            "stderr_json": outputs.last_object(output.stderr_tail),
            "files": output.files,
            "exit_code": output.exit_code,
            "signal": output.signal,
            "bad_lines": output.bad_lines,
        }
        self.warnings: list[str] = []

    def value(self, expression: str) -> object:
        """The value, `None` where a path is missing or the expression cannot be evaluated."""
        try:
            found: object = jmespath.search(expression, self._seen)
        except _FAULTS as error:
            reason = " ".join(str(error).split())
            self.warnings.append(f"the expression {expression} cannot be evaluated: {_cut(reason)}")
            return None
        return found

    def first(self, expressions: Sequence[str]) -> object:
        """The first value that is not null."""
        return next((value for value in map(self.value, expressions) if value is not None), None)


def _said(adapter: Adapter, reader: _Reader, before: Resumed | None) -> Said:
    """Everything that the output says of the run, with the figures of this run alone."""
    wanted = adapter.output
    session = _session(reader, wanted.session)
    goes_on = before is not None and session in {None, before.session}
    tokens = before if goes_on and "tokens" in wanted.cumulative else None
    cost = before if goes_on and "cost" in wanted.cumulative else None
    return Said(
        failed=_truth(reader, wanted.failed),
        summary=_text(reader.first(wanted.summary)),
        error=_text(reader.first(wanted.error)),
        session=session,
        input_tokens=_count(reader.first(wanted.input_tokens), tokens.input_tokens if tokens else 0),
        output_tokens=_count(reader.first(wanted.output_tokens), tokens.output_tokens if tokens else 0),
        cost_usd=_amount(reader.first(wanted.cost_usd), cost.cost_usd if cost else 0.0),
    )


def _truth(reader: _Reader, expression: str | None) -> bool | None:
    """True or false as Python sees the value; `None` where it is null or there is no expression."""
    value = None if expression is None else reader.value(expression)
    return None if value is None else bool(value)


def _session(reader: _Reader, expressions: Sequence[str]) -> str | None:
    value = reader.first(expressions)
    if isinstance(value, str) and SESSION.fullmatch(value):
        return value
    if value is not None:
        reader.warnings.append("the session that the CLI reported is not one plain word: it is not used")
    return None


def _text(value: object) -> str | None:
    """A value as text: strings as they are, a list of strings as lines, anything else as JSON."""
    if value is None:
        return None
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        value = "\n".join(value)
    if not isinstance(value, str):
        value = "" if value in ([], {}) else json.dumps(value, ensure_ascii=False)
    return value.encode("utf-8", "replace").decode()


def _amount(value: object, before: float) -> float | None:
    """A figure that is a finite number and not negative, less what was used before.

    A total that is smaller than what was used before began anew: it is counted whole.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        amount = float(value)
    except OverflowError:
        return None
    if not math.isfinite(amount) or amount < 0:
        return None
    return amount - before if amount >= before else amount


def _count(value: object, before: int) -> int | None:
    amount = _amount(value, before)
    return None if amount is None else round(amount)


def _cut(text: str) -> str:
    return text if len(text) <= REASON_LENGTH else f"{text[:REASON_LENGTH]}..."


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
