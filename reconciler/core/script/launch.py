"""Launching a run: fill its folder, start the detached supervisor, see it claim; and giving an epoch up for good.

A launch may be repeated for ever and runs at most once, because only the supervisor claims; no secret is an argument.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from reconciler.core.command import Command, Completed
from reconciler.core.desired import Engine
from reconciler.core.script import engine, fence, shell, supervise

State = Literal["absent", "void", "alive", "ended", "gone"]

LAUNCH_TIMEOUT_S = 30.0
CLAIM_WAIT_S = 2
MOST_BY_LINES = 2048
"""A shell reads lines byte by byte: a part with more bytes comes sooner through a process of its own."""

_LAUNCH = (
    "set -u\nmask=$(umask)\numask 077\n"
    + shell.take("workdir", "fleet", "term", "run", "meta_size", "meta_lines", "prompt_size", "prompt_lines")
    + shell.take(
        "env_size", "env_lines", "command_size", "command_lines", "engine_size", "engine_lines", "workspace", "make"
    )
    + shell.MARK_ANSWER
    + shell.FLEET_ROOT
    + fence.FENCE
    + shell.PROCESSES
    + shell.CLAIM
    + engine.CALLS
    + supervise.QUOTE
    + rf"""
announce
if fenced; then cat >/dev/null; refuse; fi
dir=$root/runs/$run
work=
if [ "$make" = 1 ]; then work=$root/work; fi
[ -d "$dir" ] || mkdir -p "$dir/new.$$" ${{work:+"$work"}}
cd -P "$dir" || {{ answer; echo 'failed the run folder cannot be made'; exit 1; }}
tell() {{
  look
  if [ -e stdout ]; then rm -f env; fi
  answer
  printf 'state %s\n' "$claim"
  exit 0
}}
short() {{ cd "$dir" && rm -rf ./*."$$"; answer; echo 'failed the run folder cannot be filled'; exit 1; }}
submit() {{
  . ./engine
  run_id=$fleet.$run
  if job_lives; then return 0; fi
  rm -f job
  dir=$(pwd -P)
  {{ printf '#!/bin/sh\ncd '; quote "$dir"; printf ' && exec sh ./supervise %s\n' "$mask"; }} >job.sh || short
  chmod 700 job.sh || short
  engine_submit >submitted </dev/null || short
  set -- $(tail -n 1 submitted)
  if [ $# = 0 ]; then echo 'the engine named no job' >&2; short; fi
  shift $(($# - 1))
  printf '%s\n' "$1" >job."$$" && mv -f job."$$" job || short
}}
if [ -e started ]; then cat >/dev/null; tell; fi
if [ "$make" = 1 ]; then
  if [ "$PWD" != "${{workspace%/work/*}}/runs/$run" ]; then cat >/dev/null; answer; echo elsewhere; exit 0; fi
  umask "$mask"
  [ -d "$workspace" ] || mkdir -p "$workspace" || short
  umask 077
fi
[ -d new."$$" ] || mkdir new."$$"
cd new."$$" || short
raw() {{
  dd bs="$2" count=1 iflag=fullblock >"$1" 2>/dev/null || short
  if [ $(($(wc -c <"$1"))) != "$2" ]; then short; fi
}}
lines() {{
  left=$1
  while [ "$left" -gt 1 ]; do
    IFS= read -r line && printf '%s\n' "$line" || return 1
    left=$((left - 1))
  done
  IFS= read -r line && printf %s "$line"
}}
part() {{
  if [ "$3" -gt 0 ]; then lines "$3" >"$1" || short
  elif [ "$2" -gt 0 ]; then raw "$1" "$2"
  else : >"$1" || short
  fi
}}
part meta.json "$meta_size" "$meta_lines"
part prompt "$prompt_size" "$prompt_lines"
part env "$env_size" "$env_lines"
part command "$command_size" "$command_lines"
part engine "$engine_size" "$engine_lines"
printf %s {shell.quoted((supervise.SUPERVISE,))} >supervise || short
printf '%s\n' "$workspace" >workspace || short
if [ "$make" = 1 ]; then
  {{
    printf 'workspace %s\nrun_dir %s\nhome %s\n' "$workspace" "${{PWD%/*}}" "$HOME"
    printf 'base \nbase_sha \nstart_sha \nhead_sha \n'
  }} >prepared || short
fi
cd .. || short
if fenced; then rm -rf new."$$"; refuse; fi
if [ ! -e started ]; then mv -f new."$$"/* . || short; fi
if [ -e started ]; then rm -rf new."$$"; tell; fi
guard
if [ -s engine ]; then
  submit
else
  setsid sh ./supervise "$mask" </dev/null >/dev/null 2>&1 &
fi
rm -rf new."$$"
turns=0
while [ ! -e started ] && [ "$turns" -lt {CLAIM_WAIT_S * 50} ]; do
  turns=$((turns + 1))
  sleep 0.02 2>/dev/null || {{ sleep 1; turns=$((turns + 50)); }}
done
if [ ! -e started ] && [ -s job ]; then answer; echo 'state alive'; exit 0; fi
tell
"""
)

_GIVE_UP = (
    "set -u\numask 077\n"
    + shell.take("workdir", "fleet", "term", "run")
    + shell.MARK_ANSWER
    + shell.FLEET_ROOT
    + fence.FENCE
    + shell.PROCESSES
    + shell.CLAIM
    + r"""
announce
guard
dir=$root/runs/$run
mkdir -p "$dir" && cd "$dir" || { answer; echo 'failed the run folder cannot be made'; exit 1; }
guard
if [ ! -e started ]; then
  echo void >void."$$" && [ -s void."$$" ] && ln void."$$" started 2>/dev/null
  rm -f void."$$"
fi
look
if [ "$claim" = void ]; then rm -f env; fi
answer
printf 'state %s\n' "$claim"
"""
)


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


def launch(order: Launch) -> Command:
    """Fill the run folder and start the run, unless something claimed the folder already.

    ValueError for a word, a variable or an id that cannot be carried exactly.
    """
    run = shell.checked_run(order.run)
    parts = (
        order.meta_json,
        order.prompt,
        supervise.exports(order.variables, order.unset, f"{order.fleet}.{run}"),
        supervise.command_text(order.words, order.workspace, order.prompt_on_stdin),
        engine.text(order.launcher),
    )
    lines = tuple(_lines(part) for part in parts)
    sizes = (str(size) for part, count in zip(parts, lines, strict=True) for size in (len(part), count))
    return Command(
        name="launch",
        script=_LAUNCH,
        words=(
            *fence.place(order.workdir, order.fleet, order.term),
            run,
            *sizes,
            order.workspace,
            "1" if order.make else "0",
        ),
        payload=b"".join(part + b"\n" if count else part for part, count in zip(parts, lines, strict=True)),
        timeout_s=LAUNCH_TIMEOUT_S,
        brief=True,
    )


def _lines(part: bytes) -> int:
    """How many lines a part is read as, where its shell can do that faster by itself than by starting `dd`; else 0."""
    return part.count(b"\n") + 1 if 0 < len(part) <= MOST_BY_LINES and b"\0" not in part else 0


def parse_launch(completed: Completed) -> Launched:
    """The state after a launch; Fenced, and ProtocolError for an answer that is none."""
    return _parse("launch", completed)


def give_up(workdir: str, fleet: str, run: str, term: int = 0) -> Command:
    """Make sure that a run which nothing claimed can never start."""
    words = (*fence.place(workdir, fleet, term), shell.checked_run(run))
    return Command(name="give-up", script=_GIVE_UP, words=words, brief=True)


def parse_give_up(completed: Completed) -> Launched:
    """`void` when it can never start, else what claimed it before; Fenced, and ProtocolError for no answer."""
    return _parse("give-up", completed)


def _parse(name: str, completed: Completed) -> Launched:
    found = shell.fields(name, shell.body(name, completed))
    if "elsewhere" in found:
        return Launched(state="absent", elsewhere=True)
    if "failed" in found:
        said = " ".join(shell.text(completed.stderr)[-300:].split())
        return Launched(state="absent", message=f"{found['failed']}: {said}")
    return Launched(state=state(name, shell.needed(name, found, "state")))


def state(name: str, word: str) -> State:
    """One of the five states of a run folder; ProtocolError for any other word."""
    match word:
        case "absent" | "void" | "alive" | "ended" | "gone":
            return word
        case _:
            message = f"{name}: {word!r} is no state of a run"
            raise shell.ProtocolError(message)
