"""The reconciler killed before and after commands that it sends over ssh: each run happens once, and is delivered."""

import os
import signal
from pathlib import Path

import pytest

from tests.contract.sshd import Sshd
from tests.e2e.fleets import PROJECT, Fleet
from tests.fault.test_kill import ask, check

pytestmark = pytest.mark.fault

SAMPLED = "FAULT_SAMPLE" in os.environ
SHIM = Path(__file__).parent / "shims" / "ssh"
STRIDE = 9
"""Between two kills of one history; a history for each first one has every command once."""
MOST = 15 if SAMPLED else 45
"""After that polls come again and again, which kills in the full suite have met by then."""
FIRSTS = [(4, "after")] if SAMPLED else [(n, when) for n in range(1, STRIDE + 1) for when in ("before", "after")]


@pytest.mark.parametrize(("first", "when"), FIRSTS)
def test_a_reconciler_killed_around_its_commands_goes_on_where_it_was(
    fleet: Fleet, sshd: Sshd, first: int, when: str
) -> None:
    (fleet.root / "hosts" / "here.yaml").unlink()
    fleet.ssh_host("far", sshd, slots=3)
    bare = ask(fleet)
    count = fleet.folder / "commands"
    count.mkdir()
    fleet.env |= {
        "PYTHONPATH": f"{SHIM}:{PROJECT}",
        "KILL_COUNT": str(count),
        "KILL_AT": " ".join(map(str, range(first, MOST, STRIDE))),
        "KILL_WHEN": when,
    }
    deaths = 0
    while True:
        reconciler = fleet.start("--until-idle")
        reconciler.process.wait(90)
        if reconciler.process.returncode != -signal.SIGKILL:
            break
        deaths += 1
    assert deaths >= 2
    check(fleet, bare)
