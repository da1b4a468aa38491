"""Stopping a run, gently and then not.

It never signals a process that is not this very run's: pid, start time and boot must match, or the tag as a whole.
"""

from dataclasses import dataclass
from typing import Literal

from reconciler.core.command import Command, Completed
from reconciler.core.desired import Engine
from reconciler.core.script import engine, fence, shell
from reconciler.core.terms import StopReason

GRACE_S = 20
STOP_TIMEOUT_S = 60.0

_STOP = (
    "set -u\numask 077\n"
    + shell.take("workdir", "fleet", "term", "run", "reason", "grace")
    + 'engine=$(cat)\neval "$engine"\n'
    + shell.MARK_ANSWER
    + shell.FLEET_ROOT
    + fence.FENCE
    + shell.PROCESSES
    + shell.CLAIM
    + shell.SWEEP
    + engine.CALLS
    + r"""
announce
guard
run_id=$fleet.$run
dir=$root/runs/$run
mkdir -p "$dir" && cd "$dir" || exit 96
tell() {
  answer
  set -- "$1" $carriers
  printf 'state %s\nsurvivors %s\n' "$1" "$(($# - 1))"
  exit 0
}
group() {
  if lives "$agent" "$agent_began"; then kill -"$1" -"$agent" 2>/dev/null; fi
}
carriers=
guard
if [ ! -e started ]; then
  echo void >void."$$" && [ -s void."$$" ] && ln void."$$" started 2>/dev/null
  rm -f void."$$"
fi
look
job= queued=
if [ -n "$engine" ] && job_lives; then queued=1; fi
guard
if [ -n "$queued" ]; then
  case $claim in void) engine_cancel </dev/null >/dev/null 2>&1 ;; absent | gone) claim=alive ;; esac
fi
if [ "$claim" != alive ]; then
  if [ "$claim" = void ]; then rm -f env; fi
  if [ "$claim" != absent ]; then sweep "$run"; fi
  tell ended
fi
uptime_s
if [ ! -s stop ]; then
  printf '%s %s\n' "$reason" "$up" >stop."$$" && [ -s stop."$$" ] && ln stop."$$" stop 2>/dev/null
  rm -f stop."$$"
fi
guard
finish() {
  guard
  if [ -n "$job" ]; then engine_cancel </dev/null >/dev/null 2>&1; fi
  group KILL
  sweep "$run"
  turns=0
  while look; [ "$claim" = alive ] && [ "$turns" -lt 40 ]; do
    turns=$((turns + 1))
    sleep 0.05 2>/dev/null || { sleep 1; turns=$((turns + 20)); }
  done
  if [ "$claim" = alive ] && [ -z "$job" ] && lives "$pid" "$began"; then kill -KILL "$pid" 2>/dev/null; fi
  tell killed
}
asked=
if [ -f stop ]; then { read -r first asked rest; } 2>/dev/null <stop || :; fi
case $asked in
  '' | *[!0-9]*) group TERM; sleep "$grace"; finish ;;
esac
if [ $((up - asked)) -ge "$grace" ] && { [ -e stop.sent ] || [ "$up" -gt "$asked" ]; }; then finish; fi
if [ ! -e stop.sent ]; then
  if [ -n "$job" ]; then engine_cancel </dev/null >/dev/null 2>&1 && : >stop.sent
  elif group TERM; then if [ -n "$agent" ]; then : >stop.sent; fi; fi
fi
tell signalled
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """Where a stop stands.

    `signalled`: TERM was sent, come again after the grace. `killed`: KILL was sent. `ended`: no process that claimed
    the run lives, and it can never start. `survivors` are processes of the run that could not be killed.
    """

    state: Literal["signalled", "killed", "ended"]
    survivors: int = 0


def stop(  # noqa: PLR0913 - the words of one command
    workdir: str,
    fleet: str,
    run: str,
    reason: StopReason,
    *,
    grace_s: int = GRACE_S,
    launcher: Literal["setsid"] | Engine = "setsid",
    term: int = 0,
) -> Command:
    """Bring a run to its end, one step per call; call it again until it answers `ended`, then once more is harmless.

    The first reason stays. A run that did not start is given up for good.
    """
    place = fence.place(workdir, fleet, term)
    return _command("stop", (*place, shell.checked_run(run), reason.value, str(grace_s)), launcher)


def parse_stop(completed: Completed) -> Stopped:
    """Where a stop stands; Fenced, and ProtocolError for an answer that is none."""
    found = shell.fields("stop", shell.body("stop", completed))
    survivors = shell.number("stop", shell.needed("stop", found, "survivors"))
    match shell.needed("stop", found, "state"):
        case ("signalled" | "killed" | "ended") as word:
            return Stopped(state=word, survivors=survivors)
        case other:
            message = f"stop: {other!r} is no state of a stop"
            raise shell.ProtocolError(message)


def _command(name: str, words: tuple[str, ...], launcher: Literal["setsid"] | Engine) -> Command:
    return Command(name=name, script=_STOP, words=words, payload=engine.text(launcher), timeout_s=STOP_TIMEOUT_S)
