"""The commands as people type them: good and bad paths, exit codes, JSON, and never a traceback."""

import hashlib
import itertools
import json
import os
import pty
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.repo import schemas
from reconciler.repo.yaml.documents import Parsed
from tests.e2e import program
from tests.e2e.program import git, run
from tests.waiting import until


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fleet as `init` makes it, to be copied."""
    folder = tmp_path_factory.mktemp("fresh")
    made = run("init", "fleet", cwd=folder)
    assert made.exit == 0, made.error
    return folder / "fleet"


@pytest.fixture
def fleet(fresh: Path, tmp_path: Path) -> Path:
    """A new fleet of the test's own."""
    return shutil.copytree(fresh, tmp_path / "fleet")


def write_task(fleet: Path, name: str, goal: str = "true", **keys: object) -> Path:
    """Write and commit a task for the shell adapter."""
    path = fleet / "state" / "tasks" / f"{name}.yaml"
    data = {"title": name.title(), "goal": goal, "adapter": "shell", **keys}
    path.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in data.items()))
    git(fleet, "add", "--", str(path))
    git(fleet, "commit", "--quiet", "--message", f"Add {name}")
    return path


def observed_keys() -> set[str]:
    return set(schemas.schema("observed-task")["properties"])


@pytest.mark.parametrize("name", ["fleet", "a/b/deep", "with a space", "./-dash", "ünïcode"])
def test_init_makes_a_valid_committed_fleet(tmp_path: Path, name: str) -> None:
    here = tmp_path / "here"
    here.mkdir()
    made = run("init", name, cwd=here)
    assert made.exit == 0
    fleet = here / name
    assert git(fleet, "status", "--porcelain") == ""
    assert git(fleet, "rev-parse", "--abbrev-ref", "HEAD") == "main"
    assert git(fleet, "log", "--format=%an <%ae>") == "reconciler <reconciler@localhost>"
    files = set(git(fleet, "ls-files").splitlines())
    assert {"state/tasks/example.yaml", "hosts/localhost.yaml", "adapters/codex.yaml", "tasks.py"} <= files
    assert run("validate", cwd=fleet).exit == 0
    assert run("status", "--json", cwd=fleet).json["tasks"][0]["desired"] == "hold"
    for path in fleet.rglob("*.yaml"):
        hint = path.read_text().splitlines()[0]
        assert (path.parent / hint.split("$schema=")[1]).resolve().is_file(), path


