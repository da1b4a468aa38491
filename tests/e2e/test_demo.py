"""The demo: it does what it shows, tells how to go on, and leaves nothing behind however it ends."""

import signal
from pathlib import Path

import pytest

from tests.e2e import program
from tests.e2e.program import git, run


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder to start from, beside which the demo's own temporary folder is."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


def in_its_own_tmp(here: Path) -> dict[str, str]:
    return {"TMPDIR": str(here.parent / "tmp")}


def left_behind(here: Path) -> list[Path]:
    home = here.parent / "home"
    return [*(here.parent / "tmp").iterdir(), *here.iterdir(), *home.iterdir()]


def test_the_demo_repairs_a_project_and_leaves_nothing(here: Path) -> None:
    shown = run("demo", cwd=here, env=in_its_own_tmp(here))
    assert shown.exit == 0, shown.error
    before, after = shown.out.split("What came of it")
    assert "FAILED  expected 'Hello, world!', got 'Hello, !'" in before
    assert "fix-greeting: created -> assigned" in before
    assert '+echo "Hello, ${1:-world}!"' in after
    assert "ok      Hello, world!" in after
    assert "FAILED" not in after
    assert " -> completed (succeeded)" in after
    assert "reconciler init my-fleet" in after
    assert "\x1b" not in shown.out
    assert left_behind(here) == []


def test_what_the_demo_keeps_is_a_fleet_with_a_project(here: Path) -> None:
    kept = here / "kept"
    assert run("demo", "--keep", "kept", cwd=here, env=in_its_own_tmp(here)).exit == 0
    assert run("status", "fix-greeting", "--fleet", str(kept / "fleet"), cwd=here).exit == 0
    assert git(kept / "project.git", "branch", "--list", "--format=%(refname:short)").splitlines() == [
        "main",
        "task/fix-greeting",
        "task/note-the-fix",
    ]
    again = run("demo", "--keep", "kept", cwd=here)
    assert (again.exit, "not empty" in again.complaint) == (1, True)
    assert list((here.parent / "tmp").iterdir()) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("place", [b"1  A project", b"3  The reconciler", b"fix-greeting: created -> assigned"])
def test_a_demo_that_is_interrupted_leaves_nothing(here: Path, number: signal.Signals, code: int, place: bytes) -> None:
    environment = program.environment(here.parent / "home", in_its_own_tmp(here))
    with program.start("reconciler", "demo", cwd=here, env=environment) as process:
        assert process.stdout is not None
        shown = b""
        while place not in shown:
            line = process.stdout.readline()
            assert line, shown
            shown += line
        process.send_signal(number)
        _, error = process.communicate(timeout=program.TIMEOUT_S)
    assert process.returncode == code, error
    assert b"Traceback" not in error
    assert left_behind(here) == []
