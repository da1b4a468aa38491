"""Reads a command line: which command, with which arguments, whatever their order.

It never runs a command; what it cannot read is WrongUsage with the next step.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.commands.command import Command, Parameter
from reconciler.commands.session import WrongUsage

HELP = ("--help", "-h")
VERSION = ("--version", "-V")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a command line asks for; without a command it asks for help or the version."""

    command: Command | None = None
    values: Mapping[str, object] = field(default_factory=dict)
    help: bool = False
    version: bool = False


def read(words: Sequence[str], commands: Mapping[str, Command]) -> Asked:
    """What these words, without the program's name, ask for; raises WrongUsage."""
    reader = _Reader(commands)
    reader.read(list(words))
    return reader.asked()


def closest(word: str, known: Iterable[str]) -> str:
    """A hint at the known word that may be meant, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


class _Reader:
    """The state of reading one command line."""

    def __init__(self, commands: Mapping[str, Command]) -> None:
        self._commands = commands
        self._command: Command | None = None
        self._values: dict[str, object] = {}
        self._loose: list[str] = []
        self._help = self._version = False

    def read(self, words: list[str]) -> None:
        while words:
            word = words.pop(0)
            if word == "--":
                for rest in words:
                    self._take(rest)
                return
            if word in HELP:
                self._help = True
            elif word in VERSION:
                self._version = True
            elif word.startswith("-") and word != "-":
                self._option(word, words)
            else:
                self._take(word)

    def asked(self) -> Asked:
        if self._help or self._version or self._command is None:
            return Asked(command=self._command, help=self._help or not self._version, version=self._version)
        for name in self._values:
            if all(name != parameter.name for parameter in self._command.parameters):
                raise _foreign(self._command, f"--{name.replace('_', '-')}")
        for parameter in self._command.parameters:
            if parameter.required and parameter.name not in self._values:
                example = self._command.example.splitlines()[0]
                raise WrongUsage(f"{self._command.usage}: {parameter.name} is missing; for example: {example}")
        return Asked(command=self._command, values=self._values)

    def _take(self, word: str) -> None:
        """A bare word: the command, then what its positional argument takes."""
        if self._command is None:
            self._name(word)
            return
        command = self._command
        parameter = next((one for one in command.parameters if one.name == command.positional), None)
        if parameter is None:
            raise WrongUsage(f'{command.name} takes no argument "{word}"; see reconciler {command.name} --help')
        if not parameter.repeated and parameter.name in self._values:
            raise WrongUsage(
                f'{command.name} takes one {parameter.name.upper()}, "{word}" is one too many; quote what has spaces'
            )
        self._keep(parameter, word)

    def _name(self, word: str) -> None:
        if word == "help":
            self._help = True
            return
        self._command = self._commands.get(word)
        if self._command is None:
            hint = closest(word, self._commands)
            raise WrongUsage(f'there is no command "{word}"{hint or "; run `reconciler` for all of them"}')

    def _option(self, word: str, rest: list[str]) -> None:
        name, equals, value = word.partition("=")
        parameter = self._parameter(name)
        if parameter.flag:
            if equals:
                raise WrongUsage(f"{name} takes no value")
            self._values[parameter.name] = True
            return
        if not equals:
            if not rest or rest[0] in HELP or self._known(rest[0].partition("=")[0]):
                raise WrongUsage(f"{name} needs a value: {name}=VALUE")
            value = rest.pop(0)
        self._keep(parameter, value)

    def _parameter(self, name: str) -> Parameter:
        found = self._known(name)
        if found is not None:
            return found
        if self._command is None:
            raise WrongUsage(f"there is no option {name}; run `reconciler` for the commands")
        raise _foreign(self._command, name)

    def _known(self, name: str) -> Parameter | None:
        """The argument of this name; before the command is known, that of any command."""
        commands = [self._command] if self._command else self._commands.values()
        parameters = (parameter for command in commands for parameter in command.parameters)
        return next((one for one in parameters if one.option == name), None)

    def _keep(self, parameter: Parameter, text: str) -> None:
        if parameter.name == "fleet" and not text:
            raise WrongUsage("--fleet needs the path of a fleet, not an empty word")
        if not text and self._command is not None and parameter.name == self._command.positional:
            raise WrongUsage(f"{self._command.usage}: {parameter.name} is an empty word; is a variable not set?")
        try:
            value = parameter.value(text)
        except ValueError as error:
            raise WrongUsage(f'{parameter.option} needs a whole number, not "{text}"') from error
        if parameter.repeated:
            before = self._values.get(parameter.name, ())
            self._values[parameter.name] = (*(before if isinstance(before, tuple) else ()), value)
        else:
            self._values[parameter.name] = value


def _foreign(command: Command, option: str) -> WrongUsage:
    options = [one.option for one in command.parameters]
    advice = f"; see reconciler {command.name} --help, or write -- before a word that starts with -"
    return WrongUsage(f"{command.name} has no option {option}{closest(option, options) or advice}")
