"""A fleet on this machine, from a task's file to its pushed branch, with real processes and a real repository."""

import os
import re
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.fleets import Fleet, git, project
from tests.waiting import until

GOAL = {"prompt_text": "goal"}
WORK = "echo done >result.txt\n"


def test_a_task_is_pushed_and_completed_and_its_history_can_be_read(fleet: Fleet) -> None:
    bare = project(fleet.folder)
    fleet.task("fix", fleet.ran + WORK, repository=str(bare))
    fleet.commit("Ask for a fix")

    ended = fleet.until_idle()

    assert ended.process.returncode == 0, ended.said()
    seen = fleet.observed("fix")
    assert (seen["phase"], seen["epoch"], len(seen["runs"])) == ("completed", 1, 1)
    assert seen["runs"][0]["outcome"] == "succeeded"
    assert git(bare, "rev-parse", "task/fix") == seen["runs"][0]["head_sha"]
    assert git(bare, "show", "task/fix:result.txt") == "done"
    assert git(bare, "log", "-1", "--format=%an <%ae>", "task/fix") == "reconciler <reconciler@localhost>"
    assert fleet.runs() == ["fix.1"]


def test_the_branch_observed_is_a_log_and_the_work_tree_stays_clean(fleet: Fleet) -> None:
    fleet.task("fix", WORK, repository=str(project(fleet.folder)))
    fleet.commit("Ask for a fix")
    before = git(fleet.root, "rev-parse", "main")

    fleet.until_idle()

    assert git(fleet.root, "status", "--porcelain") == ""
    assert git(fleet.root, "rev-parse", "main") == before
    assert git(fleet.root, "fsck", "--strict") == ""
    assert len(fleet.log("fix")) <= 8
    assert fleet.log("fix")[0].startswith("fix: created -> assigned (")
    assert re.match(r"fix: .* -> completed \(", fleet.log("fix")[-1])
    trailers = git(fleet.root, "log", "-1", "--format=%(trailers:only,unfold)", "--grep", "^Task: fix$", "observed")
    names = {line.partition(":")[0] for line in trailers.splitlines()}
    assert {"Task", "Run", "Epoch", "Actor", "Event"} <= names
    assert git(fleet.root, "merge-base", "main", "observed", check=False) == ""


@pytest.mark.fault
def test_a_task_without_repository_runs_in_an_empty_folder(fleet: Fleet) -> None:
    fleet.task("chore", "ls -A; pwd")
    fleet.task("unseen", fleet.ran, delivery="branch")
    ended = fleet.until_idle()
    assert ended.process.returncode == 1, ended.said()
    assert fleet.phase("chore") == "completed"
    assert (fleet.observed("unseen")["reason"], fleet.runs()) == ("config", [])
    assert "add repository to the task" in fleet.first_run("unseen")["error"]
    assert fleet.kept_output("chore", 1).decode().splitlines() == [fleet_workspace(fleet, "chore")]


def fleet_workspace(fleet: Fleet, name: str) -> str:
    (place,) = (fleet.folder / "work").iterdir()
    return str(place / "work" / name)


HARD = "# Größe: „quotes“ \"double\" 'single' $(touch {mark}) `touch {mark}` \\ $HOME %s ;& |\n\ttab\r\n日本語 🦀\n"


