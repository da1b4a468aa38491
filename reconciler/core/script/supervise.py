"""The text of a run folder's `supervise`: it claims runs, starts their agents, and writes how these ended.

It never claims twice, and never puts a path, a variable or a prompt on a command line of a shell.
"""

import re
from collections.abc import Mapping

from reconciler.core.script.shell import PROCESSES, quoted

MOST_BYTES = 131_071
"""How long a word of an argv, or a variable with its name, may be: Linux starts no process that is given more."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_ALLOWED = (
    "PATH HOME USER LOGNAME SHELL LANG LANGUAGE TMPDIR TZ "
    "LC_ALL LC_ADDRESS LC_COLLATE LC_CTYPE LC_IDENTIFICATION LC_MEASUREMENT LC_MESSAGES LC_MONETARY LC_NAME "
    "LC_NUMERIC LC_PAPER LC_TELEPHONE LC_TIME "
    "http_proxy https_proxy ftp_proxy no_proxy all_proxy HTTP_PROXY HTTPS_PROXY FTP_PROXY NO_PROXY ALL_PROXY "
    "SSL_CERT_FILE SSL_CERT_DIR NODE_EXTRA_CA_CERTS CURL_CA_BUNDLE REQUESTS_CA_BUNDLE"
)

ALLOWED = f"""
quote() {{
  rest=$1 quoted=
  while :; do
    case $rest in
      *\\'*) quoted="$quoted${{rest%%\\'*}}'\\\\''"; rest=${{rest#*\\'}} ;;
      *) break ;;
    esac
  done
  quoted="'$quoted$rest'"
}}
allowed() {{
  exports=
  for name in {_ALLOWED}; do
    eval "[ -n \\"\\${{$name+x}}\\" ]" || continue
    eval "value=\\$$name"
    quote "$value"
    exports="${{exports}}export $name=$quoted
"
  done
}}
"""
"""`allowed` sets `exports` to the host's part of an agent's environment as `sh` text, for a shell that is born without
any; `quote TEXT` sets `quoted` to the text as one word of such text. Neither starts a process.
"""

BORN = (
    PROCESSES
    + r"""
find_setsid() {
  set -f
  IFS=:
  for folder in $PATH; do
    setsid=${folder:-.}/setsid
    if [ -x "$setsid" ]; then break; fi
  done
  IFS=$blanks
  set +f
}
blanks=$IFS
find_setsid
become() {
  started_at self || exit 126
  printf '%s %s\n' "${stat%% *}" "$start" >agent
  text=$1
  set -- "$setsid" --
  unset PWD OLDPWD SHLVL
  eval "$text"
}
"""
)
"""What a shell that was born without any variable but PATH knows.

`become TEXT`, in a subshell in a run folder, does what `exports` and `command_text` say: it takes the run's variables
and becomes the agent, in a session of its own. Whoever called is not that session's, and lives on.
"""

SUPERVISE = (
    "set -u\numask 077\nmask=$1\nexec 3>&1 >/dev/null\n"
    + BORN
    + r"""
claim() {
  started_at self || return 1
  wall=0
  if [ -s engine ]; then wall=$(date +%s); fi
  own=claim.${stat%% *}.$start
  if [ -e "$own" ]; then rm -f "$own"; fi
  printf '%s\n' "${stat%% *} $start $boot $up $wall" >"$own" && [ -s "$own" ] && ln "$own" started && return 0
  rm -f "$own"
  return 1
}
supervise() {
  exec </dev/null >/dev/null
  trap '' PIPE
  cd "$2" && claim || { echo "lost $2" >&3; exit 1; }
  echo "claimed $2" >&3
  exec 3>&-
  trap - PIPE
  trap : TERM HUP INT QUIT
  if [ -e stop ]; then
    : >>stdout
    : >>stderr
    code=143
  else
    eval "text=\$agent_$1"
    umask "$mask"
    (become "$text")
    code=$?
    umask 077
  fi
  printf '%s\n' "$code" >exit.tmp && exec mv exit.tmp exit
}
number=0 all= names=
agent() {
  number=$((number + 1))
  eval "agent_$number=\$2"
  all="$all${all:+ | }supervise $number $1" names="$names $1"
}
go() {
  uptime_s
  echo "
expect$names" >&3
  eval "$all"
}
"""
)
"""Supervises runs; the agents' umask is its first parameter, and the folder of the runs the current one.

After it come the exports of `allowed`, for each run a line `agent RUN '<sh text>'`, and `go`. Its stdout is told
`expect RUN...` on a line of its own, and of each `claimed RUN`, or `lost RUN` where something else did or nothing can:
by no other descriptor, because not every `sh` is handed one, or hands one on. The runs are a pipeline, through which
nothing flows, because `sh` has what it starts by `&` ignore SIGINT.
"""


def exports(variables: Mapping[str, str], unset: tuple[str, ...], run_id: str) -> bytes:
    """What gives an agent its variables: `sh` text that sets them, values byte for byte.

    ValueError for a name that no shell can export. `command` keeps a shell whose variable is read-only alive.
    """
    lines = [f"command unset {_checked(name)}" for name in unset]
    lines += [_export(name, value) for name, value in variables.items() if name not in unset]
    lines.append(_export("RECONCILER_RUN", run_id))
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def command_text(words: tuple[str, ...], workspace: str, prompt_on_stdin: bool) -> bytes:  # noqa: FBT001 - one of two
    """Where the agent works, what it reads, and its argv, as `sh` text that follows its variables.

    Its parameters are what goes before that argv, and puts the agent into a session of its own.
    """
    source = "prompt" if prompt_on_stdin else "/dev/null"
    lines = (
        f"exec <{source} >>stdout 2>>stderr",
        f"cd {quoted((workspace,))} || exit 126",
        "unset PWD OLDPWD",
        f'exec "$@" {quoted(words)}',
    )
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def check(words: tuple[str, ...], variables: Mapping[str, str]) -> None:
    """ValueError for a word or a variable that is too long for any process to be given."""
    told = {f"the variable {name}": f"{name}={value}" for name, value in variables.items()}
    for what, text in [
        *(("a word of the argv (give the prompt by stdin or file)", word) for word in words),
        *told.items(),
    ]:
        size = len(text.encode("utf-8", "surrogateescape"))
        if size > MOST_BYTES:
            message = f"{what} has {size} bytes: a process can be given at most {MOST_BYTES}"
            raise ValueError(message)


def _export(name: str, value: str) -> str:
    return f"command export {_checked(name)}={quoted((value,))}"


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        message = f"{name!r} is no name of an environment variable: letters, digits and '_', not beginning with a digit"
        raise ValueError(message)
    return name
