"""Giving an epoch up for good: a run that nothing claimed is claimed as void.

It stops nothing: what claimed the run first goes on.
"""

from reconciler.core.command import Command, Completed
from reconciler.core.script import fence, shell
from reconciler.core.script.launch import Launched, state

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


def give_up(workdir: str, fleet: str, run: str, term: int = 0) -> Command:
    """Make sure that a run which nothing claimed can never start."""
    words = (*fence.place(workdir, fleet, term), shell.checked_run(run))
    return Command(name="give-up", script=_GIVE_UP, words=words, brief=True)


def parse_give_up(completed: Completed) -> Launched:
    """`void` when it can never start, else what claimed it before; Fenced, and ProtocolError for no answer."""
    found = shell.fields("give-up", shell.body("give-up", completed))
    if "failed" in found:
        return Launched(state="absent", message=f"{found['failed']}: {shell.said(completed)}")
    return Launched(state=state("give-up", shell.needed("give-up", found, "state")))
