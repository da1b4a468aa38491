"""Many runs launched by one script: each claims, works, fails and ends by itself."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.core.script import launch, poll
from reconciler.core.script.launch import Launch, Launched
from tests.contract import runner
from tests.contract.test_run_protocol import WORKDIR, World, end_all
from tests.waiting import until


@pytest.fixture(params=["dash", "bash", "busybox"])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    made = World(tmp_path, runner.installed(str(request.param)))
    yield made
    end_all(made)


def _launch(world: World, *orders: Launch) -> dict[str, Launched]:
    return launch.parse_launch(world.host.run(launch.launch(orders)))


def _states(world: World, *runs: str) -> list[str]:
    seen = poll.parse_poll(world.host.run(poll.poll(WORKDIR, world.fleet, runs))).runs
    return [seen[run].state for run in runs]


def test_each_gets_what_is_its_own_and_one_that_cannot_be_launched_holds_up_no_other(world: World) -> None:
    assert world.launch("old.1", "echo old").state in {"alive", "ended"}
    root = world.root.resolve()
    (world.root / "runs" / "blocked.1").write_text("a file where a folder should be")
    found = _launch(
        world,
        world.order("a.1", "cat; echo $WHO", prompt=b"one\0two\n", variables={"WHO": "first"}),
        world.order("old.1", "echo again"),
        world.order("blocked.1", "echo never"),
        world.order("far.1", "echo never", workspace="/elsewhere/work/far", make=True),
        world.order("b.1", "pwd; echo $WHO; exit 3", workspace=f"{root}/work/b", make=True, variables={"WHO": "2nd"}),
    )
    assert found["blocked.1"].message.startswith("the run folder cannot be made")
    assert found["far.1"].elsewhere
    assert {found[run].state for run in ("a.1", "b.1", "old.1")} <= {"alive", "ended"}
    assert [world.ended(run) for run in ("a.1", "b.1", "old.1")] == [0, 3, 0]
    assert world.output("a.1") == b"one\0two\nfirst\n"
    assert world.output("b.1") == f"{root}/work/b\n2nd\n".encode()
    assert world.output("old.1") == b"old\n"
    assert _states(world, "far.1") == ["absent"]
    (world.root / "runs" / "blocked.1").unlink()


def test_a_launch_that_was_cut_in_a_folder_is_repeated_whole(world: World) -> None:
    folder = world.root / "runs" / "a.1"
    folder.mkdir(parents=True)
    for name in ("meta.json", "prompt"):
        (folder / name).write_text("half of")
    assert {one.state for one in _launch(world, world.order("a.1", "cat", prompt=b"whole\n")).values()} <= {
        "alive",
        "ended",
    }
    assert world.ended("a.1") == 0
    assert world.output("a.1") == b"whole\n"
    assert not [*folder.glob("new.*")]
    assert [claim.samefile(folder / "started") for claim in folder.glob("claim.*")] == [True]


def test_every_agent_leads_a_session_of_its_own_and_outlives_the_supervisors_of_others(world: World) -> None:
    runs = ("a.1", "b.1", "c.1")
    status = ("cat", "/proc/self/status", "/proc/self/stat")
    _launch(world, *(world.order(run, "", words=status) for run in runs))
    assert [world.ended(run) for run in runs] == [0, 0, 0]
    said = [world.output(run).decode() for run in runs]
    if Path(world.host.words[0]).name != "busybox":  # its `setsid` has no `-f`
        assert all("SigIgn:\t0000000000000000" in one for one in said)
    sessions = [one.strip().split("\n")[-1].split(" ")[:6] for one in said]
    assert all(pid == group == session for pid, _, _, _, group, session in sessions)
    assert len({session for *_, session in sessions}) == len(runs)
    _launch(world, *(world.order(run, "sleep 100") for run in ("d.1", "e.1", "f.1")))
    until(lambda: all((world.root / "runs" / run / "agent").exists() for run in ("d.1", "e.1", "f.1")))
    os.kill(int(world.claim("e.1")[0]), signal.SIGKILL)
    world.stop("d.1", grace_s=1)
    assert world.ended("d.1") == 143
    assert _states(world, "e.1", "f.1") == ["alive", "alive"]
    world.stop("f.1", grace_s=1)
    assert world.ended("f.1") == 143


WRAPPED = """#!/bin/dash
printf "welcome to this host: "
/bin/dash "$@" 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
"""
"""An `sh` that greets, hands on but the three usual descriptors, and keeps the others for as long as it runs."""


def test_an_sh_that_hands_on_no_other_descriptors_answers_while_its_agents_work(tmp_path: Path) -> None:
    world = World(tmp_path, "dash")
    sh = tmp_path / "bin-dash" / "sh"
    sh.unlink()
    sh.write_text(WRAPPED)
    sh.chmod(0o755)
    try:
        found = _launch(world, world.order("a.1", "sleep 100"), world.order("b.1", "sleep 100"))
        assert {run: one.state for run, one in found.items()} == {"a.1": "alive", "b.1": "alive"}
        assert _states(world, "a.1", "b.1") == ["alive", "alive"]
    finally:
        end_all(world)


def test_what_cannot_be_launched_together_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path, "dash")
    one, other = world.order("a.1", "true"), world.order("b.1", "true", term=2)
    for orders in ((), (one, other), (one,) * (launch.MOST_RUNS + 1)):
        with pytest.raises(ValueError, match="cannot be launched together"):
            launch.launch(orders)
