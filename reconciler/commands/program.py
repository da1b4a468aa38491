"""The program `reconciler`: reads the command line in its own forms and has invoke run the command.

It adds no command and changes none; `invoke` inside a fleet runs the same collection.
"""

import sys
from collections.abc import Iterable, Sequence
from importlib import metadata

from invoke.collection import Collection
from invoke.config import Config
from invoke.exceptions import Exit
from invoke.parser.context import ParserContext
from invoke.parser.parser import ParseResult
from invoke.program import Program

from reconciler.commands import arguments, help_text, refusals
from reconciler.commands.arguments import Asked
from reconciler.commands.command import Command
from reconciler.commands.session import WrongUsage


class Reconciler(Program):
    """`reconciler [NAME] [ARGUMENTS]`."""

    def __init__(self, commands: Sequence[Command], namespace: Collection) -> None:
        """`namespace` is the collection of exactly these commands."""
        super().__init__(version=metadata.version("reconciler"), namespace=namespace, name="reconciler")
        self._commands = {command.name: command for command in commands}
        self._asked = Asked()

    def create_config(self) -> None:
        """Take no settings from invoke's own files: they belong to people's other tasks."""
        self.config = Config(lazy=True)

    def normalize_argv(self, argv: list[str] | None) -> None:
        """Read the whole command line here; invoke gets a bare one."""
        words = argv or ["reconciler"]
        try:
            self._asked = arguments.read(words[1:], self._commands)
        except WrongUsage as error:
            raise Exit(f"reconciler: {refusals.sentence(error)}", code=refusals.code(error)) from error
        self.argv = words[:1]

    def parse_tasks(self) -> None:
        """Hand the command over with its arguments set: no word of a person is parsed twice."""
        self.parser = self._make_parser()
        self.core_via_tasks = ParserContext()
        self.tasks = ParseResult()
        asked = self._asked
        if asked.command is None or asked.help or asked.version:
            return
        context = self.parser.contexts[asked.command.name]
        for name, value in asked.values.items():
            for one in value if isinstance(value, tuple) else (value,):
                context.args[name].set_value(one, cast=False)
        self.tasks.append(context)

    def parse_cleanup(self) -> None:
        """Answer what no command answers: help and version."""
        asked = self._asked
        if asked.version:
            self.print_version()
        elif asked.command is not None and asked.help:
            self.print_task_help(asked.command.name)
        elif asked.command is None:
            self.print_help()
        else:
            return
        raise Exit

    def print_help(self) -> None:
        """All commands, by what people want to do."""
        _say(help_text.overview(tuple(self._commands.values())))

    def print_task_help(self, name: str) -> None:
        """One command: what it does, its options, an example."""
        _say(help_text.teaching(self._commands[name]))


def _say(lines: Iterable[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
