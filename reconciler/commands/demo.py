"""`demo`: a throw-away fleet and a small project that a scripted agent really repairs, step by step.

It leaves nothing behind unless it is told to, and needs no network.
"""

import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from reconciler.commands import demo_project, init, reconcile, refusals, starter
from reconciler.commands.command import Command
from reconciler.commands.demo_project import FIX, NOTE
from reconciler.commands.reconcile import Teller
from reconciler.commands.screen import Screen
from reconciler.commands.session import NotGood, Session
from reconciler.core.desired import Identity
from reconciler.loop import Options
from reconciler.repo import fleet as fleets
from reconciler.repo import git, logs
from reconciler.repo.desired import fleetfiles
from reconciler.repo.fleet import Fleet
from reconciler.repo.main import commits
from reconciler.repo.main.commits import Edit
from reconciler.repo.yaml import documents

TERMINATED = 143
REMOVE_TRIES = 50
REMOVE_PAUSE_S = 0.1
DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where the demo takes place."""

    root: Path
    fleet: Fleet
    project: Path


def demo(session: Session, *, keep: str = "") -> int:
    """See it all in a throw-away folder: offline, in under a minute.

    Makes a small project with a failing test, and a fleet with two tasks for it. A scripted agent (the adapter `shell`)
    really edits, tests and commits; the reconciler pushes. Nothing stays, unless `--keep` names a folder for it.
    """
    with _folder(keep) as root:
        began = session.now()
        stage = _staged(session.screen, root)
        code = _reconciled(session, stage)
        if code:
            return code
        _result(session.screen, stage)
        seconds = (session.now() - began).total_seconds()
        _farewell(session.screen, stage, seconds, kept=bool(keep))
    return 0


@contextlib.contextmanager
def _folder(keep: str) -> Iterator[Path]:
    """The demo's folder; it goes away at the end, however that comes about, unless it is to be kept."""
    if keep:
        root = Path(keep).resolve()
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise NotGood(f"{keep} exists and is not empty; name a new folder")
        root.mkdir(parents=True, exist_ok=True)
        yield root
        return
    _end_cleanly_when_terminated()
    root = Path(tempfile.mkdtemp(prefix="reconciler-demo-")).resolve()
    try:
        yield root
    finally:
        _remove(root)


def _remove(root: Path) -> None:
    """Remove the folder, also while a git that was interrupted is about to end and still writes there."""
    for _ in range(REMOVE_TRIES):
        shutil.rmtree(root, ignore_errors=True)
        if not root.exists():
            return
        time.sleep(REMOVE_PAUSE_S)
    shutil.rmtree(root)


def _end_cleanly_when_terminated() -> None:
    def terminate(_: int, __: FrameType | None) -> None:
        sys.exit(TERMINATED)

    signal.signal(signal.SIGTERM, terminate)


def _staged(screen: Screen, root: Path) -> Stage:
    project = _project(root)
    _heading(screen, 1, "A project whose test fails")
    _command(screen, "sh test.sh")
    _test(screen, project, "main", root / "before")
    init.make(root / "fleet", demo_project.files(starter.files(), project, root / "host"))
    fleet = fleets.find(root / "fleet", root / "fleet")
    _heading(screen, 2, "What is wanted: a file in git")
    path = f"state/tasks/{FIX}.yaml"
    _command(screen, f"cat {path}")
    for line in (fleet.root / path).read_text().splitlines():
        screen.line(f"  {line}", "cyan" if line and line[0].isalpha() else "")
    screen.line()
    screen.line(f"  A second task, {NOTE}, depends on it and starts from its branch.")
    screen.line("  The agent here is the adapter `shell`: the goal is its script. For codex it would be plain words.")
    return Stage(root=root, fleet=fleet, project=project)


def _project(root: Path) -> Path:
    """The sample project as a bare repository: its place on a forge, so to say."""
    seed, bare = root / "seed", root / "project.git"
    seed.mkdir()
    git.run(seed, "init", "--quiet", "--initial-branch=main", ".")
    edits = [Edit(path=name, old=None, new=content) for name, content in demo_project.PROJECT.items()]
    commits.commit_paths(seed, "main", edits, "Greet whoever is named\n", Identity(name="Ada", email="ada@localhost"))
    git.run(root, "clone", "--quiet", "--bare", "--", str(seed), str(bare))
    shutil.rmtree(seed)
    return bare


