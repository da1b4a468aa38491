"""Preparing a workspace on a host: a cached bare clone, a git worktree, the commit that a run starts from.

Repeatable wherever it was cut off; it never touches a workspace in which a run lives, and throws no work away.
"""

import hashlib
from dataclasses import dataclass, field

from reconciler.core.command import Command, Completed
from reconciler.core.desired import Identity
from reconciler.core.script import fence, git, locking, shell
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

_CLONE = r"""
clone() {
  repo=$root/repos/$cache.git
  mkdir -p "$root/repos" || fail 'no_capacity the folder of the clones cannot be made'
  lock "$repo"
  if [ -e "$dir/started" ] || [ "$(ls -i "$dir/prepared" 2>/dev/null)" != "$was" ]; then known; fi
  if [ ! -d "$repo" ]; then
    rm -rf "$repo.new"
    git init -q --bare --template= "$repo.new" || fail 'making the clone'
    in_git "$repo.new" config remote.origin.fetch '+refs/heads/*:refs/remotes/origin/*' || fail 'making the clone'
    in_git "$repo.new" config core.logAllRefUpdates true || fail 'making the clone'
    in_git "$repo.new" config gc.auto 0 || fail 'making the clone'
    mkdir -p "$repo.new/info" "$repo.new/hooks"
    mv "$repo.new" "$repo" || fail 'making the clone'
  fi
  find "$repo/packed-refs.lock" "$repo/config.lock" "$repo/refs" -name '*.lock' -mmin +10 -exec rm -f {} + 2>/dev/null
  in_git "$repo" config remote.origin.url "$repository" || fail 'making the clone'
  identify || fail 'making the clone'
  in_git "$repo" fetch -q --prune --no-write-fetch-head -- "$repository" \
    '+refs/heads/*:refs/remotes/origin/*' 9>&- || fail 'fetching the repository'
  in_git "$repo" worktree prune
}
identify() {
  for key in user.name user.email; do in_git "$repo" config --unset-all "$key"; done
  if [ -n "$(in_git "$repo" config user.email)" ]; then return 0; fi
  in_git "$repo" config user.name "$GIT_AUTHOR_NAME" && in_git "$repo" config user.email "$GIT_AUTHOR_EMAIL"
}
commit_of() { in_git "$repo" rev-parse -q --verify "$1^{commit}"; }
start_point() {
  if [ -z "$base" ]; then
    heads=$(in_git "$repo" ls-remote --symref -- "$repository" HEAD 9>&-) || fail 'asking for the default branch'
    case $heads in "ref: refs/heads/"*) base=${heads#"ref: refs/heads/"}; base=${base%%"	"*} ;; esac
    if [ -z "$base" ]; then fail 'config the repository has no default branch: name one as base'; fi
  fi
  base_sha=$(commit_of "refs/remotes/origin/$base") || fail "config the repository has no branch '$base' to start from"
  start_sha=$(commit_of "refs/remotes/origin/$branch") || start_sha=
  from=$base_sha
  if [ -n "$start_sha" ] && ! in_git "$repo" merge-base --is-ancestor "$start_sha" "$base_sha"; then from=$start_sha; fi
}
"""
"""`clone` fetches the cache, `start_point` finds what to start from: the task's unmerged branch, else the base.

A preparation that waited for the lock while another one finished for the same run touches nothing: the agent may start.
`identify` lends our identity to agents that commit, where the host has none of its own.
"""

