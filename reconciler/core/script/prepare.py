"""Preparing a workspace on a host: a cached bare clone, a git worktree, the commit that a run starts from.

Repeatable wherever it was cut off; it never touches a workspace in which a run lives, and throws no work away.
"""

import hashlib
from dataclasses import dataclass, field

from reconciler.core.command import Command, Completed
from reconciler.core.desired import Identity
from reconciler.core.script import fence, git, locking, shell, worktree
from reconciler.core.terms import Failure

PREPARE_TIMEOUT_S = 900.0
FOLDER_TIMEOUT_S = 30.0
"""Where there is no repository to fetch: only folders are made."""

_FOLDER = r"""
cd_run() { mkdir -p "$root/runs/$1" && cd "$root/runs/$1"; }
folder_of() {
  workspace=$root/work/$task
  if [ "$reuse" != 1 ]; then workspace=$root/work/$task.$epoch; return 0; fi
  before=$((epoch - 1))
  while [ "$before" -gt 0 ]; do
    if [ -f "$root/runs/$task.$before/workspace" ]; then
      { IFS= read -r workspace; } <"$root/runs/$task.$before/workspace"
      break
    fi
    before=$((before - 1))
  done
  case $workspace in "$root/work/$task" | "$root/work/$task".*) ;; *) workspace=$root/work/$task ;; esac
  for folder in "$root/runs/$task".*; do
    kept=
    [ -f "$folder/workspace" ] || continue
    { IFS= read -r kept; } 2>/dev/null <"$folder/workspace" || continue
    if [ "$kept" = "$workspace" ] && [ "$folder" != "$dir" ] && cd "$folder"; then
      look
      cd "$dir" || exit 96
      if [ "$claim" = alive ]; then workspace=$root/work/$task.$epoch; return 0; fi
    fi
  done
}
"""
"""`workspace` is where the task's last run worked, unless that run lives; a fresh folder when `reuse` is not 1."""

_BEGIN = (
    "set -u\nmask=$(umask)\n"
    + shell.take("workdir", "fleet", "term", "task", "epoch", "reuse")
    + shell.take("repository", "cache", "branch", "base", "name", "email")
    + shell.MARK_ANSWER
    + shell.FLEET_ROOT
    + fence.FENCE
    + shell.PROCESSES
    + shell.CLAIM
    + git.FAIL
    + _FOLDER
    + r"""
announce
guard
umask 077
[ -d "$workdir" ] || mkdir -p "$workdir"
root=$(cd "$workdir" && pwd -P)/$fleet || fail 'no_capacity the workdir cannot be made'
dir=$root/runs/$task.$epoch
[ -d "$dir" ] && [ -d "$root/work" ] || mkdir -p "$dir" "$root/work"
cd "$dir" || fail 'no_capacity the run folder cannot be made'
umask "$mask"
base_sha= start_sha= head_sha=
ready() {
  printf 'workspace %s\nrun_dir %s\nhome %s\n' "$workspace" "$dir" "$HOME"
  printf 'base %s\nbase_sha %s\nstart_sha %s\nhead_sha %s\n' "$base" "$base_sha" "$start_sha" "$head_sha"
}
known() {
  answer
  if [ -n "$repository" ] && [ -s prepared ]; then while IFS= read -r line; do printf '%s\n' "$line"; done <prepared
  elif [ -z "$repository" ] && [ -s workspace ] && IFS= read -r workspace <workspace; then ready
  else
    look
    if [ "$claim" = void ]; then printf 'failed superseded its epoch was given up before it started\n'
    else printf 'failed config the run was started by something else\n'; fi
  fi
  exit 0
}
if [ -e started ]; then known; fi
was=
if [ -n "$repository" ]; then was=$(ls -i "$dir/prepared" 2>/dev/null); fi
folder_of
printf '%s\n' "$workspace" >workspace."$$" && mv -f workspace."$$" workspace || fail 'no_capacity the folder is full'
"""
)

_END = r"""
ready >prepared."$$" && mv -f prepared."$$" prepared || fail 'no_capacity the folder is full'
known
"""

