"""Makes the page of the commands from what each of them says at `--help`.

It words nothing itself.
"""

from collections.abc import Iterator, Sequence

from reconciler.commands import everything, help_text
from reconciler.commands.command import Command

ABOUT = """\
# Commands

Each is `reconciler NAME` anywhere, and `invoke NAME` inside a fleet. What stands here is what `--help` prints. Exit
codes: 0 good, 1 the thing asked about is not good, 2 wrong usage.
"""


def page() -> str:
    """The whole page, as Markdown."""
    commands = everything.commands()
    groups = dict.fromkeys(command.group for command in commands)
    lines = [ABOUT, *(line for group in groups for line in _group(group, commands))]
    return "\n".join(lines)


def _group(group: str, commands: Sequence[Command]) -> Iterator[str]:
    yield from (f"## {group}", "")
    for command in commands:
        if command.group == group:
            yield from _command(command)


def _command(command: Command) -> Iterator[str]:
    yield from (f"### {command.name}", "", "```text", next(help_text.teaching(command)), "```", "")
    yield from (command.teaching, "", "| option | |", "|---|---|")
    for name, said in help_text.options(command):
        yield f"| `{name}` | {said.replace('|', '&#124;')} |"
    yield ""
    if command.example:
        yield from ("```sh", command.example, "```", "")