_WORKTREE = r"""
keep() {
  if [ -n "$(commit_of "refs/reconciler/$1")" ]; then return 0; fi
  in_git "$repo" update-ref "refs/reconciler/$1" "$2" || fail 'keeping what the last run left'
}
leftovers() {
  head=$(in_git "$workspace" rev-parse -q --verify HEAD) || head=
  if [ -n "$(filtered_git "$workspace" status --porcelain --ignore-submodules=dirty)" ]; then
    index=$dir/leftovers.index
    rm -f "$index" "$index.lock"
    cp "$git_dir/index" "$index" 2>/dev/null
    if GIT_INDEX_FILE=$index filtered_git "$workspace" add -A; then
      tree=$(GIT_INDEX_FILE=$index filtered_git "$workspace" write-tree) || fail 'keeping what the last run left'
      saved=$(echo "Left by a run of $task before epoch $epoch" \
        | filtered_git "$workspace" commit-tree ${head:+-p "$head"} "$tree") || fail 'keeping what the last run left'
      keep "$task.$epoch" "$saved"
    else
      fail 'keeping what the last run left'
    fi
    rm -f "$index"
  elif [ -n "$head" ] && ! in_git "$repo" merge-base --is-ancestor "$head" "$from"; then
    keep "$task.$epoch" "$head"
  fi
  tip=$(commit_of "refs/heads/$branch") || return 0
  if [ "$tip" = "$head" ] || in_git "$repo" merge-base --is-ancestor "$tip" "$from"; then return 0; fi
  keep "$task.$epoch.branch" "$tip"
}
worktree() {
  guard
  git_dir=$(git -C "$workspace" rev-parse --absolute-git-dir 2>/dev/null) || git_dir=
  case $git_dir in
    "$repo"/worktrees/*) rm -f "$git_dir/index.lock" "$git_dir/HEAD.lock"; leftovers ;;
    *)
      if [ -e "$workspace" ] || [ -L "$workspace" ]; then
        rm -rf "$workspace.aside"
        rmdir "$workspace" 2>/dev/null || mv "$workspace" "$workspace.aside" || fail 'no_capacity moving a folder aside'
        in_git "$repo" worktree prune
      fi
      in_git "$repo" worktree add -f --no-checkout --detach -- "$workspace" "$from" >/dev/null \
        || fail 'making the workspace'
      git_dir=$(git -C "$workspace" rev-parse --absolute-git-dir) || fail 'making the workspace'
      ;;
  esac
  guard
  rm -rf "$git_dir/rebase-merge" "$git_dir/rebase-apply" "$git_dir/sequencer" "$git_dir/BISECT_LOG"
  filtered_git "$workspace" checkout -q -f --detach "$from" -- || fail 'checking the commit out'
  filtered_git "$workspace" reset -q --hard "$from" -- || fail 'checking the commit out'
  filtered_git "$workspace" clean -f -d -q || fail 'cleaning the workspace'
  if ! in_git "$repo" worktree list --porcelain | grep -q -x -F -e "branch refs/heads/$branch"; then
    in_git "$repo" update-ref "refs/heads/$branch" "$from" 2>/dev/null \
      && in_git "$workspace" symbolic-ref HEAD "refs/heads/$branch"
  fi
}
"""
"""`worktree` brings the workspace to `from`; what was there and is on no branch is kept under `refs/reconciler/`."""

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
known() {
  answer
  if [ -s prepared ]; then while IFS= read -r line; do printf '%s\n' "$line"; done <prepared
  else printf 'failed config the run was started by something else\n'; fi
  exit 0
}
if [ -e started ]; then known; fi
was=
if [ -n "$repository" ]; then was=$(ls -i "$dir/prepared" 2>/dev/null); fi
folder_of
printf '%s\n' "$workspace" >workspace."$$" && mv -f workspace."$$" workspace || fail 'no_capacity the folder is full'
base_sha= start_sha= head_sha=
"""
)

_END = r"""
{
  printf 'workspace %s\nrun_dir %s\nhome %s\n' "$workspace" "$dir" "$HOME"
  printf 'base %s\nbase_sha %s\nstart_sha %s\nhead_sha %s\n' "$base" "$base_sha" "$start_sha" "$head_sha"
} >prepared."$$" && mv -f prepared."$$" prepared || fail 'no_capacity the folder is full'
known
"""

_PREPARE = (
    _BEGIN
    + git.GIT
    + git.REPOSITORY
    + locking.LOCK
    + _CLONE
    + _WORKTREE
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
"""
    + _END
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
        hashlib.sha256(repository.encode("utf-8", "surrogateescape")).hexdigest()[:20],
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
