"""Issues become task files on `main`, once, whatever else happens to the fleet at the time."""

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from reconciler.core.desired import Desired
from reconciler.core.events import NotStarted
from reconciler.core.issues import Issue
from reconciler.core.terms import TERMINAL, Failure
from reconciler.edges import Edges
from reconciler.edges.forgelink import ForgeLink
from reconciler.forge.client import ForgeUnreachable
from reconciler.repo import fleet as fleets
from reconciler.repo import git
from reconciler.repo.desired.files import DesiredFiles
from reconciler.repo.fleet import Fleet
from reconciler.repo.journal import Journal
from reconciler.repo.main.mainline import Mainline, WorkTree
from reconciler.repo.observed.funnel import ObservedBranch
from reconciler.repo.published import Published
from reconciler.repo.yaml import documents
from reconciler.watching import intake
from reconciler.watching.intake import IntakeDelayed
from tests.edges import Memory, plain
from tests.forge.server import FakeForge
from tests.recording import NOW, PERSON, assigned, new_fleet, opened, own_git_config, person_commits
from tests.waiting import until

__all__ = ["own_git_config"]

URL = "https://forge.example.org/team/shop/issues/12"
SETTINGS = {"default_adapter": "shell", "forge": {"kind": "forgejo", "url": "https://forge.example.org"}}
ISSUE = Issue(
    repository="team/shop",
    number=12,
    url=URL,
    title="Fix the login",
    body="Accept a plus.\n\n## Constraints\n- no new table\n",
    author="ada",
    labels=("agent",),
    clone_url="https://forge.example.org/team/shop.git",
    updated_at=NOW,
    vouched=True,
)
PLAIN = replace(ISSUE, labels=())


