"""Workspaces and deliveries, by real git against real repositories, in every shell that is installed."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.core.desired import Identity
from reconciler.core.script import clean, deliver, giveup, prepare
from reconciler.core.script.deliver import Delivered, DeliverFailed, Delivery, NotDelivered
from reconciler.core.script.prepare import Preparation, Prepared, PrepareFailed
from reconciler.core.terms import Failure
from tests.contract import runner

FLEET = "0123456789ab"
WORKDIR = '~/it\'s a "work dir"'


class World:
    """A host and a project's repository with one commit on `main`."""

    def __init__(self, tmp_path: Path, shell: str) -> None:
        self.host = runner.host(tmp_path, shell)
        self.project = tmp_path / "pro ject.git"
        self.seed = tmp_path / "seed"
        self.git(tmp_path, "init", "-q", "--bare", "-b", "main", str(self.project))
        self.git(tmp_path, "init", "-q", "-b", "main", str(self.seed))
        self.git(self.seed, "remote", "add", "origin", str(self.project))
        self.commit(self.seed, "README", "first\n")
        self.git(self.seed, "push", "-q", "origin", "main")

    def git(self, at: Path, *words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=at, env=dict(self.host.env), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, at: Path, name: str, content: str) -> str:
        (at / name).write_text(content)
        self.git(at, "add", "-A")
        self.git(at, "commit", "-q", "-m", f"Change {name}")
        return self.git(at, "rev-parse", "HEAD")

    def order(self, **changes: object) -> Preparation:
        order = Preparation(
            workdir=WORKDIR,
            fleet=FLEET,
            task="fix",
            epoch=1,
            branch="task/fix",
            repository=str(self.project),
            identity=Identity(name="Rec O'Nciler", email="r@example.org"),
        )
        return replace(order, **changes)  # type: ignore[arg-type]  # the names of fields, from tests

    def prepare(self, **changes: object) -> Prepared:
        answer = prepare.parse_prepare(self.host.run(prepare.prepare(self.order(**changes))))
        assert isinstance(answer, Prepared), answer
        return answer

    def refused(self, **changes: object) -> PrepareFailed:
        answer = prepare.parse_prepare(self.host.run(prepare.prepare(self.order(**changes))))
        assert isinstance(answer, PrepareFailed), answer
        return answer

    def deliver(self, ready: Prepared, **extra: str) -> Delivered | NotDelivered | DeliverFailed:
        assert ready.base_sha is not None
        order = Delivery(
            workdir=WORKDIR,
            fleet=FLEET,
            workspace=ready.workspace,
            repository=str(self.project),
            branch="task/fix",
            base_sha=ready.base_sha,
            start_sha=ready.start_sha,
            message="Fix it\n\nBecause $(it) 'was' broken\n",
            identity=Identity(name="Rec O'Nciler", email="r@example.org"),
        )
        return deliver.parse_deliver(self.host.run(deliver.deliver(order), **extra))

    def remote(self, ref: str) -> str:
        return self.git(self.project, "rev-parse", "-q", "--verify", ref)


@pytest.fixture(params=["dash", "bash", "busybox"])
def shell(request: pytest.FixtureRequest) -> str:
    return runner.installed(str(request.param))


@pytest.fixture
def world(tmp_path: Path, shell: str) -> World:
    return World(tmp_path, shell)


@pytest.fixture
def dash(tmp_path: Path) -> World:
    return World(tmp_path, "dash")


def test_a_first_run_starts_from_the_default_branch_on_a_branch_of_its_own(world: World) -> None:
    ready = world.prepare()
    workspace = Path(ready.workspace)
    assert workspace.name == "fix"
    assert (workspace / "README").read_text() == "first\n"
    assert ready.base == "main"
    assert ready.start_sha is None
    assert ready.head_sha == ready.base_sha == world.remote("main")
    assert world.git(workspace, "symbolic-ref", "HEAD") == "refs/heads/task/fix"


