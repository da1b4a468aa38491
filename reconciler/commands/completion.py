"""`completion`: what has a shell complete the program's commands, options and the ids of the fleet around.

The script asks the shell alone: completing starts no Python, and reads no more than the names of files.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from reconciler.commands import everything, fish, shells
from reconciler.commands.command import Command
from reconciler.commands.session import Session, WrongUsage

SCRIPTS: Mapping[str, Callable[[Sequence[Command]], Iterator[str]]] = {
    made.__name__: made for made in (shells.bash, shells.zsh, fish.fish)
}
"""The name of each shell and what makes its script."""


def completion(session: Session, *, shell: str) -> int:
    """Print what has your shell complete commands, options and ids.

    Task ids, host ids and adapter ids are those of the fleet around the current folder, or of the one that --fleet or
    RECONCILER_FLEET names. Put it where your shell looks for it, and again after an update.
    """
    if shell not in SCRIPTS:
        raise WrongUsage(f'completion takes one of {", ".join(SCRIPTS)}, not "{shell}"')
    for line in SCRIPTS[shell](everything.commands()):
        session.screen.line(line)
    return 0


COMMANDS = (
    Command(
        name="completion",
        group="Begin",
        does=completion,
        positional="shell",
        choices={"shell": tuple(SCRIPTS)},
        options={"shell": ", ".join(SCRIPTS)},
        example=(
            "reconciler completion bash > ~/.local/share/bash-completion/completions/reconciler\n"
            'reconciler completion zsh > "${fpath[1]}/_reconciler"\n'
            "reconciler completion fish > ~/.config/fish/completions/reconciler.fish"
        ),
    ),
)