@dataclass(kw_only=True)
class Bench:
    """A fleet with a forge, and one process that takes issues in; a new one of it is a process that began again."""

    fleet: Fleet
    branch: ObservedBranch
    journal: Journal
    token: str | None = None
    warnings: list[str] = field(default_factory=list)
    now: datetime = NOW
    edges: Edges = field(init=False)

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget what only the process knew."""
        made = plain(Memory(self.fleet, self.branch, self.journal), lambda: self.now)
        self.edges = replace(made, forge=self.link(), warn=self.warnings.append, mainline=self.mainline())

    def mainline(self) -> Mainline:
        """Where the files of this fleet count."""
        return WorkTree(self.fleet)

    def link(self) -> ForgeLink:
        """A way to the forge, for as long as one event loop runs."""
        secrets = {"TOKEN": self.token} if self.token else {}
        return ForgeLink(Published(self.journal), secret=secrets.get, now=lambda: self.now, changed=lambda: None)

    def desired(self) -> Desired:
        files = DesiredFiles(self.fleet.root, journal=self.journal, secret=lambda _: None, key=b"k", ref=self.fleet.ref)
        tasks = self.branch.tasks()
        finished = frozenset(task_id for task_id, seen in tasks.items() if seen.phase in TERMINAL)
        return files.refresh(self.now, observed_ids=tasks.keys(), finished_ids=finished)

    def take(self, *issues: Issue, desired: Desired | None = None) -> None:
        """Take issues in, as the watch of the forge does."""
        asyncio.run(self.taking(issues, desired))

    async def taking(self, issues: Sequence[Issue], desired: Desired | None = None) -> None:
        known = desired or self.desired()
        edges = replace(self.edges, forge=self.link())
        edges.forge.use(known.settings)
        try:
            await intake.take(edges, known, issues)
        finally:
            await edges.forge.close()

    def settings(self, **keys: object) -> None:
        """Commit other settings of the forge."""
        forge = {"kind": "forgejo", "url": "https://forge.example.org", "token_env": "TOKEN", **keys}
        self.write("state/settings.yaml", {"default_adapter": "shell", "forge": forge})

    def write(self, path: str, data: Mapping[str, object]) -> None:
        """Commit a file, as a person does."""
        person_commits(self.fleet.top, self.fleet.prefix + path, documents.dump(data).decode())

    def read(self, task_id: str = "shop-12") -> Mapping[str, object]:
        path = f"state/tasks/{task_id}.yaml"
        return documents.parse((self.fleet.root / path).read_bytes(), path).data

    def files(self) -> list[str]:
        """The names of all task files, and of whatever else lies beside them."""
        return sorted(path.name for path in (self.fleet.root / "state/tasks").rglob("*"))

    def git(self, *words: str) -> str:
        return git.run(self.fleet.top, *words).text

    def subjects(self) -> list[str]:
        """What this program committed on `main`, oldest first."""
        return self.git("log", "--reverse", "--committer=reconciler", "--format=%s", "main").splitlines()

    def is_clean(self) -> bool:
        return self.git("status", "--porcelain", "--untracked-files=all") == ""


@contextmanager
def desk_of(fleet: Fleet) -> Iterator[Bench]:
    fleets.exclude(fleet)
    with opened(fleet) as branch:
        journal = Journal(fleet.journal)
        try:
            bench = Bench(fleet=fleet, branch=branch, journal=journal)
            bench.write("adapters/shell.yaml", {"run": ["sh", "{prompt_file}"]})
            bench.write("state/settings.yaml", SETTINGS)
            yield bench
        finally:
            journal.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with desk_of(new_fleet(tmp_path)) as bench:
        yield bench


def test_a_labelled_issue_becomes_one_committed_task_file(bench: Bench) -> None:
    bench.take(ISSUE)
    assert bench.read() == {
        "title": "Fix the login",
        "goal": "Accept a plus.",
        "constraints": ["no new table"],
        "repository": "https://forge.example.org/team/shop.git",
        "issue": URL,
    }
    shown = bench.git("show", "--name-only", "--format=%an <%ae>%n%cn%n%B").splitlines()
    assert shown == [
        "ada <ada@forge.example.org>",
        "reconciler",
        "Add shop-12 from issue team/shop#12",
        "",
        f"Issue: {URL}",
        "",
        "",
        "state/tasks/shop-12.yaml",
    ]
    assert "shop-12" in bench.desired().tasks
    assert (bench.is_clean(), bench.warnings) == (True, [])


def test_the_same_issue_again_leaves_one_file_and_one_commit(bench: Bench) -> None:
    before = bench.desired()
    bench.take(ISSUE, ISSUE, replace(ISSUE, title="Fix the login!", updated_at=NOW + timedelta(minutes=1)))
    bench.take(ISSUE, desired=before)
    bench.take(replace(ISSUE, url=f"{URL.upper()}/"))
    bench.begin()
    bench.take(ISSUE, desired=before)
    bench.begin()
    bench.take(ISSUE)
    assert (bench.files(), bench.subjects()) == (["shop-12.yaml"], ["Add shop-12 from issue team/shop#12"])
    assert bench.warnings == []


def test_what_needs_nothing_asks_git_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.take(ISSUE)
    bench.begin()
    bench.take(ISSUE)
    known = bench.desired()
    monkeypatch.setenv("PATH", "/nowhere")
    bench.take(ISSUE, replace(PLAIN, number=13, url=f"{URL}3"), desired=known)


def test_issues_taken_at_the_same_time_are_taken_once(bench: Bench) -> None:
    before = bench.desired()
    issues = [replace(ISSUE, number=number, url=f"{URL[:-2]}{number}") for number in (1, 2, 3)]

    async def at_once() -> None:
        await asyncio.gather(*(bench.taking(issues[turn % 3 :], before) for turn in range(6)))

    asyncio.run(at_once())
    assert bench.files() == ["shop-1.yaml", "shop-2.yaml", "shop-3.yaml"]
    assert (len(bench.subjects()), bench.is_clean()) == (3, True)


def test_a_wait_that_is_given_up_writes_its_file_once(bench: Bench) -> None:
    before = bench.desired()

    async def given_up() -> None:
        first = asyncio.create_task(bench.taking([ISSUE], before))
        await asyncio.wait({first}, timeout=0.03)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await bench.taking([ISSUE], before)

    asyncio.run(given_up())
    assert (bench.files(), len(bench.subjects()), bench.is_clean()) == (["shop-12.yaml"], 1, True)


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize("undo", ["--soft", "--mixed"])
def test_a_file_whose_commit_was_cut_off_is_committed_by_the_next_try(bench: Bench, undo: str, *, remote: bool) -> None:
    if remote:
        bench.write("state/settings.yaml", {**SETTINGS, "remote": "https://forge.example.org/team/fleet.git"})
    bench.take(ISSUE)
    bench.git("reset", "--quiet", undo, "HEAD~1")
    (bench.fleet.root / "state/tasks/.shop-12.yaml.4242.new").write_text("half")
    assert not bench.is_clean()
    bench.begin()
    bench.take(ISSUE)
    assert (bench.files(), bench.subjects()) == (["shop-12.yaml"], ["Add shop-12 from issue team/shop#12"])
    assert bench.is_clean()


def test_a_file_that_is_left_staged_alone_is_committed_by_the_next_try(bench: Bench) -> None:
    bench.take(ISSUE)
    bench.git("reset", "--quiet", "--soft", "HEAD~1")
    (bench.fleet.root / "state/tasks/shop-12.yaml").unlink()
    bench.begin()
    bench.take(ISSUE)
    assert (bench.files(), len(bench.subjects()), bench.is_clean()) == (["shop-12.yaml"], 1, True)


def test_a_persons_own_uncommitted_file_is_left_to_them(bench: Bench) -> None:
    content = documents.dump({"title": "Mine", "goal": "g", "issue": URL})
    (bench.fleet.root / "state/tasks/mine.yaml").write_bytes(content)
    bench.take(ISSUE)
    bench.begin()
    bench.take(ISSUE)
    bench.take(replace(ISSUE, labels=(), updated_at=None))
    assert (bench.files(), bench.subjects()) == (["mine.yaml"], [])
    assert (bench.fleet.root / "state/tasks/mine.yaml").read_bytes() == content


def test_what_a_person_has_staged_and_edited_stays_as_it_is(bench: Bench) -> None:
    (bench.fleet.top / "staged").write_text("1")
    bench.git("add", "staged")
    (bench.fleet.root / "state/settings.yaml").write_bytes(documents.dump({**SETTINGS, "keep_runs": 3}))
    bench.take(ISSUE)
    assert bench.git("show", "--format=", "--name-only") == "state/tasks/shop-12.yaml"
    assert sorted(bench.git("status", "--porcelain").splitlines()) == [" M state/settings.yaml", "A  staged"]


def test_what_stands_in_the_way_is_told_once_and_the_issue_is_taken_afterwards(bench: Bench) -> None:
    top = bench.fleet.top

    def delayed(saying: str) -> None:
        for _ in range(2):
            with pytest.raises(IntakeDelayed, match=saying):
                bench.take(ISSUE)

    bench.git("checkout", "--quiet", "-b", "topic")
    delayed("topic is checked out")
    bench.git("checkout", "--quiet", "main")
    (top / ".git/MERGE_HEAD").write_text(bench.git("rev-parse", "HEAD"))
    delayed("merge is under way")
    (top / ".git/MERGE_HEAD").unlink()
    (top / ".git/index.lock").touch()
    delayed("index.lock")
    assert bench.files() == []
    (top / ".git/index.lock").unlink()
    bench.take(ISSUE)
    assert (bench.files(), bench.is_clean()) == (["shop-12.yaml"], True)
    assert [line.partition(": ")[0] for line in bench.warnings] == ["issues wait to be taken in"] * 3


def test_an_issue_that_loses_its_label_holds_its_task_and_releases_it_again(bench: Bench) -> None:
    bench.take(ISSUE)
    path = bench.fleet.root / "state/tasks/shop-12.yaml"
    person_commits(bench.fleet.top, "state/tasks/shop-12.yaml", f"# mine\n{path.read_text()}# and mine\n")
    text = path.read_text()
    bench.take(PLAIN)
    bench.take(PLAIN)
    assert path.read_text() == text.replace("# and mine", "desired: hold\n# and mine")
    bench.begin()
    bench.take(ISSUE)
    bench.take(ISSUE)
    assert path.read_text() == text.replace("# and mine", "desired: run\n# and mine")
    bench.take(replace(ISSUE, open=False))
    assert bench.read()["desired"] == "hold"
    assert bench.subjects() == [
        "Add shop-12 from issue team/shop#12",
        "Hold shop-12: issue team/shop#12 lost its label",
        "Release shop-12: issue team/shop#12 is wanted again",
        "Hold shop-12: issue team/shop#12 was closed",
    ]
    assert bench.git("log", "-1", "--format=%(trailers)") == f"Issue: {URL}\nIntake: hold"


def test_a_label_that_goes_before_the_plan_knows_of_the_task_holds_it_all_the_same(bench: Bench) -> None:
    before = bench.desired()
    bench.take(ISSUE, desired=before)
    bench.take(PLAIN, desired=before)
    assert bench.read()["desired"] == "hold"
    bench.take(ISSUE, desired=before)
    assert bench.read()["desired"] == "run"


def test_an_older_sight_of_an_issue_changes_nothing(bench: Bench) -> None:
    later = replace(PLAIN, updated_at=NOW + timedelta(seconds=5))
    bench.take(ISSUE)
    bench.take(later)
    bench.take(ISSUE)
    assert bench.read()["desired"] == "hold"
    other = replace(ISSUE, number=13, url=f"{URL[:-1]}3")
    bench.take(replace(other, labels=(), updated_at=NOW + timedelta(seconds=5)), other)
    assert bench.files() == ["shop-12.yaml"]


def test_a_persons_hold_and_a_persons_task_are_left_alone(bench: Bench) -> None:
    bench.take(ISSUE)
    bench.take(PLAIN)
    content = (bench.fleet.root / "state/tasks/shop-12.yaml").read_text()
    person_commits(bench.fleet.top, "state/tasks/shop-12.yaml", f"# really\n{content}")
    bench.take(ISSUE)
    assert bench.read()["desired"] == "hold"
    bench.write("state/tasks/own.yaml", {"title": "t", "goal": "g", "issue": f"{URL[:-1]}3"})
    bench.take(replace(PLAIN, number=13, url=f"{URL[:-1]}3"))
    bench.write("state/tasks/shop-12.yaml", {**bench.read(), "desired": "cancel"})
    bench.take(ISSUE)
    bench.take(PLAIN)
    assert (bench.read("own").get("desired"), bench.read()["desired"]) == (None, "cancel")
    assert len(bench.subjects()) == 2


def test_a_task_that_was_assigned_is_never_touched(bench: Bench) -> None:
    bench.take(ISSUE)
    bench.branch.record("shop-12", assigned("shop-12"))
    bench.take(PLAIN)
    bench.take(replace(ISSUE, open=False))
    assert (bench.read().get("desired"), len(bench.subjects())) == (None, 1)


def test_a_launch_that_did_not_start_is_no_beginning(bench: Bench) -> None:
    bench.take(ISSUE)
    bench.branch.record("shop-12", assigned("shop-12"))
    failed = NotStarted(at=NOW, actor="planner", epoch=1, failure=Failure.TRANSPORT, error="no way there")
    bench.branch.record("shop-12", failed)
    bench.take(PLAIN)
    assert bench.read()["desired"] == "hold"


def test_a_file_with_a_persons_changes_is_held_once_they_are_committed(bench: Bench) -> None:
    bench.take(ISSUE)
    path = bench.fleet.root / "state/tasks/shop-12.yaml"
    path.write_text(path.read_text() + "priority: 5\n")
    other = replace(ISSUE, number=13, url=f"{URL[:-1]}3")
    for _ in range(2):
        with pytest.raises(IntakeDelayed, match="uncommitted changes"):
            bench.take(PLAIN, other)
    assert (bench.files(), len(bench.warnings)) == (["shop-12.yaml", "shop-13.yaml"], 1)
    person_commits(bench.fleet.top, "state/tasks/shop-12.yaml", path.read_text())
    bench.take(PLAIN)
    assert (bench.read()["desired"], bench.read()["priority"]) == ("hold", 5)


def test_a_person_who_deleted_the_file_does_not_get_it_back(bench: Bench) -> None:
    bench.take(ISSUE)
    bench.git("rm", "--quiet", "state/tasks/shop-12.yaml")
    bench.git(*git.identity_words(PERSON), "commit", "--quiet", "--message", "No")
    bench.take(ISSUE)
    bench.begin()
    bench.take(ISSUE)
    bench.take(PLAIN)
    assert (bench.files(), len(bench.subjects()), bench.warnings) == ([], 1, [])


@pytest.mark.parametrize("content", ['{"title": "t", "goal": "g", "issue": "%s"}\n', "title: [\nissue: %s\n"])
def test_an_issue_whose_task_went_by_another_name_once_is_not_taken_again(bench: Bench, content: str) -> None:
    person_commits(bench.fleet.top, "state/tasks/team/own.yaml", content % URL)
    bench.git("rm", "--quiet", "state/tasks/team/own.yaml")
    bench.git(*git.identity_words(PERSON), "commit", "--quiet", "--message", "No")
    bench.take(ISSUE)
    assert bench.files() == []


def test_a_task_that_was_dropped_on_a_merged_branch_counts_too(bench: Bench) -> None:
    bench.git("checkout", "--quiet", "-b", "side")
    bench.write("state/tasks/own.yaml", {"title": "t", "goal": "g", "issue": URL})
    bench.git("rm", "--quiet", "state/tasks/own.yaml")
    words = git.identity_words(PERSON)
    bench.git(*words, "commit", "--quiet", "--message", "No")
    bench.git("checkout", "--quiet", "main")
    bench.write("other", {"a": 1})
    bench.git(*words, "merge", "--quiet", "--no-edit", "side")
    bench.take(ISSUE)
    assert not (bench.fleet.root / "state/tasks/shop-12.yaml").exists()


def test_an_archived_and_a_moved_task_are_known(bench: Bench) -> None:
    bench.take(ISSUE, replace(ISSUE, number=13, url=f"{URL[:-1]}3"))
    bench.git("mv", "state/tasks/shop-12.yaml", "state/tasks/renamed.yaml")
    (bench.fleet.root / "state/archive/2026/11").mkdir(parents=True)
    bench.git("mv", "state/tasks/shop-13.yaml", "state/archive/2026/11/shop-13.yaml")
    bench.git(*git.identity_words(PERSON), "commit", "--quiet", "--message", "Tidy up")
    bench.begin()
    bench.take(ISSUE, replace(ISSUE, number=13, url=f"{URL[:-1]}3"))
    assert bench.files() == ["renamed.yaml"]
    bench.take(PLAIN)
    assert bench.read("renamed")["desired"] == "hold"


def test_a_task_whose_file_nobody_committed_is_known_by_what_its_run_used(bench: Bench) -> None:
    content = documents.dump({"title": "t", "goal": "g", "issue": URL})
    spec = git.write_blob(bench.fleet.top, content)
    bench.branch.record("own", replace(assigned("own"), spec=spec))
    bench.take(ISSUE)
    assert bench.files() == []


def test_two_owners_of_repositories_with_one_name_get_a_task_each(bench: Bench) -> None:
    other = replace(
        ISSUE,
        repository="Else/shop",
        url="https://forge.example.org/Else/shop/issues/12",
        clone_url="https://forge.example.org/Else/shop.git",
    )
    bench.take(ISSUE, other)
    bench.begin()
    bench.take(other, ISSUE)
    assert bench.files() == ["else-shop-12.yaml", "shop-12.yaml"]
    assert bench.read("else-shop-12")["repository"] == other.clone_url


def test_an_id_that_a_person_used_or_uses_is_not_taken(bench: Bench) -> None:
    bench.write("state/tasks/a/shop-12.yaml", {"title": "t", "goal": "g"})
    bench.write("state/tasks/team-shop-12.yaml", {"title": "t", "goal": "g"})
    bench.git("rm", "--quiet", "state/tasks/team-shop-12.yaml")
    bench.git(*git.identity_words(PERSON), "commit", "--quiet", "--message", "No")
    bench.take(ISSUE)
    assert bench.files() == ["a", "shop-12.yaml", "team-shop-12-2.yaml"]


def test_a_new_task_never_takes_another_ones_branch(bench: Bench) -> None:
    other = {"title": "t", "goal": "g", "repository": ISSUE.clone_url, "branch": "task/shop-12"}
    bench.write("state/tasks/own.yaml", other)
    bench.take(ISSUE)
    assert bench.files() == ["own.yaml", "team-shop-12.yaml"]
    assert bench.desired().refused == {}


def test_a_task_that_only_lacks_a_setting_is_written_and_says_so(bench: Bench) -> None:
    bench.write("state/settings.yaml", {"forge": SETTINGS["forge"]})
    bench.take(ISSUE)
    assert "default_adapter" in bench.desired().refused["shop-12"]


def test_only_open_issues_with_the_very_label_in_a_watched_repository_count(bench: Bench) -> None:
    bench.settings(repositories=["Team/Shop"], label="do it")
    bench.take(
        ISSUE,
        replace(ISSUE, labels=("Do it", "do it ", "do")),
        replace(ISSUE, labels=("do it",), open=False),
        replace(ISSUE, labels=("do it",), repository="team/other", url="https://forge.example.org/team/other/issues/1"),
        replace(ISSUE, labels=("do it",), repository="no name", url="https://forge.example.org/x/issues/1"),
        replace(ISSUE, labels=("do it",), number=0, url="https://forge.example.org/team/shop/issues/0"),
    )
    assert bench.files() == []
    bench.take(replace(ISSUE, labels=("bug", "do it")))
    assert bench.files() == ["shop-12.yaml"]
    bench.write("state/settings.yaml", {"default_adapter": "shell"})
    bench.take(replace(ISSUE, number=13, url=f"{URL[:-1]}3"))
    assert bench.files() == ["shop-12.yaml"]


def test_listed_authors_alone_count_where_there_are_some(bench: Bench) -> None:
    bench.settings(authors=["Grace"])
    bench.take(ISSUE)
    bench.take(ISSUE)
    assert (bench.files(), len(bench.warnings)) == ([], 1)
    assert f"issue {URL} by ada was not taken" in bench.warnings[0]
    assert "settings.forge.authors" in bench.warnings[0]
    bench.take(replace(ISSUE, author="grace", vouched=False))
    assert bench.files() == ["shop-12.yaml"]


def test_without_a_token_only_what_the_webhook_vouches_for_counts(bench: Bench) -> None:
    stranger = replace(ISSUE, author="eve\n\x1b[31m", vouched=False)
    bench.take(stranger)
    bench.take(stranger)
    assert (bench.files(), len(bench.warnings), bench.warnings[0].isprintable()) == ([], 1, True)
    bench.take(ISSUE)
    assert bench.files() == ["shop-12.yaml"]


@dataclass(kw_only=True)
class Connected:
    """A bench with a token for a forge that answers."""

    bench: Bench
    forge: FakeForge

    def issue(self, number: int, author: str = "ada") -> Issue:
        url = f"{self.forge.url}/acme/widgets/issues/{number}"
        return replace(
            ISSUE, repository="acme/widgets", number=number, url=url, author=author, vouched=False, clone_url=None
        )


@pytest.fixture
def connected(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connected]:
    with FakeForge.running(tmp_path_factory.mktemp("forge")) as forge:
        bench.token = forge.token
        bench.begin()
        bench.settings(url=forge.url)
        yield Connected(bench=bench, forge=forge)


def test_with_a_token_the_forge_says_who_may_cause_work(connected: Connected) -> None:
    bench, forge = connected.bench, connected.forge
    bench.take(connected.issue(1), connected.issue(2, "eve"), connected.issue(3, "nobody"), connected.issue(4, ""))
    assert bench.files() == ["widgets-1.yaml"]
    assert [line.split(" was ")[0].rpartition(" by ")[2] for line in bench.warnings] == ["eve", "nobody", "nobody"]
    asked = forge.count("GET", "/permission")
    bench.take(connected.issue(2, "eve"), connected.issue(5))
    assert (forge.count("GET", "/permission"), len(bench.warnings)) == (asked, 3)
    forge.repository("acme/widgets", eve="write")
    bench.now = NOW + timedelta(minutes=11)
    bench.take(connected.issue(2, "eve"))
    assert bench.files() == ["widgets-1.yaml", "widgets-2.yaml", "widgets-5.yaml"]


def test_a_silent_forge_delays_only_what_it_has_to_be_asked_about(connected: Connected) -> None:
    bench, forge = connected.bench, connected.forge
    bench.take(connected.issue(1))
    forge.down()
    with pytest.raises(ForgeUnreachable):
        bench.take(connected.issue(2, "rex"), replace(connected.issue(1), labels=()), connected.issue(3))
    assert (bench.files(), bench.read("widgets-1")["desired"]) == (["widgets-1.yaml", "widgets-3.yaml"], "hold")
    forge.up()
    bench.take(connected.issue(2, "rex"))
    assert bench.files() == ["widgets-1.yaml", "widgets-2.yaml", "widgets-3.yaml"]
    assert bench.warnings == []


def test_a_forge_that_does_not_say_who_may_write_is_told_of(connected: Connected) -> None:
    connected.forge.fails(403, "GET", "/permission")
    connected.bench.take(connected.issue(1))
    assert connected.bench.files() == []
    assert "does not say who may write" in connected.bench.warnings[0]


def test_a_new_task_names_its_repository_as_others_do_else_as_the_forge_does(connected: Connected) -> None:
    bench, forge = connected.bench, connected.forge
    bench.take(connected.issue(1))
    assert bench.read("widgets-1")["repository"] == asyncio.run(_clone_url(bench))
    other = "git@git.example.org:acme/widgets.git"
    bench.write("state/tasks/own.yaml", {"title": "t", "goal": "g", "repository": other})
    bench.git("rm", "--quiet", "state/tasks/widgets-1.yaml")
    bench.git(*git.identity_words(PERSON), "commit", "--quiet", "--message", "No")
    bench.take(replace(connected.issue(2), clone_url=f"{forge.url}/acme/widgets.git"))
    assert bench.read("widgets-2")["repository"] == other


async def _clone_url(bench: Bench) -> str:
    link = bench.link()
    link.use(bench.desired().settings)
    assert link.client is not None
    try:
        return await link.client.clone_url("acme/widgets")
    finally:
        await link.close()


@pytest.mark.parametrize(
    "clone_url", [None, "ext::sh -c id", "--upload-pack=x", "https://elsewhere.example.org/x/y.git", "a\nb", ""]
)
def test_a_clone_url_that_is_none_of_this_forge_is_not_used(bench: Bench, clone_url: str | None) -> None:
    bench.take(replace(ISSUE, clone_url=clone_url))
    assert bench.read()["repository"] == "https://forge.example.org/team/shop.git"


HOSTILE = (
    "desired: cancel\n---\ntitle: other\n",
    "x\n---\n...\n%YAML 1.1\n--- !!python/object:os.system\n",
    "&a [*a, *a]\n<<: *a\n",
    "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> x\n",
    "## Constraints\n- desired: cancel\n- !!binary x\n- \"\n- '\n- - - x\n- # not a comment\n- {a: b}\n",
    "\u202edlof\u202c \u2066x\u2069 \x00\x1b[2J\ud800 \u2028 \x85 \ufeff",
    "\tx\n \n   y",
    "Issue: https://forge.example.org/team/shop/issues/1\nIntake: hold\n",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_an_issue_says_its_file_is_a_task_to_be_run(bench: Bench, text: str) -> None:
    bench.take(replace(ISSUE, title=text, body=text, author=f"<{text}>"))
    task = bench.desired().tasks["shop-12"].value
    assert (task.desired, task.issue, task.depends_on, dict(task.env)) == ("run", URL, (), {})
    assert set(bench.read()) <= {"title", "goal", "constraints", "validation", "repository", "issue"}
    assert bench.git("log", "-1", "--format=%s%n%(trailers)") == f"Add shop-12 from issue team/shop#12\nIssue: {URL}"
    assert "\n" not in bench.git("log", "-1", "--format=%an")


@pytest.mark.parametrize("login", ["", "...", "<>", "ada <root@localhost>", "ada\nIssue: x", "名前", "dependabot[bot]"])
def test_whatever_an_author_is_called_the_history_is_well_formed(bench: Bench, login: str) -> None:
    bench.take(replace(ISSUE, author=login))
    assert bench.git("log", "-1", "--format=%cn") == "reconciler"
    assert bench.git("log", "-1", "--format=%an")
    assert bench.git("fsck", "--strict") == ""
    assert bench.files() == ["shop-12.yaml"]


@pytest.mark.parametrize("url", ["", "javascript:x", "https://a b", f"https://x/{'y' * 3000}"])
def test_an_issue_without_a_good_url_gets_the_one_that_it_must_have(bench: Bench, url: str) -> None:
    bench.take(replace(ISSUE, url=url))
    assert bench.read()["issue"] == URL


def test_fifty_issues_at_once_are_fifty_tasks(bench: Bench) -> None:
    issues = [replace(ISSUE, number=number, url=f"{URL[:-2]}{number}") for number in range(1, 51)]
    bench.take(*issues)
    bench.begin()
    bench.take(*reversed(issues))
    assert len(bench.files()) == len(bench.subjects()) == len(bench.desired().tasks) == 50
    assert (bench.is_clean(), bench.warnings) == (True, [])


def test_a_person_who_commits_at_the_same_time_loses_nothing(bench: Bench) -> None:
    before = bench.desired()
    issues = [replace(ISSUE, number=number, url=f"{URL[:-2]}{number}") for number in range(1, 9)]

    def person() -> None:
        for number in range(8):
            (bench.fleet.top / f"note-{number}").write_text("x")
            while git.run(bench.fleet.top, "add", "--", f"note-{number}", check=False).exit:
                pass
            words = (*git.identity_words(PERSON), "commit", "--quiet", "--message", f"Note {number}")
            while git.run(bench.fleet.top, *words, "--only", "--", f"note-{number}", check=False).exit:
                pass

    def taken() -> bool:
        try:
            bench.take(*issues, desired=before)
        except IntakeDelayed:
            return False
        return True

    thread = threading.Thread(target=person)
    thread.start()
    until(taken, seconds=60)
    thread.join()
    assert (len(bench.files()), len(bench.subjects()), bench.is_clean()) == (8, 8, True)
    assert len(bench.git("log", "--format=%s", "--grep=^Note").splitlines()) == 8


def test_a_fleet_below_the_top_of_its_repository_takes_issues_in_place(tmp_path: Path) -> None:
    with desk_of(new_fleet(tmp_path, below="ops fleet")) as bench:
        bench.take(ISSUE)
        bench.take(PLAIN)
        bench.begin()
        bench.take(ISSUE)
        assert bench.git("ls-files", "ops fleet/state/tasks") == "ops fleet/state/tasks/shop-12.yaml"
        assert bench.is_clean()
        assert (bench.read()["desired"], len(bench.subjects())) == ("run", 3)


def test_a_fleet_with_its_schemas_gets_files_that_editors_complete(bench: Bench) -> None:
    bench.write("schemas/task.schema.json", {})
    bench.take(ISSUE)
    assert (bench.fleet.root / "state/tasks/shop-12.yaml").read_text().startswith("# yaml-language-server: $schema=")
