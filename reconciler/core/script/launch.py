"""Launching runs: fill their folders, start the detached supervisors, see them claim.

A launch may be repeated for ever and runs at most once, because only a supervisor claims; no secret is an argument.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from reconciler.core.command import Command, Completed
from reconciler.core.desired import Engine
from reconciler.core.script import engine, fence, shell, supervise

State = Literal["absent", "queued", "void", "alive", "ended", "gone"]

LAUNCH_TIMEOUT_S = 30.0
MOST_RUNS = 16
"""With more of them the host and this program wait for each other: a tenth fewer runs in a second with 50."""
_OTHERS_TURNS = 100
"""How often 20 ms are waited for runs that another launch of them fills at this moment."""

_LAUNCH = (
    "set -u\nmask=${shell_mask:-$(umask)}\numask 077\n"
    + shell.take("workdir", "fleet", "term")
    + shell.MARK_ANSWER
    + shell.FLEET_ROOT
    + fence.FENCE
    + shell.PROCESSES
    + shell.CLAIM
    + engine.CALLS
    + supervise.ALLOWED
    + f"patience={_OTHERS_TURNS}\n"
    + f"supervise={shell.quoted((supervise.SUPERVISE,))}\n"
    + f"allowed={shell.quoted((supervise.ALLOWED,))}\n"
    + r"""
announce
if fenced; then cat >/dev/null; refuse; fi
engine= runs=
launcher() { engine=$1; }
"""
    + shell.TAKE_TEXT
    + r"""
