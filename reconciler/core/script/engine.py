"""The `sh` text for a launcher that is no `setsid`: how to submit a run, ask for its job, and cancel it.

A template's words are quoted one by one; the job's name is a variable of the script and never part of its text.
"""

from typing import Literal

from reconciler.core.desired import Engine
from reconciler.core.script import shell

CALLS = r"""
job_lives() {
  [ -s job ] || return 1
  { IFS= read -r job; } 2>/dev/null <job || return 1
  engine_alive </dev/null >/dev/null 2>&1
}
is_queued() { job_lives || [ -n "$(find job -mmin -1 2>/dev/null)" ]; }
"""
"""In a run folder, `job_lives` is true while the engine has the job that was submitted for it.

`is_queued` is so also for a minute after that: an engine may show late what it has taken.
"""

SUBMIT = r"""
submit() {
  cd "$top/$run" || return 1
  . ./engine
  run_id=$fleet.$run dir=$top/$run
  if is_queued; then return 0; fi
  rm -f job
  {
    quote "$top"
    printf '#!/bin/sh\ncd %s || exit 1\ntrap : TERM HUP INT QUIT\n' "$quoted"
    printf %s "$allowed"
    printf 'allowed\nquote "$(cat %s/env)"\n' "$run"
    printf 'env -i PATH="$PATH" sh %s/supervise %s >/dev/null <<END\n' "$run" "$mask"
    printf '${exports}agent %s $quoted\ngo\nEND\n' "$run"
  } >job.sh && chmod 700 job.sh && engine_submit >submitted </dev/null || return 1
  set -- $(tail -n 1 submitted)
  if [ $# = 0 ]; then echo 'the engine named no job' >&2; return 1; fi
  shift $(($# - 1))
  printf '%s\n' "$1" >job."$$" && mv -f job."$$" job
}
"""
"""In `launch`, `submit` has the engine start the supervisor of `run`, by a script that gives it what others get."""


def text(launcher: Literal["setsid"] | Engine) -> bytes:
    """The functions `engine_submit`, `engine_alive` and `engine_cancel`; nothing for `setsid`.

    They use the variables `dir`, `run_id` and `job`. ValueError for a template that names nothing to run.
    """
    if launcher == "setsid":
        return b""
    functions = (
        _function("engine_submit", launcher.submit),
        _function("engine_alive", launcher.alive),
        _function("engine_cancel", launcher.cancel),
    )
    return "".join(functions).encode("utf-8", "surrogateescape")


def _function(name: str, template: tuple[str, ...]) -> str:
    if not template:
        message = f"the launcher's {name.removeprefix('engine_')} is empty: it must name a program"
        raise ValueError(message)
    return f"{name}() {{ {' '.join(_word(word) for word in template)}; }}\n"


def _word(word: str) -> str:
    quoted = shell.quoted((word,)) if word else "''"
    # Every word begins in single quotes, so that its placeholders can leave them for a variable in double quotes.
    if not quoted.startswith("'"):
        quoted = f"'{quoted}'"
    for placeholder, variable in (
        ("{script}", '"$dir/job.sh"'),
        ("{run_dir}", '"$dir"'),
        ("{run_id}", '"$run_id"'),
        ("{job}", '"$job"'),
    ):
        quoted = quoted.replace(placeholder, f"'{variable}'")
    return quoted
