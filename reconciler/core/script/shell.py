"""What all scripts share: fragments of POSIX `sh`, quoting, the names of folders, and the frame of an answer.

It never puts data into a script: data travel as words and payload of a `Command`.
"""

import re
import shlex

from reconciler.core.command import Completed

MARK = b"reconciler answers\n"
"""Where an answer begins; what a login shell's start-up files print before it is no part of it."""

MOST_DIGITS = 18
"""No size, time or tally of a host has more; Python refuses to read thousands."""

MOST_MESSAGE = 400
MOST_VALUE = 8192
"""How long one value of an answer may be, in characters: longer than any path, and short enough to be recorded."""

_RUN = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\.[1-9][0-9]{0,8}")
_FLEET = re.compile(r"[0-9a-f]{12}")
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_FENCED = re.compile(rb"fenced ([0-9]{1,18})\n")

TAKE_TEXT = r"""
if [ -p /proc/self/fd/0 ]; then . /proc/self/fd/0; else eval "$(cat)"; fi
"""
"""Script text that does what follows on stdin, as `sh` text: a shell reads that in blocks, and words byte by byte."""

MARK_ANSWER = r"""
answer() { printf 'reconciler answers\n'; }
"""

FLEET_ROOT = r"""
case $workdir in
  "~") workdir=$HOME ;;
  "~/"*) workdir=$HOME/${workdir#"~/"} ;;
  /*) ;;
  *) workdir=$HOME/$workdir ;;
esac
root=$workdir/$fleet
"""
"""From the words `workdir` and `fleet` to `root`, the absolute folder of the fleet."""

PROCESSES = r"""
read -r boot </proc/sys/kernel/random/boot_id
uptime_s() { read -r up rest </proc/uptime; up=${up%.*}; }
started_at() {
  start= stat= state=
  { while IFS= read -r part || [ -n "$part" ]; do stat="$stat$part "; done; } 2>/dev/null </proc/"$1"/stat || return 1
  fields=${stat#*") "}
  case $fields in *")"*) fields=${fields##*") "} ;; esac
  set -- $fields
  [ $# -ge 20 ] || return 1
  state=$1
  shift 19
  start=$1
  case $state in Z | X) return 1 ;; esac
}
lives() { [ -n "$1" ] && [ -n "$2" ] && started_at "$1" && [ "$start" = "$2" ]; }
"""
"""`boot`; `uptime_s` sets `up`; `lives PID START` is true for that very process, and never for a reused pid.

`fields` is what follows the name of the program. That may hold a bracket, too, but rarely does: to look for the last
one `sh` goes over the line once for each of its bytes.
"""

CLAIM = r"""
look() {
  claim=absent pid= began= where= since= wall= agent= agent_began=
  [ -e started ] || [ -L started ] || return 0
  claim=gone
  [ -f started ] || return 0
  { IFS=' ' read -r pid began where since wall; } 2>/dev/null <started || :
  if [ "$pid" = void ]; then claim=void; return 0; fi
  case $pid$began$since$wall in *[!0-9]*) pid= began= since= wall= ;; esac
  if [ -s exit ]; then claim=ended; fi
  if [ "$where" != "$boot" ]; then return 0; fi
  if [ -f agent ]; then { read -r agent agent_began; } 2>/dev/null <agent || :; fi
  case $agent$agent_began in *[!0-9]*) agent= agent_began= ;; esac
  if [ "$claim" = ended ]; then return 0; fi
  if lives "$pid" "$began" || lives "$agent" "$agent_began"; then claim=alive; return 0; fi
  if [ -s exit ]; then claim=ended; fi
}
"""
"""In a run folder, `look` sets `claim` to absent, void, alive, ended or gone; `exit` is asked again after a death.

The folder is the agent's to write as well: what is no plain file is not read, because a pipe would never end.
"""

TAGS = r"""
find_tags() {
  tags=$(printf 'a\0RECONCILER_RUN=%s.a.1' "$fleet" |
    grep -a -o -s -H -e "RECONCILER_RUN=$fleet[.][a-z0-9_-]*[.][0-9]*" /proc/self/fd/0 /proc/[0-9]*/environ 2>/dev/null)
  case $tags in
    /proc/self/*) tags=${tags#*.a.1}; return 0 ;;
  esac
  tags=
  for environ in /proc/[0-9]*/environ; do
    tag=$({ tr '\n\0' '\1\n' <"$environ" | grep -e "^RECONCILER_RUN=$fleet[.]"; } 2>/dev/null)
    if [ -n "$tag" ]; then tags="$tags $environ:$tag"; fi
  done
}
"""
"""`find_tags` sets `tags` to words `/proc/PID/environ:RECONCILER_RUN=...` for all runs of the fleet.

A `grep` that does not look beyond a NUL does not find the first, which is its stdin. Where it matters whether that is a
whole entry, it has to be looked at again.
"""

