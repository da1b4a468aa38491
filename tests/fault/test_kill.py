"""The reconciler killed at any moment, and before or after any call: nothing is lost, and nothing runs twice."""

import os
import random
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.fleets import PROGRAM, Fleet, git, project

SHIM = Path(__file__).parent / "shims" / "kill_at"
PROGRAMS = ("git", "sh")
MOST_CALLS = 400
SAMPLED = "FAULT_SAMPLE" in os.environ
STRIDE = 20 if SAMPLED else 10
PLACES = (
    [(4, "before"), (14, "after")]
    if SAMPLED
    else [(first, when) for first in range(1, STRIDE + 1) for when in ("before", "after")]
)
"""The first calls: a sample takes every tenth call, by turns before and after it."""


def ask(fleet: Fleet) -> Path:
    """Two tasks that deliver a branch, one without a repository, and one whose agent fails once."""
    bare = project(fleet.folder)
    for name in ("one", "two"):
        fleet.task(name, f"{fleet.ran}sleep 0.3; echo {name} >{name}.txt", repository=str(bare))
    fleet.task("bare", fleet.ran)
    fleet.task("fails", f"{fleet.ran}exit 1", max_attempts=1)
    fleet.commit("Ask for work")
    return bare


def check(fleet: Fleet, bare: Path) -> None:
    """Everything ended as if nothing had been killed."""
    ended = fleet.until_idle(90)
    assert "Traceback" not in ended.said()
    assert sorted(fleet.runs()) == ["bare.1", "fails.1", "one.1", "two.1"], ended.said()
    phases = {task_id: fleet.phase(task_id) for task_id in ("one", "two", "bare", "fails")}
    assert phases == {"one": "completed", "two": "completed", "bare": "completed", "fails": "failed"}
    attempts = {task_id: fleet.observed(task_id).get("attempts", 0) for task_id in phases}
    assert attempts == {"one": 0, "two": 0, "bare": 0, "fails": 1}
    assert [git(bare, "show", f"task/{name}:{name}.txt") for name in ("one", "two")] == ["one", "two"]
    assert git(fleet.root, "status", "--porcelain") == ""
    assert git(fleet.root, "fsck", "--no-dangling", "--strict") == ""
    assert all(len(fleet.log(task_id)) <= 8 for task_id in phases)


def kill_at_random(fleet: Fleet, seed: int, kills: int) -> None:
    moments = random.Random(seed)  # noqa: S311 - a fixed seed, for moments that can be had again
    bare = ask(fleet)
    for _ in range(kills):
        reconciler = fleet.start("--until-idle")
        try:
            reconciler.process.wait(moments.uniform(0.5, 3.5))
        except subprocess.TimeoutExpired:
            reconciler.kill()
    check(fleet, bare)


def kill_at_call(fleet: Fleet, at: int, when: str) -> bool:
    """Whether there was such a call; after it, everything ends well."""
    bare = ask(fleet)
    path = install(fleet, at, when)
    reconciler = fleet.start("--until-idle", PATH=path)
    reconciler.process.wait(90)
    killed = reconciler.process.returncode == -signal.SIGKILL
    check(fleet, bare)
    return killed


def install(fleet: Fleet, at: int, when: str) -> str:
    """A PATH on which every call of `PROGRAMS` by the reconciler is counted."""
    folder = fleet.folder / "shims"
    (folder / "calls").mkdir(parents=True)
    settings = {"calls": str(folder / "calls"), "caller": " ".join(PROGRAM), "at": str(at), "when": when}
    for program in PROGRAMS:
        settings[f"real_{program}"] = shutil.which(program) or ""
        (folder / program).symlink_to(SHIM)
    (folder / "settings").write_text("".join(f"{name}='{value}'\n" for name, value in settings.items()))
    return f"{folder}:{fleet.path()}"


def test_a_reconciler_killed_a_few_times_loses_nothing_and_runs_nothing_twice(fleet: Fleet) -> None:
    kill_at_random(fleet, seed=1, kills=3)


def test_a_reconciler_killed_before_a_call_goes_on_where_it_was(fleet: Fleet) -> None:
    assert kill_at_call(fleet, 14, "before")


@pytest.mark.fault
@pytest.mark.parametrize("seed", [2, 12] if SAMPLED else range(2, 22))
def test_a_reconciler_killed_at_many_moments_loses_nothing(fleet: Fleet, seed: int) -> None:
    kill_at_random(fleet, seed, kills=8)


@pytest.mark.fault
@pytest.mark.parametrize(("first", "when"), PLACES)
def test_a_reconciler_killed_around_any_call_goes_on_where_it_was(tmp_path: Path, first: int, when: str) -> None:
    for at in range(first, MOST_CALLS, STRIDE):
        fleet = Fleet.make(tmp_path / str(at))
        try:
            if not kill_at_call(fleet, at, when):
                assert at > 2 * STRIDE
                return
        finally:
            fleet.end_runs()
        shutil.rmtree(fleet.folder)
    pytest.fail("there was no end of calls")
