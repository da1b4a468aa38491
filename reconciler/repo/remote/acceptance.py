"""What of the remote's `main` is put in force in this clone: only what goes on from what was in force before.

It never rewrites a branch, and never touches what somebody edited in the work tree.
"""

from dataclasses import dataclass

from reconciler.core.desired import Problem, Settings
from reconciler.repo import git
from reconciler.repo.desired import history, loading
from reconciler.repo.desired.fleetfiles import SETTINGS
from reconciler.repo.fleet import BRANCH, IN_FORCE, Fleet
from reconciler.repo.git import GitFailed

FETCHED_MAIN = "refs/reconciler/fetched/main"
LOCAL = f"refs/heads/{BRANCH}"
REFUSED = "refs/reconciler/refused"
"""Where this clone's `main` was when the remote's was refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of the remote's `main`: whether the tip in force moved, and why it may not, in one sentence."""

    moved: bool = False
    refused: str | None = None


def accept(fleet: Fleet, remote: str, fetched: str | None) -> Verdict:
    """Put the commit that the remote's `main` has in force, where it contains what was in force; may be repeated.

    Where it does not, everything stays. A person accepts a rewritten `main` by resetting this clone's to it.
    """
    known, local = git.tip(fleet.top, IN_FORCE), git.tip(fleet.top, LOCAL)
    if fetched is None:
        return Verdict(refused=f"{remote} has no branch {BRANCH}: push it, `git push {remote} {BRANCH}`")
    if fetched == known:
        _forget_refusal(fleet)
        return Verdict()
    if known is not None and not contains(fleet, fetched, known) and not _is_accepted(fleet, fetched, known, local):
        return Verdict(refused=_rewritten(fleet, remote, fetched, known))
    if known is not None and _is_turned(fleet, fetched, known):
        return Verdict(refused=_turned(remote, fetched, known))
    if local is not None and not contains(fleet, fetched, local) and not contains(fleet, local, fetched):
        return Verdict(refused=_diverged(fleet, remote, fetched, local))
    words = ("update-ref", "-m", f"fetched from {remote}", IN_FORCE, fetched, known or "0" * len(fetched))
    moved = git.run(fleet.top, *words, check=False)
    if moved.exit != 0 and git.tip(fleet.top, IN_FORCE) == known:
        raise GitFailed(f"{IN_FORCE} cannot be moved: {git.first_line(moved.stderr)}")
    _forget_refusal(fleet)
    return Verdict(moved=True)


def contains(fleet: Fleet, commit: str, older: str) -> bool:
    """Whether a commit has another one in its history."""
    return git.run(fleet.top, "merge-base", "--is-ancestor", older, commit, check=False).exit == 0


def _is_accepted(fleet: Fleet, fetched: str, known: str, local: str | None) -> bool:
    """Whether a person has moved this clone's `main` to the line that was fetched, since that was refused first.

    Where it was is remembered: a `main` that was only taken back has nothing else to be told by.
    """
    before = git.tip(fleet.top, REFUSED)
    if before is None and local is not None:
        git.run(fleet.top, "update-ref", REFUSED, local)
    if local is None or not contains(fleet, fetched, local):
        return False
    return not contains(fleet, known, local) or (before is not None and before != local)


def _is_turned(fleet: Fleet, fetched: str, known: str) -> bool:
    """Whether what is in force came in by a merge's second parent, though it counts whose commit each step is.

    Then the merge would be the one step, and all that it takes from its first parent be taken for trusted.
    """
    if not contains(fleet, fetched, known) or history.follows(fleet.top, known, fetched):
        return False
    place = f"{known}:{fleet.prefix}{SETTINGS}"
    found = git.run(fleet.top, "cat-file", "blob", place, check=False).stdout
    value = loading.load("settings", found, SETTINGS).value if b"trust" in found else None
    return isinstance(value, Settings) and value.trust is not None


