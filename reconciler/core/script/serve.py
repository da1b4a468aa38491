"""A shell that lives on and runs script after script, each in a subshell of its own: what it is told, how it answers.

It never reads a byte beyond an order: lines by `read`, everything else by `dd`, which both take no byte too many. What
a script reads is its own pipe, whatever it leaves there.
"""

from dataclasses import dataclass

from reconciler.core.command import Command, data

_SERVE = r"""
shell_mask=$(umask)
while IFS= read -r shell_order; do
  set -- $shell_order
  case $1 in
    learn)
      shell_text=$(dd bs="$3" count=1 iflag=fullblock 2>/dev/null; echo .)
      eval "shell_script_$2() {
${shell_text%.}
}"
      continue
      ;;
    run)
      dd bs="$4" count=1 iflag=fullblock 2>/dev/null | ("shell_script_$2")
      ;;
    lines)
      shell_left=$4
      IFS= read -r shell_data || exit 94
      while [ "$shell_left" -gt 1 ]; do
        IFS= read -r shell_line || exit 94
        shell_data="$shell_data
$shell_line" shell_left=$((shell_left - 1))
      done
      ("shell_script_$2") <<END
$shell_data
END
      ;;
    *) exit 94 ;;
  esac
  printf '\n%s %d\n' "$3" "$?"
  printf '\n%s 0\n' "$3" >&2
done
"""
"""A script is learnt as a function, so that it is parsed once. `shell_mask` is the umask of the login."""

MOST_BY_LINES = 2048
"""A shell reads lines byte by byte: with more of them another process is worth its start."""

MOST_SAID = len(b"255\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The last line of a script's output: how long it is in bytes, and the exit status in it."""

    size: int
    exit: int


def serve() -> Command:
    """The shell itself. It ends with its stdin."""
    return Command(name="serve", script=_SERVE)


def learn(number: int, command: Command) -> bytes:
    """The order to keep a command's script under a number."""
    script = command.script.encode()
    return f"learn {number} {len(script)}\n".encode() + script


def run(number: int, token: str, command: Command) -> bytes:
    """The order to run the script with this number on a command's data, which must not be empty.

    Both streams end with a line that holds the token.
    """
    content = data(command)
    if len(content) <= MOST_BY_LINES and content.endswith(b"\n") and b"\0" not in content:
        lines = content.count(b"\n")
        return f"lines {number} {token} {lines}\n".encode() + content
    return f"run {number} {token} {len(content)}\n".encode() + content


def ending(token: str, tail: bytes) -> Ending | None:
    """What ends a stream, from its last bytes; None where it has not ended."""
    _, mark, said = tail.rpartition(b"\n%s " % token.encode())
    if not mark or len(said) > MOST_SAID or not said.endswith(b"\n") or not said[:-1].isdigit():
        return None
    return Ending(size=len(mark) + len(said), exit=int(said))