def test_init_adds_only_its_own_files_to_a_repository(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    git(project, "init", "--quiet", "--initial-branch=main", ".")
    (project / "README.md").write_text("mine\n")
    (project / "staged.txt").write_text("staged\n")
    git(project, "add", "staged.txt")
    made = run("init", ".", "--json", cwd=project)
    assert made.exit == 0
    assert made.json["kept"] == ["README.md"]
    assert (project / "README.md").read_text() == "mine\n"
    assert git(project, "status", "--porcelain").splitlines() == ["A  staged.txt", "?? README.md"]


def test_init_never_overwrites_a_fleet(fleet: Path) -> None:
    (fleet / "hosts" / "localhost.yaml").write_text("mine: true\n")
    again = run("init", str(fleet), cwd=fleet)
    assert again.exit == 1
    assert "exists already; nothing was changed" in again.complaint
    assert (fleet / "hosts" / "localhost.yaml").read_text() == "mine: true\n"


def test_init_refuses_a_file_and_another_branch(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "is a file" in run("init", "file", cwd=tmp_path).complaint
    project = tmp_path / "project"
    project.mkdir()
    git(project, "init", "--quiet", "--initial-branch=trunk", ".")
    refused = run("init", "project", cwd=tmp_path)
    assert (refused.exit, refused.complaint) == (1, "reconciler: trunk is checked out; check out main first")
    assert list(project.iterdir()) == [project / ".git"]


def test_reconciler_alone_shows_the_commands_in_groups(tmp_path: Path) -> None:
    said = run(cwd=tmp_path)
    assert said.exit == 0
    for word in ("Begin", "Run", "Look", "Change", "status [TASK]", "validate [PATH...]", "why TASK"):
        assert word in said.out
    assert run("--version", cwd=tmp_path).out.startswith("reconciler 0.")
    taught = run("status", "--help", cwd=tmp_path).out
    assert "--watch" in taught
    assert "Examples:" in taught


def test_wrong_usage_is_one_line_and_exit_2(tmp_path: Path) -> None:
    for words in (
        ["stauts"],
        ["status", "--jsn"],
        ["why"],
        ["logs", "a", "--run", "x"],
        ["--fleet"],
        ["reconcile", "--listen", "8732"],
    ):
        wrong = run(*words, cwd=tmp_path)
        assert wrong.exit == 2, words
        assert wrong.complaint.startswith("reconciler: "), words
    nowhere = run("status", cwd=tmp_path)
    assert nowhere.exit == 2
    assert "reconciler init PATH" in nowhere.complaint


def test_the_fleet_is_named_by_option_by_variable_or_by_the_folder(fleet: Path, tmp_path: Path) -> None:
    inside = fleet / "state" / "tasks"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for words in itertools.permutations(("example", "--json", f"--fleet={fleet}")):
        said = run("status", *words, cwd=elsewhere)
        assert said.json["id"] == "example", words
    assert run("--fleet", str(fleet), "status", "--json", cwd=elsewhere).exit == 0
    assert run("status", cwd=elsewhere, env={"RECONCILER_FLEET": str(fleet)}).exit == 0
    assert run("status", "--fleet", str(fleet), cwd=elsewhere, env={"RECONCILER_FLEET": "/nowhere"}).exit == 0
    assert run("status", cwd=inside).exit == 0
    assert run("status", "--fleet", str(elsewhere), cwd=fleet).exit == 2


def test_invoke_runs_the_same_collection(fleet: Path) -> None:
    listed = run("--list", cwd=fleet, module="invoke").out
    for name in ("init", "demo", "new", "validate", "plan", "reconcile", "status", "why", "logs", "hosts", "adapters",
                 "prompt", "cancel", "hold", "release", "retry", "archive", "token"):  # fmt: skip
        assert f"  {name} " in listed
    by_invoke = run("status", "--task", "example", "--json", cwd=fleet, module="invoke")
    by_reconciler = run("status", "example", "--json", cwd=fleet)
    assert by_invoke.json == by_reconciler.json
    assert run("why", "example", cwd=fleet, module="invoke").exit == 0
    assert run("why", "--help", cwd=fleet, module="invoke").out == run("why", "--help", cwd=fleet).out
    failed = run("why", "nothing", cwd=fleet, module="invoke")
    assert (failed.exit, failed.complaint) == (1, run("why", "nothing", cwd=fleet).complaint)
    assert run("validate", "--paths", "state/tasks/example.yaml", cwd=fleet, module="invoke").exit == 0
    assert run("logs", "--task", "example", "--run", "x", cwd=fleet, module="invoke").exit == 2


def test_no_git_on_the_path_is_one_line(fleet: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bin"
    bare.mkdir()
    said = run("status", cwd=fleet, env={"PATH": str(bare)})
    assert said.exit == 1
    assert "git was not found on PATH" in said.complaint


def test_output_cut_by_a_reader_is_no_error(fleet: Path) -> None:
    with program.start("reconciler", "adapters", cwd=fleet, env=program.environment(fleet.parent / "home")) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(program.TIMEOUT_S) == 0


def test_a_deleted_current_folder_is_one_line(tmp_path: Path) -> None:
    script = "mkdir gone && cd gone && rmdir ../gone && exec python -m reconciler status"
    process = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=program.environment(tmp_path / "home"), capture_output=True, check=False
    )
    assert process.returncode == 2
    assert process.stderr.decode() == "reconciler: the current folder no longer exists; change to another one first\n"


def test_new_writes_checks_and_commits_one_file(fleet: Path) -> None:
    (fleet / "unrelated.txt").write_text("mine\n")
    git(fleet, "add", "unrelated.txt")
    made = run("new", "Fix the Löwe: now!", "--goal", "Do it.\nWell.", "--priority", "3", "--hold", "--json", cwd=fleet)
    assert made.exit == 0
    assert made.json["id"] == "fix-the-lowe-now"
    assert made.json["path"] == "state/tasks/fix-the-lowe-now.yaml"
    assert git(fleet, "show", "--format=", "--name-only", "HEAD") == "state/tasks/fix-the-lowe-now.yaml"
    shown = run("status", "fix-the-lowe-now", "--json", cwd=fleet).json
    assert (shown["title"], shown["desired"], shown["phase"]) == ("Fix the Löwe: now!", "hold", "created")
    assert git(fleet, "status", "--porcelain") == "A  unrelated.txt"


@pytest.mark.parametrize(
    ("title", "name"), [("!!!", "task"), ("你好", "task"), ("x" * 300, "x" * 50), ("example", "example-2")]
)
def test_new_makes_an_id_of_any_title(fleet: Path, title: str, name: str) -> None:
    made = run("new", title, "--goal", "x", "--json", cwd=fleet)
    assert made.exit == 0
    assert made.json["id"] == name


def test_new_refuses_what_would_not_be_valid(fleet: Path) -> None:
    before = git(fleet, "rev-parse", "HEAD")
    for code, words in (
        (1, ["new", "two\nlines", "--goal", "x"]),
        (1, ["new", "T", "--goal", "x", "--adapter", "codx"]),
        (1, ["new", "T", "--goal", "x", "--depends-on", "nobody"]),
        (1, ["new", "T", "--goal", "x", "--host", "mars"]),
        (2, ["new", "T", "--goal", "x", "--id", "Not An Id"]),
        (1, ["new", "T", "--goal", "x", "--id", "example"]),
        (2, ["new", "T", "--goal", "  "]),
        (2, ["new", "T"]),
    ):
        refused = run(*words, cwd=fleet)
        assert refused.exit == code, words
        assert refused.complaint.startswith("reconciler: "), words
    assert git(fleet, "rev-parse", "HEAD") == before
    assert git(fleet, "status", "--porcelain") == ""


def test_new_reads_a_goal_from_standard_input(fleet: Path) -> None:
    made = run("new", "From a pipe", "--goal", "-", cwd=fleet, stdin=b"Line one.\nLine two.\n")
    assert made.exit == 0
    assert "Line one.\n  Line two.\n" in (fleet / "state/tasks/from-a-pipe.yaml").read_text()
    huge = run("new", "Huge", "--goal", "-", cwd=fleet, stdin=b"x" * 600_000)
    assert huge.exit == 1
    assert "256 KiB" in huge.complaint


def test_new_writes_the_path_of_a_repository_that_is_here_whole(fleet: Path) -> None:
    (fleet.parent / "shop.git").mkdir()
    for given, written in (("../shop.git", str(fleet.parent / "shop.git")), ("../nowhere.git", "../nowhere.git")):
        made = run("new", "Work", "--goal", "x", "--repository", given, "--json", cwd=fleet)
        assert f'repository: "{written}"\n' in (fleet / made.json["path"]).read_text()


def test_new_opens_the_editor_on_a_terminal(fleet: Path, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/^  $/  Written by hand./" "$1"\n')
    editor.chmod(0o755)
    answer = on_terminal(fleet, "new", "By hand", env={"EDITOR": str(editor)})
    assert b"state/tasks/by-hand.yaml" in answer
    assert run("prompt", "by-hand", cwd=fleet).out.startswith("# By hand\n\n## Goal\n\nWritten by hand.\n")
    assert b"no goal was written" in on_terminal(fleet, "new", "Nothing", env={"EDITOR": "true"})
    assert b"cannot be started" in on_terminal(fleet, "new", "Nothing", env={"EDITOR": "/no/such/editor"})


def on_terminal(fleet: Path, *words: str, env: dict[str, str] | None = None) -> bytes:
    """Run a command on a terminal of its own; all that it shows."""
    mine, its = pty.openpty()
    environment = program.environment(fleet.parent / "home", {"TERM": "xterm", **(env or {})})
    process = program.start("reconciler", *words, cwd=fleet, env=environment, stdin=its, stdout=its, stderr=its)
    os.close(its)
    shown = b"".join(_read_all(mine))
    assert process.wait(program.TIMEOUT_S) is not None
    os.close(mine)
    assert b"Traceback" not in shown
    return shown


def _read_all(descriptor: int) -> Iterator[bytes]:
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:
            return
        if not chunk:
            return
        yield chunk


def test_validate_names_every_error_with_its_place(fleet: Path) -> None:
    tasks = fleet / "state" / "tasks"
    (tasks / "typo.yaml").write_text("title: T\ngoal: g\nadapter: shell\nprioriti: 3\n")
    (tasks / "binary.yaml").write_bytes(b"\xff\xfe\x00binary")
    (tasks / "conflict.yaml").write_text("title: T\n<<<<<<< HEAD\ngoal: a\n=======\ngoal: b\n>>>>>>> x\n")
    (tasks / "Bad Name.yaml").write_text("title: T\ngoal: g\n")
    found = run("validate", "--json", cwd=fleet)
    assert found.exit == 1
    problems = found.json["problems"]
    assert {frozenset(one) for one in problems} == {frozenset(("file", "line", "column", "message"))}
    by_file = {one["file"]: one for one in problems}
    assert by_file["state/tasks/typo.yaml"]["line"] == 4
    assert 'did you mean "priority"?' in by_file["state/tasks/typo.yaml"]["message"]
    assert len(by_file) == 4
    plain = run("validate", cwd=fleet)
    assert "state/tasks/typo.yaml:4:1: " in plain.out
    assert run("status", "--json", cwd=fleet).json["problems"] != []


def test_validate_knows_the_tasks_that_a_clone_has_only_a_record_of(fleet: Path, tmp_path: Path) -> None:
    (fleet / "state/tasks/dependent.yaml").write_text("title: T\ngoal: 'true'\nadapter: shell\ndepends_on: [gone]\n")
    git(fleet, "add", "state")
    git(fleet, "commit", "--quiet", "--message=Depend on a task that was done and removed")
    record = git(fleet, "commit-tree", "-m", "x", f"{git(fleet, 'rev-parse', 'HEAD')}^{{tree}}")
    git(fleet, "branch", "observed", record)
    git(tmp_path, "clone", "--quiet", str(fleet), "clone")
    assert 'unknown task "gone"' in run("validate", cwd=tmp_path / "clone").out
    (fleet / "state/observed/done/2026-11-22").mkdir(parents=True)
    (fleet / "state/observed/done/2026-11-22/gone.yaml").write_text("phase: completed\n")
    git(fleet, "add", "--force", "state/observed")
    record = git(fleet, "commit-tree", "-p", record, "-m", "y", git(fleet, "write-tree"))
    git(fleet, "branch", "--force", "observed", record)
    git(tmp_path / "clone", "fetch", "--quiet")
    assert run("validate", cwd=tmp_path / "clone").exit == 0


def test_validate_looks_at_named_files_and_folders_only(fleet: Path) -> None:
    (fleet / "state/tasks/bad.yaml").write_text("title: T\n")
    assert run("validate", "state/tasks/example.yaml", cwd=fleet).exit == 0
    assert run("validate", "hosts", "adapters", cwd=fleet).exit == 0
    assert run("validate", "bad.yaml", "example.yaml", cwd=fleet / "state/tasks").exit == 1
    assert run("validate", "state/tasks", cwd=fleet).exit == 1
    assert "does not exist" in run("validate", "nothing.yaml", cwd=fleet).complaint
    assert "is no task, host" in run("validate", "README.md", cwd=fleet).complaint


def test_status_as_json_has_every_key_of_an_observed_task(fleet: Path) -> None:
    board = run("status", "--json", cwd=fleet).json
    assert set(board) == {"tasks", "hosts", "breakers", "forge", "remote", "problems"}
    (task,) = board["tasks"]
    assert observed_keys() | {"id", "title", "desired"} == set(task)
    assert (task["runs"], task["epoch"], task["reason"], task["phase"]) == ([], 0, None, "created")
    (host,) = board["hosts"]
    assert (host["id"], host["slots"], host["running"], host["reachable"]) == ("localhost", 2, 0, True)


def test_an_unknown_task_is_one_line_with_a_hint(fleet: Path) -> None:
    for command in ("status", "why", "logs", "prompt", "cancel", "hold", "release", "retry"):
        missing = run(command, "exmaple", cwd=fleet)
        assert (missing.exit, missing.complaint) == (1, 'reconciler: there is no task "exmaple"; did you mean example?')


def test_why_names_every_condition_and_who_can_change_it(fleet: Path) -> None:
    write_task(fleet, "later", depends_on=["example"], requires=["gpu"])
    conditions = run("why", "later", "--json", cwd=fleet).json["conditions"]
    said = " ".join(one["why"] for one in conditions)
    assert "example" in said
    assert "gpu" in said
    assert all(set(one) == {"why", "who", "until"} for one in conditions)
    assert "desired: hold (the author can change that)" in run("why", "example", cwd=fleet).out


def test_plan_says_what_a_pass_would_do_and_does_nothing(fleet: Path) -> None:
    assert run("plan", "--json", cwd=fleet).json == {"actions": [], "wake_at": None}
    assert run("plan", cwd=fleet).out == "nothing to do\n"
    assert git(fleet, "for-each-ref", "--format=%(refname)") == "refs/heads/main"


def test_a_prompt_is_printed_exactly_and_an_adapter_may_want_the_goal_alone(fleet: Path) -> None:
    write_task(fleet, "plain", goal="echo 'no newline at the end'")
    assert run("prompt", "plain", cwd=fleet).raw == b"echo 'no newline at the end'"
    assert run("prompt", "plain", "--json", cwd=fleet).json["sha256"]


def test_nothing_that_looks_writes_to_the_work_tree_or_the_branches(fleet: Path) -> None:
    before = git(fleet, "for-each-ref")
    for words in (
        ["status"],
        ["why", "example"],
        ["plan"],
        ["validate"],
        ["hosts"],
        ["adapters"],
        ["prompt", "example"],
    ):
        assert run(*words, cwd=fleet).exit == 0
    assert git(fleet, "status", "--porcelain") == ""
    assert git(fleet, "for-each-ref") == before


def test_a_pipe_gets_whole_ids_and_a_terminal_gets_colour(fleet: Path) -> None:
    name = "a-very-long-name-that-no-terminal-of-eighty-columns-would-show"
    write_task(fleet, name, title="T" * 200)
    assert name in run("status", cwd=fleet, env={"COLUMNS": "20"}).out
    assert "\x1b" not in run("status", cwd=fleet).out
    assert b"\x1b[" in on_terminal(fleet, "status")
    assert b"\x1b[3" not in on_terminal(fleet, "status", env={"NO_COLOR": "1"})


def test_edits_keep_comments_and_commit_only_that_path(fleet: Path) -> None:
    path = fleet / "state/tasks/example.yaml"
    before = path.read_text()
    (fleet / "other.txt").write_text("staged\n")
    git(fleet, "add", "other.txt")
    assert run("release", "example", cwd=fleet).exit == 0
    assert path.read_text() == before.replace("desired: hold", "desired: run")
    assert run("cancel", "example", "--json", cwd=fleet).json["path"] == "state/tasks/example.yaml"
    assert run("retry", "example", cwd=fleet).exit == 0
    assert "generation: 2" in path.read_text()
    assert "desired: run" in path.read_text()
    path.write_text(path.read_text().replace("generation: 2", "generation: 2.0"))
    git(fleet, "commit", "--quiet", "--message=A number written otherwise", "--", "state/tasks")
    assert run("retry", "example", cwd=fleet).exit == 0
    assert "generation: 3\n" in path.read_text()
    assert run("hold", "example", cwd=fleet).exit == 0
    again = run("hold", "example", cwd=fleet)
    assert "says so already" in again.out
    subjects = git(fleet, "log", "--format=%s", "-6").splitlines()
    assert subjects[:2] == ["Hold example", "Retry example"]
    assert subjects[3:] == ["Retry example", "Cancel example", "Release example"]
    assert git(fleet, "show", "--format=", "--name-only", "HEAD") == "state/tasks/example.yaml"
    assert git(fleet, "status", "--porcelain") == "A  other.txt"


def test_edits_are_refused_when_they_would_get_in_the_way(fleet: Path) -> None:
    path = fleet / "state/tasks/example.yaml"
    path.write_text(path.read_text() + "# mine\n")
    refused = run("release", "example", cwd=fleet)
    assert (refused.exit, "uncommitted changes" in refused.complaint) == (1, True)
    git(fleet, "checkout", "--quiet", "--", ".")
    git(fleet, "checkout", "--quiet", "-b", "other")
    assert "check out main first" in run("release", "example", cwd=fleet).complaint
    git(fleet, "checkout", "--quiet", "--detach")
    assert "HEAD is detached" in run("release", "example", cwd=fleet).complaint
    git(fleet, "checkout", "--quiet", "main")
    (fleet / ".git" / "MERGE_HEAD").write_text(git(fleet, "rev-parse", "HEAD") + "\n")
    assert "a merge is under way" in run("release", "example", cwd=fleet).complaint
    assert "a merge is under way" in run("hold", "example", cwd=fleet).complaint


def test_an_edit_of_a_broken_file_is_refused_with_its_place(fleet: Path) -> None:
    write_task(fleet, "broken", nonsense=1)
    refused = run("hold", "broken", cwd=fleet)
    assert refused.exit == 1
    assert "state/tasks/broken.yaml:4:1: " in refused.complaint


def test_a_fleet_in_a_subfolder_of_a_repository_is_edited_in_place(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "ops").mkdir(parents=True)
    git(project, "init", "--quiet", "--initial-branch=main", ".")
    (project / "ops" / "notes.txt").write_text("x\n")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message", "Begin")
    assert run("init", "ops", cwd=project).exit == 0
    assert not (project / "ops" / ".git").exists()
    assert run("release", "example", cwd=project / "ops").exit == 0
    assert git(project, "show", "--format=", "--name-only", "HEAD") == "ops/state/tasks/example.yaml"
    assert run("new", "Sub", "--goal", "x", cwd=project, env={"RECONCILER_FLEET": "ops"}).exit == 0


def test_an_unborn_branch_takes_a_first_commit(tmp_path: Path) -> None:
    fleet = tmp_path / "fleet"
    (fleet / "state" / "tasks").mkdir(parents=True)
    (fleet / "state" / "settings.yaml").write_text("default_adapter: a\n")
    (fleet / "adapters").mkdir()
    (fleet / "adapters" / "a.yaml").write_text("run: [sh, '{prompt_file}']\n")
    git(fleet, "init", "--quiet", "--initial-branch=main", ".")
    assert run("status", cwd=fleet).exit == 0
    assert run("new", "First", "--goal", "x", cwd=fleet).exit == 0
    assert git(fleet, "log", "--format=%s") == "Add first"


def test_a_token_is_printed_once_and_only_its_digest_is_kept(fleet: Path) -> None:
    (fleet / "hosts" / "laptop.yaml").write_text("# my laptop\ntransport: pull\n")
    first = run("token", "laptop", cwd=fleet)
    assert (first.exit, first.error, first.raw.count(b"\n")) == (0, "", 1)
    assert len(first.out.strip()) >= 43
    git(fleet, "add", "hosts")
    git(fleet, "commit", "--quiet", "--message", "Add laptop")
    tokens = [first, *(run("token", "laptop", cwd=fleet) for _ in range(2))]
    text = (fleet / "hosts" / "laptop.yaml").read_text()
    digests = [hashlib.sha256(one.out.strip().encode()).hexdigest() for one in tokens]
    assert [digest in text for digest in digests] == [False, True, True]
    assert "# my laptop" in text
    assert git(fleet, "status", "--porcelain") == ""
    assert "only a pull host has tokens" in run("token", "localhost", cwd=fleet).complaint
    assert "did you mean laptop?" in run("token", "laptp", cwd=fleet).complaint


def test_a_token_for_the_board_is_made_by_a_command(fleet: Path) -> None:
    settings = fleet / "state" / "settings.yaml"
    before = settings.read_text()
    first = run("token", "--board", cwd=fleet)
    assert (first.exit, first.error, first.raw.count(b"\n")) == (0, "", 1)
    assert settings.read_text().startswith(before)
    tokens = [first, *(run("token", "--board", cwd=fleet) for _ in range(2))]
    digests = [hashlib.sha256(one.out.strip().encode()).hexdigest() for one in tokens]
    assert [digest in settings.read_text() for digest in digests] == [False, True, True]
    assert git(fleet, "log", "-1", "--format=%s") == "Give the board a new token"
    assert (git(fleet, "status", "--porcelain"), run("validate", cwd=fleet).exit) == ("", 0)
    git(fleet, "rm", "--quiet", "state/settings.yaml")
    git(fleet, "commit", "--quiet", "--message", "Without settings")
    assert run("token", "--board", cwd=fleet).exit == 0
    assert settings.read_text().startswith("board:")
    assert "takes a pull host, or --board" in run("token", cwd=fleet).complaint
    assert run("token", "localhost", "--board", cwd=fleet).exit == 2


def test_a_task_runs_to_its_end_and_everything_tells_of_it(fleet: Path) -> None:
    write_task(fleet, "speak", goal="echo one; printf '\\377\\000two'; echo three >&2")
    ran = run("reconcile", "--until-idle", "--no-listen", cwd=fleet)
    assert ran.exit == 0, ran.error
    moves = [line.split(" ", 1)[1].split(" (")[0] for line in ran.out.splitlines()]
    assert moves[0] == "speak: created -> assigned"
    assert moves[-1].endswith(" -> completed")
    printed = run("logs", "speak", cwd=fleet)
    assert (printed.raw, printed.error) == (b"one\n\xff\x00two", "three\n")
    assert run("logs", "speak", "--follow", "--run", "1", cwd=fleet).raw == printed.raw
    assert "its runs are 1" in run("logs", "speak", "--run", "2", cwd=fleet).complaint
    together = run("logs", "sp*", cwd=fleet)
    assert together.raw == b"speak | one\nspeak | \xff\x00two\n"
    assert together.error == "+ speak: run 1 on localhost\nspeak | three\n- speak: run 1 succeeded\n"
    assert "has had a run yet" in run("logs", "ex*", cwd=fleet).complaint
    shown = run("status", "speak", "--json", cwd=fleet).json
    assert (shown["phase"], shown["runs"][0]["outcome"]) == ("completed", "succeeded")
    file = {key: value for key, value in shown.items() if key in observed_keys() and value is not None}
    file["runs"] = [{key: value for key, value in one.items() if value is not None} for one in shown["runs"]]
    assert schemas.validate("observed-task", Parsed(data=file, keys={}, values={}), "shown") == ()
    archive(fleet)


def archive(fleet: Path) -> None:
    assert run("archive", "--before", "2020-01-01", cwd=fleet).out.startswith("nothing to archive")
    put_away = run("archive", "--json", cwd=fleet).json["archived"]
    assert [one["id"] for one in put_away] == ["speak"]
    assert (fleet / put_away[0]["path"]).is_file()
    assert git(fleet, "show", "--format=%s", "--name-status", "-M", "HEAD").startswith("Archive speak\n")
    assert git(fleet, "status", "--porcelain") == ""
    assert [one["id"] for one in run("status", "--json", cwd=fleet).json["tasks"]] == ["example"]
    assert run("status", "speak", cwd=fleet).exit == 0
    assert "is archived" in run("retry", "speak", cwd=fleet).complaint


def test_a_failed_task_is_exit_1(fleet: Path) -> None:
    write_task(fleet, "fail", goal="exit 3", max_attempts=1)
    ran = run("reconcile", "--until-idle", "--json", cwd=fleet)
    assert ran.exit == 1
    lines: list[dict[str, Any]] = [json.loads(line) for line in ran.out.splitlines()]
    assert [(line["task"], line["to"]) for line in lines][-1] == ("fail", "failed")
    assert run("status", "fail", cwd=fleet).exit == 1
    assert run("status", cwd=fleet).exit == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 0)])
