"""What a command is: a function of a session with plain arguments, and what its help says.

It knows no particular command and no way to call one.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any

Does = Callable[..., int]
"""A command's function: `(session, *, arguments) -> exit code`. Arguments are text, numbers, booleans or tuples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command. `does` teaches by its docstring; `positional` names the argument that may stand without a name.

    Where there are many arguments, `does` takes them as one value of the dataclass `takes`. `choices` are the words
    that an argument may be, where they are few.
    """

    name: str
    group: str
    does: Does
    positional: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    example: str = ""
    takes: type | None = None

    @property
    def summary(self) -> str:
        """The first line of what it does."""
        return self.teaching.split("\n", 1)[0].rstrip(".")

    @property
    def teaching(self) -> str:
        """All that its docstring says."""
        return inspect.getdoc(self.does) or ""

    @property
    def parameters(self) -> tuple["Parameter", ...]:
        """Its arguments, in order, and `fleet`, which every command takes."""
        if self.takes is not None:
            own = [Parameter(name=one.name, default=_default(one)) for one in fields(self.takes)]
        else:
            given = list(inspect.signature(self.does).parameters.values())[1:]
            own = [Parameter(name=one.name, default=one.default) for one in given]
        return (*own, Parameter(name="fleet", default=""))

    def call(self, session: object, values: Mapping[str, object]) -> int:
        """Call its function with these arguments; the exit code."""
        if self.takes is not None:
            return self.does(session, self.takes(**values))
        return self.does(session, **values)

    @property
    def usage(self) -> str:
        """The name and its positional argument as people write them: `status [TASK]`."""
        one = next((parameter for parameter in self.parameters if parameter.name == self.positional), None)
        if one is None:
            return self.name
        word = one.name.removesuffix("s").upper() + ("..." if one.repeated else "")
        return f"{self.name} {word}" if one.required else f"{self.name} [{word}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One argument of a command; its kind follows from its default."""

    name: str
    default: Any

    @property
    def option(self) -> str:
        """How it is written: `--until-idle`."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def required(self) -> bool:
        """Whether the command cannot do without it."""
        return self.default is inspect.Parameter.empty

    @property
    def flag(self) -> bool:
        """Whether it stands alone, without a value."""
        return isinstance(self.default, bool)

    @property
    def repeated(self) -> bool:
        """Whether it may be given several times."""
        return isinstance(self.default, tuple)

    def value(self, text: str) -> object:
        """The text as the kind of value that it stands for; ValueError when it is none."""
        return int(text) if isinstance(self.default, int) and not self.flag else text


def _default(one: Field[Any]) -> Any:  # noqa: ANN401 - a default may be of any kind
    return inspect.Parameter.empty if one.default is MISSING else one.default
