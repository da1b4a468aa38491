"""Killed children, killed programs: what was acknowledged is on the branch, and the repository is sound."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from reconciler.core.terms import Phase
from reconciler.repo import git
from reconciler.repo.fleet import Fleet
from reconciler.repo.observed import reading
from reconciler.repo.observed.funnel import ObservedBranch
from tests.recording import Told, assigned, new_fleet, opened, own_git_config, started
from tests.waiting import until

__all__ = ["own_git_config"]

PROGRAM = """
import pathlib, sys
from reconciler.repo import fleet
from tests.recording import assigned, opened, started
with opened(fleet.find(pathlib.Path(sys.argv[1]))) as branch:
    for number in range(int(sys.argv[2]), 10_000):
        name = f"t{number}"
        for event in (assigned(name), started()):
            task = branch.record(name, event)
            print(name, task.phase, flush=True)
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return new_fleet(tmp_path)


def kill_child(branch: ObservedBranch) -> bool:
    child = branch.child
    if child is None:
        return False
    try:
        os.kill(child, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def sound(fleet: Fleet) -> bool:
    return git.run(fleet.top, "fsck", "--strict", "--no-dangling", check=False).exit == 0


@pytest.mark.fault
def test_children_killed_at_any_moment_lose_and_double_nothing(fleet: Fleet) -> None:
    told, ended, killed = Told(), threading.Event(), 0
    answers: dict[str, Phase] = {}

    def work(worker: int) -> None:
        for number in range(25):
            name = f"t{worker}-{number}"
            answers[name] = branch.record(name, assigned(name)).phase

    def watch_end() -> None:
        for thread in threads:
            thread.join()
        ended.set()

    with opened(fleet, told) as branch:
        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(6)]
        for thread in (*threads, threading.Thread(target=watch_end)):
            thread.start()
        pause, seen, ref = 0.001, "", fleet.common / "refs/heads/observed"
        while not ended.wait(pause):
            if (tip := ref.read_text()) != seen:
                seen, killed = tip, killed + kill_child(branch)
            pause = 0.001 + (pause * 1.7) % 0.013
        assert killed > 5
        assert len(answers) == 150
        assert set(answers.values()) == {Phase.ASSIGNED}
        assert set(reading.read(fleet).tasks) == set(answers)
    lines = git.run(fleet.top, "log", "--format=%(trailers:key=Task,valueonly)", "observed").text.split()
    assert sorted(lines) == sorted(answers)
    assert [name for name, *_ in told.records if name not in answers] == []
    assert sound(fleet)


@pytest.mark.fault
def test_a_program_killed_between_any_two_commits_has_lost_nothing_it_had_answered(fleet: Fleet) -> None:
    first = 0
    for lines in (1, 2, 5, 8, 13):
        words = [sys.executable, "-c", PROGRAM, str(fleet.root), str(first)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as program:
            assert program.stdout is not None
            answered = [program.stdout.readline().split() for _ in range(lines)]
            program.kill()
            answered += [line.split() for line in program.stdout.read().splitlines() if line.count(" ") == 1]
        with opened(fleet) as branch:
            tasks = branch.tasks()
            last = dict(answered)
            assert {name: str(tasks[name].phase) for name in list(last)[:-1]} == dict.fromkeys(
                list(last)[:-1], "running"
            )
            final = answered[-1][0]
            assert (str(tasks[final].phase), answered[-1][1]) in {
                ("assigned", "assigned"),
                ("running", "assigned"),
                ("running", "running"),
            }
            assert branch.restore() == []
            first = max(int(name[1:]) for name in tasks) + 1
        assert sound(fleet)
        assert [*(fleet.common / "objects/pack").glob("*.keep")] == []


@pytest.mark.fault
def test_a_killed_program_leaves_the_lock_to_its_child_only_until_that_has_ended(fleet: Fleet) -> None:
    words = [sys.executable, "-c", PROGRAM, str(fleet.root), "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as program:
        assert program.stdout is not None
        program.stdout.readline()
        program.kill()
    with opened(fleet) as branch:
        assert branch.tasks()["t0"].epoch == 1


def test_a_child_that_was_killed_while_idle_is_replaced(fleet: Fleet) -> None:
    with opened(fleet) as branch:
        branch.record("a", assigned("a"))
        before = branch.child
        assert kill_child(branch)
        assert branch.record("a", started()).phase is Phase.RUNNING
        assert branch.child not in {None, before}


def test_a_ref_lock_that_goes_away_in_time_only_delays(fleet: Fleet) -> None:
    with opened(fleet) as branch:
        branch.record("a", assigned("a"))
        lock = fleet.common / "refs/heads/observed.lock"
        lock.touch()
        release = threading.Timer(0.15, lock.unlink)
        release.start()
        assert branch.record("a", started()).phase is Phase.RUNNING
        release.join()


def test_an_object_store_that_may_not_be_written_is_one_clear_error(fleet: Fleet) -> None:
    with opened(fleet) as branch:
        branch.record("a", assigned("a"))
        kill_child(branch)
        packs = fleet.common / "objects/pack"
        packs.rename(packs.with_name("aside"))
        packs.write_text("a file where the folder was")
        answer = branch.record_many([("a", started())])
        packs.unlink()
        packs.with_name("aside").rename(packs)
        assert "could not be written" in str(answer[0])
        assert branch.tasks()["a"].phase is Phase.ASSIGNED
        assert branch.record("a", started()).phase is Phase.RUNNING


def test_the_view_follows_although_its_folder_is_taken_away(fleet: Fleet) -> None:
    with opened(fleet) as branch:
        branch.record("a", assigned("a"))
        branch.flush()
        git.run(fleet.top, "clean", "-fdxq")
        branch.record("b", assigned("b"))
        until((fleet.observed / "tasks/b.yaml").exists)
        assert "state/observed/tasks/a.yaml" in branch.restore()
        assert (fleet.observed / "tasks/a.yaml").exists()