def test_an_agent_may_commit_on_a_host_without_an_identity_and_keeps_one_that_is_there(dash: World) -> None:
    workspace = Path(dash.prepare().workspace)
    (workspace / "by-the-agent").write_text("x")
    bare = {name: value for name, value in dash.host.env.items() if not name.startswith("GIT_")}
    subprocess.run(["git", "add", "-A"], cwd=workspace, env=bare, check=True)
    subprocess.run(["git", "commit", "-q", "-m", "By the agent"], cwd=workspace, env=bare, check=True)
    assert dash.git(workspace, "log", "-1", "--format=%an <%ae>") == "Rec O'Nciler <r@example.org>"
    own = Path(dash.host.env["HOME"]) / "own.gitconfig"
    own.write_text("[user]\n\tname = Own\n\temail = own@example.org\n")
    dash.host.run(prepare.prepare(dash.order(epoch=2)), GIT_CONFIG_GLOBAL=str(own))
    bare["GIT_CONFIG_GLOBAL"] = str(own)
    said = subprocess.run(["git", "config", "user.email"], cwd=workspace, env=bare, check=True, capture_output=True)
    assert said.stdout == b"own@example.org\n"


def test_preparing_twice_is_preparing_once(world: World) -> None:
    assert world.prepare() == world.prepare()


def test_what_the_agent_left_is_committed_pushed_and_seen(world: World) -> None:
    ready = world.prepare()
    workspace = Path(ready.workspace)
    (workspace / ".gitignore").write_text("*.log\n")
    (workspace / "noise.log").write_text("x")
    (workspace / "new file").write_text("work\n")
    answer = world.deliver(ready)
    assert isinstance(answer, Delivered), answer
    assert answer.ahead == 1
    assert answer.head_sha == world.remote("refs/heads/task/fix")
    assert world.git(world.project, "log", "-1", "--format=%an <%ae> %cn %B", answer.head_sha) == (
        "Rec O'Nciler <r@example.org> Rec O'Nciler Fix it\n\nBecause $(it) 'was' broken"
    )
    assert world.git(world.project, "ls-tree", "--name-only", answer.head_sha).split("\n") == [
        ".gitignore",
        "README",
        "new file",
    ]
    assert world.deliver(ready) == answer


def test_commits_of_the_agent_are_delivered_wherever_it_made_them(dash: World) -> None:
    ready = dash.prepare()
    workspace = Path(ready.workspace)
    dash.git(workspace, "checkout", "-q", "-b", "elsewhere")
    sha = dash.commit(workspace, "a", "1")
    dash.git(workspace, "checkout", "-q", "--detach")
    assert dash.deliver(ready) == Delivered(head_sha=sha, ahead=1)


def test_a_run_that_changed_nothing_delivers_nothing(dash: World) -> None:
    answer = dash.deliver(dash.prepare())
    assert isinstance(answer, NotDelivered)
    assert "no commit beyond the base" in answer.reason


def test_somebody_else_s_push_is_never_overwritten(dash: World) -> None:
    ready = dash.prepare()
    dash.commit(Path(ready.workspace), "a", "agent")
    dash.git(dash.seed, "checkout", "-q", "-b", "task/fix")
    theirs = dash.commit(dash.seed, "a", "person")
    dash.git(dash.seed, "push", "-q", "origin", "task/fix")
    answer = dash.deliver(ready)
    assert isinstance(answer, NotDelivered)
    assert "somebody else" in answer.reason
    assert dash.remote("refs/heads/task/fix") == theirs


def test_a_review_round_starts_from_the_branch_as_a_person_left_it(dash: World) -> None:
    first = dash.prepare()
    dash.commit(Path(first.workspace), "a", "agent")
    assert isinstance(dash.deliver(first), Delivered)
    dash.git(dash.seed, "fetch", "-q", "origin")
    dash.git(dash.seed, "checkout", "-q", "task/fix")
    theirs = dash.commit(dash.seed, "b", "person")
    dash.git(dash.seed, "push", "-q", "origin", "task/fix")
    second = dash.prepare(epoch=2)
    assert second.workspace == first.workspace
    assert second.start_sha == second.head_sha == theirs
    sha = dash.commit(Path(second.workspace), "c", "agent again")
    assert dash.deliver(second) == Delivered(head_sha=sha, ahead=3)


