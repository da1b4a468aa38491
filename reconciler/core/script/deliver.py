"""Delivering a good run: commit what the agent left, push under a lease, and see what the remote has.

It never overwrites what somebody else pushed since the run began, and may be repeated after any interruption.
"""

from dataclasses import dataclass, field

from reconciler.core.command import Command, Completed
from reconciler.core.desired import Identity
from reconciler.core.script import fence, git, shell
from reconciler.core.terms import Failure

DELIVER_TIMEOUT_S = 600.0

_PLACE = (
    r"""
root=$(cd "$workdir" 2>/dev/null && pwd -P)/$fleet
case $workspace in
  */../* | */..) fail 'config the workspace is not in the folder of the fleet' ;;
  "$root/work/"*) ;;
  *) fail 'config the workspace is not in the folder of the fleet' ;;
esac
"""
    + git.STAY
)

_DELIVER = (
    "set -u\n"
    + shell.take("workdir", "fleet", "term", "workspace", "repository", "branch", "base_sha", "start_sha")
    + shell.take("name", "email")
    + shell.MARK_ANSWER
    + shell.FLEET_ROOT
    + fence.FENCE
    + git.FAIL
    + git.GIT
    + git.REPOSITORY
    + "announce\nguard\n"
    + _PLACE
    + r"""
GIT_AUTHOR_NAME=$name GIT_AUTHOR_EMAIL=$email GIT_COMMITTER_NAME=$name GIT_COMMITTER_EMAIL=$email
export GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL
undelivered() { answer; printf 'undelivered %s\nhead %s\n' "$1" "$head"; exit 0; }
remote_sha() {
  refs=$(in_git "$workspace" ls-remote -- "$repository" "$ref") || return 1
  remote=
  while read -r sha name rest; do
    if [ "$name" = "$ref" ]; then remote=$sha; fi
  done <<END
$refs
END
}
stage() {
  said=$(filtered_git "$workspace" add -A 2>&1) && return 0
  printf '%s\n' "$said" >&2
  case $said in
    *'does not have a commit checked out'* | *'Permission denied'*)
      undelivered "git cannot add what the agent left: $(printf %s "$said" | tr '\n\t' '  ')"
      ;;
  esac
  fail 'staging what the agent left'
}
delivered() { answer; printf 'head %s\nahead %s\n' "$head" "$ahead"; exit 0; }
head=
ref=refs/heads/$branch
git_dir=$(git -C "$workspace" rev-parse --absolute-git-dir) || git_dir=
case $git_dir in
  */repos/*.git/worktrees/*) ;;
  *) undelivered 'the workspace is no git worktree of the repository any more' ;;
esac
rm -f "$git_dir/index.lock" "$git_dir/HEAD.lock"
if [ -n "$(filtered_git "$workspace" ls-files -u)" ]; then undelivered 'the agent left a merge with conflicts'; fi
for step in rebase-merge rebase-apply; do
  if [ -e "$git_dir/$step" ]; then undelivered 'the agent left a rebase half done'; fi
done
if [ -n "$(filtered_git "$workspace" status --porcelain --ignore-submodules=dirty)" ]; then
  guard
  stage
  if [ "$(filtered_git "$workspace" write-tree)" != "$(in_git "$workspace" rev-parse -q --verify 'HEAD^{tree}')" ] \
    || [ -e "$git_dir/MERGE_HEAD" ]; then
    filtered_git "$workspace" commit -q --no-verify --no-gpg-sign --cleanup=whitespace -F - \
      || fail 'committing what the agent left'
  fi
fi
head=$(in_git "$workspace" rev-parse -q --verify 'HEAD^{commit}') || undelivered 'the workspace has no commit'
ahead=$(in_git "$workspace" rev-list --count "$base_sha..$head" --) || fail 'counting the commits'
if [ "$ahead" = 0 ]; then undelivered 'there is no commit beyond the base'; fi
remote_sha || fail 'asking the remote for the branch'
if [ "$remote" = "$head" ]; then delivered; fi
if [ "$remote" != "$start_sha" ]; then undelivered 'somebody else pushed to the branch meanwhile'; fi
guard
said=$(in_git "$workspace" push --porcelain --no-verify --force-with-lease="$ref:$start_sha" \
  -- "$repository" "$head:$ref" 2>&1)
pushed=$?
remote_sha || fail 'asking the remote for the branch'
if [ "$remote" = "$head" ]; then delivered; fi
if [ "$remote" != "$start_sha" ]; then undelivered 'somebody else pushed to the branch meanwhile'; fi
printf '%s\n' "$said" >&2
if [ "$pushed" = 0 ]; then undelivered 'the remote took the push and does not show it'; fi
case $said in
  *'[remote rejected]'*) undelivered "the remote refused the push: $(printf %s "$said" | tr '\n\t' '  ')" ;;
esac
fail 'pushing'
"""
)