def test_a_long_hard_goal_arrives_byte_for_byte_and_stands_in_no_process_list(fleet: Fleet) -> None:
    mark = fleet.folder / "mark"
    one = HARD.format(mark=mark)
    text = one * (200_000 // len(one.encode()) + 1)
    fleet.write("adapters/keep.yaml", {"run": ["sh", "-c", f"cat >{fleet.folder}/got; cat {fleet.folder}/go"]} | GOAL)
    fleet.task("hard", text, adapter="keep")
    os.mkfifo(fleet.folder / "go")
    with fleet.reconciling() as reconciler:
        reconciler.until_phase("hard", "running")
        got = fleet.folder / "got"
        until(lambda: got.exists() and got.stat().st_size >= len(text.encode()))
        lines = command_lines()
        (fleet.folder / "go").write_text("go")
        reconciler.until_phase("hard", "completed")
    assert (fleet.folder / "got").read_bytes() == text.encode()
    assert not mark.exists()
    assert not any("Größe".encode() in line for line in lines)


def test_a_secret_is_given_to_the_agent_and_to_nothing_that_is_kept_or_shown(fleet: Fleet) -> None:
    value = "s3cr3t'$(id)\"%d"
    bare = project(fleet.folder)
    goal = f"""printf %s "$TOKEN" >{fleet.folder}/got
cat {fleet.folder}/go
echo "my token is $TOKEN"
echo "my token is $TOKEN" >&2
echo work >work.txt
"""
    fleet.task("quiet", goal, secrets=["TOKEN"], repository=str(bare))
    os.mkfifo(fleet.folder / "go")
    fleet.env["TOKEN"] = value
    with fleet.reconciling() as reconciler:
        got = fleet.folder / "got"
        until(lambda: got.exists() and got.stat().st_size)
        lines = command_lines()
        said_before = kept(fleet)
        (fleet.folder / "go").write_text("go")
        seen = reconciler.until_phase("quiet", "completed")
    assert got.read_text() == value
    assert not any(value.encode() in line for line in lines)
    assert value.encode() not in said_before
    assert value not in reconciler.said()
    assert value not in git(fleet.root, "log", "-p", "observed")
    assert value not in git(bare, "log", "-p", "--all")
    assert "my token is ***" in seen["runs"][0]["summary"].replace("[masked]", "***")
    assert not any(value.encode() in path.read_bytes() for path in run_files(fleet))


def test_a_secret_that_is_not_set_starts_nothing_and_is_named(fleet: Fleet) -> None:
    fleet.task("quiet", "true", secrets=["NOT_SET_ANYWHERE"])
    ended = fleet.until_idle()
    assert fleet.phase("quiet") == "created"
    assert ended.process.returncode == 0


def test_a_broken_file_is_told_and_everything_else_goes_on(fleet: Fleet) -> None:
    fleet.task("first", f"cat {fleet.folder}/go; {fleet.ran}")
    fleet.task("second", f"{fleet.ran}")
    fleet.commit("Ask for two")
    fleet.task("second", fleet.ran, desired="hold")
    os.mkfifo(fleet.folder / "go")
    with fleet.reconciling() as reconciler:
        reconciler.until_phase("first", "running")
        fleet.write("state/tasks/first.yaml", "title: [broken\n")
        fleet.write("adapters/shell.yaml", "run: [sh\n<<<<<<< HEAD\n")
        fleet.write("hosts/here.yaml", "transport: locale\n")
        until(lambda: reconciler.said().count("problem ") >= 3)
        fleet.task("third", fleet.ran)
        (fleet.folder / "go").write_text("go")
        reconciler.until_phase("first", "completed")
        assert fleet.phase("third") == "created"
    (fleet.root / "hosts" / "here.yaml").write_text(git(fleet.root, "show", "HEAD:hosts/here.yaml"))
    shutil.rmtree(fleet.root / ".reconciler")
    ended = fleet.until_idle()
    assert ended.process.returncode == 0, ended.said()
    assert fleet.phase("third") == "completed"
    assert sorted(fleet.runs()) == ["first.1", "third.1"]
    assert "problem adapters/shell.yaml" in ended.said()


def test_a_lost_journal_loses_no_task_and_starts_nothing_twice(fleet: Fleet) -> None:
    bare = project(fleet.folder)
    for name in ("one", "two"):
        fleet.task(name, f"{fleet.ran}cat {fleet.folder}/go-{name}; {WORK}", repository=str(bare))
        os.mkfifo(fleet.folder / f"go-{name}")
    with fleet.reconciling() as reconciler:
        reconciler.until_phase("one", "running")
        reconciler.until_phase("two", "running")
    forget_journal(fleet)
    with fleet.reconciling() as reconciler:
        (fleet.folder / "go-one").write_text("go")
        reconciler.until_phase("one", "completed")
    git(fleet.root, "clean", "-qfdx", "-e", "state/tasks")
    assert not (fleet.root / ".reconciler").exists()
    with fleet.reconciling() as reconciler:
        (fleet.folder / "go-two").write_text("go")
        reconciler.until_phase("two", "completed")
    fleet.until_idle()
    assert sorted(fleet.runs()) == ["one.1", "two.1"]
    assert (fleet.root / "state" / "observed" / "fleet.yaml").exists()


def forget_journal(fleet: Fleet) -> None:
    for path in (fleet.root / ".reconciler").glob("journal.sqlite3*"):
        path.unlink()


def test_what_a_person_changes_in_the_observed_folder_is_put_back(fleet: Fleet) -> None:
    fleet.task("one", "true")
    with fleet.reconciling() as reconciler:
        reconciler.until_phase("one", "completed")
        (path,) = until(lambda: list((fleet.root / "state" / "observed" / "done").glob("*/one.yaml")))
        good = path.read_bytes()
        path.write_text("phase: failed\n")
        until(lambda: path.read_bytes() == good, seconds=60)
        path.unlink()
        until(path.exists, seconds=60)
        (fleet.root / "state" / "observed").rename(fleet.folder / "taken")  # in one step
        until(path.exists, seconds=60)
    path.write_text("phase: failed\n")
    fleet.until_idle()
    assert path.read_bytes() == good
    assert reconciler.said().count("put back") >= 2
    assert fleet.phase("one") == "completed"


def test_a_second_reconciler_on_one_fleet_is_refused_in_one_line(fleet: Fleet) -> None:
    fleet.task("waits", fleet.ran, desired="hold")
    fleet.commit("Ask for nothing yet")
    linked = replace(fleet, root=fleet.folder / "linked")
    git(fleet.root, "worktree", "add", "-q", "-b", "other", str(linked.root))
    with fleet.reconciling() as first:
        until((fleet.root / "state" / "observed" / "fleet.yaml").exists)
        seconds = [place.until_idle(10) for place in (fleet, linked)]
        assert [second.process.returncode for second in seconds] == [1, 1]
        assert first.process.poll() is None
    assert all("already works on this fleet" in second.said().splitlines()[-1] for second in seconds)


def test_nothing_of_a_person_who_works_on_main_meanwhile_is_touched(fleet: Fleet) -> None:
    fleet.write("notes", "a\nb\n")
    fleet.commit("Take notes")
    for number in range(6):
        fleet.task(f"chore-{number}", fleet.ran)
    fleet.commit("Ask for chores")
    with fleet.reconciling() as reconciler:
        for number in range(6):
            fleet.write("notes", f"{number}\n")
            fleet.write("staged", f"{number}\n")
            git(fleet.root, "add", "staged")
            git(fleet.root, "stash", "-q")
            git(fleet.root, "stash", "pop", "-q", "--index")
            git(fleet.root, "commit", "-q", "-m", f"Keep {number}", "staged")
            git(fleet.root, "checkout", "-q", "-b", f"side-{number}", "HEAD~1")
            git(fleet.root, "stash", "-q")
            git(fleet.root, "rebase", "-q", "main")
            git(fleet.root, "checkout", "-q", "main")
            git(fleet.root, "stash", "pop", "-q")
        for number in range(6):
            reconciler.until_phase(f"chore-{number}", "completed")
    assert git(fleet.root, "log", "--format=%s", "-6") == "\n".join(f"Keep {n}" for n in reversed(range(6)))
    assert git(fleet.root, "status", "--porcelain") == "M notes" or git(fleet.root, "diff", "--name-only") == "notes"
    assert git(fleet.root, "stash", "list") == ""
    assert git(fleet.root, "fsck", "--no-dangling") == ""
    assert sorted(fleet.runs()) == [f"chore-{number}.1" for number in range(6)]


@pytest.mark.fault
def test_a_fleet_in_a_subfolder_of_a_repository_works_alike(fleet: Fleet) -> None:
    inside = Fleet(folder=fleet.folder, root=fleet.folder / "whole" / "ops" / "fleet")
    inside.root.parent.mkdir(parents=True)
    shutil.copytree(fleet.root, inside.root, ignore=shutil.ignore_patterns(".git"))
    whole = fleet.folder / "whole"
    git(whole, "init", "-q", "-b", "main")
    inside.task("one", inside.ran)
    inside.commit("Keep a fleet among other things")
    ended = inside.until_idle()
    assert ended.process.returncode == 0, ended.said()
    assert inside.phase("one") == "completed"
    assert git(whole, "status", "--porcelain") == ""
    inside.end_runs()


def command_lines() -> list[bytes]:
    """The command lines of all processes now."""
    return [line for pid in Path("/proc").iterdir() if pid.name.isdigit() and (line := command_line(pid))]


def command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def kept(fleet: Fleet) -> bytes:
    """Everything that the reconciler keeps on its side."""
    return b"".join(path.read_bytes() for path in (fleet.root / ".reconciler").rglob("*") if path.is_file())


def run_files(fleet: Fleet) -> list[Path]:
    """What a run was started with, as it stays on the host."""
    folder = fleet.run_folder("quiet", 1)
    return [path for path in folder.iterdir() if path.name not in {"stdout", "stderr"} and path.is_file()]


def test_what_is_kept_here_and_on_a_host_is_its_owners_alone(fleet: Fleet) -> None:
    fleet.task("one", WORK, repository=str(project(fleet.folder)))
    (fleet.root / ".reconciler").mkdir(mode=0o755)
    before = os.umask(0)
    try:
        ended = fleet.until_idle()
    finally:
        os.umask(before)
    assert ended.process.returncode == 0, ended.said()
    (on_host,) = (fleet.folder / "work").iterdir()
    for folder in (fleet.root / ".reconciler", on_host):
        assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IRWXU