def test_a_merged_branch_is_left_behind_and_the_base_is_the_start(dash: World) -> None:
    dash.git(dash.seed, "push", "-q", "origin", "main:refs/heads/task/fix")
    merged = dash.remote("refs/heads/task/fix")
    newer = dash.commit(dash.seed, "later", "1")
    dash.git(dash.seed, "push", "-q", "origin", "main")
    ready = dash.prepare()
    assert ready.start_sha == merged
    assert ready.head_sha == newer
    sha = dash.commit(Path(ready.workspace), "a", "1")
    assert dash.deliver(ready) == Delivered(head_sha=sha, ahead=1)


def test_the_next_run_starts_clean_and_nothing_is_lost(world: World) -> None:
    first = world.prepare()
    workspace = Path(first.workspace)
    unpushed = world.commit(workspace, "a", "committed")
    (workspace / "b").write_text("uncommitted")
    second = world.prepare(epoch=2)
    assert second.workspace == first.workspace
    assert second.head_sha == second.base_sha
    assert sorted(path.name for path in workspace.iterdir()) == [".git", "README"]
    assert world.git(workspace, "rev-parse", "refs/reconciler/fix.2^") == unpushed
    assert world.git(workspace, "show", "refs/reconciler/fix.2:b") == "uncommitted"


def test_a_fresh_folder_leaves_the_old_one_alone_and_later_runs_go_on_there(dash: World) -> None:
    first = dash.prepare()
    (Path(first.workspace) / "mine").write_text("still at work")
    second = dash.prepare(epoch=2, reuse=False)
    assert Path(second.workspace).name == "fix.2"
    assert (Path(first.workspace) / "mine").exists()
    assert dash.prepare(epoch=3).workspace == second.workspace
    sha = dash.commit(Path(second.workspace), "a", "1")
    assert dash.deliver(second) == Delivered(head_sha=sha, ahead=1)


def test_two_tasks_work_on_one_repository_at_once(dash: World) -> None:
    command = prepare.prepare(dash.order())
    other = prepare.prepare(dash.order(task="other", branch="task/other"))
    with ThreadPoolExecutor(4) as pool:
        answers = [prepare.parse_prepare(done) for done in pool.map(dash.host.run, [command, other, command, other])]
    assert all(isinstance(answer, Prepared) for answer in answers), answers
    assert len({answer.workspace for answer in answers if isinstance(answer, Prepared)}) == 2


def test_without_flock_a_dead_owner_s_lock_is_broken(dash: World, tmp_path: Path) -> None:
    ready = dash.prepare()
    tools = tmp_path / "without-flock"
    tools.mkdir()
    for folder in ("/usr/bin", "/bin"):
        for program in os.listdir(folder):  # noqa: PTH208 - names only
            if program != "flock" and not (tools / program).exists():
                (tools / program).symlink_to(f"{folder}/{program}")
    repos = Path(ready.run_dir).parents[1] / "repos"
    lock = next(repos.glob("*.git")).with_suffix(".git.lock")
    lock.mkdir()
    (lock / "owner").write_text("999999 12345 some-earlier-boot\n")
    command = prepare.prepare(dash.order(epoch=2))
    answer = prepare.parse_prepare(dash.host.run(command, PATH=str(tools)))
    assert isinstance(answer, Prepared), answer
    assert not lock.exists()


