"""What people see on a terminal, and what programs get in its place: the live board."""

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.core.mask import Blot
from reconciler.repo import logs
from reconciler.repo.logs import Copy
from tests.e2e import program
from tests.e2e.program import run
from tests.e2e.terminal import terminal
from tests.recording import assigned, new_fleet, opened, own_git_config, succeeded

__all__ = ["own_git_config"]

RECONCILER = (sys.executable, "-m", "reconciler")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fresh")
    assert run("init", "fleet", cwd=folder).exit == 0
    return folder / "fleet"


@pytest.fixture
def fleet(fresh: Path, tmp_path: Path) -> Path:
    return shutil.copytree(fresh, tmp_path / "fleet")


def write(fleet: Path, name: str, title: str, **keys: object) -> None:
    data = {"title": title, "goal": "true", "adapter": "shell", **keys}
    (fleet / "state/tasks" / f"{name}.yaml").write_text(json.dumps(data))


def test_the_live_board_follows_the_fleet_and_leaves_the_terminal_as_it_was(fleet: Path) -> None:
    with terminal([*RECONCILER, "status", "--watch"], cwd=fleet, env={"NO_COLOR": "1"}) as at:
        before = at.settings()
        at.shows("1 waiting")
        write(fleet, "hostile", "Turned \u202eback\u2066 here")
        at.shows("2 waiting")
        at.shows("Turned back here")
        assert b"\x1b[3" not in at.seen
        at.forget()
        at.resize(4, 24)
        at.shows("Hosts 1")
        assert "Waiting" not in at.text
        at.type("\x03")
        assert at.ends() == 130
        assert at.seen.endswith(b"\x1b[?25h\x1b[?1049lended 130\r\n")
        assert at.settings() == before


def watching(fleet: Path, *words: str) -> subprocess.Popen[bytes]:
    env = program.environment(fleet.parent / "home")
    return program.start("reconciler", "status", "--watch", *words, cwd=fleet, env=env)


def test_a_pipe_gets_the_board_and_then_only_what_changes(fleet: Path) -> None:
    plain, documents = watching(fleet), watching(fleet, "--json")
    try:
        assert plain.stdout is not None
        assert documents.stdout is not None
        board = [plain.stdout.readline()]
        assert [one["id"] for one in json.loads(documents.stdout.readline())["tasks"]] == ["example"]
        write(fleet, "late", "Late")
        assert [one["id"] for one in json.loads(documents.stdout.readline())["tasks"]] == ["example", "late"]
        while b"late" not in board[-1]:
            board.append(plain.stdout.readline())
        assert board[0].split()[:2] == [b"TASK", b"PHASE"]
        assert board[-1].split()[1:] == b"late: new -> created".split()
        for one in (plain, documents):
            one.send_signal(signal.SIGTERM)
            assert one.communicate(timeout=program.TIMEOUT_S) == (b"", b"")
            assert one.returncode == 143
    finally:
        plain.kill()
        documents.kill()


def test_logs_of_all_tasks_are_followed_until_ctrl_c_and_nothing_is_lost(tmp_path: Path) -> None:
    fleet = new_fleet(tmp_path / "fleet")

    def prints(task_id: str, text: bytes) -> None:
        copy, offset = Copy(task_id=task_id, epoch=1, stream="stdout"), logs.size(fleet, task_id, 1, "stdout")
        logs.append(fleet, copy, offset, text, Blot(()))

    with opened(fleet) as branch:
        branch.record("first", assigned("first"))
        prints("first", b"one\x1b[2J\rforged | line\r\n")
        with terminal([*RECONCILER, "logs", "--all", "--follow"], cwd=fleet.root) as at:
            at.shows("first | one [2J forged | line")
            branch.record("second", assigned("second"))
            prints("second", b"\x1b[31mred\n")
            at.shows("second | red")
            assert re.search(rb"\x1b\[[0-9;]*msecond \| \x1b\[0m\x1b\[31mred\x1b\[0m\r\n", at.seen)
            branch.record("first", succeeded())
            at.shows("- first: run 1 succeeded")
            prints("second", b"no end")
            at.type("\x03")
            assert at.ends() == 130
            assert "second | no end" in at.text
