"""`archive --forget` killed before and after each of its calls of git: the branch is the old one or the new one."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.repo import git
from reconciler.repo.fleet import Fleet
from tests.recording import NOW, assigned, new_fleet, opened, own_git_config, started, succeeded

__all__ = ["own_git_config"]

SHIM = Path(__file__).parent / "shims" / "kill_at"
STRIDE = 5 if "FAULT_SAMPLE" in os.environ else 1
MOST_CALLS = 60
REF = "refs/heads/observed"
CUT = (NOW + timedelta(days=2)).date()
TAG = f"refs/tags/observed-until-{CUT}"
PROGRAM = f"""
import pathlib, sys
from datetime import date, timedelta
from reconciler.core.desired import Identity
from reconciler.repo import fleet
from reconciler.repo.observed import forgetting
from tests.recording import NOW
one, day = fleet.find(pathlib.Path(sys.argv[1])), date.fromisoformat("{CUT}")
forgetting.forget(one, day, NOW + timedelta(days=9), Identity())
"""


def killed(fleet: Fleet, folder: Path, at: int, when: str) -> bool:
    """Have it forget, killed before or after its call of git with this number; whether there was such a call."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "calls").mkdir(parents=True)
    (folder / "git").symlink_to(SHIM)
    lines = (
        f"calls={folder}/calls",
        "caller=archive-forget",
        f"at={at}",
        f"when={when}",
        f"real_git={shutil.which('git')}",
    )
    (folder / "settings").write_text("".join(f"{line}\n" for line in lines))
    env = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    words = [sys.executable, "-c", PROGRAM, str(fleet.root), "archive-forget"]
    done = subprocess.run(words, env=env, cwd=SHIM.parents[3], check=False, capture_output=True)
    assert done.returncode in {0, -9}, done.stderr
    return done.returncode != 0


@pytest.mark.fault
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_at_any_call_leaves_the_old_branch_or_the_new_one(tmp_path: Path, when: str) -> None:
    fleet = new_fleet(tmp_path / "fleet")
    with opened(fleet) as branch:
        for day in range(4):
            for event in (assigned(f"t{day}"), started(), succeeded()):
                branch.record(f"t{day}", replace(event, at=NOW + timedelta(days=day)))
    old = git.tip(fleet.top, REF)
    assert old is not None
    assert not killed(fleet, tmp_path / "shim", MOST_CALLS, when)
    new, kills = git.tip(fleet.top, REF), 0
    for at in range(1, MOST_CALLS, STRIDE):
        git.run(fleet.top, "update-ref", REF, old)
        git.run(fleet.top, "update-ref", "-d", TAG)
        if not killed(fleet, tmp_path / "shim", at, when):
            break
        kills += 1
        now, kept = git.tip(fleet.top, REF), git.tip(fleet.top, TAG)
        assert (now, kept) in {(old, None), (old, old), (new, old)}
        assert git.run(fleet.top, "fsck", "--strict", "--no-dangling").exit == 0
        if now == old:
            assert not killed(fleet, tmp_path / "shim", MOST_CALLS, when)
            assert git.tip(fleet.top, REF) == new
    assert kills > (8 if STRIDE == 1 else 1)
