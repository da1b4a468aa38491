"""What was read at an earlier start spares reading, and never stands for a file that differs from it in any mark."""

import json
import os
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.core.desired import Desired
from reconciler.repo.desired import fleetfiles
from reconciler.repo.desired.files import DesiredFiles
from reconciler.repo.desired.readings import NAME
from reconciler.repo.fleet import LOCAL
from reconciler.repo.journal import Journal
from tests.recording import new_fleet, own_git_config, person_commits

__all__ = ["own_git_config"]

TASK = "title: Fix it\ngoal: Make it work\nadapter: shell\nenv: {A: b}\n"
LATER = timedelta(hours=1)


class Starts:
    """A fleet, and starts of the program, each with a memory of its own; `read`: the files that the last one read."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root = new_fleet(root).root
        (self.root / LOCAL).mkdir()
        person_commits(self.root, "adapters/shell.yaml", 'run: [sh, "{prompt_file}"]\n')
        self.read: list[str] = []
        really = fleetfiles.read

        def noted(fleet: Path, path: str) -> bytes:
            self.read.append(path)
            return really(fleet, path)

        patch.setattr(fleetfiles, "read", noted)

    def task(self, text: str = TASK, name: str = "a") -> Path:
        path = self.root / f"state/tasks/{name}.yaml"
        path.write_text(text)
        return path

    def start(self, now: datetime | None = None) -> Desired:
        self.read.clear()
        journal = Journal(self.root / LOCAL / "journal.sqlite3")
        files = DesiredFiles(self.root, journal=journal, secret=lambda _: None, key=b"k")
        found = files.refresh(now or datetime.now(UTC) + LATER)
        journal.close()
        return found

    def change(self, statement: str, *values: str) -> None:
        connection = sqlite3.connect(self.root / LOCAL / NAME)
        with connection:
            connection.execute(statement, values)
        connection.close()


@pytest.fixture
def starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Starts:
    return Starts(tmp_path / "fleet", monkeypatch)


def test_a_second_start_finds_the_same_and_reads_only_what_is_wrong(starts: Starts) -> None:
    starts.task()
    starts.task("title: [\n", "broken")
    first = starts.start()
    second = starts.start()
    assert second == first
    assert [path for path in starts.read if "settings" not in path] == ["state/tasks/broken.yaml"]


def test_a_file_with_its_old_size_and_time_is_read_again_after_a_change(starts: Starts) -> None:
    path = starts.task()
    starts.start()
    stamp = path.stat()
    path.write_text(TASK.replace("Fix it", "Fix at"))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert starts.start().tasks["a"].value.title == "Fix at"
    assert "state/tasks/a.yaml" in starts.read
    starts.start()
    assert "state/tasks/a.yaml" not in starts.read


def test_a_file_that_was_saved_just_now_is_not_kept(starts: Starts) -> None:
    path = starts.task()
    starts.start(datetime.fromtimestamp(path.stat().st_ctime, UTC))
    starts.start()
    assert "state/tasks/a.yaml" in starts.read


def test_a_file_that_is_gone_is_forgotten(starts: Starts) -> None:
    starts.task().rename(starts.root / "state/tasks/b.yaml")
    starts.start()
    (starts.root / "state/tasks/b.yaml").unlink()
    assert starts.start().tasks == {}
    connection = sqlite3.connect(starts.root / LOCAL / NAME)
    assert connection.execute("SELECT path FROM reading").fetchall() == [("adapters/shell.yaml",)]
    connection.close()


@pytest.mark.parametrize("data", ["{", "[]", json.dumps({"title": "Fix it", "goal": "g", "prioritty": 1})])
def test_what_is_kept_is_judged_again_and_left_where_it_is_not_valid(starts: Starts, data: str) -> None:
    starts.task()
    first = starts.start()
    starts.change("UPDATE reading SET data = ? WHERE path = 'state/tasks/a.yaml'", data)
    assert starts.start() == first
    assert "state/tasks/a.yaml" in starts.read


def test_a_damaged_file_of_readings_is_begun_anew(starts: Starts) -> None:
    starts.task()
    first = starts.start()
    (starts.root / LOCAL / NAME).write_bytes(b"no database" * 1000)
    assert starts.start() == first
    assert "state/tasks/a.yaml" in starts.read
    assert starts.start() == first
    assert "state/tasks/a.yaml" not in starts.read


def test_readings_of_another_format_are_left(starts: Starts) -> None:
    starts.task()
    first = starts.start()
    starts.change("PRAGMA user_version = 1000")
    assert starts.start() == first
    assert "state/tasks/a.yaml" in starts.read
