"""What people do to tasks and hosts while runs are live, and what time does to them; the clock is the test's own."""

import json
import os

import pytest

from tests.e2e.fleets import Fleet, git, project
from tests.waiting import until


def waits(fleet: Fleet, task_id: str, after: str = "") -> str:
    """The script of an agent that notes its run, waits for `let_go`, and then does `after`."""
    pipe = fleet.folder / f"go-{task_id}"
    if not pipe.exists():
        os.mkfifo(pipe)
    return f"{fleet.ran}cat {pipe}\n{after}\n"


def let_go(fleet: Fleet, task_id: str) -> None:
    (fleet.folder / f"go-{task_id}").write_text("go")


def test_an_edit_takes_effect_at_the_next_run_and_a_hold_lets_the_live_one_finish(fleet: Fleet) -> None:
    fleet.task("one", waits(fleet, "one", "exit 1"))
    fleet.commit("Ask")
    with fleet.reconciling() as reconciler:
        reconciler.until_phase("one", "running")
        spec = fleet.observed("one")["spec"]
        fleet.task("one", fleet.ran, desired="hold")
        let_go(fleet, "one")
        seen = reconciler.until_phase("one", "created")
        assert (seen["spec"], seen["attempts"]) == (spec, 1)
        fleet.move_clock(600)
        fleet.task("other", fleet.ran)
        reconciler.until_phase("other", "completed")
        assert fleet.phase("one") == "created"
        fleet.task("one", fleet.ran)
        seen = reconciler.until_phase("one", "completed")
    assert seen["spec"] == git(fleet.root, "hash-object", "state/tasks/one.yaml")
    assert fleet.runs() == ["one.1", "other.1", "one.2"]


def test_a_cancelled_task_is_stopped_first_and_comes_back_when_it_is_wanted_again(fleet: Fleet) -> None:
    fleet.task("one", waits(fleet, "one"))
    with fleet.reconciling() as reconciler:
        reconciler.until_phase("one", "running")
        fleet.task("one", waits(fleet, "one"), desired="cancel")
        seen = reconciler.until_phase("one", "cancelled")
        assert fleet.tagged("one.1") == []
        assert (seen["runs"][0]["outcome"], seen.get("attempts", 0)) == ("cancelled", 0)
        fleet.task("one", fleet.ran)
        reconciler.until_phase("one", "completed")
    assert fleet.runs() == ["one.1", "one.2"]


def test_a_deleted_task_is_cancelled_after_half_a_minute_and_revived_by_its_file(fleet: Fleet) -> None:
    fleet.task("one", waits(fleet, "one"))
    fleet.task("never", fleet.ran, desired="hold")
    fleet.commit("Ask")
    text = (fleet.root / "state" / "tasks" / "one.yaml").read_text()
    with fleet.reconciling() as reconciler:
        reconciler.until_phase("one", "running")
        (fleet.root / "state" / "tasks" / "one.yaml").unlink()
        fleet.move_clock(60)
        fleet.task("other", "true")
        reconciler.until_phase("other", "completed")
        assert fleet.phase("one") == "running"
        (fleet.root / "state" / "tasks" / "never.yaml").unlink()
        fleet.commit("Drop them")
        fleet.task("third", "true")
        reconciler.until_phase("third", "completed")
        assert fleet.phase("one") == "running"
        fleet.move_clock(31)
        seen = reconciler.until_phase("one", "cancelled")
        assert seen["reason"] == "deleted"
        assert fleet.tagged("one.1") == []
        fleet.write("state/tasks/one.yaml", text)
        until(lambda: fleet.runs() == ["one.1", "one.2"])
        let_go(fleet, "one")
        reconciler.until_phase("one", "completed")


@pytest.mark.fault
def test_a_moved_task_file_is_no_event(fleet: Fleet) -> None:
    path = fleet.task("one", waits(fleet, "one"))
    fleet.commit("Ask")
    with fleet.reconciling() as reconciler:
        reconciler.until_phase("one", "running")
        (fleet.root / "state" / "tasks" / "sub").mkdir()
        path.rename(fleet.root / "state" / "tasks" / "sub" / "one.yaml")
        fleet.commit("Sort")
        fleet.move_clock(60)
        let_go(fleet, "one")
        reconciler.until_phase("one", "completed")
    assert fleet.runs() == ["one.1"]


