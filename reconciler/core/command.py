"""What a transport carries to a host: a fixed `sh` script with its data on stdin, and what came back.

Nothing that a user wrote reaches a command line: the command line holds only the script's length.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One script for a host's `sh`.

    `script` is fixed text of the program. `words` are data that the script takes with `read -r`, one line each (no
    newline, no NUL). `payload` is whatever bytes follow. `timeout_s` bounds the whole exchange. `lends_agent` marks the
    few commands (prepare, deliver) for which a host with `forward_agent` gets the ssh agent. A `brief` one ends in
    moments, and may share a long-lived shell with others.
    """

    name: str
    script: str
    words: tuple[str, ...] = ()
    payload: bytes = b""
    timeout_s: float = 30.0
    lends_agent: bool = False
    brief: bool = False

    def __post_init__(self) -> None:
        """Refuse words that would end a line early."""
        if any("\n" in word or "\0" in word for word in self.words):
            message = f"{self.name}: a word for a host holds a newline or a NUL"
            raise ValueError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """How a command ended on the host. `exit` is its exit status, 128 + n for a death by signal n."""

    exit: int
    stdout: bytes
    stderr: bytes


def command_line(command: Command) -> str:
    """The one command line that every login shell reads alike: no newline, backslash or exclamation mark in it.

    `dd` and not `head -c`, because the one of busybox reads ahead and takes the words with it.
    """
    length = len(command.script.encode())
    return f"sh -c 'eval \"$(dd bs={length} count=1 iflag=fullblock 2>/dev/null)\"'"


def stdin(command: Command) -> bytes:
    """The bytes for the command's stdin: script, words, payload. `dd` and `read` take no byte too many."""
    return command.script.encode() + data(command)


def data(command: Command) -> bytes:
    """What the script itself reads: words, payload."""
    return "".join(f"{word}\n" for word in command.words).encode() + command.payload
