"""The history of a fleet over the years: its clone is tended, and what happened long ago can be cut off."""

import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from reconciler.repo import lock
from tests.e2e.program import environment, git, run

OBSERVED = "refs/heads/observed"
BEGIN_S = 1_577_836_800
DAY_S = 86_400
"""The branch's commits were made at noon of days from 2020-01-01 on."""


def test_a_reconciler_tends_the_clone_when_it_is_due(tmp_path: Path) -> None:
    assert run("init", "fleet", cwd=tmp_path).exit == 0
    fleet = tmp_path / "fleet"
    assert run("reconcile", "--once", cwd=fleet).exit == 0
    assert git(fleet, "count-objects") != "0 objects, 0 kilobytes"
    with closing(sqlite3.connect(fleet / ".reconciler/journal.sqlite3")) as journal, journal:
        journal.execute("UPDATE upkeep SET at = '2020-01-01T00:00:00+00:00' WHERE chore = 'packs'")
    ran = run("reconcile", "--once", cwd=fleet)
    assert (ran.exit, ran.error) == (0, "")
    assert git(fleet, "count-objects") == "0 objects, 0 kilobytes"
    assert git(fleet, "fsck", "--strict", "--no-dangling") == ""


def grown_old(fleet: Path) -> None:
    """Have everything that happened be long ago, one commit a day; no word or file of it is changed."""
    env = environment(fleet.parent / "home")
    parent: tuple[str, ...] = ()
    for day, commit in enumerate(git(fleet, "rev-list", "--reverse", OBSERVED).split()):
        at = f"{BEGIN_S + day * DAY_S + DAY_S // 2} +0000"
        words = [
            "git",
            "-c",
            "user.name=r",
            "-c",
            "user.email=r@localhost",
            "commit-tree",
            f"{commit}^{{tree}}",
            *parent,
        ]
        message = git(fleet, "show", "--no-patch", "--format=%B", commit)
        dates = {"GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": at}
        made = subprocess.run([*words, "-m", message], cwd=fleet, env={**env, **dates}, capture_output=True, check=True)
        parent = ("-p", made.stdout.decode().strip())
    git(fleet, "update-ref", OBSERVED, parent[1])


def test_what_happened_long_ago_is_forgotten_and_the_fleet_goes_on(tmp_path: Path) -> None:
    assert run("init", "fleet", cwd=tmp_path).exit == 0
    fleet = tmp_path / "fleet"
    assert run("release", "example", cwd=fleet).exit == 0
    assert run("reconcile", "--until-idle", cwd=fleet).exit == 0
    grown_old(fleet)
    board, subjects = run("status", "--json", cwd=fleet).json, git(fleet, "log", "--format=%s", OBSERVED).splitlines()
    assert "observed begins at 2020-01-01" in run("archive", "--forget", "2020-01-02", cwd=fleet).complaint
    held = lock.acquire(fleet / ".reconciler/lock")
    assert f"process {os.getpid()} " in run("archive", "--forget", "2020-01-03", cwd=fleet).complaint
    held.release()
    assert run("archive", "--forget", "2020-01-03", "--before", "2020-01-03", cwd=fleet).exit == 2

    told = run("archive", "--forget", "2020-01-03", cwd=fleet)
    rest = len(subjects) - 2
    assert told.out.splitlines() == [
        f"observed begins at 2020-01-03 now: 2 commits are cut, {rest} follow",
        "the tag observed-until-2020-01-03 keeps the old branch; to let go of it: git tag -d observed-until-2020-01-03",
    ]
    assert git(fleet, "log", "--format=%s", OBSERVED).splitlines() == [
        *subjects[:-2],
        "Forget what happened before 2020-01-03",
    ]
    assert git(fleet, "log", "--format=%s", "observed-until-2020-01-03").splitlines() == subjects
    assert run("archive", "--forget", "2020-01-04", "--json", cwd=fleet).json["forgotten"]["cut"] == 2
    assert run("status", "--json", cwd=fleet).json == board
    assert git(fleet, "status", "--porcelain") == ""

    assert run("retry", "example", cwd=fleet).exit == 0
    assert run("reconcile", "--until-idle", cwd=fleet).exit == 0
    assert [one["run_id"][-2:] for one in run("status", "example", "--json", cwd=fleet).json["runs"]] == [".1", ".2"]
    assert git(fleet, "fsck", "--strict", "--no-dangling") == ""


def test_a_fleet_on_a_remote_is_cut_there_too_and_its_other_clones_follow(tmp_path: Path) -> None:
    assert run("init", "fleet", cwd=tmp_path).exit == 0
    fleet, bare, other = tmp_path / "fleet", tmp_path / "bare", tmp_path / "other"
    assert run("reconcile", "--once", cwd=fleet).exit == 0
    grown_old(fleet)
    with (fleet / "state/settings.yaml").open("a") as file:
        file.write("remote: origin\n")
    git(fleet, "commit", "--all", "--quiet", "--message", "Live on a remote")
    git(fleet, "clone", "--quiet", "--bare", ".", str(bare))
    git(fleet, "remote", "add", "origin", str(bare))
    git(fleet, "clone", "--quiet", str(bare), str(other))
    git(other, "branch", "--quiet", "observed", "origin/observed")
    old = git(bare, "rev-parse", OBSERVED)

    git(fleet, "remote", "set-url", "origin", str(tmp_path / "gone"))
    assert "origin: git ls-remote" in run("archive", "--forget", "2020-01-02", cwd=fleet).complaint
    git(fleet, "remote", "set-url", "origin", str(bare))
    assert git(fleet, "rev-parse", OBSERVED) == old

    assert run("archive", "--forget", "2020-01-03", cwd=fleet).exit == 0
    new = git(fleet, "rev-parse", OBSERVED)
    assert git(bare, "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads/observed", "refs/tags") == (
        f"{OBSERVED} {new}\nrefs/tags/observed-until-2020-01-03 {old}"
    )
    assert "State: released" in git(bare, "log", "-1", "--format=%B", "refs/reconciler/leader")
    assert run("reconcile", "--once", cwd=other).exit == 0
    git(other, "merge-base", "--is-ancestor", new, OBSERVED)
    assert git(other, "for-each-ref", "--format=%(objectname)", "refs/reconciler/superseded/") == old
    assert git(bare, "fsck", "--strict", "--no-dangling") == ""