def test_a_raised_generation_has_a_finished_task_done_again_and_the_epoch_goes_on(fleet: Fleet) -> None:
    fleet.task("one", f"{fleet.ran}exit 1", max_attempts=1)
    with fleet.reconciling() as reconciler:
        reconciler.until_phase("one", "failed")
        until(lambda: list((fleet.root / "state" / "observed" / "done").glob("*/one.yaml")))
        fleet.task("one", fleet.ran, max_attempts=1, generation=2)
        seen = reconciler.until_phase("one", "completed")
    assert (seen["generation"], seen["epoch"], seen.get("attempts", 0)) == (2, 2, 0)
    assert [run["outcome"] for run in seen["runs"]] == ["failed", "succeeded"]


@pytest.mark.fault
def test_dependencies_come_first_then_priorities_then_age(fleet: Fleet) -> None:
    fleet.write("hosts/here.yaml", {"transport": "local", "workdir": str(fleet.folder / "work")})
    fleet.task("first", fleet.ran, depends_on=["second"], priority=9)
    fleet.task("second", fleet.ran, depends_on=["third"])
    fleet.task("third", fleet.ran)
    fleet.task("urgent", fleet.ran, priority=5)
    fleet.task("never", fleet.ran, depends_on=["held"])
    fleet.task("held", fleet.ran, desired="hold")
    ended = fleet.until_idle()
    assert ended.process.returncode == 0
    assert fleet.runs() == ["urgent.1", "third.1", "second.1", "first.1"]
    assert fleet.phase("never") == "created"


def test_a_drained_a_deleted_and_a_broken_host_finish_their_runs_and_take_nothing_new(fleet: Fleet) -> None:
    for name in ("a", "b", "c"):
        host = {"transport": "local", "workdir": str(fleet.folder / f"work-{name}"), "slots": 3}
        fleet.write(f"hosts/{name}.yaml", host)
        fleet.task(f"on-{name}", waits(fleet, f"on-{name}"), host=name)
    fleet.commit("Use three hosts")
    with fleet.reconciling() as reconciler:
        for name in ("a", "b", "c"):
            reconciler.until_phase(f"on-{name}", "running")
        fleet.write("hosts/a.yaml", {**json.loads((fleet.root / "hosts/a.yaml").read_text()), "drain": {"reason": "x"}})
        (fleet.root / "hosts" / "b.yaml").unlink()
        fleet.write("hosts/c.yaml", "transport: [\n")
        fleet.commit("Take them away")
        for name in ("a", "c"):
            fleet.task(f"new-{name}", fleet.ran, host=name)
        fleet.task("elsewhere", fleet.ran, host="here")
        reconciler.until_phase("elsewhere", "completed")
        for name in ("a", "b", "c"):
            let_go(fleet, f"on-{name}")
            reconciler.until_phase(f"on-{name}", "completed")
        assert {fleet.phase(f"new-{name}") for name in ("a", "c")} == {"created"}
        until(lambda: not fleet.observed_host("b"))
    assert sorted(fleet.runs()) == ["elsewhere.1", "on-a.1", "on-b.1", "on-c.1"]


@pytest.mark.fault
def test_changes_to_a_live_runs_host_and_adapter_do_not_touch_it(fleet: Fleet) -> None:
    bare = project(fleet.folder)
    fleet.task("one", waits(fleet, "one", "echo >new"), repository=str(bare))
    with fleet.reconciling() as reconciler:
        reconciler.until_phase("one", "running")
        fleet.write("hosts/here.yaml", {"transport": "local", "workdir": str(fleet.folder / "elsewhere"), "slots": 5})
        fleet.write("adapters/shell.yaml", {"run": ["false"]})
        fleet.task("two", "true")
        reconciler.until_phase("two", "created", "blocked", "failed")
        until(lambda: fleet.first_run("two").get("outcome"))
        let_go(fleet, "one")
        reconciler.until_phase("one", "completed")
    assert fleet.first_run("two")["failure"] == "agent_error"
    assert fleet.runs() == ["one.1"]


@pytest.mark.parametrize("kept", [pytest.param(True, marks=pytest.mark.fault), False])
def test_nothing_happens_twice_when_files_change_while_no_reconciler_runs(fleet: Fleet, kept: bool) -> None:  # noqa: FBT001 - a parameter of the test
    fleet.task("one", waits(fleet, "one"))
    fleet.task("two", waits(fleet, "two"))
    fleet.commit("Ask")
    with fleet.reconciling() as reconciler:
        reconciler.until_phase("one", "running")
        reconciler.until_phase("two", "running")
    fleet.task("one", fleet.ran, desired="cancel")
    fleet.task("two", fleet.ran, title="Another title")
    if not kept:
        for path in (fleet.root / ".reconciler").glob("journal*"):
            path.unlink()
    let_go(fleet, "two")
    fleet.until_idle()
    assert (fleet.phase("one"), fleet.phase("two")) == ("cancelled", "completed")
    assert sorted(fleet.runs()) == ["one.1", "two.1"]
