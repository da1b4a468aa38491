"""A link that is slow, in a network namespace of the test's own: a large output delays nothing else of its host."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.sshd import Sshd, required_tool
from tests.e2e.fleets import Fleet
from tests.fault import test_link_faults
from tests.waiting import until

pytestmark = pytest.mark.fault

BYTES_A_SECOND = 100_000
SECONDS = 14

link = test_link_faults.link


@pytest.fixture
def slow(link: test_link_faults.Link, tmp_path: Path) -> Iterator[Sshd]:
    """An sshd at the other end of the cable, which can say only so much in a second."""
    inside = (required_tool("ip"), "netns", "exec", link.name)
    shaped = ("rate", f"{8 * BYTES_A_SECOND}bit", "burst", "8kb", "latency", "400ms")
    link.ip("netns", "exec", link.name, required_tool("tc"), "qdisc", "add", "dev", "far", "root", "tbf", *shaped)
    server = Sshd.start(tmp_path / "far-sshd", address=link.far, inside=inside)
    yield server
    server.stop()


@pytest.mark.skipif("FAULT_SAMPLE" in os.environ, reason="only in the whole suite")
def test_the_end_of_a_run_is_seen_while_the_large_output_of_another_one_comes(fleet: Fleet, slow: Sshd) -> None:
    fleet.ssh_host("far", slow, slots=2)
    size, printed = BYTES_A_SECOND * SECONDS, fleet.folder / "printed"
    with fleet.reconciling() as reconciler:
        fleet.task("before", "true", host="far")
        reconciler.until_phase("before", "completed")
        fleet.task("much", f"head -c {size} /dev/urandom >{printed}; cat {printed}", host="far")
        copy = fleet.root / ".reconciler" / "logs" / "much.1" / "stdout"
        until(lambda: copy.exists() and copy.stat().st_size > 0, seconds=60)
        fleet.task("brief", "echo hi", host="far")
        reconciler.until_phase("brief", "completed", seconds=SECONDS)
        assert 0 < copy.stat().st_size < size
        assert fleet.phase("much") != "completed"
        reconciler.until_phase("much", "completed", seconds=4 * SECONDS)
    assert fleet.kept_output("much", 1) == printed.read_bytes()
    assert "tried again" not in reconciler.said()
    assert fleet.observed_host("far")["reachable"]