def test_without_a_repository_the_folder_is_empty_and_kept(world: World) -> None:
    first = world.prepare(repository=None)
    assert list(Path(first.workspace).iterdir()) == []
    assert (first.base, first.base_sha, first.start_sha, first.head_sha) == (None, None, None, None)
    (Path(first.workspace) / "notes").write_text("x")
    assert (Path(world.prepare(repository=None, epoch=2).workspace) / "notes").exists()


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({"base": "no-such"}, Failure.CONFIG),
        ({"repository": "/no/such/repository"}, Failure.CONFIG),
        ({"repository": "ext::sh -c touch% /tmp/never"}, Failure.CONFIG),
        ({"repository": "http://127.0.0.1:9/x.git"}, Failure.TRANSPORT),
        ({"repository": "https://nobody.invalid/x.git"}, Failure.TRANSPORT),
    ],
)
def test_a_workspace_that_cannot_be_made_says_whose_fault_it_is(
    dash: World, changes: dict[str, object], failure: Failure
) -> None:
    answer = dash.refused(**changes)
    assert answer.failure == failure, answer
    assert "\n" not in answer.message


@pytest.mark.parametrize("repository", [None, "unprepared"])
def test_an_epoch_that_was_given_up_before_it_was_prepared_is_nobody_s_fault(
    dash: World, repository: str | None
) -> None:
    dash.host.run(giveup.give_up(WORKDIR, FLEET, "fix.1"))
    answer = dash.refused(repository=repository)
    assert answer == PrepareFailed(failure=Failure.SUPERSEDED, message="its epoch was given up before it started")


def test_an_empty_repository_has_nothing_to_start_from(dash: World, tmp_path: Path) -> None:
    dash.git(tmp_path, "init", "-q", "--bare", "-b", "main", str(tmp_path / "empty.git"))
    assert dash.refused(repository=str(tmp_path / "empty.git")).failure == Failure.CONFIG


