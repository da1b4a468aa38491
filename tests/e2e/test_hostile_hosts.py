"""A host whose answers are forged: it harms itself, and neither other hosts nor what is recorded."""

import os
import sys
from pathlib import Path

import pytest

from tests.contract.sshd import Sshd
from tests.e2e.fleets import Fleet, git
from tests.e2e.test_edits import let_go, waits
from tests.waiting import until

FORGER = """#!{python}
import os, pathlib, re, subprocess, sys
shell = subprocess.Popen(["/bin/sh", *sys.argv[1:]], stdin=sys.stdin.buffer, stdout=subprocess.PIPE)
while said := os.read(shell.stdout.fileno(), 1 << 20):
    how = pathlib.Path("{how}").read_text()
    pathlib.Path("{how}-" + how).touch()
    if how == "digits":
        said = re.sub(rb"(run \\S+ \\w+) \\d+", rb"\\g<1> " + b"9" * 5000, said)
    elif how == "rubbish":
        end = re.search(rb"\\n[0-9a-f]+ \\d+\\n\\Z", said)
        said = b"reconciler answers\\n" + b"\\xff\\x1b]0;owned\\x07" * 30_000 + (end[0] if end else b"")
    sys.stdout.buffer.write(said)
    sys.stdout.buffer.flush()
sys.exit(shell.wait())
"""
"""The `sh` of a host that tells the truth, or what the file `how` names; how its commands end it leaves alone."""


@pytest.mark.fault
@pytest.mark.skipif("FAULT_SAMPLE" in os.environ, reason="only in the whole suite")
def test_a_host_that_lies_harms_only_itself(fleet: Fleet, sshd: Sshd) -> None:
    how = fleet.folder / "how"
    how.write_text("truth")
    forger = fleet.folder / "bin" / "sh"
    forger.parent.mkdir()
    forger.write_text(FORGER.format(python=sys.executable, how=how))
    forger.chmod(0o755)
    fleet.ssh_host("far", sshd)
    fleet.task("one", waits(fleet, "one"), host="here")
    reconciler = fleet.start(PATH=f"{forger.parent}:{fleet.path()}")
    reconciler.until_phase("one", "running")
    for lie in ("digits", "rubbish"):
        lies(how, lie)
        until(how.with_name(f"how-{lie}").exists, seconds=30)
    fleet.task("beside", "true", host="far")
    reconciler.until_phase("beside", "completed", seconds=20)
    until(lambda: is_told(fleet), seconds=30, every=0.5)
    lies(how, "truth")
    let_go(fleet, "one")
    reconciler.until_phase("one", "completed", seconds=60)
    reconciler.stop()
    assert "Traceback" not in reconciler.said()
    assert "\x1b" not in reconciler.said() + git(fleet.root, "log", "-p", "observed")
    assert fleet.runs() == ["one.1"]
    assert fleet.until_idle().process.returncode == 0


def is_told(fleet: Fleet) -> bool:
    """Whether the branch says that the host is away; each look moves the clock, for that is said after a while."""
    fleet.move_clock(3)
    return fleet.observed_host("here").get("reachable") is False


def lies(how: Path, lie: str) -> None:
    temporary = how.with_name("how.new")
    temporary.write_text(lie)
    temporary.replace(how)