_PREPARE = (
    _BEGIN
    + git.GIT
    + git.STAY
    + git.REPOSITORY
    + locking.LOCK
    + shell.DISCARD
    + worktree.CLONE
    + worktree.WORKTREE
    + r"""
GIT_AUTHOR_NAME=$name GIT_AUTHOR_EMAIL=$email GIT_COMMITTER_NAME=$name GIT_COMMITTER_EMAIL=$email
export GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL
clone
start_point
worktree
head_sha=$(in_git "$workspace" rev-parse --verify HEAD) || fail 'reading the commit'
"""
    + _END
)

_PREPARE_FOLDER = (
    _BEGIN
    + """
[ -d "$workspace" ] || mkdir -p "$workspace" || fail 'no_capacity the workspace cannot be made'
answer
ready
"""
)
"""For a task without a repository: no git is started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """What a run needs on its host before it is launched.

    `branch` and `base` have passed `git check-ref-format`. `reuse`: go on where the task's last run worked; false when
    the run before was not seen to end, for a folder and a session of its own. Without `repository` the folder is no
    git worktree, and what earlier runs left in it stays. `term`: as in `fence.place`.
    """

    workdir: str
    fleet: str
    task: str
    epoch: int
    branch: str
    repository: str | None = None
    base: str | None = None
    reuse: bool = True
    identity: Identity = field(default_factory=Identity)
    term: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A workspace that is ready. Paths are absolute on the host; shas are None without a repository.

    `start_sha` is the task's branch on the remote (None: it is not there), `base_sha` the commit of `base`, `head_sha`
    what the workspace stands at.
    """

    workspace: str
    run_dir: str
    home: str
    base: str | None
    base_sha: str | None
    start_sha: str | None
    head_sha: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareFailed:
    """Why there is no workspace; the message is one line without credentials."""

    failure: Failure
    message: str


def clone_of(run_dir: str, repository: str) -> str:
    """Where the clone of a repository is on the host on which a run has this folder."""
    root = run_dir.rpartition("/runs/")[0]
    return f"{root}/repos/{_cache(repository)}.git"


def prepare(order: Preparation) -> Command:
    """Make or refresh the workspace; it may take minutes, and may be repeated. ValueError for what cannot be a word."""
    shell.run_name(order.task, order.epoch)
    for word in (order.branch, order.base or "main"):
        if not word or word.startswith("-"):
            message = f"{word!r} is no name of a branch"
            raise ValueError(message)
    repository = order.repository or ""
    words = (
        *fence.place(order.workdir, order.fleet, order.term),
        order.task,
        str(order.epoch),
        "1" if order.reuse else "0",
        repository,
        _cache(repository),
        order.branch,
        order.base or "",
        order.identity.name,
        order.identity.email,
    )
    if order.repository is None:
        return Command(name="prepare", script=_PREPARE_FOLDER, words=words, timeout_s=FOLDER_TIMEOUT_S, brief=True)
    return Command(name="prepare", script=_PREPARE, words=words, timeout_s=PREPARE_TIMEOUT_S, lends_agent=True)


def parse_prepare(completed: Completed) -> Prepared | PrepareFailed:
    """The workspace, or why there is none; Fenced, and ProtocolError for an answer that is none."""
    found = shell.fields("prepare", shell.body("prepare", completed))
    if "failed" in found:
        failure, message = git.failure(completed, found["failed"])
        return PrepareFailed(failure=failure, message=message)
    return Prepared(
        workspace=shell.needed("prepare", found, "workspace"),
        run_dir=shell.needed("prepare", found, "run_dir"),
        home=shell.needed("prepare", found, "home"),
        base=shell.needed("prepare", found, "base") or None,
        base_sha=shell.needed("prepare", found, "base_sha") or None,
        start_sha=shell.needed("prepare", found, "start_sha") or None,
        head_sha=shell.needed("prepare", found, "head_sha") or None,
    )


def _cache(repository: str) -> str:
    """What its clone is called, below `repos/` and before `.git`."""
    return hashlib.sha256(repository.encode("utf-8", "surrogateescape")).hexdigest()[:20]
