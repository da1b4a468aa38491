"""The `sh` text that makes a workspace of a repository: the cached clone, where a run starts from, its git worktree.

It throws no work away: what is on no branch is kept under a ref.
"""

CLONE = r"""
make_clone() {
  if [ -d "$repo" ]; then return 0; fi
  rm -rf "$repo.new"
  git init -q --bare --template= "$repo.new" || fail 'making the clone'
  in_git "$repo.new" config remote.origin.fetch '+refs/heads/*:refs/remotes/origin/*' || fail 'making the clone'
  in_git "$repo.new" config core.logAllRefUpdates true || fail 'making the clone'
  in_git "$repo.new" config gc.auto 0 || fail 'making the clone'
  mkdir -p "$repo.new/info" "$repo.new/hooks"
  mv "$repo.new" "$repo" || fail 'making the clone'
}
address() { in_git "$repo" config remote.origin.url "$repository"; }
renew() {
  if in_git "$repo" rev-parse --git-dir >/dev/null; then return 1; fi
  discard "$repo.broken"
  mv "$repo" "$repo.broken" || fail 'no_capacity moving a broken clone aside'
  make_clone
  address
}
clone() {
  repo=$root/repos/$cache.git
  mkdir -p "$root/repos" || fail 'no_capacity the folder of the clones cannot be made'
  lock "$repo"
  if [ -e "$dir/started" ] || [ "$(ls -i "$dir/prepared" 2>/dev/null)" != "$was" ]; then known; fi
  make_clone
  find "$repo/packed-refs.lock" "$repo/config.lock" "$repo/refs" -name '*.lock' -mmin +10 -exec rm -f {} + 2>/dev/null
  address || renew || fail 'making the clone'
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
A clone that is no git repository any more, as after a power cut, is set aside and made anew.
`identify` lends our identity to agents that commit, where the host has none of its own.
"""

WORKTREE = r"""
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
      usable=
      if [ -n "$head" ]; then keep "$task.$epoch" "$head"; fi
    fi
    rm -f "$index"
  elif [ -n "$head" ] && ! in_git "$repo" merge-base --is-ancestor "$head" "$from"; then
    keep "$task.$epoch" "$head"
  fi
  tip=$(commit_of "refs/heads/$branch") || return 0
  if [ "$tip" = "$head" ] || in_git "$repo" merge-base --is-ancestor "$tip" "$from"; then return 0; fi
  keep "$task.$epoch.branch" "$tip"
}
set_aside() {
  if rmdir "$workspace" 2>/dev/null; then return 0; fi
  discard "$workspace.aside"
  mv "$workspace" "$workspace.aside" || fail 'no_capacity moving a folder aside'
  in_git "$repo" worktree prune
}
go_to() {
  filtered_git "$workspace" checkout -q -f --detach "$1" -- && filtered_git "$workspace" reset -q --hard "$1" -- \
    && filtered_git "$workspace" clean -f -d -q
}
worktree() {
  guard
  git_dir=$(git -C "$workspace" rev-parse --absolute-git-dir 2>/dev/null) || git_dir=
  usable=
  case $git_dir in
    */repos/"$cache".git/worktrees/*) usable=1; rm -f "$git_dir/index.lock" "$git_dir/HEAD.lock"; leftovers ;;
  esac
  guard
  if [ -n "$usable" ]; then
    rm -rf "$git_dir/rebase-merge" "$git_dir/rebase-apply" "$git_dir/sequencer" "$git_dir/BISECT_LOG"
    go_to "$from" || usable=
  fi
  if [ -z "$usable" ]; then
    if [ -e "$workspace" ] || [ -L "$workspace" ]; then set_aside; fi
    in_git "$repo" worktree add -f --no-checkout --detach -- "$workspace" "$from" >/dev/null \
      || fail 'making the workspace'
    go_to "$from" || fail 'checking the commit out'
  fi
  if ! in_git "$repo" worktree list --porcelain | grep -q -x -F -e "branch refs/heads/$branch"; then
    in_git "$repo" update-ref "refs/heads/$branch" "$from" 2>/dev/null \
      && in_git "$workspace" symbolic-ref HEAD "refs/heads/$branch"
  fi
}
"""
"""`worktree` brings the workspace to `from`; what was there and is on no branch is kept under `refs/reconciler/`.

One that git cannot keep or clean is set aside, beside a new one: an agent left in it a repository without a commit, or
what may not be read or removed.
"""
