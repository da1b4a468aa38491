"""One poll for all runs of a host: what stands in each run folder, and for how long nothing has moved there.

It never signals a process and never counts on the clock of another machine.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from reconciler.core.command import Command, Completed
from reconciler.core.desired import Engine
from reconciler.core.script import engine, fence, shell
from reconciler.core.script.launch import State, state
from reconciler.core.terms import StopReason

POLL_TIMEOUT_S = 30.0
MOST_RUNS = 1000
MOST_BOOT_ID = 100

_HEAD = r"""
head_of() {
  head= space= sha=
  [ -f workspace ] || return 0
  { IFS= read -r space; } 2>/dev/null <workspace || return 0
  space=$space/.git
  if [ -f "$space" ]; then { IFS= read -r space; } 2>/dev/null <"$space" || return 0; space=${space#gitdir: }; fi
  [ -f "$space/HEAD" ] || return 0
  { IFS= read -r head; } 2>/dev/null <"$space/HEAD" || return 0
  case $head in "ref: "*) ;; *) return 0 ;; esac
  if [ -e "$space/commondir" ]; then space=$space/../..; fi
  space=$space/${head#ref: }
  if [ ! -f "$space" ] || ! { IFS= read -r sha; } 2>/dev/null <"$space"; then sha=packed; fi
  head="$head $sha"
}
"""
"""`head` is what the workspace stands at, read without starting git; it changes with every commit and checkout."""

_SKIP = "[-0-9]* "
_STAT = rf"s/^\([0-9][0-9]*\) (.*) [A-Z] \([0-9]*\) {_SKIP}\([0-9]*\) {_SKIP * 7}" + r"\([0-9]*\) " * 4 + ".*/"
_STAT += r"\1:\2:\3:\4:\5:\6:\7/p"

_SPENT = (
    r"""
