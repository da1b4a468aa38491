"""Removing run folders and workspaces that nobody needs any more.

It never removes what a live run uses, nor anything outside the folder of the fleet, and follows no link.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.core.command import Command, Completed
from reconciler.core.script import fence, shell

CLEAN_TIMEOUT_S = 300.0

_CLEAN = (
    "set -u\n"
    + shell.take("workdir", "fleet", "term")
    + shell.MARK_ANSWER
    + shell.FLEET_ROOT
    + fence.FENCE
    + shell.PROCESSES
    + shell.CLAIM
    + shell.DISCARD
    + r"""
root=$(cd "$workdir" 2>/dev/null && pwd -P)/$fleet
for folder in "$root" "$root/runs" "$root/work"; do
  if [ -L "$folder" ] || [ ! -d "$folder" ]; then answer; exit 0; fi
done
announce
guard
answer
in_use() {
  for other in "$root"/runs/*; do
    kept=
    [ -f "$other/workspace" ] || continue
    { IFS= read -r kept; } 2>/dev/null <"$other/workspace" || continue
    if [ "$kept" = "$1" ] && cd "$other"; then
      look
      if [ "$claim" = alive ]; then return 0; fi
    fi
  done
  return 1
}
while IFS= read -r kind && IFS= read -r name; do
  case $kind in
    run) target=$root/runs/$name ;;
    work) target=$root/work/$name ;;
    *) exit 95 ;;
  esac
  if [ -L "$target" ] || [ ! -d "$target" ]; then continue; fi
  cd "$target" || continue
  if [ "$kind" = run ]; then
    look
    if [ "$claim" = alive ]; then printf 'kept %s %s\n' "$kind" "$name"; continue; fi
  elif in_use "$target"; then
    printf 'kept %s %s\n' "$kind" "$name"
    continue
  fi
  cd "$root" || exit 95
  if fenced; then printf 'fenced %s\n' "$highest"; exit 0; fi
  if [ "$kind" = work ] && [ -e "$target.aside" ]; then discard "$target.aside"; fi
  if discard "$target"; then printf 'removed %s %s\n' "$kind" "$name"; else printf 'kept %s %s\n' "$kind" "$name"; fi
done
cd "$root" || exit 95
for clone in repos/*.git; do
  if [ -d "$clone" ] && [ ! -L "$clone" ]; then git -C "$clone" -c core.hooksPath=/dev/null worktree prune; fi
done
echo 'end clean'
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """What is gone, and what was kept because a run lives there or it could not be removed."""

    removed: tuple[str, ...]
    kept: tuple[str, ...]


def clean(workdir: str, fleet: str, runs: Sequence[str] = (), workspaces: Sequence[str] = (), term: int = 0) -> Command:
    """Remove these run folders, `<task>.<epoch>`, and workspaces, `<task>` or `<task>.<epoch>`; ValueError for others.

    Whoever asks for a workspace has seen that its task goes on nowhere; uncommitted work in it is lost.
    """
    words = list(fence.place(workdir, fleet, term))
    for run in runs:
        words += ["run", shell.checked_run(run)]
    for workspace in workspaces:
        words += ["work", shell.checked_run(workspace) if "." in workspace else shell.checked_id(workspace)]
    return Command(name="clean", script=_CLEAN, words=tuple(words), timeout_s=CLEAN_TIMEOUT_S)


def parse_clean(completed: Completed) -> Cleaned:
    """What became of each folder, as `runs/<name>` and `work/<name>`; Fenced, and ProtocolError for no answer."""
    folders = {"run": "runs", "work": "work"}
    gone: dict[str, list[str]] = {"removed": [], "kept": []}
    for line in shell.text(shell.body("clean", completed)).split("\n")[:-1]:
        match line.split(" "):
            case [("removed" | "kept") as fate, ("run" | "work") as kind, name]:
                gone[fate].append(f"{folders[kind]}/{name}")
            case ["fenced", term]:
                raise shell.Fenced("clean", shell.number("clean", term))
            case ["end", "clean"]:
                continue
            case _:
                message = f"clean: {line!r} is no such answer"
                raise shell.ProtocolError(message)
    return Cleaned(removed=tuple(gone["removed"]), kept=tuple(gone["kept"]))
