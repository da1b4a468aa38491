"""Every command there is, in the order of the help."""

from reconciler.commands import (
    archive,
    board,
    demo,
    doctor,
    edits,
    forge,
    hosts,
    init,
    logs,
    new,
    reconcile,
    report,
    show_prompt,
    token,
    validate,
)
from reconciler.commands.command import Command

_ALL = (
    demo.COMMAND,
    init.COMMAND,
    new.COMMAND,
    validate.COMMAND,
    forge.COMMAND,
    *board.COMMANDS,
    reconcile.COMMAND,
    logs.COMMAND,
    *hosts.COMMANDS,
    report.COMMAND,
    doctor.COMMAND,
    show_prompt.COMMAND,
    *edits.COMMANDS,
    archive.COMMAND,
    token.COMMAND,
)

GROUPS = ("Begin", "Run", "Look", "Change")
COMMANDS: tuple[Command, ...] = tuple(sorted(_ALL, key=lambda command: GROUPS.index(command.group)))