top=$root/runs
if cd -P "$top" 2>/dev/null || { mkdir -p "$top" && cd -P "$top"; }; then top=$PWD; fi
ready= there= others= said=
folders() {
  cd "$top" || return 0
  left=$#
  while [ "$left" -gt 0 ]; do
    run=$1 workspace=$2 left=$((left - 2))
    shift 2
    [ -d "$run" ] || set -- "$@" "$run"
    if [ -n "$workspace" ] && is_here && [ ! -d "$workspace" ]; then set -- "$@" "../work/${workspace##*/}"; fi
  done
  [ $# = 0 ] || mkdir -p "$@"
}
is_here() { [ "${workspace%/work/*}/runs" = "$top" ]; }
order() {
  run=$1 make=$2 workspace=$3 agent=$4 why= fill= anew=
  if ! cd "$top/$run" 2>/dev/null; then why='failed the run folder cannot be made'
  elif [ "$make" = 1 ] && ! is_here; then why=elsewhere
  elif [ -e started ]; then return 0
  elif [ ! -e meta.json ]; then fill=1; set -C
  else
    fill=1 anew=1
    [ -d new."$$" ] || mkdir new."$$"
    cd new."$$" || short
  fi
}
short() { fill= why='failed the run folder cannot be filled'; }
part() {
  [ -n "$fill" ] || return 0
  name=$1 opened=
  shift
  {
    opened=1
    printf %s "$1" || opened=0
    shift
    for word do printf '\0%s' "$word" || opened=0; done
  } >"$name"
  if [ "$opened" = 1 ]; then return 0; fi
  if [ -z "$opened" ] && [ -e "$name" ]; then fill=; else short; fi
}
filled() {
  if [ -n "$anew" ] || [ ! -e workspace ]; then part workspace "$workspace
"; fi
  if [ -n "$engine" ]; then
    part engine "$engine"
    part supervise "$supervise
. /proc/self/fd/0
"
  fi
  set +C
  if [ -n "$anew" ] && cd "$top/$run"; then
    if [ -n "$fill" ] && fenced; then rm -rf new."$$"; return 0; fi
    if [ -n "$fill" ] && [ ! -e started ]; then mv -f new."$$"/* . || short; fi
    rm -rf new."$$"
  fi
  if [ -n "$why" ]; then said="${said}run $run $why
"; return 0; fi
  if [ -e started ]; then there="$there $run"; return 0; fi
  if [ -z "$fill" ]; then others="$others $run"; return 0; fi
  ready="$ready $run"
  if [ -z "$engine" ]; then printf 'agent %s %s\n' "$run" "$agent"; fi
}
tell() {
  claim=absent
  if cd "$top/$1" 2>/dev/null; then
    look
    if [ "$claim" = absent ] && [ -s job ]; then claim=queued; fi
  fi
  printf 'run %s state %s\n' "$1" "$claim"
}
tell_others() {
  cd "$top" || return 0
  turns=0
  for run in $others; do
    while [ ! -e "$run/started" ] && [ "$turns" -lt "$patience" ]; do
      turns=$((turns + 1))
      sleep 0.02 2>/dev/null || { sleep 1; turns=$((turns + 50)); }
    done
  done
  for run in $there $others; do tell "$run"; done
}
give() {
  trap '' PIPE
  printf '%s\n' "$supervise"
  allowed
  printf %s "$exports"
  fill
  if fenced; then refuse >&4; fi
  { answer; printf %s "$said"; } >&4
  echo go
  exec >&4 4>&-
  tell_others
}
begin() {
  set -- sh -c '. /proc/self/fd/0' supervise "$mask" $runs
  cd "$top" || return 1
  env -i --default-signal PATH="$PATH" setsid -f "$@" 5<&- || { setsid env -i PATH="$PATH" "$@" <&5 5<&- & }
}
claims() {
  names= told=' '
  while [ -z "$names" ] && read -r word names; do [ "$word" = expect ] || names=; done
  for run in $names; do
    read -r how run || break
    told="$told$run "
    if [ "$how" = claimed ]; then printf 'run %s state alive\n' "$run"; else tell "$run"; fi
  done
  for run in $names; do case $told in *" $run "*) ;; *) tell "$run" ;; esac; done
}
"""
    + engine.SUBMIT
    + r"""
if [ -n "$engine" ]; then
  fill
  guard
  answer
  printf %s "$said"
  for run in $ready; do
    if submit; then tell "$run"; else printf 'run %s failed the engine takes no job\n' "$run"; fi
  done
  tell_others
else
  exec 4>&1
  give | { exec 2>/dev/null 4>&- 5<&0; begin; } | claims 4>&-
fi
"""
)
"""What follows the place is `sh` text: a call of `launcher`, the names of the `runs`, and a function `fill` that calls
`folders`, and for each run `order`, `part` and `filled`.

Folders are filled while the shell that supervises is born; what it gets comes through a pipe, and it claims nothing
before `go`. A folder without `meta.json` is filled by calls that fail where a file exists, so of two launches one goes
on; any other is filled beside, and renamed. Where `setsid` has no `-f`, or `env` no `--default-signal`, that shell is
begun by `&`. Runs in `others` are filled by another launch meanwhile.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What a run is started with.

    `meta_json` is the run's `Meta` as it is to be kept. `words` is the agent's argv, filled in. `variables` are those
    of host, adapter, task and secrets, merged; `unset` takes names away again. `workspace` is absolute on the host.
    With `make` nothing was prepared: the workspace is a plain folder that is made, where it is expected to belong.
    `term`: as in `fence.place`.
    """

    workdir: str
    fleet: str
    run: str
    workspace: str
    meta_json: bytes
    prompt: bytes
    words: tuple[str, ...]
    prompt_on_stdin: bool = True
    variables: Mapping[str, str]
    unset: tuple[str, ...] = ()
    launcher: Literal["setsid"] | Engine = "setsid"
    make: bool = False
    term: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """What stands in the run folder now. `absent`: nothing claimed it yet, the launch may be repeated.

    `elsewhere`: the folder of the fleet is not where it was expected; nothing was done.
    """

    state: State
    message: str = ""
    elsewhere: bool = False


def together(order: Launch) -> tuple[object, ...]:
    """What runs have in common that can be launched by one command."""
    return order.workdir, order.fleet, order.term, order.launcher


def launch(orders: Sequence[Launch]) -> Command:
    """Fill the run folders and start the runs, but those that something claimed already.

    They are on one host and have in common what `together` says. What follows the place is `sh` text, each word of it
    quoted by itself. ValueError for a word, a variable or an id that cannot be carried exactly, and for none or more
    than `MOST_RUNS` orders.
    """
    if not 0 < len(orders) <= MOST_RUNS or len({together(order) for order in orders}) != 1:
        raise ValueError("these runs cannot be launched together")
    first = orders[0]
    folders = (word for order in orders for word in (order.run, order.workspace if order.make else ""))
    lines = [("folders", *folders), *(line for order in orders for line in _lines(order))]
    text = f"runs={shell.quoted((' '.join(order.run for order in orders),))}\n"
    if first.launcher != "setsid":
        text += f"{shell.quoted(('launcher', shell.text(engine.text(first.launcher))))}\n"
    text += "fill() {\n" + "".join(f"{shell.quoted(line)}\n" for line in lines) + "}\n"
    return Command(
        name="launch",
        script=_LAUNCH,
        words=fence.place(first.workdir, first.fleet, first.term),
        payload=text.encode("utf-8", "surrogateescape"),
        timeout_s=LAUNCH_TIMEOUT_S,
        brief=True,
    )


def check(order: Launch) -> None:
    """ValueError for a word, a variable or an id that cannot be carried exactly."""
    supervise.check(order.words, order.variables)
    for line in _lines(order):
        shell.quoted(line)


def _lines(order: Launch) -> list[tuple[str, ...]]:
    """The calls by which the script fills one run folder."""
    run = shell.checked_run(order.run)
    variables = supervise.exports(order.variables, order.unset, f"{order.fleet}.{run}")
    agent = shell.text(variables + supervise.command_text(order.words, order.workspace, order.prompt_on_stdin))
    detached = order.launcher == "setsid"
    return [
        ("order", run, "1" if order.make else "0", order.workspace, shell.quoted((agent,)) if detached else ""),
        ("part", "meta.json", *shell.text(order.meta_json).split("\0")),
        ("part", "prompt", *shell.text(order.prompt).split("\0")),
        *([] if detached else [("part", "env", agent)]),
        ("filled",),
    ]


def parse_launch(completed: Completed) -> dict[str, Launched]:
    """What became of each run; Fenced, and ProtocolError for an answer that is none."""
    answer = shell.text(shell.body("launch", completed))
    if answer and not answer.endswith("\n"):
        message = f"launch: the answer is cut: {answer[-80:]!r}"
        raise shell.ProtocolError(message)
    return dict(_launched(completed, line) for line in answer.split("\n")[:-1])


def _launched(completed: Completed, line: str) -> tuple[str, Launched]:
    match line.split(" ", 3):
        case ["run", run, "state", word]:
            return run, Launched(state=state("launch", word))
        case ["run", run, "elsewhere"]:
            return run, Launched(state="absent", elsewhere=True)
        case ["run", run, "failed", *why]:
            return run, Launched(state="absent", message=f"{' '.join(why)}: {shell.said(completed)}")
        case _:
            message = f"launch: {line!r} is no line about a run"
            raise shell.ProtocolError(message)


def state(name: str, word: str) -> State:
    """One of the six states of a run folder; ProtocolError for any other word."""
    match word:
        case "absent" | "queued" | "void" | "alive" | "ended" | "gone":
            return word
        case _:
            message = f"{name}: {word!r} is no state of a run"
            raise shell.ProtocolError(message)
