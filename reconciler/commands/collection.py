"""The one collection of commands, for `reconciler NAME` and `invoke NAME` alike.

It calls a command and turns what it returns or raises into an exit code; it knows no command's work.
"""

import inspect
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import Task

from reconciler.commands import help_text, refusals
from reconciler.commands.arguments import HELP
from reconciler.commands.command import Command, Parameter
from reconciler.commands.screen import Screen
from reconciler.commands.session import Outside, Session, WrongUsage


def collection(commands: Iterable[Command], outside: Outside) -> Collection:
    """The commands as invoke knows them."""
    gathered = Collection()
    for command in commands:
        gathered.add_task(_task(command, outside))
    return gathered


def _task(command: Command, outside: Outside) -> Task[Any]:
    def body(_: Context, **given: object) -> None:
        code = _called(command, outside, given)
        if code:
            raise Exit(code=code)

    parameters = [inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    parameters += [_parameter(one) for one in command.parameters]
    body.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # a function takes attributes
    body.__doc__ = command.teaching
    body.__name__ = command.name
    return Task(
        body,
        name=command.name,
        help=dict(command.options) | {"fleet": "the fleet's folder, instead of the nearest one around this folder"},
        auto_shortflags=False,
        iterable=[one.name for one in command.parameters if one.repeated],
    )


def _parameter(parameter: Parameter) -> inspect.Parameter:
    """The argument as invoke takes it: numbers as text, so that one that is none is refused in our words."""
    default = parameter.default
    if parameter.repeated:
        default = None
    elif isinstance(default, int) and not parameter.flag:
        default = str(default)
    return inspect.Parameter(parameter.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)


def _called(command: Command, outside: Outside, given: dict[str, object]) -> int:
    """Run the command; its exit code. Raises Exit with the line to print."""
    screen = Screen(outside.env, quiet=bool(given.get("json")))
    try:
        if any(given[one.name] in HELP for one in command.parameters if one.required):
            # What must be given invoke takes from the next word, also where that asks for help.
            sys.stdout.write("".join(f"{line}\n" for line in help_text.teaching(command)))
            return 0
        values = {one.name: _value(one, given[one.name]) for one in command.parameters}
        fleet = str(values.pop("fleet")) or outside.env.get("RECONCILER_FLEET", "")
        session = Session(outside=outside, screen=screen, named=Path(fleet) if fleet else None)
        code = command.call(session, values)
        screen.flush()
    except KeyboardInterrupt as interrupt:
        raise Exit(code=refusals.INTERRUPTED) from interrupt
    except BrokenPipeError:
        refusals.silence_output()
        return 0
    except refusals.EXPECTED as error:
        raise Exit(f"reconciler: {refusals.sentence(error)}", code=refusals.code(error)) from error
    return code


def _value(parameter: Parameter, given: object) -> object:
    if parameter.repeated:
        return tuple(given) if isinstance(given, list | tuple) else ()
    try:
        return parameter.value(given) if isinstance(given, str) else given
    except ValueError as error:
        raise WrongUsage(f'{parameter.option} needs a whole number, not "{given}"') from error
