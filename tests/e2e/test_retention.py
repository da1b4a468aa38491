"""The history of a fleet over the years: its clone is tended, and what happened long ago can be cut off."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.e2e.program import git, run


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
