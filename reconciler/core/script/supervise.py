"""The text of a run folder's `supervise`: it claims the run, starts the agent, and writes how the agent ended.

It never claims twice, and never puts a path, a variable or a prompt on a command line of a shell.
"""

import re
from collections.abc import Mapping

from reconciler.core.script.shell import PROCESSES, quoted

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_ALLOWED = (
    "PATH HOME USER LOGNAME SHELL LANG LANGUAGE TMPDIR TZ "
    "LC_ALL LC_ADDRESS LC_COLLATE LC_CTYPE LC_IDENTIFICATION LC_MEASUREMENT LC_MESSAGES LC_MONETARY LC_NAME "
    "LC_NUMERIC LC_PAPER LC_TELEPHONE LC_TIME "
    "http_proxy https_proxy ftp_proxy no_proxy all_proxy HTTP_PROXY HTTPS_PROXY FTP_PROXY NO_PROXY ALL_PROXY "
    "SSL_CERT_FILE SSL_CERT_DIR NODE_EXTRA_CA_CERTS CURL_CA_BUNDLE REQUESTS_CA_BUNDLE"
)

QUOTE = r"""
quote() {
  rest=$1 done=
  while :; do
    case $rest in
      *\'*) done="$done${rest%%\'*}'\\''"; rest=${rest#*\'} ;;
      *) break ;;
    esac
  done
  printf "'%s'" "$done$rest"
}
"""
"""`quote TEXT` prints the text as one `sh` word, without starting a process."""

_AGENT = r"""
stat=
{ while IFS= read -r part || [ -n "$part" ]; do stat="$stat$part "; done; } </proc/$$/stat
set -- ${stat##*) }
shift 19
printf "%s %s\n" "$$" "$1" >agent
lines=
while IFS= read -r line; do
  lines="$lines$line
"
done
unset PWD OLDPWD SHLVL
eval "$lines"
. ./command
"""
"""The agent's own shell, born without any variable: it becomes the agent by the last line of `command`."""

ENVIRONMENT = (
    QUOTE
    + f"""
allowed() {{
  for name in {_ALLOWED}; do
    eval "[ -n \\"\\${{$name+x}}\\" ]" || continue
    eval "value=\\$$name"
    printf 'export %s=' "$name"
    quote "$value"
    printf '\\n'
  done
}}
bare='env -i'
if env -i --default-signal >/dev/null 2>&1; then bare='env -i --default-signal'; fi
agent_shell() {{ exec setsid $bare /bin/sh -c {quoted((_AGENT,))}; }}
"""
)
"""`allowed` prints the host's part of an agent's environment as `sh` text, `agent_shell` reads such text on stdin.

`agent_shell` replaces its shell: it belongs into a pipeline or a subshell.

`env --default-signal`, where it is there, undoes the SIGINT that `sh` ignores in what it starts in the background.
"""

SUPERVISE = (
    r"""
set -u
mask=$1
umask 077
"""
    + PROCESSES
    + r"""
started_at $$ || exit 1
uptime_s
own=claim.$$.$start
wall=0
if [ -s engine ]; then wall=$(date +%s); fi
line="$$ $start $boot $up $wall"
if [ -e "$own" ]; then rm -f "$own"; fi
printf '%s\n' "$line" >"$own" || exit 1
read -r kept <"$own"
if [ "$kept" != "$line" ] || ! ln "$own" started 2>/dev/null; then rm -f "$own"; exit 1; fi
trap : TERM HUP INT QUIT
variables=
{ while IFS= read -r line || [ -n "$line" ]; do variables="$variables$line
"; done; } <env || exit 1
rm -f env "$own"
"""
    + ENVIRONMENT
    + r"""
: >>stdout || exit 1
: >>stderr || exit 1
if [ -e stop ]; then
  code=143
else
  umask "$mask"
  { allowed; printf %s "$variables"; } | agent_shell
  code=$?
  umask 077
fi
printf '%s\n' "$code" >exit.tmp && mv exit.tmp exit
"""
)
"""Runs with the run folder as its current one; its one argument is the umask of the agent."""


def exports(variables: Mapping[str, str], unset: tuple[str, ...], run_id: str) -> bytes:
    """The content of a run folder's `env`: `sh` text that sets a run's variables, values byte for byte.

    ValueError for a name that no shell can export. `command` keeps a shell whose variable is read-only alive.
    """
    lines = [f"command unset {_checked(name)}" for name in unset]
    lines += [_export(name, value) for name, value in variables.items() if name not in unset]
    lines.append(_export("RECONCILER_RUN", run_id))
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def command_text(words: tuple[str, ...], workspace: str, prompt_on_stdin: bool) -> bytes:  # noqa: FBT001 - one of two
    """The content of a run folder's `command`: where the agent works, what it reads, and its argv."""
    source = "prompt" if prompt_on_stdin else "/dev/null"
    lines = (
        f"exec <{source} >>stdout 2>>stderr",
        f"cd {quoted((workspace,))} || exit 126",
        "unset PWD OLDPWD",
        f"exec {quoted(words)}",
    )
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def _export(name: str, value: str) -> str:
    return f"command export {_checked(name)}={quoted((value,))}"


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        message = f"{name!r} is no name of an environment variable: letters, digits and '_', not beginning with a digit"
        raise ValueError(message)
    return name
