"""The files that people wrote, read from real repositories: what is in force, what is not, and why."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.core.desired import Desired
from reconciler.core.terms import Delivery, Wish
from reconciler.repo import git
from reconciler.repo.desired import fleetfiles, validation
from reconciler.repo.desired.blobs import Store, blob_id
from reconciler.repo.desired.files import DesiredFiles
from reconciler.repo.desired.news import News
from reconciler.repo.fleet import IN_FORCE
from reconciler.repo.journal import Journal

NOW = datetime(2040, 1, 1, tzinfo=UTC)
TASK = "title: Fix it\ngoal: Make it work\nadapter: shell\n"
SHELL = "run: [sh, '{prompt_file}']\nprompt_text: goal\n"
LOCAL = "transport: local\n"


class Fleet:
    """A real fleet repository and its desired side."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "-q", "-b", "main")
        self.write({"adapters/shell.yaml": SHELL, "hosts/here.yaml": LOCAL})
        self.commit()
        self.journal = Journal(root.parent / "journal.sqlite3")
        self.secrets: dict[str, str] = {}
        self.files = self.reopened()

    def reopened(self) -> DesiredFiles:
        return DesiredFiles(self.root, journal=self.journal, secret=self.secrets.get, key=b"key")

    def git(self, *args: str) -> str:
        identity = ("-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgSign=false")
        env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(["git", *identity, *args], cwd=self.root, env=env, capture_output=True, check=True)
        return done.stdout.decode().strip()

    def write(self, files: Mapping[str, str]) -> None:
        for path, text in files.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_bytes(text.encode())

    def task(self, text: str = TASK, name: str = "a") -> None:
        self.write({f"state/tasks/{name}.yaml": text})

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", "change")

    def now(self, *observed: str, seconds: int = 0, **others: list[str]) -> Desired:
        finished, live = others.get("finished_ids", []), others.get("live_hosts", [])
        at = NOW + timedelta(seconds=seconds)
        return self.files.refresh(at, observed_ids=observed, finished_ids=finished, live_hosts=live)

    def messages(self) -> list[str]:
        return [f"{one.file}:{one.line}:{one.column}: {one.message}" for one in self.now().problems]


@pytest.fixture(autouse=True)
def _own_git_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    root = tmp_path / "fleet"
    root.mkdir()
    made = Fleet(root)
    yield made
    made.journal.close()


def test_an_uncommitted_file_is_in_force_and_its_bytes_are_in_the_object_store(fleet: Fleet) -> None:
    fleet.task("title: T\ngoal: |\n  öne\r\n")
    fleet.write({"state/settings.yaml": "default_adapter: shell\n"})
    found = fleet.now()
    document = found.tasks["a"]
    assert fleet.git("rev-parse", "--verify", f"{document.spec}^{{blob}}") == document.spec
    assert git.read_blobs(fleet.root, [document.spec])[document.spec] == "title: T\ngoal: |\n  öne\r\n".encode()
    assert (document.value.adapter, document.value.branch, document.value.pr_title) == ("shell", "task/a", "T")
    assert document.value.delivery is Delivery.NONE
    assert found.problems == ()
    assert found.refused == {}


