"""`validate`: everything that is wrong with the files people wrote.

It needs no running reconciler and changes nothing.
"""

from pathlib import Path

from reconciler.commands import pictures, progress
from reconciler.commands.command import Command
from reconciler.commands.session import NotGood, Session, here
from reconciler.repo import shapes
from reconciler.repo.desired import fleetfiles, validation
from reconciler.repo.fleet import Fleet
from reconciler.repo.observed import reading


def validate(session: Session, *, paths: tuple[str, ...] = (), json: bool = False) -> int:
    """Check all files, or the named ones, and print every error with its place.

    The exit code is 1 if there is any. Paths are relative to the current folder; a folder stands for the files in it.
    In a workflow of Forgejo or GitHub an error is shown at its line of the file, too.
    """
    fleet = session.fleet()
    wanted = [one for path in paths for one in _named(fleet, path)]
    listing = fleetfiles.work_tree(fleet.root)
    with progress.working(session.screen, "checking files", total=len(listing.files)) as told:
        recorded = reading.tasks(fleet)
        found = validation.validate_paths(fleet.root, wanted, listing, told, recorded) if wanted or not paths else ()
    if json:
        session.screen.json({"problems": [shapes.plain(one) for one in found]})
    else:
        checked = session.env.get("GITHUB_ACTIONS") == "true"
        for one in found:
            text = pictures.annotation(one, fleet.prefix) if checked else pictures.problem(one)
            session.screen.line(text, style="red")
        if not found:
            count = len(wanted) if paths else len(listing.files)
            session.screen.line(f"{count} {'file' if count == 1 else 'files'}, nothing wrong", style="green")
    return 1 if found else 0


def _named(fleet: Fleet, text: str) -> list[Path]:
    """The fleet's files that a path on the command line stands for; NotGood where it stands for none."""
    path = next((one for one in (here() / text, fleet.root / text) if one.exists()), None)
    if path is None:
        raise NotGood(f"{text} does not exist, neither here nor in the fleet {fleet.root}")
    whole = path.parent.resolve() / path.name if path.name not in {"", ".", ".."} else path.resolve()
    if not whole.is_relative_to(fleet.root):
        raise NotGood(f"{text} is not in the fleet {fleet.root}; name its fleet with --fleet")
    inside = whole.relative_to(fleet.root).as_posix()
    listing = fleetfiles.work_tree(fleet.root)
    known = [*listing.files, *(problem.file for problem in listing.problems)]
    if whole.is_dir() and not whole.is_symlink():
        prefix = "" if inside == "." else f"{inside}/"
        return [fleet.root / name for name in known if name.startswith(prefix)]
    if inside not in known:
        raise NotGood(f"{text} is no task, host, adapter or settings file of the fleet {fleet.root}")
    return [fleet.root / inside]


COMMANDS = (
    Command(
        name="validate",
        group="Begin",
        does=validate,
        positional="paths",
        options={"paths": "files or folders; without any: the whole fleet", "json": "print the problems as JSON"},
        example="reconciler validate\nreconciler validate state/tasks/fix-the-login-form.yaml",
    ),
)
