"""Where a fleet is found, what git is told to leave alone, and ordinary commits on the person's branch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.repo import fleet as fleets
from reconciler.repo import git, lock
from reconciler.repo.git import GitFailed, Refused
from reconciler.repo.main import commits, people
from reconciler.repo.main.commits import Edit
from tests.recording import PERSON, new_fleet, own_git_config, person_commits

__all__ = ["own_git_config"]


def test_the_nearest_parent_with_state_is_the_fleet(tmp_path: Path) -> None:
    made = new_fleet(tmp_path / "repository", below="ops")
    deep = made.root / "state/tasks/deep"
    deep.mkdir()
    found = fleets.find(deep)
    assert (found.root, found.top, found.prefix) == (made.root, tmp_path / "repository", "ops/")
    assert fleets.find(tmp_path, made.root) == made
    assert found.logs("a", 3) == made.root / ".reconciler/logs/a.3"


def test_where_there_is_no_fleet_the_error_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(fleets.NoFleet, match="reconciler init"):
        fleets.find(tmp_path)
    with pytest.raises(fleets.NoFleet, match="reconciler init"):
        fleets.find(tmp_path, tmp_path / "nowhere")
    (tmp_path / "state").mkdir()
    with pytest.raises(fleets.NoFleet, match="git init"):
        fleets.find(tmp_path)


def test_excluding_adds_what_is_missing_once_and_keeps_what_is_there(tmp_path: Path) -> None:
    fleet = new_fleet(tmp_path, below="a *b")
    path = fleet.common / "info/exclude"
    path.write_bytes(b"mine")
    fleets.exclude(fleet)
    fleets.exclude(fleet)
    assert path.read_bytes().splitlines() == [b"mine", b"/a\\ \\*b/state/observed/", b"/a\\ \\*b/.reconciler/"]
    (fleet.observed).mkdir()
    (fleet.observed / "x").write_text("x")
    assert git.run(fleet.top, "status", "--porcelain", "--untracked-files=all").stdout == b""


def test_git_begins_no_gc_by_itself_unless_somebody_wants_it(tmp_path: Path) -> None:
    fleet = new_fleet(tmp_path)
    for _ in range(2):
        fleets.keep_gc_away(fleet)
    said = git.run(tmp_path, "config", "--local", "--get-regexp", r"^(gc|maintenance)\.auto$").text
    assert said.splitlines() == ["gc.auto 0", "maintenance.auto false"]
    git.run(tmp_path, "config", "--local", "gc.auto", "5000")
    fleets.keep_gc_away(fleet)
    assert git.run(tmp_path, "config", "--local", "gc.auto").text == "5000"


def test_a_second_process_is_refused_and_told_who_holds_the_lock(tmp_path: Path) -> None:
    held = lock.acquire(tmp_path / "lock")
    program = (
        "import pathlib\nfrom reconciler.repo import lock\n"
        f"try: lock.acquire(pathlib.Path({str(tmp_path / 'lock')!r}))\nexcept lock.Locked as error: print(error)\n"
    )
    heard = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert f"process {os.getpid()} on" in heard
    held.release()


def edit(fleet: fleets.Fleet, path: str, new: bytes | None) -> Edit:
    file = fleet.top / path
    return Edit(path=path, old=file.read_bytes() if file.exists() else None, new=new)


def test_a_commit_on_the_persons_branch_holds_exactly_its_paths(tmp_path: Path) -> None:
    fleet = new_fleet(tmp_path)
    person_commits(tmp_path, "other", "1")
    (tmp_path / "other").write_text("2")
    git.run(tmp_path, "add", "--", "other")
    hook = fleet.common / "hooks/pre-commit"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    for content in (b"title: a\n", b"title: b\n", None):
        commits.commit_paths(tmp_path, "main", [edit(fleet, "state/tasks/a.yaml", content)], "Change a\n", PERSON)
        changed = git.run(tmp_path, "show", "--format=%an", "--name-only").text.split()
        assert changed == ["Ada", "state/tasks/a.yaml"]
    assert git.run(tmp_path, "status", "--porcelain").text == "M  other"
    assert len(git.history(tmp_path, "refs/heads/main", "state/tasks/a.yaml")) == 2


def test_a_commit_that_gets_in_the_persons_way_is_refused(tmp_path: Path) -> None:
    fleet = new_fleet(tmp_path)
    person_commits(tmp_path, "state/tasks/a.yaml", "title: a\n")

    def refused(saying: str) -> None:
        with pytest.raises(Refused, match=saying):
            commits.commit_paths(tmp_path, "main", [edit(fleet, "state/tasks/a.yaml", b"title: z\n")], "m", PERSON)

    (tmp_path / "state/tasks/a.yaml").write_text("title: mine\n")
    refused("uncommitted changes")
    git.run(tmp_path, "checkout", "--quiet", "--", "state/tasks/a.yaml")
    git.run(tmp_path, "checkout", "--quiet", "-b", "topic")
    refused("topic is checked out")
    git.run(tmp_path, "checkout", "--quiet", "--detach", "main")
    refused("detached")
    git.run(tmp_path, "checkout", "--quiet", "main")
    (fleet.common / "MERGE_HEAD").write_text(git.tip(tmp_path, "HEAD") or "")
    refused("merge is under way")
    assert (tmp_path / "state/tasks/a.yaml").read_text() == "title: a\n"


def test_a_commit_that_fails_puts_the_files_back(tmp_path: Path) -> None:
    fleet = new_fleet(tmp_path)
    person_commits(tmp_path, "state/tasks/a.yaml", "title: a\n")
    (fleet.common / "index.lock").touch()
    edits = [edit(fleet, "state/tasks/a.yaml", b"title: z\n"), edit(fleet, "state/tasks/n.yaml", b"title: n\n")]
    with pytest.raises(GitFailed, match=r"index\.lock"):
        commits.commit_paths(tmp_path, "main", edits, "m", PERSON)
    assert (tmp_path / "state/tasks/a.yaml").read_text() == "title: a\n"
    assert not (tmp_path / "state/tasks/n.yaml").exists()


def test_variables_that_point_elsewhere_never_reach_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new_fleet(tmp_path / "one")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "two"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert git.git_dir(tmp_path / "one") == tmp_path / "one/.git"
    with pytest.raises(GitFailed, match="git rev-parse: fatal: "):
        git.run(tmp_path / "one", "rev-parse", "HEAD", "--")


def test_who_asked_is_the_author_of_the_file_or_who_works_here(tmp_path: Path) -> None:
    fleet = new_fleet(tmp_path / "repository", below="ops")
    assert people.who_asked(fleet, "a", "reconciler") == "unknown"
    person_commits(fleet.top, "ops/state/tasks/team/a.yaml", "title: a\n")
    assert people.who_asked(fleet, "a", "reconciler") == "Ada"
    git.run(fleet.top, "config", "user.name", "Grace")
    assert people.who_asked(fleet, "a", "Ada") == "Grace"
    (fleet.root / "state/tasks/team/a.yaml").write_text("title: b\n")
    assert people.who_asked(fleet, "a", "reconciler") == "Grace"