def test_only_a_file_with_another_stamp_is_read_again(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        fleet.task(name=f"deep/er/t{number}")
    fleet.now()
    fleet.task(TASK + "desired: hold\n", name="deep/er/t3")
    silent = fleet.root / "state/tasks/deep/er/t4.yaml"
    stamp = silent.stat()
    silent.write_text(TASK.replace("Fix it", "Fix at"))
    os.utime(silent, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    read = noted_reads(monkeypatch)
    second = fleet.now()
    assert second.tasks["t3"].value.desired is Wish.HOLD
    assert second.tasks["t4"].value.title == "Fix at"
    assert {path for path in read if "tasks" in path} == {f"state/tasks/deep/er/t{number}.yaml" for number in (3, 4)}


def noted_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the files that are read from now on."""
    read: list[str] = []
    really = fleetfiles.read

    def noted(root: Path, path: str) -> bytes:
        read.append(path)
        return really(root, path)

    monkeypatch.setattr(fleetfiles, "read", noted)
    return read


def test_a_file_that_was_saved_just_now_is_read_again_even_with_the_same_stamp(fleet: Fleet) -> None:
    fleet.task(TASK)
    path = fleet.root / "state/tasks/a.yaml"
    stamp = path.stat()
    moment = datetime.fromtimestamp(stamp.st_mtime, tz=UTC)
    fleet.files.refresh(moment)
    path.write_text(TASK.replace("Fix it", "Fix at"))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert fleet.files.refresh(moment).tasks["a"].value.title == "Fix at"


@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize("restarted", [True, False])
def test_a_file_that_breaks_keeps_its_last_good_version(fleet: Fleet, *, committed: bool, restarted: bool) -> None:
    fleet.task(TASK)
    if committed:
        fleet.commit()
    good = fleet.now().tasks["a"].spec
    fleet.task("title: [\n")
    fleet.files = fleet.reopened() if restarted else fleet.files
    found = fleet.now()
    assert found.tasks["a"].spec == good
    assert "a" not in found.refused
    assert [problem.file for problem in found.problems] == ["state/tasks/a.yaml"]
    fleet.task(TASK)
    assert fleet.now().problems == ()


def test_the_newest_good_version_counts_when_an_uncommitted_one_follows_a_committed_one(fleet: Fleet) -> None:
    fleet.task(TASK)
    fleet.commit()
    fleet.now()
    fleet.task(TASK + "priority: 1\n")
    fleet.now()
    fleet.task(TASK + "priority: 2\n")
    fleet.commit()
    fleet.now()
    fleet.task("<<<<<<< HEAD\n")
    fleet.files = fleet.reopened()
    assert fleet.now().tasks["a"].value.priority == 2
    assert "unresolved merge conflict" in fleet.messages()[0]


def test_without_the_journal_the_newest_valid_version_of_the_branch_counts(fleet: Fleet) -> None:
    for text in (TASK, TASK + "priority: 5\n", "title: broken\n", "goal: broken\n"):
        fleet.task(text)
        fleet.commit()
    assert fleet.now().tasks["a"].value.priority == 5


def test_a_file_that_never_was_valid_does_not_start_and_stops_no_other(fleet: Fleet) -> None:
    fleet.task("title: x\n")
    fleet.task(name="b")
    found = fleet.now()
    assert set(found.tasks) == {"b"}
    assert 'the required key "goal" is missing' in found.refused["a"]
    assert found.problems[0].line == 1


def test_two_files_with_one_stem_are_a_problem_on_both(fleet: Fleet) -> None:
    fleet.task(name="x/a")
    fleet.task(name="y/a")
    found = fleet.now()
    assert [problem.file for problem in found.problems] == ["state/tasks/x/a.yaml", "state/tasks/y/a.yaml"]
    assert "a" in found.refused


def test_names_that_cannot_be_used_are_said_and_temporary_files_are_not(fleet: Fleet) -> None:
    fleet.write({
        "state/tasks/Big.yaml": TASK, "state/tasks/ok.yml": TASK, "state/tasks/.#a.yaml": TASK,
        "state/tasks/.a.yaml.swp": "x", "state/tasks/a.yaml~": "x", "state/tasks/#a.yaml#": "x", "hosts/README.md": "x",
        "state/tasks/.hidden/a.yaml": "x", "state/tasks/4913": "x", "hosts/sub/b.yaml": "x",
    })  # fmt: skip
    (fleet.root / "state/tasks/link.yaml").symlink_to("/etc/passwd")
    found = fleet.now()
    assert found.tasks == {}
    assert [(problem.file, problem.message.split(":")[0]) for problem in found.problems] == [
        ("state/tasks/Big.yaml", "the name is no id (a-z, 0-9, _ and -, at most 63, the first a letter or digit)"),
        ("state/tasks/link.yaml", "not a plain file"),
        ("state/tasks/ok.yml", "the name ends in .yml"),
    ]


def test_a_folder_that_is_a_link_is_not_followed(fleet: Fleet, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "stranger.yaml").write_text("transport: local\n")
    (fleet.root / "state/tasks").mkdir(parents=True, exist_ok=True)
    (fleet.root / "hosts").rename(fleet.root / "were-hosts")
    (fleet.root / "hosts").symlink_to(elsewhere)
    (fleet.root / "state/tasks/sub").symlink_to(elsewhere)
    found = fleet.now()
    assert (sorted(found.tasks), "stranger" in found.hosts) == ([], False)
    assert ("hosts", "a link and not a folder") in [
        (problem.file, problem.message.split(":")[0]) for problem in found.problems
    ]


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"state/tasks/a.yaml": TASK + "depends_on: [b]\n"}, 'a.yaml:4:14: unknown task "b" in "depends_on"'),
        ({"state/tasks/a.yaml": TASK + "depends_on:\n  - a\n"}, "a.yaml:5:3: "),
        ({"state/tasks/a.yaml": TASK + "host: heer\n"}, 'a.yaml:4:7: unknown host "heer" in "host": did you'),
        ({"state/tasks/a.yaml": TASK.replace("shell", "shel")}, 'a.yaml:3:10: unknown adapter "shel" in "adapter"'),
        ({"state/tasks/a.yaml": "title: x\ngoal: y\n"}, "a.yaml:1:1: no adapter: add"),
        (
            {"state/tasks/a.yaml": TASK + "host: here\nexecution_mode: http_pull\n"},
            "a.yaml:4:7: an http_pull task needs a pull host",
        ),
        (
            {"state/tasks/a.yaml": TASK + "host: p\n", "hosts/p.yaml": "transport: pull\n"},
            'a.yaml:4:7: the host "p" only pulls',
        ),
        (
            {
                "state/tasks/a.yaml": TASK + "permissions: full\n",
                "adapters/shell.yaml": SHELL + "permissions: {workspace: []}\n",
            },
            'a.yaml:4:14: the adapter "shell" has no profile "full"',
        ),
        (
            {"state/tasks/a.yaml": TASK, "adapters/shell.yaml": SHELL + "permissions: {read_only: []}\n"},
            'a.yaml:1:1: the adapter "shell" has no profile "workspace"',
        ),
        ({"state/settings.yaml": "default_adapter: cdex\n"}, 'settings.yaml:1:18: unknown adapter "cdex"'),
        ({"hosts/b.yaml": "transport: local\nadapters: [shell, codex]\n"}, 'b.yaml:2:19: unknown adapter "codex"'),
        ({"hosts/b.yaml": "transport: ssh\naddress: b\njump: [c]\n"}, 'b.yaml:3:8: unknown host "c" in "jump"'),
        ({"hosts/b.yaml": "transport: ssh\naddress: b\njump: [here]\n"}, 'b.yaml:3:8: "jump" needs an ssh host'),
        ({"hosts/b.yaml": "transport: ssh\naddress: b\njump: [b]\n"}, 'b.yaml:3:8: "jump" names the host itself'),
        (
            {f"hosts/{a}.yaml": f"transport: ssh\naddress: {a}\njump: [{b}]\n" for a, b in ("bc", "cb", "db")},
            'c.yaml:3:8: "jump" leads back to the host itself',
        ),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_said_with_its_place(fleet: Fleet, files: dict[str, str], problem: str) -> None:
    fleet.write(files)
    found = [one for one in fleet.messages() if problem in one]
    if "depends_on:\n" in files.get("state/tasks/a.yaml", ""):
        found = [one for one in fleet.messages() if "a -> a" in one]
    assert len(found) == 1, fleet.messages()
    assert ("a" in fleet.now().refused) == ("state/tasks/a.yaml" in files)


def test_a_cycle_is_a_problem_of_its_members_only(fleet: Fleet) -> None:
    for name, other in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"), ("e", "f")):
        fleet.task(f"{TASK}depends_on: [{other}]\n", name=name)
    fleet.task(name="f")
    found = fleet.now()
    assert set(found.refused) == {"a", "b", "c"}
    assert "(a -> b -> c -> a)" in found.refused["a"]


def test_a_dependency_may_be_archived_or_observed(fleet: Fleet) -> None:
    fleet.task(TASK + "depends_on: [old, seen]\n")
    fleet.write({"state/archive/2026/01/old.yaml": TASK})
    found = fleet.now("seen", finished_ids=["seen"])
    assert (dict(found.refused), found.problems, set(found.archived)) == ({}, (), {"old"})


def test_two_spellings_of_a_repository_of_the_forge_are_one(fleet: Fleet) -> None:
    spelled = ["https://git.example.org/Team/shop.git", "ssh://git@git.example.org:2222/team/shop"]
    for name, repository in zip("ab", spelled, strict=True):
        fleet.task(f"{TASK}repository: {repository}\nbranch: task/one\n", name)
    fleet.task(f"{TASK}repository: https://elsewhere.example/team/shop\nbranch: task/one\n", "c")
    fleet.write({"state/settings.yaml": ""})
    assert fleet.messages() == []
    fleet.write({"state/settings.yaml": "forge: {kind: forgejo, url: 'https://git.example.org'}\n"})
    assert [line.partition(":")[0] for line in fleet.messages()] == ["state/tasks/a.yaml", "state/tasks/b.yaml"]


def test_unfinished_tasks_may_not_share_a_branch(fleet: Fleet) -> None:
    fleet.task(TASK + "repository: https://x/y.git\nbranch: one\n", name="a")
    fleet.task(TASK + "repository: https://x/y\nbranch: one\n", name="b")
    fleet.task(TASK + "repository: https://x/z\nbranch: one\n", name="c")
    assert set(fleet.now().refused) == {"a", "b"}
    assert set(fleet.now(finished_ids=["b"]).refused) == set()


def test_no_two_hosts_have_the_same_token(fleet: Fleet) -> None:
    one, other = "1" * 64, "2" * 64
    fleet.write({f"hosts/{name}.yaml": f"transport: pull\ntoken_sha256: ['{one}']\n" for name in ("bot", "cat")})
    fleet.write({"hosts/dog.yaml": f"transport: pull\ntoken_sha256: ['{other}']\n"})
    said = fleet.messages()
    assert [message.partition(" has the same token")[0] for message in said] == [
        'hosts/bot.yaml:2:16: "cat"',
        'hosts/cat.yaml:2:16: "bot"',
    ]


def test_an_adapter_that_breaks_keeps_its_last_good_version_and_one_without_refuses_its_tasks(fleet: Fleet) -> None:
    fleet.task(TASK)
    fleet.task(TASK.replace("shell", "other"), name="b")
    fleet.write({"adapters/other.yaml": "run: []\n"})
    fleet.now()
    fleet.write({"adapters/shell.yaml": "run: 3\n"})
    found = fleet.now()
    assert set(found.adapters) == {"shell"}
    assert set(found.refused) == {"b"}
    assert "has no valid version" in found.refused["b"]


def test_a_broken_host_serves_its_live_runs_only_and_so_does_one_that_is_gone(fleet: Fleet) -> None:
    fleet.write({"hosts/b.yaml": LOCAL + "slots: 3\n"})
    assert fleet.now().retired_hosts == frozenset()
    fleet.write({"hosts/b.yaml": "transport: lokal\n"})
    found = fleet.now()
    assert (set(found.retired_hosts), found.hosts["b"].value.slots) == ({"b"}, 3)
    (fleet.root / "hosts/b.yaml").unlink()
    assert "b" not in fleet.now().hosts
    found = fleet.now(live_hosts=["b", "here"])
    assert (set(found.retired_hosts), found.hosts["b"].value.slots) == ({"b"}, 3)


def test_a_first_run_on_a_host_makes_nobody_look_at_all_files(fleet: Fleet) -> None:
    fleet.write({"hosts/b.yaml": LOCAL})
    fleet.now()
    (fleet.root / "hosts/b.yaml").unlink()
    fleet.now()
    fleet.task(TASK, "unheard-of")
    found = fleet.files.refresh(NOW, live_hosts=["b"], news=News())
    assert (set(found.retired_hosts), set(found.tasks)) == ({"b"}, set())


def test_a_task_is_absent_only_when_its_file_is_gone_from_work_tree_and_branch(fleet: Fleet) -> None:
    fleet.task(TASK)
    fleet.commit()
    assert fleet.now("a").absent == {}
    (fleet.root / "state/tasks/a.yaml").unlink()
    found = fleet.now("a")
    assert (found.absent, found.tasks) == ({}, {})
    assert "still committed" in found.refused["a"]
    fleet.commit()
    assert fleet.now("a", seconds=5).absent == {"a": NOW + timedelta(seconds=5)}
    assert fleet.now("a", seconds=40).absent == {"a": NOW + timedelta(seconds=5)}
    assert fleet.now("a", finished_ids=["a"]).absent == {}


@pytest.mark.parametrize("sign", ["MERGE_HEAD", "rebase-merge/done", "CHERRY_PICK_HEAD", "index.lock"])
def test_nothing_is_absent_while_git_is_at_work(fleet: Fleet, sign: str) -> None:
    assert fleet.now("a", seconds=1).absent == {"a": NOW + timedelta(seconds=1)}
    path = fleet.root / ".git" / sign
    path.parent.mkdir(exist_ok=True)
    path.write_text("x")
    found = fleet.now("a", seconds=2)
    assert found.absent == {}
    assert "under way" in found.refused["a"]
    path.unlink()
    if path.parent.name != ".git":
        path.parent.rmdir()
    assert fleet.now("a", seconds=60).absent == {"a": NOW + timedelta(seconds=60)}


def test_a_file_that_moves_between_folders_is_no_event(fleet: Fleet) -> None:
    fleet.task(name="x/a")
    before = fleet.now("a").tasks["a"]
    (fleet.root / "state/tasks/y").mkdir()
    (fleet.root / "state/tasks/x/a.yaml").rename(fleet.root / "state/tasks/y/a.yaml")
    after = fleet.now("a")
    assert after.tasks["a"] == before
    assert after.absent == {}


def test_with_a_remote_only_the_tip_of_the_branch_counts(fleet: Fleet) -> None:
    fleet.write({"state/settings.yaml": "remote: origin\n"})
    fleet.task(TASK)
    fleet.commit()
    fleet.task(TASK + "priority: 9\n")
    fleet.task(name="b")
    found = fleet.now("gone")
    assert (set(found.tasks), found.tasks["a"].value.priority) == ({"a"}, 0)
    assert found.absent == {"gone": NOW}
    fleet.commit()
    assert fleet.now().tasks["a"].value.priority == 9
    fleet.task("title: [\n")
    fleet.commit()
    found = fleet.now()
    assert found.tasks["a"].value.priority == 9
    assert found.problems[0].file == "state/tasks/a.yaml"


def test_with_a_remote_the_ref_that_is_in_force_counts_and_not_the_branch(fleet: Fleet, tmp_path: Path) -> None:
    fleet.write({"state/settings.yaml": "remote: origin\n"})
    fleet.task(TASK)
    fleet.commit()
    fleet.git("update-ref", IN_FORCE, "main")
    fleet.task(TASK + "priority: 9\n")
    fleet.task(name="b")
    fleet.commit()
    journal = Journal(tmp_path / "another.sqlite3")
    files = DesiredFiles(fleet.root, journal=journal, secret=fleet.secrets.get, key=b"key", ref=IN_FORCE)
    found = files.refresh(NOW)
    assert (set(found.tasks), found.tasks["a"].value.priority) == ({"a"}, 0)
    fleet.git("update-ref", IN_FORCE, "main")
    found = files.refresh(NOW)
    assert (set(found.tasks), found.tasks["a"].value.priority) == ({"a", "b"}, 9)


def test_a_branch_that_is_not_there_makes_nothing_absent(fleet: Fleet) -> None:
    fleet.write({"state/settings.yaml": "remote: origin\n"})
    fleet.git("branch", "-m", "main", "other")
    found = fleet.now("a")
    assert (dict(found.absent), set(found.refused)) == ({}, {"a"})


def test_folders_with_odd_names_are_read_and_stored_too(fleet: Fleet) -> None:
    fleet.task(name='new\nline/"quoted/a')
    document = fleet.now().tasks["a"]
    assert git.read_blobs(fleet.root, [document.spec])[document.spec] == TASK.encode()


def test_a_file_that_cannot_be_read_is_a_problem_and_its_last_good_version_stays(fleet: Fleet) -> None:
    fleet.task(TASK + "priority: 4\n")
    fleet.now()
    path = fleet.root / "state/tasks/a.yaml"
    path.unlink()
    path.write_bytes(b"a: " + b"x" * 10_000_000)
    found = fleet.now()
    assert found.tasks["a"].value.priority == 4
    assert "larger than 256 KiB" in found.problems[0].message


def test_nothing_that_people_staged_or_stashed_is_touched(fleet: Fleet) -> None:
    fleet.task(TASK)
    fleet.git("add", "state")
    fleet.task(TASK + "priority: 1\n")
    before = (
        fleet.git("status", "--porcelain"),
        fleet.git("rev-parse", "HEAD"),
        (fleet.root / ".git/index").read_bytes(),
    )
    fleet.now()
    after = (
        fleet.git("status", "--porcelain"),
        fleet.git("rev-parse", "HEAD"),
        (fleet.root / ".git/index").read_bytes(),
    )
    assert after == before


def test_secrets_are_known_by_a_digest_that_changes_with_their_value(fleet: Fleet) -> None:
    fleet.secrets.update(ONE="1", TWO="2", OTHER="3")
    fleet.task(TASK + "secrets: [ONE, MISSING]\n")
    fleet.write({"adapters/shell.yaml": SHELL + "secrets: [TWO]\n"})
    first = fleet.now().secrets
    assert set(first) == {"ONE", "TWO"}
    assert all(len(digest) == 64 for digest in first.values())
    fleet.secrets["ONE"] = "new"
    second = fleet.now().secrets
    assert (second["ONE"] != first["ONE"], second["TWO"] == first["TWO"]) == (True, True)


def test_settings_that_break_keep_their_last_good_version(fleet: Fleet) -> None:
    fleet.write({"state/settings.yaml": "lease: 5m\n"})
    assert fleet.now().settings.lease == timedelta(minutes=5)
    fleet.write({"state/settings.yaml": "lease: 5 minutes\n"})
    found = fleet.now()
    assert found.settings.lease == timedelta(minutes=5)
    assert len(found.problems) == 1


def test_a_fleet_may_be_a_folder_of_a_repository(fleet: Fleet, tmp_path: Path) -> None:
    inner = fleet.root / "ops" / "fleet"
    fleet.write({"ops/fleet/state/tasks/a.yaml": TASK, "ops/fleet/adapters/shell.yaml": SHELL})
    fleet.commit()
    files = DesiredFiles(inner, journal=Journal(tmp_path / "j"), secret=fleet.secrets.get, key=b"k")
    good = files.refresh(NOW).tasks["a"].spec
    (inner / "state/tasks/a.yaml").write_text("broken")
    assert files.refresh(NOW).tasks["a"].spec == good
    (inner / "state/tasks/a.yaml").unlink()
    assert files.refresh(NOW, observed_ids=["a"]).absent == {}


def test_a_sha256_repository_names_versions_as_git_does(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "--object-format=sha256", str(tmp_path)], check=True)
    (tmp_path / "hosts").mkdir()
    (tmp_path / "hosts" / "a.yaml").write_text(LOCAL)
    files = DesiredFiles(tmp_path, journal=Journal(tmp_path / "j"), secret=lambda _: None, key=b"k")
    spec = files.refresh(NOW).hosts["a"].spec
    assert git.read_blobs(tmp_path, [spec])[spec] == LOCAL.encode()


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_a_version_that_was_saved_is_an_object_that_git_takes_for_its_own(tmp_path: Path, algorithm: str) -> None:
    git.run(tmp_path, "init", "--quiet", f"--object-format={algorithm}", ".")
    store = Store.of(tmp_path)
    contents = {f"hosts/{number}.yaml": f"{LOCAL}# {number}\n" for number in range(3)}
    for path, text in contents.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    ids = {path: blob_id(text.encode(), algorithm) for path, text in contents.items()}
    (store.objects / ids["hosts/1.yaml"][:2]).mkdir(exist_ok=True)
    assert store.keep({**ids, "hosts/2.yaml": "0" * len(ids["hosts/2.yaml"])}, {}) == {"hosts/2.yaml"}
    at_hand = {path: text.encode() for path, text in contents.items() if path != "hosts/0.yaml"}
    assert store.keep(ids, at_hand) == frozenset()
    assert git.read_blobs(tmp_path, ids.values()) == {ids[path]: text.encode() for path, text in contents.items()}
    git.run(tmp_path, "fsck", "--strict")
    assert not list(store.objects.glob("*/tmp_obj_*"))


def test_validation_needs_no_state_and_shows_everything(tmp_path: Path) -> None:
    for path, text in {
        "state/tasks/a.yaml": TASK + "depends_on: [b]\nadpater: x\n", "state/tasks/c.yaml": TASK + "host: no\n",
        "hosts/h.yaml": "transport: ssh\n", "adapters/shell.yaml": SHELL, "state/tasks/d.yml": "",
    }.items():  # fmt: skip
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    every = validation.validate_paths(tmp_path)
    assert [problem.file.rsplit("/", 1)[1] for problem in every] == ["h.yaml", "a.yaml", "c.yaml", "d.yml"]
    one = validation.validate_paths(tmp_path, [tmp_path / "state/tasks/c.yaml"])
    assert [problem.file for problem in one] == ["state/tasks/c.yaml"]
    assert validation.validate_paths(tmp_path, [tmp_path / "hosts"])[0].file == "hosts/h.yaml"
    assert "not a file of this fleet" in validation.validate_paths(tmp_path, [tmp_path / "x.yaml"])[0].message
