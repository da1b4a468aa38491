"""Reading a run folder: the agent's output from a byte offset on, its other files, and what it was started with.

It never reads beyond the run folder, and never follows a link that the agent put there.
"""

from dataclasses import dataclass
from typing import Literal

from reconciler.core.command import Command, Completed
from reconciler.core.script import shell
from reconciler.core.script.launch import State, state
from reconciler.core.script.poll import exit_code, stop_reason
from reconciler.core.terms import StopReason

MOST_BYTES = 4 * 1024 * 1024
READ_TIMEOUT_S = 60.0
DD_FAILED = 1
"""How `dd` ends that could not open a file or not read on; what it could read came before."""

_OPEN = (
    "set -u\n"
    + shell.take("workdir", "fleet", "run")
    + shell.MARK_ANSWER
    + shell.FLEET_ROOT
    + 'cd "$root/runs/$run" 2>/dev/null || { answer; echo missing; exit 0; }\n'
)

_READ = (
    _OPEN
    + shell.take("file", "offset", "limit")
    + r"""
case $file in
  */*) folder=$(pwd -P); case $(cd "./${file%/*}" 2>/dev/null && pwd -P)/ in "$folder"/*) ;; *) file= ;; esac ;;
esac
if [ -z "$file" ] || [ -L "$file" ] || [ ! -f "$file" ]; then answer; echo missing; exit 0; fi
set -- $(LC_ALL=C ls -ln -- "./$file")
answer
printf 'size %s\n' "$5"
LC_ALL=C dd if="./$file" bs=65536 iflag=skip_bytes,count_bytes skip="$offset" count="$limit"
"""
)

_META = (
    _OPEN
    + shell.PROCESSES
    + shell.CLAIM
    + r"""
look
code=
if [ -f exit ]; then { IFS= read -r code; } 2>/dev/null <exit || :; fi
stopping=
if [ -f stop ]; then { read -r stopping rest; } 2>/dev/null <stop || :; fi
answer
printf 'state %s\nexit %s\nstop %s\nmeta\n' "$claim" "$code" "$stopping"
if [ ! -f meta.json ] || LC_ALL=C head -c """
    + str(MOST_BYTES)
    + r""" meta.json; then printf .; else printf '!'; fi
"""
)


class Unreadable(Exception):
    """A file is there, and its host could not read it, or not to its end; the message is one line in its words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Bytes of a file from `offset` on. `size` is that of the file just before; the next offset is `end`.

    `data` are a view of the answer, because a copy of megabytes costs as much as their way over a network. With an
    `error` more follows that the host could not read.
    """

    offset: int
    size: int
    data: memoryview
    error: str = ""

    @property
    def end(self) -> int:
        """Where the next read goes on, with nothing lost or doubled."""
        return self.offset + len(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """What a run folder says of its run. `exit_code` is None when `exit` is missing, empty or unreadable: unknown.

    128 + n stands for a death by signal n. `meta_json` is as it was written at the launch, None where it is not there.
    """

    state: State
    exit_code: int | None = None
    stopping: StopReason | None = None
    meta_json: bytes | None = None


def read(  # noqa: PLR0913, PLR0917 - the words of one command
    workdir: str, fleet: str, run: str, stream: Literal["stdout", "stderr"], offset: int, limit: int
) -> Command:
    """Read at most `limit` bytes of what the agent printed, from byte `offset` (0 is the first)."""
    return _read(workdir, fleet, run, (stream, str(offset), str(limit)))


def read_file(  # noqa: PLR0913, PLR0917 - the words of one command
    workdir: str, fleet: str, run: str, path: str, offset: int = 0, limit: int = MOST_BYTES
) -> Command:
    """The same of another file in the run folder; ValueError for a path that leads out of it."""
    if path.startswith(("/", "-")) or ".." in path.split("/") or path in {"", "env"}:
        message = f"{path!r} is no path inside the run folder"
        raise ValueError(message)
    return _read(workdir, fleet, run, (path, str(offset), str(limit)))


def parse_read(completed: Completed, offset: int = 0) -> Chunk | None:
    """The bytes, or None where there is no such file; ProtocolError for an answer that is none or was broken off."""
    answer, begin = completed.stdout, shell.begin("read", completed)
    if completed.exit not in {0, DD_FAILED}:  # a part of a file that is read at once would be taken for all of it
        message = f"read: it ended with {completed.exit} after {len(answer) - begin} bytes"
        raise shell.ProtocolError(message)
    newline = answer.find(b"\n", begin)
    head = answer[begin:newline] if newline >= 0 else b""
    if head == b"missing" and newline == len(answer) - 1:
        return None
    word, _, size = shell.text(head).partition(" ")
    if word != "size":
        message = f"read: {shell.text(answer[begin : begin + 80])!r} is no size"
        raise shell.ProtocolError(message)
    data, error = memoryview(answer)[newline + 1 :], _complaint(completed) if completed.exit != 0 else ""
    return Chunk(offset=offset, size=shell.number("read", size), data=data, error=error)


def read_meta(workdir: str, fleet: str, run: str) -> Command:
    """Read what a run was started with and how it ended, to take it over or to judge it."""
    words = (*shell.place(workdir, fleet), shell.checked_run(run))
    return Command(name="read-meta", script=_META, words=words, brief=True)


def parse_read_meta(completed: Completed) -> RunFolder:
    """The run folder's word; `absent` where it is not there. ProtocolError for an answer that is none or is cut.

    `Unreadable` where `meta.json` is there and could not be read.
    """
    answer = shell.body("read-meta", completed)
    if answer == b"missing\n":
        return RunFolder(state="absent")
    head, mark, meta = answer.partition(b"\nmeta\n")
    if mark and meta.endswith(b"!"):
        raise Unreadable(_complaint(completed))
    if not mark or not meta.endswith(b"."):
        raise shell.ProtocolError("read-meta: the answer is cut")
    found = shell.fields("read-meta", head + b"\n")
    return RunFolder(
        state=state("read-meta", shell.needed("read-meta", found, "state")),
        exit_code=exit_code(shell.needed("read-meta", found, "exit")),
        stopping=stop_reason(shell.needed("read-meta", found, "stop")),
        meta_json=meta[:-1] or None,
    )


def _read(workdir: str, fleet: str, run: str, rest: tuple[str, str, str]) -> Command:
    if not rest[1].isdigit() or not rest[2].isdigit() or int(rest[2]) > MOST_BYTES:
        message = f"offset {rest[1]} and limit {rest[2]}: both count bytes, the limit at most {MOST_BYTES}"
        raise ValueError(message)
    words = (*shell.place(workdir, fleet), shell.checked_run(run), *rest)
    return Command(name="read", script=_READ, words=words, timeout_s=READ_TIMEOUT_S, brief=True)


def _complaint(completed: Completed) -> str:
    """What the program that reads a file said of it; after that `dd` counts."""
    first, _, _ = shell.text(completed.stderr).partition("\n")
    return " ".join(first.split())[: shell.MOST_MESSAGE] or "it did not say why"