def _reconciled(session: Session, stage: Stage) -> int:
    screen = session.screen
    _heading(screen, 3, "The reconciler makes it happen")
    _command(screen, "reconciler reconcile --until-idle")
    teller = Teller(screen=screen, now=session.now, indent="  ")
    world = reconcile.world(session, teller)
    ended, stopped_by = reconcile.run(stage.fleet, Options(until_idle=True), world)
    if stopped_by is not None:
        screen.line("Stopping the scripted agent ...", "yellow")
        _cancel_all(stage.fleet)
        reconcile.run(stage.fleet, Options(until_idle=True), world)
        return refusals.INTERRUPTED if stopped_by is signal.SIGINT else TERMINATED
    if ended.unsettled:
        raise NotGood(f"{', '.join(ended.unsettled)} did not succeed; see it with: reconciler demo --keep FOLDER")
    return 0


def _cancel_all(fleet: Fleet) -> None:
    for name in (FIX, NOTE):
        path = fleet.root / "state" / "tasks" / f"{name}.yaml"
        path.write_bytes(documents.edit(fleetfiles.read(fleet.root, f"state/tasks/{name}.yaml"), {"desired": "cancel"}))


def _result(screen: Screen, stage: Stage) -> None:
    branch = f"task/{NOTE}"
    _command(screen, f"reconciler logs {FIX}")
    for chunk in logs.read(stage.fleet, FIX, 1, "stdout"):
        _lines(screen, chunk.decode(errors="replace"))
    _heading(screen, 4, "What came of it: branches, pushed to the project")
    _command(screen, f"git log --oneline main..{branch}")
    _lines(screen, git.run(stage.project, "log", "--oneline", f"main..{branch}", "--").text)
    _command(screen, f"git diff main...{branch}")
    diff = git.run(stage.project, "diff", "--no-color", "--no-ext-diff", f"main...{branch}", "--").text
    for line in diff.splitlines():
        screen.line(f"  {line}", DIFF_STYLES.get(line[:1], "dim" if line.startswith(("diff", "index")) else ""))
    _command(screen, "sh test.sh")
    _test(screen, stage.project, branch, stage.root / "after")
    _heading(screen, 5, "What happened, told by git")
    _command(screen, "git log --oneline observed")
    _lines(screen, git.run(stage.fleet.root, "log", "--oneline", "observed", "--").text)


def _test(screen: Screen, project: Path, branch: str, folder: Path) -> None:
    """Run the project's test on a branch, for real, in a clone."""
    git.run(folder.parent, "clone", "--quiet", f"--branch={branch}", "--", str(project), str(folder))
    said = subprocess.run(["sh", "test.sh"], cwd=folder, capture_output=True, check=False).stdout.decode()
    for line in said.splitlines():
        screen.line(f"  {line}", "red" if line.startswith("FAILED") else "green")
    shutil.rmtree(folder)


def _farewell(screen: Screen, stage: Stage, seconds: float, *, kept: bool) -> None:
    screen.line()
    screen.line(f"Done in {seconds:.1f} s.", "bold green")
    if kept:
        screen.line(f"Everything is in {stage.root}; go on with: cd {starter.shell_word(str(stage.fleet.root))}")
    screen.line()
    screen.line("The same with a project of yours, and Codex or Claude Code where they are installed and logged in:")
    screen.line("  reconciler init my-fleet && cd my-fleet")
    screen.line('  reconciler new "Fix the flaky test" --repository URL-OR-PATH --adapter codex --goal "What you want"')
    screen.line("  reconciler reconcile        # --adapter claude-code works alike")


def _heading(screen: Screen, number: int, text: str) -> None:
    screen.line()
    screen.line(f"{number}  {text}", "bold")
    screen.flush()


def _command(screen: Screen, text: str) -> None:
    screen.line()
    screen.line(f"  $ {text}", "bold blue")
    screen.flush()


def _lines(screen: Screen, text: str) -> None:
    for line in text.splitlines():
        screen.line(f"  {line}")
    screen.flush()


COMMANDS = (
    Command(
        name="demo",
        group="Begin",
        does=demo,
        options={"keep": "a new folder in which everything stays"},
        example="reconciler demo\nreconciler demo --keep /tmp/demo",
    ),
)
