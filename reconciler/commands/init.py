"""`init`: a new fleet, as a git repository with a first commit.

It never overwrites a file and commits nothing that it did not write.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from reconciler.commands import ci as checks
from reconciler.commands import starter
from reconciler.commands.command import Command
from reconciler.commands.session import NotGood, Session
from reconciler.core.desired import Identity
from reconciler.repo import fleet as fleets
from reconciler.repo import git
from reconciler.repo.main import commits
from reconciler.repo.main.commits import Edit

MESSAGE = "Begin a fleet for reconciler\n\nShipped adapters, this machine as a host, and an example task on hold.\n"
CHECKED = "Have the forge check the fleet's files\n"
NEXT_CHECK = "git push      # the forge shows the check `validate` on this push and on every pull request"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What came of it: the fleet's folder, the files in it that are new, and those that were there and stay."""

    root: Path
    written: tuple[str, ...]
    kept: tuple[str, ...]


def init(session: Session, *, path: str, ci: bool = False, json: bool = False) -> int:
    """Make a new fleet: a git repository with tasks, hosts and adapters.

    The folder is made where it is missing. In a repository that is there already only the fleet's own files are added
    and committed; files that exist are never overwritten.

    With --ci a workflow is added for Forgejo, by which every push and pull request shows whether `reconciler validate`
    finds the files good. In a fleet that is there already --ci adds that file alone.
    """
    steps: tuple[str, ...] = (NEXT_CHECK,)
    if ci and (Path(path) / "state").is_dir():
        made, title = add_check(Path(path)), "The forge is to check the fleet in"
    else:
        found = (name for name, cli in starter.AGENTS if shutil.which(cli, path=session.env.get("PATH", "")))
        made = make(Path(path), starter.files(next(found, starter.AGENTS[0][0])), ci=ci)
        title, steps = "A new fleet is in", starter.next_steps(_shell_word(path))
    if json:
        session.screen.json({"path": str(made.root), "written": list(made.written), "kept": list(made.kept)})
        return 0
    session.screen.line(f"{title} {made.root}", style="bold green")
    for name in made.kept:
        session.screen.line(f"{name} was there already and stays as it is.")
    session.screen.line()
    session.screen.line("Next:")
    for step in steps:
        session.screen.line(f"  {step}")
    return 0


def make(path: Path, files: dict[str, bytes], *, ci: bool = False) -> Made:
    """Write and commit a fleet's first files; NotGood where there is a fleet already."""
    if path.exists() and not path.is_dir():
        raise NotGood(f"{path} is a file; name a folder that is new or empty, or a git repository")
    for name in ("state", "hosts", "adapters"):
        if (path / name).exists():
            raise NotGood(
                f"{path / name} exists already; nothing was changed. Name a folder without state, hosts, adapters"
            )
    path.mkdir(parents=True, exist_ok=True)
    root = path.resolve()
    top = _repository(root)
    prefix = "" if root == top else f"{root.relative_to(top).as_posix()}/"
    check = {checks.PATH: checks.workflow(prefix)} if ci else {}
    made = _written(root, top, {**{prefix + name: content for name, content in files.items()}, **check}, MESSAGE)
    fleets.exclude(fleets.find(root, root))
    return made


def add_check(path: Path) -> Made:
    """Write and commit the workflow of a fleet that is there; NoFleet where there is none."""
    fleet = fleets.find(path, path)
    return _written(fleet.root, fleet.top, {checks.PATH: checks.workflow(fleet.prefix)}, CHECKED)


def _written(root: Path, top: Path, files: dict[str, bytes], message: str) -> Made:
    """Write and commit those of the files, by their paths from the top, that are not there yet."""
    kept = tuple(name for name in files if (top / name).exists())
    edits = [Edit(path=name, old=None, new=content) for name, content in files.items() if name not in kept]
    if edits:
        commits.commit_paths(top, fleets.BRANCH, edits, message, Identity())
    return Made(
        root=root,
        written=tuple(os.path.relpath(top / edit.path, root) for edit in edits),
        kept=tuple(os.path.relpath(top / name, root) for name in kept),
    )


def _repository(root: Path) -> Path:
    """The repository for the fleet: the one that the folder is the top or a tracked part of, else a new one."""
    top = git.top_level(root)
    if top is not None and (top.resolve() == root or _has_tracked_files(root)):
        return top.resolve()
    git.run(root, "init", "--quiet", f"--initial-branch={fleets.BRANCH}", ".")
    return root


def _has_tracked_files(folder: Path) -> bool:
    return bool(git.run(folder, "ls-files", "-z", "--", ".").stdout)


def _shell_word(path: str) -> str:
    return starter.shell_word(path if not path.startswith("-") else f"./{path}")


COMMANDS = (
    Command(
        name="init",
        group="Begin",
        does=init,
        positional="path",
        options={
            "path": "the folder of the new fleet",
            "ci": "have Forgejo check the fleet's files on every push and pull request",
            "json": "print what was written as JSON",
        },
        example="reconciler init my-fleet\nreconciler init . --ci",
    ),
)
