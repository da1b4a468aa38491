"""What can be completed on a command line: which options take a value, and what stands for one.

It knows no shell.
"""

from collections.abc import Mapping, Sequence

from reconciler.commands.command import Command, Parameter

KINDS: Mapping[str, str] = {
    "task": "tasks",
    "depends_on": "tasks",
    "host": "hosts",
    "adapter": "adapters",
    "fleet": "folders",
    "keep": "folders",
    "path": "folders",
    "paths": "files",
}
"""What stands for a value of the arguments with these names; of others nothing can be offered."""

GENERAL = {"--fleet": "the fleet's folder", "--help": "what the command does", "--version": "the version"}


def kind_of(command: Command, parameter: Parameter) -> str:
    """One of these, the words that it may be behind `words`, or nothing."""
    choices = command.choices.get(parameter.name)
    return f"words {' '.join(choices)}" if choices else KINDS.get(parameter.name, "")


def taking(commands: Sequence[Command]) -> list[str]:
    """Every option that a value follows."""
    return sorted({one.option for command in commands for one in command.parameters if not one.flag})
