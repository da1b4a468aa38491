"""Sweeping: what ended runs left behind is killed, of many runs with one look at the host's processes.

It never touches a run that is alive or did not start, nor a process whose environment only resembles the tag of a run.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from reconciler.core.command import Command, Completed
from reconciler.core.script import fence, shell

SWEEP_TIMEOUT_S = 60.0
MOST_RUNS = 200

_SWEEP = (
    "set -u\numask 077\n"
    + shell.take("workdir", "fleet", "term")
    + 'runs=\nwhile IFS= read -r run && [ "$run" != . ]; do runs="$runs $run"; done\n'
    + shell.MARK_ANSWER
    + shell.FLEET_ROOT
    + fence.FENCE
    + shell.PROCESSES
    + shell.CLAIM
    + shell.SWEEP
    + r"""
announce
guard
over= alive= absent=
for run in $runs; do
  claim=absent
  if cd "$root/runs/$run" 2>/dev/null; then look; fi
  case $claim in alive) alive="$alive $run" ;; absent) absent="$absent $run" ;; *) over="$over $run" ;; esac
done
cd /
sweep $over
answer
for run in $alive; do printf 'run %s alive\n' "$run"; done
for run in $over $absent; do
  case $carried in *" $run "*) printf 'run %s survived\n' "$run" ;; *) printf 'run %s swept\n' "$run" ;; esac
done
echo end
"""
)


Swept = Literal["swept", "survived", "alive"]
"""Nothing of the run is left; something of it could not be killed; it lives, and nothing was done."""


def sweep(workdir: str, fleet: str, runs: Sequence[str], term: int = 0) -> Command:
    """Kill what these ended runs, `<task>.<epoch>`, left behind; ValueError for more than `MOST_RUNS`."""
    if len(runs) > MOST_RUNS:
        message = f"{len(runs)} runs are too many for one sweep: {MOST_RUNS} at a time"
        raise ValueError(message)
    words = (*fence.place(workdir, fleet, term), *map(shell.checked_run, runs), ".")
    return Command(name="sweep", script=_SWEEP, words=words, timeout_s=SWEEP_TIMEOUT_S, brief=True)


def parse_sweep(completed: Completed) -> Mapping[str, Swept]:
    """What came of each run; Fenced, and ProtocolError for an answer that is none."""
    lines = shell.text(shell.body("sweep", completed)).split("\n")
    if lines[-2:] != ["end", ""]:
        raise shell.ProtocolError("sweep: the answer is cut")
    return dict(_swept(line) for line in lines[:-2])


def _swept(line: str) -> tuple[str, Swept]:
    match line.split(" "):
        case ["run", run, ("swept" | "survived" | "alive") as word]:
            return run, word
        case _:
            message = f"sweep: {line!r} is no line about a run"
            raise shell.ProtocolError(message)
