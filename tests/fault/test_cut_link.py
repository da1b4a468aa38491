"""The link to a host cut in every way while runs are live: the runs go on, no byte is lost, and nothing is charged."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.sshd import Sshd, required_tool
from tests.e2e.fleets import Fleet
from tests.fault import test_link_faults
from tests.waiting import until

pytestmark = pytest.mark.fault

LINES = 1500
PRINTS = f"i=0; while [ $i -lt {LINES} ]; do echo line $i; echo error $i >&2; i=$((i+1)); sleep 0.01; done"

link = test_link_faults.link


@pytest.fixture
def far(link: test_link_faults.Link, tmp_path: Path) -> Iterator[Sshd]:
    """An sshd at the other end of the cable."""
    inside = (required_tool("ip"), "netns", "exec", link.name)
    server = Sshd.start(tmp_path / "far-sshd", address=link.far, inside=inside)
    yield server
    server.stop()


def whole(fleet: Fleet, task_id: str) -> None:
    """The run printed what it printed, once, and is charged nothing."""
    seen = fleet.observed(task_id)
    assert (seen["phase"], len(seen["runs"]), seen.get("attempts", 0)) == ("completed", 1, 0)
    assert fleet.kept_output(task_id, 1).decode().splitlines() == [f"line {number}" for number in range(LINES)]
    errors = fleet.kept_output(task_id, 1, "stderr").decode().splitlines()
    assert errors == [f"error {number}" for number in range(LINES)]


def test_sessions_killed_again_and_again_cost_nothing(fleet: Fleet, sshd: Sshd) -> None:
    fleet.ssh_host("far", sshd, slots=3)
    names = ("one", "two", "three")
    for name in names:
        fleet.task(name, fleet.ran + PRINTS, host="far")
    with fleet.reconciling() as reconciler:
        for name in names:
            reconciler.until_phase(name, "running")
        for _ in range(5):
            before = sshd.accepted()
            sshd.kill_sessions()
            until(lambda before=before: sshd.accepted() > before, seconds=40)  # type: ignore[misc]  # a value of its own
        sshd.restart()
        for name in names:
            reconciler.until_phase(name, "completed", seconds=120)
    for name in names:
        whole(fleet, name)
    assert sorted(fleet.runs()) == ["one.1", "three.1", "two.1"]


def test_dropped_packets_cost_nothing_and_delay_no_other_host(
    fleet: Fleet, link: test_link_faults.Link, far: Sshd
) -> None:
    fleet.ssh_host("far", far)
    fleet.task("one", fleet.ran + PRINTS, host="far")
    with fleet.reconciling() as reconciler:
        reconciler.until_phase("one", "running")
        link.cut()
        for number in range(5):
            fleet.task(f"near-{number}", "true", host="here")
            reconciler.until_phase(f"near-{number}", "completed", seconds=10)
        until(lambda: not fleet.observed_host("far").get("reachable", True), seconds=120, every=0.5)
        assert fleet.phase("one") == "running"
        link.mend()
        reconciler.until_phase("one", "completed", seconds=120)
    whole(fleet, "one")
