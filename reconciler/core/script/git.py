"""How scripts run git on a host, and what git's words mean when it fails.

Git started here never runs code of the project: hooks, fsmonitor, filters and the `ext::` transport are off.
"""

import re

from reconciler.core.command import Completed
from reconciler.core.script import shell
from reconciler.core.terms import Failure

FAIL = r"""
fail() { answer; printf 'failed %s\n' "$1"; exit 1; }
"""

GIT = r"""
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_COMMON_DIR \
  GIT_CONFIG GIT_CONFIG_PARAMETERS GIT_CONFIG_COUNT GIT_EXTERNAL_DIFF GIT_NAMESPACE GIT_TEMPLATE_DIR GIT_PREFIX \
  GIT_ALLOW_PROTOCOL GIT_CEILING_DIRECTORIES GIT_TRACE GIT_ATTR_SOURCE
LC_ALL=C LANGUAGE=C GIT_TERMINAL_PROMPT=0 SSH_ASKPASS_REQUIRE=never GIT_ADVICE=0
export LC_ALL LANGUAGE GIT_TERMINAL_PROMPT SSH_ASKPASS_REQUIRE GIT_ADVICE
if [ -z "${GIT_SSH_COMMAND-}" ] && [ -z "${GIT_SSH-}" ]; then
  GIT_SSH_COMMAND=$(git config --global core.sshCommand || git config --system core.sshCommand) 2>/dev/null
  GIT_SSH_COMMAND=${GIT_SSH_COMMAND:-ssh -o BatchMode=yes -o ConnectTimeout=15}
  export GIT_SSH_COMMAND
fi
in_git() {
  at=$1
  shift
  git -C "$at" -c core.hooksPath=/dev/null -c core.fsmonitor=false -c protocol.ext.allow=never -c diff.external= \
    -c submodule.recurse=false -c fetch.recurseSubmodules=false -c push.recurseSubmodules=no -c gc.auto=0 \
    -c maintenance.auto=false -c commit.gpgSign=false -c push.gpgSign=false -c push.followTags=false \
    -c core.quotePath=true -c advice.detachedHead=false "$@"
}
filtered_git() {
  at=$1
  shift
  names=$(git -C "$at" config --name-only --get-regexp '^filter[.].*[.](clean|smudge|process|required)$')
  count=$#
  old_ifs=$IFS
  IFS='
'
  set -f
  for name in $names; do
    case $name in *=*) IFS=$old_ifs; fail "config the name of the git filter ${name%.*} holds a '='" ;; esac
    case $name in *.required) set -- "$@" -c "$name=false" ;; *) set -- "$@" -c "$name=" ;; esac
  done
  set +f
  IFS=$old_ifs
  while [ "$count" -gt 0 ]; do
    set -- "$@" "$1"
    shift
    count=$((count - 1))
  done
  in_git "$at" "$@"
}
"""
"""`in_git FOLDER ...` for commands that read and write no files, `filtered_git FOLDER ...` for those that do."""

REPOSITORY = r"""
case $repository in
  "~/"*) repository=$HOME/${repository#"~/"} ;;
  /* | *://* | *::*) ;;
  *:*) case ${repository%%:*} in */*) repository=$HOME/$repository ;; esac ;;
  ?*) repository=$HOME/$repository ;;
esac
"""
"""`repository` as git takes it: a path on the host is absolute, or counts from the home folder."""

STAY = r"""
GIT_CEILING_DIRECTORIES=$root/repos:$root/work
export GIT_CEILING_DIRECTORIES
"""
"""Once `root` is known: git takes no folder around, such as a home folder, for a repository that is broken or gone."""

_CREDENTIALS = re.compile(r"(\w+://)[^/@\s]+@")
_MOST_MESSAGE = 400

_FULL = (
    r"no space left on device|disk quota exceeded|read-only file system|cannot allocate memory|"
    r"out of memory|too many open files|\bbusy\b"
)
_CUT = (
    r"could ?n[o']t resolve|temporary failure in name resolution|name or service not known|timed out|timeout|"
    r"connection (refused|reset|closed|aborted)|network is unreachable|no route to host|failed to connect|"
    r"couldn't connect|unable to connect|the remote end hung up|early eof|kex_exchange_identification|"
    r"returned error: (408|429|5\d\d)|rpc failed|unexpected disconnect|gnutls_handshake|ssl_error_syscall|"
    r"cannot lock ref|unable to lock|\.lock': file exists"
)
_REFUSED = (
    r"authentication failed|could not read (username|password)|terminal prompts disabled|"
    r"permission denied \(|host key verification failed|invalid username or|invalid credentials|"
    r"returned error: 40[13]|access denied|not authorized|unauthorized|write access to repository not granted|"
    r"permission to \S+ denied|permission denied|no supported authentication|too many authentication failures|"
    r"deploy key"
)
_CLASSES = ((Failure.NO_CAPACITY, _FULL), (Failure.TRANSPORT, _CUT), (Failure.AUTH, _REFUSED))


def failure(completed: Completed, step: str) -> tuple[Failure, str]:
    """The class and the sentence of a step that failed; a step may name its class itself, as its first word."""
    said = " ".join(without_credentials(shell.text(completed.stderr)).split())[-_MOST_MESSAGE:]
    word, _, sentence = step.partition(" ")
    if word in set(Failure):
        return Failure(word), f"{sentence}: {said}" if said else sentence
    for found, pattern in _CLASSES:
        if re.search(pattern, said, re.IGNORECASE):
            return found, f"{step}: {said}"
    return Failure.CONFIG, f"{step}: {said}"


def without_credentials(said: str) -> str:
    """The text without what stands between `://` and `@` in its URLs."""
    return _CREDENTIALS.sub(r"\1", said)
