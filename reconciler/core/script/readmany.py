"""Reading what many runs printed since the last look, with one command.

It never reads beyond a run folder; a file that shrinks meanwhile or cannot be read costs only what comes after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from reconciler.core.command import Command, Completed
from reconciler.core.script import shell

MOST_PIECES = 400
READ_TIMEOUT_S = 60.0

_READ_MANY = (
    "set -u\n"
    + shell.take("workdir", "fleet")
    + shell.MARK_ANSWER
    + shell.FLEET_ROOT
    + r"""
cd "$root/runs" || exit 96
answer
while IFS= read -r run && [ "$run" != . ] && IFS= read -r stream && IFS= read -r offset && IFS= read -r size; do
  file=$run/$stream
  if [ ! -L "$run" ] && [ ! -L "$file" ] && [ -f "$file" ]; then
    dd if="$file" bs=65536 iflag=skip_bytes,count_bytes skip="$offset" count="$size" 2>/dev/null || continue
  fi
  printf '\nend %s\n' "$file"
done
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Bytes of an output that are known to be there: `size` of them from `offset` on."""

    run: str
    stream: Literal["stdout", "stderr"]
    offset: int
    size: int


def read_many(workdir: str, fleet: str, pieces: Sequence[Piece]) -> Command:
    """Read these pieces; ValueError for more than `MOST_PIECES`."""
    if len(pieces) > MOST_PIECES:
        message = f"{len(pieces)} pieces are too many for one read: {MOST_PIECES} at a time"
        raise ValueError(message)
    words = [*shell.place(workdir, fleet)]
    for piece in pieces:
        words += [shell.checked_run(piece.run), piece.stream, str(piece.offset), str(piece.size)]
    return Command(name="read-many", script=_READ_MANY, words=(*words, "."), timeout_s=READ_TIMEOUT_S, brief=True)


def parse_read_many(completed: Completed, pieces: Sequence[Piece]) -> list[bytes]:
    """The bytes of each piece, in order; what comes after one that is not whole is left out. ProtocolError for none."""
    answer = shell.body("read-many", completed)
    found, at = [], 0
    for piece in pieces:
        end = f"\nend {piece.run}/{piece.stream}\n".encode()
        if answer[at + piece.size : at + piece.size + len(end)] != end:
            break
        found.append(answer[at : at + piece.size])
        at += piece.size + len(end)
    return found