_INSPECT = (
    "set -u\n"
    + shell.take("workdir", "fleet", "workspace")
    + shell.MARK_ANSWER
    + shell.FLEET_ROOT
    + git.FAIL
    + git.GIT
    + _PLACE
    + r"""
head=$(in_git "$workspace" rev-parse -q --verify 'HEAD^{commit}') 2>/dev/null || head=
answer
printf 'head %s\n' "$head"
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What to deliver: the workspace's HEAD to `branch`, which must still be at `start_sha` (None: not be there).

    `term`: as in `fence.place`.
    """

    workdir: str
    fleet: str
    workspace: str
    repository: str
    branch: str
    base_sha: str
    start_sha: str | None
    message: str
    identity: Identity = field(default_factory=Identity)
    term: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The remote's branch was seen at `head_sha`, `ahead` commits beyond the base."""

    head_sha: str
    ahead: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NotDelivered:
    """Nothing was delivered and trying again will not help: nothing to deliver, a lost lease, a refusal."""

    reason: str
    head_sha: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverFailed:
    """The delivery could not be finished; `failure` says whether waiting or a person helps."""

    failure: Failure
    message: str


def deliver(order: Delivery) -> Command:
    """Commit, push and look, in the workspace of a run that has ended; ValueError for what cannot be a word."""
    if not order.branch or order.branch.startswith("-"):
        message = f"{order.branch!r} is no name of a branch"
        raise ValueError(message)
    words = (
        *fence.place(order.workdir, order.fleet, order.term),
        order.workspace,
        order.repository,
        order.branch,
        order.base_sha,
        order.start_sha or "",
        order.identity.name,
        order.identity.email,
    )
    payload = order.message.encode("utf-8", "surrogateescape")
    return Command(
        name="deliver",
        script=_DELIVER,
        words=words,
        payload=payload,
        timeout_s=DELIVER_TIMEOUT_S,
        lends_agent=True,
    )


def parse_deliver(completed: Completed) -> Delivered | NotDelivered | DeliverFailed:
    """What became of a delivery; Fenced, and ProtocolError for an answer that is none."""
    found = shell.fields("deliver", shell.body("deliver", completed))
    if "failed" in found:
        failure, message = git.failure(completed, found["failed"])
        return DeliverFailed(failure=failure, message=message)
    if "undelivered" in found:
        return NotDelivered(reason=git.without_credentials(found["undelivered"]), head_sha=found.get("head") or None)
    ahead = shell.number("deliver", shell.needed("deliver", found, "ahead"))
    return Delivered(head_sha=shell.needed("deliver", found, "head"), ahead=ahead)


def inspect(workdir: str, fleet: str, workspace: str) -> Command:
    """Ask what a workspace stands at, and change nothing."""
    return Command(name="inspect", script=_INSPECT, words=(*shell.place(workdir, fleet), workspace))


def parse_inspect(completed: Completed) -> str | None:
    """The commit at which the workspace stands; None where it is no git worktree or is gone."""
    found = shell.fields("inspect", shell.body("inspect", completed))
    return found.get("head") or None