SWEEP = (
    TAGS
    + r"""
carries() { tr '\n\0' '\1\n' <"$1" | grep -q -x -F -e "RECONCILER_RUN=$fleet.$2"; } 2>/dev/null
find_carriers() {
  carriers= carried=' '
  find_tags
  for tag in $tags; do
    tagged=${tag##*"=$fleet."}
    case $swept in *" $tagged "*) ;; *) continue ;; esac
    environ=${tag%%:*} carrier=${tag#/proc/}
    carrier=${carrier%%/*}
    if [ "$carrier" != "$$" ] && carries "$environ" "$tagged"; then
      carriers="$carriers $carrier" carried="$carried$tagged "
    fi
  done
}
sweep() {
  swept=" $* " rounds=0
  find_carriers
  while [ -n "$carriers" ] && [ "$rounds" -lt 20 ]; do
    guard
    kill -KILL $carriers 2>/dev/null
    rounds=$((rounds + 1))
    if [ "$rounds" -gt 2 ]; then sleep 0.05 2>/dev/null || sleep 1; fi
    find_carriers
  done
}
"""
)
"""`sweep RUN...` kills every process that has the tag of one of these runs as a whole entry of its environment.

Left are `carriers`, and `carried` names their runs. It stops where `guard` of `fence` does.
"""


DISCARD = r"""
discard() { rm -rf -- "$1" 2>/dev/null || { chmod -R u+rwX -- "$1" 2>/dev/null; rm -rf -- "$1"; }; }
"""
"""`discard FOLDER` removes a folder, also one in which an agent left folders that may not be written."""


class ProtocolError(Exception):
    """A host answered something that this protocol does not have; the message is one line, and never a long one."""

    def __init__(self, message: str) -> None:
        """Cut the message, which may quote what the host said, to `MOST_MESSAGE` characters."""
        super().__init__(message[:MOST_MESSAGE])


class Fenced(Exception):
    """A host refused to change anything, because it has seen a newer term than ours; the message is one line."""

    def __init__(self, name: str, term: int) -> None:
        """Keep the newer term beside the sentence."""
        super().__init__(f"{name}: the host was told of term {term}, which is newer: another reconciler leads now")
        self.term = term


def take(*names: str) -> str:
    """Script text that reads one word into each of the variables."""
    return "".join(f"IFS= read -r {name} || exit 97\n" for name in names)


def quoted(words: tuple[str, ...]) -> str:
    """The words as `sh` text, each quoted by itself; ValueError where one holds a NUL."""
    if any("\0" in word for word in words):
        raise ValueError("a word of a command holds a NUL, which no process can be given: take it out")
    return " ".join(shlex.quote(word) if word else "''" for word in words)


def run_name(task: str, epoch: int) -> str:
    """The name of a run's folder; ValueError for what cannot be one."""
    return checked_run(f"{task}.{epoch}")


def checked_run(run: str) -> str:
    """The run's folder name, `<task>.<epoch>`, as it was given; ValueError when it is none."""
    if not _RUN.fullmatch(run):
        message = f"{run!r} is no run: write <task>.<epoch>"
        raise ValueError(message)
    return run


def checked_id(task: str) -> str:
    """The task's id as it was given; ValueError when it is none."""
    if not _ID.fullmatch(task):
        message = f"{task!r} is no task id: lower case letters, digits, '-' and '_', at most 63"
        raise ValueError(message)
    return task


def place(workdir: str, fleet: str) -> tuple[str, str]:
    """The two words that every script begins with; ValueError for an impossible folder or fleet."""
    if not _FLEET.fullmatch(fleet):
        message = f"{fleet!r} is no fleet id: 12 hexadecimal digits"
        raise ValueError(message)
    if not workdir:
        raise ValueError("a host's workdir is empty: name a folder")
    return workdir, fleet


def body(name: str, completed: Completed) -> bytes:
    """What a script answered, without noise of the login shell.

    ProtocolError where it did not answer, Fenced where the host has seen a newer term.
    """
    return completed.stdout[begin(name, completed) :]


def begin(name: str, completed: Completed) -> int:
    """Where in its stdout a script's answer begins; raises as `body` does."""
    found = completed.stdout.find(MARK)
    if found < 0:
        end = _end(completed.stderr or completed.stdout) or "it said nothing"
        message = f"{name}: the host's sh ended with {completed.exit} and no answer: {end}"
        raise ProtocolError(message)
    refused = _FENCED.fullmatch(completed.stdout, found + len(MARK))
    if refused is not None:
        raise Fenced(name, int(refused[1]))
    return found + len(MARK)


def said(completed: Completed) -> str:
    """The end of what the host's programs complained of, as one line."""
    return _end(completed.stderr)


def _end(raw: bytes) -> str:
    return " ".join(text(raw)[-300:].split())


def fields(name: str, answer: bytes) -> dict[str, str]:
    """The lines `key value` of an answer; ProtocolError when one is too long or the last is cut."""
    if answer and not answer.endswith(b"\n"):
        message = f"{name}: the answer is cut: {text(answer)[-80:]!r}"
        raise ProtocolError(message)
    found: dict[str, str] = {}
    for line in text(answer).split("\n")[:-1]:
        if len(line) > MOST_VALUE:
            message = f"{name}: a line of the answer is longer than {MOST_VALUE}: {line[:80]!r}"
            raise ProtocolError(message)
        key, _, value = line.partition(" ")
        found[key] = value
    return found


def needed(name: str, found: dict[str, str], key: str) -> str:
    """A value that the answer must hold; ProtocolError without it."""
    if key not in found:
        message = f"{name}: the answer has no {key!r}"
        raise ProtocolError(message)
    return found[key]


def number(name: str, value: str) -> int:
    """A count in an answer; ProtocolError for anything but digits, and for more of them than any count has."""
    if not (value.isascii() and value.isdigit() and len(value) <= MOST_DIGITS):
        message = f"{name}: {value!r} is no count"
        raise ProtocolError(message)
    return int(value)


def text(raw: bytes) -> str:
    """Bytes of a host as text that turns back into the same bytes."""
    return raw.decode("utf-8", "surrogateescape")