def test_a_stopped_reconciler_leaves_its_runs_alone(fleet: Path, number: signal.Signals, code: int) -> None:
    go = fleet.parent / "go"
    write_task(fleet, "wait", goal=f"echo begun; until [ -e '{go}' ]; do sleep 0.1; done; echo over")
    environment = program.environment(fleet.parent / "home")
    process = program.start("reconciler", "reconcile", "--no-listen", cwd=fleet, env=environment)
    until(lambda: run("status", "wait", "--json", cwd=fleet).json["phase"] == "running")
    second = run("reconcile", "--once", cwd=fleet)
    assert (second.exit, "already works on this fleet" in second.complaint) == (1, True)
    process.send_signal(number)
    _, error = process.communicate(timeout=program.TIMEOUT_S)
    assert process.returncode == code
    assert (
        error.decode() == "reconciler: stopped; runs that are under way go on, and the next start takes them up again\n"
    )
    go.touch()
    assert run("reconcile", "--until-idle", cwd=fleet).exit == 0
    assert run("logs", "wait", cwd=fleet).raw == b"begun\nover\n"


def test_an_edit_of_what_happened_is_put_back_with_a_hint(fleet: Path) -> None:
    write_task(fleet, "done")
    assert run("reconcile", "--until-idle", cwd=fleet).exit == 0
    (record,) = (fleet / "state/observed/done").rglob("done.yaml")
    before = record.read_bytes()
    environment = program.environment(fleet.parent / "home")
    process = program.start("reconciler", "reconcile", "--no-listen", cwd=fleet, env=environment)
    until(lambda: (fleet / ".reconciler" / "lock").read_text().startswith(str(process.pid)))
    record.write_text("phase: failed\n")
    until(lambda: record.read_bytes() == before)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=program.TIMEOUT_S)
    assert b"was put back: it is written by the reconciler alone" in out


def test_hosts_and_adapters_are_checked_now(fleet: Path) -> None:
    checked = run("hosts", "--check", "--json", cwd=fleet)
    assert checked.exit == 0
    (host,) = checked.json["hosts"]
    assert (host["reachable"], host["misconfigured"]) == (True, False)
    assert host["versions"]["git"]
    listed = run("adapters", "--check", "--json", cwd=fleet).json["adapters"]
    assert {"codex", "claude-code", "shell"} <= {one["id"] for one in listed}
    (fleet / "hosts" / "far.yaml").write_text("transport: ssh\naddress: 127.0.0.1\nport: 1\n")
    failed = run("hosts", "--check", cwd=fleet)
    assert failed.exit == 1
    assert "far" in failed.out
