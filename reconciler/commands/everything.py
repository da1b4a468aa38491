"""Every command there is, in the order of the help; a module is loaded when one of its commands is asked for.

A command that only looks starts in half the time without what `reconcile` needs.
"""

import importlib
from collections.abc import Mapping, Sequence

from reconciler.commands.command import Command

MODULES: Mapping[str, str] = {
    "demo": "demo",
    "init": "init",
    "new": "new",
    "validate": "validate",
    "forge": "forge",
    "completion": "completion",
    "plan": "board",
    "reconcile": "reconcile",
    "status": "board",
    "why": "board",
    "logs": "logs",
    "hosts": "hosts",
    "adapters": "hosts",
    "report": "report",
    "doctor": "doctor",
    "notify": "notify",
    "prompt": "show_prompt",
    "hold": "edits",
    "release": "edits",
    "cancel": "edits",
    "retry": "edits",
    "archive": "archive",
    "token": "token",
}
"""The name of each command and the module that has it; those of a group of the help stand together."""


def commands() -> tuple[Command, ...]:
    """All of them."""
    return tuple(map(command, MODULES))


def needed(words: Sequence[str]) -> tuple[Command, ...]:
    """Those that a command line needs: the one that it begins with, else all of them."""
    return (command(words[0]),) if words and words[0] in MODULES else commands()


def command(name: str) -> Command:
    """The command with this name."""
    found: Sequence[Command] = importlib.import_module(f"reconciler.commands.{MODULES[name]}").COMMANDS
    return next(one for one in found if one.name == name)
