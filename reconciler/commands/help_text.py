"""The help of `reconciler`: all commands by what people want to do, and each command with options and an example.

It only words what the commands say of themselves.
"""

from collections.abc import Iterator, Sequence

from reconciler.commands.command import Command, Parameter

FLEET = "the fleet's folder; without it RECONCILER_FLEET, else the nearest folder around with state/"
HELP = "this text"


def overview(commands: Sequence[Command]) -> Iterator[str]:
    """All commands, in groups."""
    yield "reconciler: GitOps for coding agents. Tasks are YAML files in git, results are commits."
    yield ""
    yield "Usage: reconciler COMMAND [ARGUMENTS] [--fleet PATH]      reconciler COMMAND --help"
    width = max(len(command.usage) for command in commands)
    for group in dict.fromkeys(command.group for command in commands):
        yield ""
        yield group
        for command in commands:
            if command.group == group:
                yield f"  {command.usage.ljust(width)}  {command.summary}"
    yield ""
    yield "New here? `reconciler demo` shows it all in a throw-away folder, offline, in under a minute."


def teaching(command: Command) -> Iterator[str]:
    """One command: what it does, what it takes, how it is used."""
    yield f"Usage: reconciler {command.usage}{' [OPTIONS]' if len(command.parameters) > 1 else ''}"
    yield ""
    yield command.teaching
    rows = list(options(command))
    width = max(len(name) for name, _ in rows)
    yield ""
    for name, said in rows:
        yield f"  {name.ljust(width)}  {said}"
    if command.example:
        yield ""
        yield "Example:" if "\n" not in command.example else "Examples:"
        for line in command.example.splitlines():
            yield f"  {line}"


def options(command: Command) -> Iterator[tuple[str, str]]:
    """All that a command takes: how it is written, and what it is."""
    for parameter in command.parameters:
        if parameter.name != "fleet":
            yield _written(command, parameter), command.options.get(parameter.name, "")
    yield "--fleet PATH", FLEET
    yield "--help", HELP


def _written(command: Command, parameter: Parameter) -> str:
    if parameter.name == command.positional:
        return parameter.name.removesuffix("s").upper() + ("..." if parameter.repeated else "")
    if parameter.flag:
        return parameter.option
    return f"{parameter.option} {'N' if isinstance(parameter.default, int) else 'VALUE'}"