def _turned(remote: str, fetched: str, known: str) -> str:
    return (
        f"{BRANCH} on {remote} was merged the wrong way round: first parents do not lead from {_short(fetched)} "
        f"back to {_short(known)}, which stays in force; nothing new starts. Put it back, and push a merge whose first "
        "parent that is (`git pull --rebase` makes none)"
    )


def _forget_refusal(fleet: Fleet) -> None:
    if git.tip(fleet.top, REFUSED) is not None:
        git.run(fleet.top, "update-ref", "-d", REFUSED)


def follow(fleet: Fleet, remote: str) -> tuple[Problem, ...]:
    """Fast-forward this clone's `main` and its work tree to what is in force; what stands in the way, or is not pushed.

    The work tree is for people to look at: what counts is in force already.
    """
    target, local = git.tip(fleet.top, IN_FORCE), git.tip(fleet.top, LOCAL)
    if target is None or (local is not None and local != target and not contains(fleet, target, local)):
        return tuple(_unpushed(fleet, remote, target, local))
    edited = _edited(fleet)
    stuck = None if local == target else _forward(fleet, target)
    if stuck is not None and not edited:
        return (_problem(SETTINGS, f"this clone stays behind {remote}'s {BRANCH}, which is in force: {stuck}"),)
    return tuple(_uncommitted(path, remote) for path in edited)


def _forward(fleet: Fleet, target: str) -> str | None:
    """Move `main` forward, with the work tree where it is checked out; why not, if not."""
    if git.head_branch(fleet.top) != BRANCH:
        moved = git.run(fleet.top, "fetch", "--quiet", "--no-write-fetch-head", ".", f"{target}:{LOCAL}", check=False)
        return None if moved.exit == 0 else git.first_line(moved.stderr)
    if step := git.in_progress(fleet.top):
        return f"a {step} is under way"
    moved = git.run(fleet.top, "-c", "merge.autoStash=false", "merge", "--ff-only", "--quiet", target, check=False)
    return None if moved.exit == 0 else git.first_line(moved.stderr)


def _edited(fleet: Fleet) -> list[str]:
    """The fleet's files that differ from the last commit of the work tree, relative to the fleet."""
    folders = [f"{fleet.prefix}{name}" for name in ("state", "hosts", "adapters")]
    words = ("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", *folders)
    entries = git.run(fleet.top, *words).stdout.decode(errors="surrogateescape").split("\0")
    return [entry[3:].removeprefix(fleet.prefix) for entry in entries if entry]


def _uncommitted(path: str, remote: str) -> Problem:
    return _problem(
        path, f"edited in this clone: only what is committed and pushed to {remote} counts; push it, or undo"
    )


def _unpushed(fleet: Fleet, remote: str, target: str | None, local: str | None) -> list[Problem]:
    if target is None or local is None or not contains(fleet, local, target):
        return []
    count = git.run(fleet.top, "rev-list", "--count", f"{target}..{local}").text
    return [
        _problem(
            SETTINGS, f"{BRANCH} of this clone has {count} commits that {remote} has not: push them, they do not count"
        )
    ]


def _rewritten(fleet: Fleet, remote: str, fetched: str, known: str) -> str:
    new, old = _short(fetched), _short(known)
    return (
        f"{BRANCH} on {remote} was rewritten: {new} does not contain {old}, which stays in force; nothing new starts. "
        f"Put it back (`git push --force-with-lease {remote} {old}:{BRANCH}`), or accept it: "
        f"`git -C {fleet.top} reset --keep {new}` where {BRANCH} is checked out"
    )


def _diverged(fleet: Fleet, remote: str, fetched: str, local: str) -> str:
    return (
        f"{BRANCH} of the clone {fleet.top} ({_short(local)}) and of {remote} ({_short(fetched)}) have diverged; "
        "nothing new starts. Keep what the clone has on another branch, then "
        f"`git reset --keep {_short(fetched)}` there"
    )


def _short(commit: str) -> str:
    return commit[:12]


def _problem(path: str, message: str) -> Problem:
    return Problem(file=path, line=0, column=0, message=message)