spent() {
  left=$(sed -n '"""
    + _STAT
    + r"""' /proc/[0-9]*/stat 2>/dev/null)
  found=1
  while [ "$found" = 1 ]; do
    found=0 later=
    for process in $left; do
      one=${process%%:*} process=${process#*:}
      parent=${process%%:*} more=${process#*:}
      session=${more%%:*} more=${more#*:}
      eval "of=\${of_$one-\${of_$session-\${of_$parent-}}}"
      if [ -z "$of" ]; then later="$later $one:$process"; continue; fi
      found=1
      user=${more%%:*} more=${more#*:}
      system=${more%%:*} more=${more#*:}
      eval "of_$one=$of cpu_$of=\$((cpu_$of + $user + $system + ${more%%:*} + ${more#*:}))"
    done
    left=$later
  done
}
tags() {
  if printf 'a\0b' | grep -q -F b; then
    grep -a -o -s -H -e "RECONCILER_RUN=$fleet[.][a-z0-9_-]*[.][0-9]*" /proc/[0-9]*/environ
    return 0
  fi
  for environ in /proc/[0-9]*/environ; do
    tag=$({ tr '\n\0' '\1\n' <"$environ" | grep -e "^RECONCILER_RUN=$fleet[.]"; } 2>/dev/null)
    if [ -n "$tag" ]; then echo "$environ:$tag"; fi
  done
}
strays() {
  for tag in $(tags); do
    one=${tag#/proc/}
    one=${one%%/*}
    run=${tag##*"=$fleet."}
    case $quiet_runs in *" $run="*) of=${quiet_runs#*" $run="}; of=${of%%" "*} ;; *) continue ;; esac
    eval "owned=\${of_$one-}"
    if [ -z "$owned" ] && started_at "$one"; then
      set -- ${stat##*) }
      eval "cpu_$of=\$((cpu_$of + ${12} + ${13} + ${14} + ${15}))"
    fi
  done
}
"""
)
"""Clock ticks of the quiet runs: `spent` goes by parent and session, `strays` by the tag of what left both."""

_SIZES = r"""
remember() {
  case ${9-} in
    */stderr) noted=$5 ;;
    */stdout) sized="$sized ${9%/*}:$5:$noted "; noted=0 ;;
  esac
}
sizes_of() {
  sized= noted=0 logs=
  for run in $runs; do
    if [ -e "$run/stdout" ]; then logs="$logs $run/stdout $run/stderr"; fi
  done
  if [ -z "$logs" ]; then return 0; fi
  while IFS= read -r line; do remember $line; done <<END
$(LC_ALL=C ls -ln -- $logs 2>/dev/null)
END
}
"""
"""`sized` is ` <run>:<stdout bytes>:<stderr bytes> ` of every run, in the order of `runs`; one `ls` for all."""

_QUIET = r"""
quiet() {
  head_of
  now="$out $err $boot $head"
  quiet_since= ticks= was=
  if [ -e activity ] && [ ! -f activity ]; then return 1; fi
  { IFS= read -r quiet_since && IFS= read -r ticks && IFS= read -r was; } 2>/dev/null <activity || quiet_since=
  case $quiet_since$ticks in '' | *[!0-9]*) quiet_since= ;; esac
  if [ -n "$quiet_since" ] && [ "$was" = "$now" ] && [ "$quiet_since" -le "$up" ]; then
    quiets="$quiets $index" quiet_runs="$quiet_runs$run=$index "
    eval "run_$index=\$run at_$index=\$quiet_since ticks_$index=\$ticks now_$index=\$now cpu_$index=0"
    eval "line_$index=\"\$elapsed \$out \$err \$stopping\" of_${pid:-0}=$index of_${agent:-${pid:-0}}=$index"
    return 0
  fi
  printf '%s\n\n%s\n' "$up" "$now" 1<>activity
  return 1
}
settle() {
  for index in $quiets; do
    eval "run=\$run_$index at=\$at_$index ticks=\$ticks_$index now=\$now_$index cpu=\$cpu_$index line=\$line_$index"
    if [ -z "$ticks" ]; then
      printf '%s\n%s\n%s\n' "$at" "$cpu" "$now" 1<>"$top/$run/activity"
    elif [ "$cpu" -lt "$ticks" ] || [ $((2 * (cpu - ticks))) -gt $((up - at)) ]; then
      at=$up
      printf '%s\n%s\n%s\n' "$at" "$cpu" "$now" 1<>"$top/$run/activity"
    fi
    printf 'run %s alive %s %s\n' "$run" $((up - at)) "$line"
  done
}
"""
"""`activity` holds when something last moved, the clock ticks at the first quiet poll after that, and what was seen.

It is opened by `<>`, which waits for nobody where the agent put a pipe in its place; only its first three lines count.
"""

_POLL = (
    "set -u\numask 077\n"
    + shell.take("workdir", "fleet", "term")
    + 'runs=\nwhile IFS= read -r run && [ "$run" != . ]; do runs="$runs $run"; done\n'
    + 'engine=$(cat)\neval "$engine"\n'
    + shell.MARK_ANSWER
    + shell.FLEET_ROOT
    + fence.FENCE
    + shell.PROCESSES
    + shell.CLAIM
    + engine.CALLS
    + _HEAD
    + _SPENT
    + _SIZES
    + _QUIET
    + r"""
top=$root/runs
cd "$top" 2>/dev/null || { mkdir -p "$top" && cd "$top" || exit 96; }
announce
uptime_s
sizes_of
answer
printf 'host %s %s\n' "$up" "$boot"
quiets= quiet_runs=' ' index=0 of_0=
for run in $runs; do
  index=$((index + 1))
  claim=absent elapsed=0 out=0 err=0 stopping=-
  case $sized in
    " $run:"*)
      sized=${sized#" $run:"}
      out=${sized%%:*} sized=${sized#*:}
      err=${sized%%" "*} sized=${sized#*" "}
      ;;
  esac
  if cd "$top/$run" 2>/dev/null; then
    look
    if [ -n "$engine" ]; then
      case $claim in absent | gone) if job_lives; then claim=alive; fi ;; esac
    fi
    if [ -e env ] && [ -e stdout ]; then rm -f env; fi
    if [ -f stop ]; then { read -r stopping rest; } 2>/dev/null <stop || stopping=-; fi
    if [ -n "$since" ] && [ "$where" = "$boot" ]; then elapsed=$((up - since));
    elif [ -n "$engine" ] && [ -n "$wall" ]; then elapsed=$(($(date +%s) - wall)); fi
    if [ "$claim" = alive ] && quiet; then continue; fi
  fi
  printf 'run %s %s 0 %s %s %s %s\n' "$run" "$claim" "$elapsed" "$out" "$err" "$stopping"
done
if [ -n "$quiets" ]; then spent; strays; settle; fi
printf 'end\n'
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What stands in one run folder; seconds are whole and count by the uptime of the host.

    `idle_s` is how long there was no output, no commit and next to no CPU time (under 0.5 percent of one core).
    """

    state: State
    elapsed_s: int = 0
    idle_s: int = 0
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    stopping: StopReason | None = None


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
        words=(*fence.place(workdir, fleet, term), *names, "."),
        payload=engine.text(launcher),
        timeout_s=POLL_TIMEOUT_S,
        brief=True,
    )


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
        case ["run", run, word, idle, elapsed, out, err, stopping]:
            return run, Seen(
                state=state("poll", word),
                idle_s=shell.number("poll", idle),
                elapsed_s=shell.number("poll", elapsed),
                stdout_bytes=shell.number("poll", out),
                stderr_bytes=shell.number("poll", err),
                stopping=stop_reason(stopping),
            )
        case _:
            message = f"poll: {line!r} is no line about a run"
            raise shell.ProtocolError(message)


def stop_reason(word: str) -> StopReason | None:
    """The reason kept in a run folder; None where there is none that can be read."""
    return StopReason(word) if word in set(StopReason) else None