def test_no_code_of_the_project_runs(world: World, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    evil = tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\necho $0 $@ $(tr '\\0' ' ' </proc/$PPID/cmdline) >>'{trace}'\ncat\n")
    evil.chmod(0o755)
    world.commit(world.seed, ".gitattributes", "* filter=evil diff=evil\n")
    world.git(world.seed, "push", "-q", "origin", "main")
    ready = world.prepare()
    workspace = Path(ready.workspace)
    common = Path(world.git(workspace, "rev-parse", "--path-format=absolute", "--git-common-dir"))
    settings = {
        "core.hooksPath": str(tmp_path / "hooks"),
        "core.fsmonitor": str(evil),
        "core.sshCommand": str(evil),
        "diff.external": str(evil),
        "filter.evil.clean": str(evil),
        "filter.evil.smudge": str(evil),
        "filter.evil.required": "true",
        "filter.e v.process": str(evil),
    }
    for key, value in settings.items():
        world.git(common, "config", key, value)
    for folder in (tmp_path / "hooks", common / "hooks"):
        folder.mkdir(exist_ok=True)
        for name in ("pre-commit", "post-commit", "post-checkout", "pre-push", "reference-transaction", "commit-msg"):
            (folder / name).symlink_to(evil)
    (workspace / "work").write_text("1")
    assert isinstance(world.deliver(ready), Delivered)
    (workspace / "more").write_text("1")
    assert world.prepare(epoch=2).start_sha is not None
    assert not trace.exists(), trace.read_text()


def test_a_refused_push_is_no_delivery(dash: World) -> None:
    ready = dash.prepare()
    dash.commit(Path(ready.workspace), "a", "1")
    hook = dash.project / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho protected >&2\nexit 1\n")
    hook.chmod(0o755)
    answer = dash.deliver(ready)
    assert isinstance(answer, NotDelivered), answer
    assert "refused" in answer.reason


def test_a_workspace_outside_of_the_fleet_is_refused(dash: World) -> None:
    ready = dash.prepare()
    answer = dash.deliver(replace(ready, workspace=str(dash.seed)))
    assert isinstance(answer, DeliverFailed)
    assert answer.failure == Failure.CONFIG


def test_cleaning_removes_what_is_named_and_follows_no_link(world: World, tmp_path: Path) -> None:
    ready = world.prepare()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    (Path(ready.workspace).parent / "link").symlink_to(outside)
    command = clean.clean(WORKDIR, FLEET, runs=["fix.1"], workspaces=["fix", "link", "nothing"])
    answer = clean.parse_clean(world.host.run(command))
    assert answer.removed == ("runs/fix.1", "work/fix")
    assert (outside / "kept").exists()
    assert not Path(ready.workspace).exists()
    assert world.prepare(epoch=2).head_sha == ready.head_sha


def test_a_branch_in_use_by_a_half_made_clone_does_not_stop_the_next(dash: World) -> None:
    ready = dash.prepare()
    Path(ready.workspace, ".git").unlink()
    again = dash.prepare(epoch=2)
    assert again.head_sha == ready.head_sha
    assert dash.git(Path(again.workspace), "status", "--porcelain") == ""


def test_a_home_folder_that_is_a_repository_is_never_taken_for_a_workspace_that_is_none(dash: World) -> None:
    home = Path(dash.host.env["HOME"])
    dash.git(home, "init", "-q")
    before = dash.commit(home, "secret", "of the home folder\n")
    (home / "more").write_text("not committed\n")
    ready = dash.prepare()
    (Path(ready.workspace) / ".git").unlink()
    answer = dash.deliver(ready)
    assert isinstance(answer, NotDelivered)
    assert answer.reason == "the workspace is no git worktree of the repository any more"
    assert dash.git(dash.project, "for-each-ref", "--format=%(refname)") == "refs/heads/main"
    assert (dash.git(home, "rev-parse", "HEAD"), dash.git(home, "diff", "--cached", "--name-only")) == (before, "")
    again = dash.prepare(epoch=2)
    assert (Path(again.workspace) / "README").read_text() == "first\n"


def test_a_repository_without_a_commit_in_the_workspace_is_told_and_stops_no_later_run(world: World) -> None:
    ready = world.prepare()
    inner = Path(ready.workspace) / "inner"
    world.git(Path(ready.workspace), "init", "-q", "inner")
    (inner / "file").write_text("work\n")
    answer = world.deliver(ready)
    assert isinstance(answer, NotDelivered)
    assert "'inner/' does not have a commit checked out" in answer.reason
    again = world.prepare(epoch=2)
    assert again.workspace == ready.workspace
    assert not inner.exists()
    assert (Path(f"{ready.workspace}.aside") / "inner" / "file").read_text() == "work\n"
    (Path(again.workspace) / "done").write_text("x")
    assert isinstance(world.deliver(again), Delivered)
    world.host.run(clean.clean(WORKDIR, FLEET, workspaces=["fix"]))
    assert list(Path(ready.workspace).parent.iterdir()) == []


def test_the_clones_may_lie_on_another_disk(dash: World, tmp_path: Path) -> None:
    repos = Path(dash.prepare(epoch=1).run_dir).parents[1] / "repos"
    repos.rename(tmp_path / "repos")
    repos.symlink_to(tmp_path / "repos")
    ready = dash.prepare(epoch=2)
    (Path(ready.workspace) / "done").write_text("x")
    assert isinstance(dash.deliver(ready), Delivered)
    dash.prepare(epoch=3)
    assert dash.git(Path(ready.workspace), "rev-parse", "HEAD") == dash.remote("refs/heads/task/fix")


def test_a_clone_that_is_no_repository_any_more_is_made_anew(dash: World) -> None:
    first = dash.prepare()
    clone = Path(prepare.clone_of(first.run_dir, str(dash.project)))
    (clone / "HEAD").write_text("")
    again = dash.prepare(epoch=2)
    assert (again.workspace, again.head_sha) == (first.workspace, first.head_sha)
    assert dash.git(Path(again.workspace), "status", "--porcelain") == ""
    assert Path(f"{clone.with_suffix('')}.git.broken").is_dir()
