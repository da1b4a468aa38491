"""One poll for all runs of a host: what stands in each run folder, and for how long nothing has moved there.

It never signals a process and never counts on the clock of another machine.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from reconciler.core.command import Command, Completed
from reconciler.core.desired import Engine
from reconciler.core.script import engine, fence, idle, shell
from reconciler.core.script.launch import State, state
from reconciler.core.terms import StopReason

POLL_TIMEOUT_S = 30.0
MOST_RUNS = 1000
MOST_BOOT_ID = 100
MOST_EXIT = 255

_SIZES = r"""
remember() {
  case ${9-} in
    */stderr) noted=$5 ;;
    */stdout) sized="$sized ${9%/*}:$5:$noted "; noted=0 ;;
  esac
}
sizes_of() {
  sized= noted=0 logs=
  for run in "$@"; do
    if [ -e "$run/stdout" ] && { [ -n "$all" ] || [ ! -s "$run/exit" ]; }; then
      logs="$logs $run/stdout $run/stderr"
    fi
  done
  if [ -z "$logs" ]; then return 0; fi
  listed=$(LC_ALL=C ls -ln -- $logs 2>/dev/null)
  set -f
  IFS='
'
  for line in $listed; do
    unset IFS
    remember $line
  done
  unset IFS
  set +f
}
size_of() {
  out=0 err=0
  case $sized in
    " $1:"*)
      sized=${sized#" $1:"}
      out=${sized%%:*} sized=${sized#*:}
      err=${sized%%" "*} sized=${sized#*" "}
      ;;
  esac
}
"""
"""`sized` is ` <run>:<stdout bytes>:<stderr bytes> ` of every run that is named; one `ls` for all. `size_of` takes them
out again, in the same order, as `out` and `err`. Unless `all` is set, runs that have ended are left out: their sizes
are taken when that is known.

The list is split as words: a shell reads lines one byte with each call.
"""

_OVER = r"""
is_over() {
  code=-
  if [ -f exit ]; then { IFS= read -r code; } 2>/dev/null <exit || :; fi
  case $code in '' | *[!0-9]* | ????*) code=- ;; esac
  over="$over $run" overs="$overs$elapsed:$stopping:$code "
}
tell_over() {
  cd "$top" || exit 96
  all=1
  sizes_of $over
  for run in $over; do
    rest=${overs%%" "*} overs=${overs#*" "}
    elapsed=${rest%%:*} rest=${rest#*:}
    size_of "$run"
    printf 'run %s ended 0 %s %s %s %s %s\n' "$run" "$elapsed" "$out" "$err" "${rest%%:*}" "${rest#*:}"
  done
}
"""
"""Of runs that have ended, the sizes once more: what they print between the first look and their end counts."""

_POLL = (
    "set -u\numask 077\n"
    + shell.take("workdir", "fleet", "term")
    + "runs= engine=\n"
    + shell.TAKE_TEXT
    + shell.MARK_ANSWER
    + shell.FLEET_ROOT
    + fence.FENCE
    + shell.PROCESSES
    + shell.CLAIM
    + engine.CALLS
    + idle.HEAD
    + shell.TAGS
    + idle.SPENT
    + _SIZES
    + _OVER
    + idle.QUIET
    + r"""
top=$root/runs all=
cd "$top" 2>/dev/null || { mkdir -p "$top" && cd "$top" || exit 96; }
announce
uptime_s
sizes_of $runs
answer
printf 'host %s %s\n' "$up" "$boot"
quiets= quiet_runs=' ' index=0 of_0= over= overs=
for run in $runs; do
  index=$((index + 1))
  claim=absent elapsed=0 stopping=-
  size_of "$run"
  if cd "$top/$run" 2>/dev/null; then
    look
    if [ -n "$engine" ]; then
      case $claim in
        absent) if is_queued; then claim=queued; fi ;;
        gone) if job_lives; then claim=alive; fi ;;
      esac
    fi
    if [ -e env ] && [ -e stdout ]; then rm -f env; fi
    if [ -f stop ]; then { read -r stopping rest; } 2>/dev/null <stop || stopping=-; fi
    if [ -n "$since" ] && [ "$where" = "$boot" ]; then elapsed=$((up - since));
    elif [ -n "$engine" ] && [ -n "$wall" ]; then elapsed=$(($(date +%s) - wall)); fi
    if [ "$claim" = alive ] && ! young && quiet; then continue; fi
    if [ "$claim" = ended ]; then is_over; continue; fi
  fi
  printf 'run %s %s 0 %s %s %s %s -\n' "$run" "$claim" "$elapsed" "$out" "$err" "$stopping"
done
if [ -n "$over" ]; then tell_over; fi
if [ -n "$quiets" ]; then spent; strays; settle; fi
printf 'end\n'
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What stands in one run folder; seconds are whole and count by the uptime of the host.

    `idle_s` is how long there was no output, no commit and next to no CPU time (under 0.5 percent of one core).
    `exit_code` is that of an ended run, None where it is unknown; the sizes of such a run are those at its end.
    """

    state: State
    elapsed_s: int = 0
    idle_s: int = 0
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    stopping: StopReason | None = None
    exit_code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """One look at a host: its boot, and every run that was asked for, by its folder's name."""

    boot_id: str
    runs: Mapping[str, Seen]


def poll(
    workdir: str, fleet: str, runs: Sequence[str], launcher: Literal["setsid"] | Engine = "setsid", term: int = 0
) -> Command:
    """Look at all these runs, `<task>.<epoch>`, of one host at once; ValueError for more than `MOST_RUNS`."""
    if len(runs) > MOST_RUNS:
        message = f"{len(runs)} runs are too many for one poll: ask for {MOST_RUNS} at a time"
        raise ValueError(message)
    names = sorted({shell.checked_run(run) for run in runs}, key=lambda run: f"{run}/")
    return Command(
        name="poll",
        script=_POLL,
        words=fence.place(workdir, fleet, term),
        payload=_asked(names, launcher),
        timeout_s=POLL_TIMEOUT_S,
        brief=True,
    )


def _asked(names: Sequence[str], launcher: Literal["setsid"] | Engine) -> bytes:
    calls = engine.text(launcher)
    return f"runs={shell.quoted((' '.join(names),))} engine={'1' if calls else ''}\n".encode() + calls


def parse_poll(completed: Completed) -> Polled:
    """What the poll saw; ProtocolError when its answer is cut or no such answer."""
    lines = shell.text(shell.body("poll", completed)).split("\n")
    if lines[-2:] != ["end", ""]:
        raise shell.ProtocolError("poll: the answer is cut")
    match lines[0].split(" "):
        case ["host", _, boot_id] if len(boot_id) <= MOST_BOOT_ID:
            return Polled(boot_id=boot_id, runs=dict(_seen(line) for line in lines[1:-2]))
        case _:
            message = f"poll: {lines[0]!r} is no line about a host"
            raise shell.ProtocolError(message)


def _seen(line: str) -> tuple[str, Seen]:
    match line.split(" "):
        case ["run", run, word, idle, elapsed, out, err, stopping, code]:
            return run, Seen(
                state=state("poll", word),
                idle_s=shell.number("poll", idle),
                elapsed_s=shell.number("poll", elapsed),
                stdout_bytes=shell.number("poll", out),
                stderr_bytes=shell.number("poll", err),
                stopping=stop_reason(stopping),
                exit_code=exit_code(code),
            )
        case _:
            message = f"poll: {line!r} is no line about a run"
            raise shell.ProtocolError(message)


def stop_reason(word: str) -> StopReason | None:
    """The reason kept in a run folder; None where there is none that can be read."""
    return StopReason(word) if word in set(StopReason) else None


def exit_code(word: str) -> int | None:
    """The exit status that a run folder holds; None, never 0, for anything that is no exit status."""
    if not re.fullmatch(r"\d{1,3}", word, re.ASCII) or int(word) > MOST_EXIT:
        return None
    return int(word)
