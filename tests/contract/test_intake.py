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
from reconciler.core.issues import Issue
from reconciler.core.terms import TERMINAL
from reconciler.edges import Edges
from reconciler.edges.forgelink import ForgeLink
from reconciler.forge.client import ForgeUnreachable
from reconciler.repo import fleet as fleets
from reconciler.repo import git
from reconciler.repo.desired.files import DesiredFiles
from reconciler.repo.fleet import Fleet
from reconciler.repo.inbox import Inbox
from reconciler.repo.journal import Journal
from reconciler.repo.observed.funnel import ObservedBranch
from reconciler.repo.published import Published
from reconciler.repo.yaml import documents
from reconciler.watching import intake
from reconciler.watching.intake import IntakeDelayed
from tests.forge.server import FakeForge
from tests.recording import NOW, PERSON, assigned, new_fleet, opened, own_git_config, person_commits

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
class Desk:
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
        self.edges = Edges(
            fleet=self.fleet,
            branch=self.branch,
            journal=self.journal,
            inbox=Inbox(self.journal),
            delivered=asyncio.Event(),
            forge=self.link(),
            transports={},
            now=lambda: self.now,
            secret=lambda _: None,
            changed=lambda: None,
            warn=self.warnings.append,
        )

    def link(self) -> ForgeLink:
        """A way to the forge, for as long as one event loop runs."""
        secrets = {"TOKEN": self.token} if self.token else {}
        return ForgeLink(Published(self.journal), secret=secrets.get, now=lambda: self.now, changed=lambda: None)

    def desired(self) -> Desired:
        files = DesiredFiles(self.fleet.root, journal=self.journal, secret=lambda _: None, key=b"k")
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
def desk_of(fleet: Fleet) -> Iterator[Desk]:
    fleets.exclude(fleet)
    with opened(fleet) as branch:
        journal = Journal(fleet.journal)
        try:
            desk = Desk(fleet=fleet, branch=branch, journal=journal)
            desk.write("adapters/shell.yaml", {"run": ["sh", "{prompt_file}"]})
            desk.write("state/settings.yaml", SETTINGS)
            yield desk
        finally:
            journal.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with desk_of(new_fleet(tmp_path)) as desk:
        yield desk


def test_a_labelled_issue_becomes_one_committed_task_file(desk: Desk) -> None:
    desk.take(ISSUE)
    assert desk.read() == {
        "title": "Fix the login",
        "goal": "Accept a plus.",
        "constraints": ["no new table"],
        "repository": "https://forge.example.org/team/shop.git",
        "issue": URL,
    }
    shown = desk.git("show", "--name-only", "--format=%an <%ae>%n%cn%n%B").splitlines()
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
    assert "shop-12" in desk.desired().tasks
    assert (desk.is_clean(), desk.warnings) == (True, [])


def test_the_same_issue_again_leaves_one_file_and_one_commit(desk: Desk) -> None:
    before = desk.desired()
    desk.take(ISSUE, ISSUE, replace(ISSUE, title="Fix the login!", updated_at=NOW + timedelta(minutes=1)))
    desk.take(ISSUE, desired=before)
    desk.take(replace(ISSUE, url=f"{URL.upper()}/"))
    desk.begin()
    desk.take(ISSUE, desired=before)
    desk.begin()
    desk.take(ISSUE)
    assert (desk.files(), desk.subjects()) == (["shop-12.yaml"], ["Add shop-12 from issue team/shop#12"])
    assert desk.warnings == []


def test_what_needs_nothing_asks_git_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.take(ISSUE)
    desk.begin()
    desk.take(ISSUE)
    known = desk.desired()
    monkeypatch.setenv("PATH", "/nowhere")
    desk.take(ISSUE, replace(PLAIN, number=13, url=f"{URL}3"), desired=known)


def test_issues_taken_at_the_same_time_are_taken_once(desk: Desk) -> None:
    before = desk.desired()
    issues = [replace(ISSUE, number=number, url=f"{URL[:-2]}{number}") for number in (1, 2, 3)]

    async def at_once() -> None:
        await asyncio.gather(*(desk.taking(issues[turn % 3 :], before) for turn in range(6)))

    asyncio.run(at_once())
    assert desk.files() == ["shop-1.yaml", "shop-2.yaml", "shop-3.yaml"]
    assert (len(desk.subjects()), desk.is_clean()) == (3, True)


def test_a_wait_that_is_given_up_writes_its_file_once(desk: Desk) -> None:
    before = desk.desired()

    async def given_up() -> None:
        first = asyncio.create_task(desk.taking([ISSUE], before))
        await asyncio.wait({first}, timeout=0.03)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await desk.taking([ISSUE], before)

    asyncio.run(given_up())
    assert (desk.files(), len(desk.subjects()), desk.is_clean()) == (["shop-12.yaml"], 1, True)


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize("undo", ["--soft", "--mixed"])
def test_a_file_whose_commit_was_cut_off_is_committed_by_the_next_try(desk: Desk, undo: str, *, remote: bool) -> None:
    if remote:
        desk.write("state/settings.yaml", {**SETTINGS, "remote": "https://forge.example.org/team/fleet.git"})
    desk.take(ISSUE)
    desk.git("reset", "--quiet", undo, "HEAD~1")
    (desk.fleet.root / "state/tasks/.shop-12.yaml.4242.new").write_text("half")
    assert not desk.is_clean()
    desk.begin()
    desk.take(ISSUE)
    assert (desk.files(), desk.subjects()) == (["shop-12.yaml"], ["Add shop-12 from issue team/shop#12"])
    assert desk.is_clean()


def test_a_persons_own_uncommitted_file_is_left_to_them(desk: Desk) -> None:
    content = documents.dump({"title": "Mine", "goal": "g", "issue": URL})
    (desk.fleet.root / "state/tasks/mine.yaml").write_bytes(content)
    desk.take(ISSUE)
    desk.begin()
    desk.take(ISSUE)
    desk.take(replace(ISSUE, labels=(), updated_at=None))
    assert (desk.files(), desk.subjects()) == (["mine.yaml"], [])
    assert (desk.fleet.root / "state/tasks/mine.yaml").read_bytes() == content


def test_what_a_person_has_staged_and_edited_stays_as_it_is(desk: Desk) -> None:
    (desk.fleet.top / "staged").write_text("1")
    desk.git("add", "staged")
    (desk.fleet.root / "state/settings.yaml").write_bytes(documents.dump({**SETTINGS, "keep_runs": 3}))
    desk.take(ISSUE)
    assert desk.git("show", "--format=", "--name-only") == "state/tasks/shop-12.yaml"
    assert sorted(desk.git("status", "--porcelain").splitlines()) == [" M state/settings.yaml", "A  staged"]


def test_what_stands_in_the_way_is_told_once_and_the_issue_is_taken_afterwards(desk: Desk) -> None:
    top = desk.fleet.top

    def delayed(saying: str) -> None:
        for _ in range(2):
            with pytest.raises(IntakeDelayed, match=saying):
                desk.take(ISSUE)

    desk.git("checkout", "--quiet", "-b", "topic")
    delayed("topic is checked out")
    desk.git("checkout", "--quiet", "main")
    (top / ".git/MERGE_HEAD").write_text(desk.git("rev-parse", "HEAD"))
    delayed("merge is under way")
    (top / ".git/MERGE_HEAD").unlink()
    (top / ".git/index.lock").touch()
    delayed("index.lock")
    assert desk.files() == []
    (top / ".git/index.lock").unlink()
    desk.take(ISSUE)
    assert (desk.files(), desk.is_clean()) == (["shop-12.yaml"], True)
    assert [line.partition(": ")[0] for line in desk.warnings] == ["issues wait to be taken in"] * 3


def test_an_issue_that_loses_its_label_holds_its_task_and_releases_it_again(desk: Desk) -> None:
    desk.take(ISSUE)
    path = desk.fleet.root / "state/tasks/shop-12.yaml"
    person_commits(desk.fleet.top, "state/tasks/shop-12.yaml", f"# mine\n{path.read_text()}# and mine\n")
    text = path.read_text()
    desk.take(PLAIN)
    desk.take(PLAIN)
    assert path.read_text() == text.replace("# and mine", "desired: hold\n# and mine")
    desk.begin()
    desk.take(ISSUE)
    desk.take(ISSUE)
    assert path.read_text() == text.replace("# and mine", "desired: run\n# and mine")
    desk.take(replace(ISSUE, open=False))
    assert desk.read()["desired"] == "hold"
    assert desk.subjects() == [
        "Add shop-12 from issue team/shop#12",
        "Hold shop-12: issue team/shop#12 lost its label",
        "Release shop-12: issue team/shop#12 is wanted again",
        "Hold shop-12: issue team/shop#12 was closed",
    ]
    assert desk.git("log", "-1", "--format=%(trailers)") == f"Issue: {URL}\nIntake: hold"


def test_a_label_that_goes_before_the_plan_knows_of_the_task_holds_it_all_the_same(desk: Desk) -> None:
    before = desk.desired()
    desk.take(ISSUE, desired=before)
    desk.take(PLAIN, desired=before)
    assert desk.read()["desired"] == "hold"
    desk.take(ISSUE, desired=before)
    assert desk.read()["desired"] == "run"


def test_an_older_sight_of_an_issue_changes_nothing(desk: Desk) -> None:
    later = replace(PLAIN, updated_at=NOW + timedelta(seconds=5))
    desk.take(ISSUE)
    desk.take(later)
    desk.take(ISSUE)
    assert desk.read()["desired"] == "hold"
    other = replace(ISSUE, number=13, url=f"{URL[:-1]}3")
    desk.take(replace(other, labels=(), updated_at=NOW + timedelta(seconds=5)), other)
    assert desk.files() == ["shop-12.yaml"]


def test_a_persons_hold_and_a_persons_task_are_left_alone(desk: Desk) -> None:
    desk.take(ISSUE)
    desk.take(PLAIN)
    content = (desk.fleet.root / "state/tasks/shop-12.yaml").read_text()
    person_commits(desk.fleet.top, "state/tasks/shop-12.yaml", f"# really\n{content}")
    desk.take(ISSUE)
    assert desk.read()["desired"] == "hold"
    desk.write("state/tasks/own.yaml", {"title": "t", "goal": "g", "issue": f"{URL[:-1]}3"})
    desk.take(replace(PLAIN, number=13, url=f"{URL[:-1]}3"))
    desk.write("state/tasks/shop-12.yaml", {**desk.read(), "desired": "cancel"})
    desk.take(ISSUE)
    desk.take(PLAIN)
    assert (desk.read("own").get("desired"), desk.read()["desired"]) == (None, "cancel")
    assert len(desk.subjects()) == 2


def test_a_task_that_was_assigned_is_never_touched(desk: Desk) -> None:
    desk.take(ISSUE)
    desk.branch.record("shop-12", assigned("shop-12"))
    desk.take(PLAIN)
    desk.take(replace(ISSUE, open=False))
    assert (desk.read().get("desired"), len(desk.subjects())) == (None, 1)


def test_a_file_with_a_persons_changes_is_held_once_they_are_committed(desk: Desk) -> None:
    desk.take(ISSUE)
    path = desk.fleet.root / "state/tasks/shop-12.yaml"
    path.write_text(path.read_text() + "priority: 5\n")
    other = replace(ISSUE, number=13, url=f"{URL[:-1]}3")
    for _ in range(2):
        with pytest.raises(IntakeDelayed, match="uncommitted changes"):
            desk.take(PLAIN, other)
    assert (desk.files(), len(desk.warnings)) == (["shop-12.yaml", "shop-13.yaml"], 1)
    person_commits(desk.fleet.top, "state/tasks/shop-12.yaml", path.read_text())
    desk.take(PLAIN)
    assert (desk.read()["desired"], desk.read()["priority"]) == ("hold", 5)


def test_a_person_who_deleted_the_file_does_not_get_it_back(desk: Desk) -> None:
    desk.take(ISSUE)
    desk.git("rm", "--quiet", "state/tasks/shop-12.yaml")
    desk.git(*git.identity_words(PERSON), "commit", "--quiet", "--message", "No")
    desk.take(ISSUE)
    desk.begin()
    desk.take(ISSUE)
    desk.take(PLAIN)
    assert (desk.files(), len(desk.subjects()), desk.warnings) == ([], 1, [])


@pytest.mark.parametrize("content", ['{"title": "t", "goal": "g", "issue": "%s"}\n', "title: [\nissue: %s\n"])
def test_an_issue_whose_task_went_by_another_name_once_is_not_taken_again(desk: Desk, content: str) -> None:
    person_commits(desk.fleet.top, "state/tasks/team/own.yaml", content % URL)
    desk.git("rm", "--quiet", "state/tasks/team/own.yaml")
    desk.git(*git.identity_words(PERSON), "commit", "--quiet", "--message", "No")
    desk.take(ISSUE)
    assert desk.files() == []


def test_a_task_that_was_dropped_on_a_merged_branch_counts_too(desk: Desk) -> None:
    desk.git("checkout", "--quiet", "-b", "side")
    desk.write("state/tasks/own.yaml", {"title": "t", "goal": "g", "issue": URL})
    desk.git("rm", "--quiet", "state/tasks/own.yaml")
    words = git.identity_words(PERSON)
    desk.git(*words, "commit", "--quiet", "--message", "No")
    desk.git("checkout", "--quiet", "main")
    desk.write("other", {"a": 1})
    desk.git(*words, "merge", "--quiet", "--no-edit", "side")
    desk.take(ISSUE)
    assert not (desk.fleet.root / "state/tasks/shop-12.yaml").exists()


def test_an_archived_and_a_moved_task_are_known(desk: Desk) -> None:
    desk.take(ISSUE, replace(ISSUE, number=13, url=f"{URL[:-1]}3"))
    desk.git("mv", "state/tasks/shop-12.yaml", "state/tasks/renamed.yaml")
    (desk.fleet.root / "state/archive/2026/11").mkdir(parents=True)
    desk.git("mv", "state/tasks/shop-13.yaml", "state/archive/2026/11/shop-13.yaml")
    desk.git(*git.identity_words(PERSON), "commit", "--quiet", "--message", "Tidy up")
    desk.begin()
    desk.take(ISSUE, replace(ISSUE, number=13, url=f"{URL[:-1]}3"))
    assert desk.files() == ["renamed.yaml"]
    desk.take(PLAIN)
    assert desk.read("renamed")["desired"] == "hold"


def test_a_task_whose_file_nobody_committed_is_known_by_what_its_run_used(desk: Desk) -> None:
    content = documents.dump({"title": "t", "goal": "g", "issue": URL})
    spec = git.write_blob(desk.fleet.top, content)
    desk.branch.record("own", replace(assigned("own"), spec=spec))
    desk.take(ISSUE)
    assert desk.files() == []


def test_two_owners_of_repositories_with_one_name_get_a_task_each(desk: Desk) -> None:
    other = replace(
        ISSUE,
        repository="Else/shop",
        url="https://forge.example.org/Else/shop/issues/12",
        clone_url="https://forge.example.org/Else/shop.git",
    )
    desk.take(ISSUE, other)
    desk.begin()
    desk.take(other, ISSUE)
    assert desk.files() == ["else-shop-12.yaml", "shop-12.yaml"]
    assert desk.read("else-shop-12")["repository"] == other.clone_url


def test_an_id_that_a_person_used_or_uses_is_not_taken(desk: Desk) -> None:
    desk.write("state/tasks/a/shop-12.yaml", {"title": "t", "goal": "g"})
    desk.write("state/tasks/team-shop-12.yaml", {"title": "t", "goal": "g"})
    desk.git("rm", "--quiet", "state/tasks/team-shop-12.yaml")
    desk.git(*git.identity_words(PERSON), "commit", "--quiet", "--message", "No")
    desk.take(ISSUE)
    assert desk.files() == ["a", "shop-12.yaml", "team-shop-12-2.yaml"]


def test_a_new_task_never_takes_another_ones_branch(desk: Desk) -> None:
    other = {"title": "t", "goal": "g", "repository": ISSUE.clone_url, "branch": "task/shop-12"}
    desk.write("state/tasks/own.yaml", other)
    desk.take(ISSUE)
    assert desk.files() == ["own.yaml", "team-shop-12.yaml"]
    assert desk.desired().refused == {}


def test_a_task_that_only_lacks_a_setting_is_written_and_says_so(desk: Desk) -> None:
    desk.write("state/settings.yaml", {"forge": SETTINGS["forge"]})
    desk.take(ISSUE)
    assert "default_adapter" in desk.desired().refused["shop-12"]


def test_only_open_issues_with_the_very_label_in_a_watched_repository_count(desk: Desk) -> None:
    desk.settings(repositories=["Team/Shop"], label="do it")
    desk.take(
        ISSUE,
        replace(ISSUE, labels=("Do it", "do it ", "do")),
        replace(ISSUE, labels=("do it",), open=False),
        replace(ISSUE, labels=("do it",), repository="team/other", url="https://forge.example.org/team/other/issues/1"),
        replace(ISSUE, labels=("do it",), repository="no name", url="https://forge.example.org/x/issues/1"),
        replace(ISSUE, labels=("do it",), number=0, url="https://forge.example.org/team/shop/issues/0"),
    )
    assert desk.files() == []
    desk.take(replace(ISSUE, labels=("bug", "do it")))
    assert desk.files() == ["shop-12.yaml"]
    desk.write("state/settings.yaml", {"default_adapter": "shell"})
    desk.take(replace(ISSUE, number=13, url=f"{URL[:-1]}3"))
    assert desk.files() == ["shop-12.yaml"]


def test_listed_authors_alone_count_where_there_are_some(desk: Desk) -> None:
    desk.settings(authors=["Grace"])
    desk.take(ISSUE)
    desk.take(ISSUE)
    assert (desk.files(), len(desk.warnings)) == ([], 1)
    assert f"issue {URL} by ada was not taken" in desk.warnings[0]
    assert "settings.forge.authors" in desk.warnings[0]
    desk.take(replace(ISSUE, author="grace", vouched=False))
    assert desk.files() == ["shop-12.yaml"]


def test_without_a_token_only_what_the_webhook_vouches_for_counts(desk: Desk) -> None:
    stranger = replace(ISSUE, author="eve\n\x1b[31m", vouched=False)
    desk.take(stranger)
    desk.take(stranger)
    assert (desk.files(), len(desk.warnings), desk.warnings[0].isprintable()) == ([], 1, True)
    desk.take(ISSUE)
    assert desk.files() == ["shop-12.yaml"]


@dataclass(kw_only=True)
class Connected:
    """A desk with a token for a forge that answers."""

    desk: Desk
    forge: FakeForge

    def issue(self, number: int, author: str = "ada") -> Issue:
        url = f"{self.forge.url}/acme/widgets/issues/{number}"
        return replace(
            ISSUE, repository="acme/widgets", number=number, url=url, author=author, vouched=False, clone_url=None
        )


@pytest.fixture
def connected(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connected]:
    with FakeForge.running(tmp_path_factory.mktemp("forge")) as forge:
        desk.token = forge.token
        desk.begin()
        desk.settings(url=forge.url)
        yield Connected(desk=desk, forge=forge)


def test_with_a_token_the_forge_says_who_may_cause_work(connected: Connected) -> None:
    desk, forge = connected.desk, connected.forge
    desk.take(connected.issue(1), connected.issue(2, "eve"), connected.issue(3, "nobody"), connected.issue(4, ""))
    assert desk.files() == ["widgets-1.yaml"]
    assert [line.split(" was ")[0].rpartition(" by ")[2] for line in desk.warnings] == ["eve", "nobody", "nobody"]
    asked = forge.count("GET", "/permission")
    desk.take(connected.issue(2, "eve"), connected.issue(5))
    assert (forge.count("GET", "/permission"), len(desk.warnings)) == (asked, 3)
    forge.repository("acme/widgets", eve="write")
    desk.now = NOW + timedelta(minutes=11)
    desk.take(connected.issue(2, "eve"))
    assert desk.files() == ["widgets-1.yaml", "widgets-2.yaml", "widgets-5.yaml"]


def test_a_silent_forge_delays_only_what_it_has_to_be_asked_about(connected: Connected) -> None:
    desk, forge = connected.desk, connected.forge
    desk.take(connected.issue(1))
    forge.down()
    with pytest.raises(ForgeUnreachable):
        desk.take(connected.issue(2, "rex"), replace(connected.issue(1), labels=()), connected.issue(3))
    assert (desk.files(), desk.read("widgets-1")["desired"]) == (["widgets-1.yaml", "widgets-3.yaml"], "hold")
    forge.up()
    desk.take(connected.issue(2, "rex"))
    assert desk.files() == ["widgets-1.yaml", "widgets-2.yaml", "widgets-3.yaml"]
    assert desk.warnings == []


def test_a_forge_that_does_not_say_who_may_write_is_told_of(connected: Connected) -> None:
    connected.forge.fails(403, "GET", "/permission")
    connected.desk.take(connected.issue(1))
    assert connected.desk.files() == []
    assert "does not say who may write" in connected.desk.warnings[0]


def test_a_new_task_names_its_repository_as_others_do_else_as_the_forge_does(connected: Connected) -> None:
    desk, forge = connected.desk, connected.forge
    desk.take(connected.issue(1))
    assert desk.read("widgets-1")["repository"] == asyncio.run(_clone_url(desk))
    other = "git@git.example.org:acme/widgets.git"
    desk.write("state/tasks/own.yaml", {"title": "t", "goal": "g", "repository": other})
    desk.git("rm", "--quiet", "state/tasks/widgets-1.yaml")
    desk.git(*git.identity_words(PERSON), "commit", "--quiet", "--message", "No")
    desk.take(replace(connected.issue(2), clone_url=f"{forge.url}/acme/widgets.git"))
    assert desk.read("widgets-2")["repository"] == other


async def _clone_url(desk: Desk) -> str:
    link = desk.link()
    link.use(desk.desired().settings)
    assert link.client is not None
    try:
        return await link.client.clone_url("acme/widgets")
    finally:
        await link.close()


@pytest.mark.parametrize(
    "clone_url", [None, "ext::sh -c id", "--upload-pack=x", "https://elsewhere.example.org/x/y.git", "a\nb", ""]
)
def test_a_clone_url_that_is_none_of_this_forge_is_not_used(desk: Desk, clone_url: str | None) -> None:
    desk.take(replace(ISSUE, clone_url=clone_url))
    assert desk.read()["repository"] == "https://forge.example.org/team/shop.git"


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
def test_whatever_an_issue_says_its_file_is_a_task_to_be_run(desk: Desk, text: str) -> None:
    desk.take(replace(ISSUE, title=text, body=text, author=f"<{text}>"))
    task = desk.desired().tasks["shop-12"].value
    assert (task.desired, task.issue, task.depends_on, dict(task.env)) == ("run", URL, (), {})
    assert set(desk.read()) <= {"title", "goal", "constraints", "validation", "repository", "issue"}
    assert desk.git("log", "-1", "--format=%s%n%(trailers)") == f"Add shop-12 from issue team/shop#12\nIssue: {URL}"
    assert "\n" not in desk.git("log", "-1", "--format=%an")


@pytest.mark.parametrize("login", ["", "...", "<>", "ada <root@localhost>", "ada\nIssue: x", "名前", "dependabot[bot]"])
def test_whatever_an_author_is_called_the_history_is_well_formed(desk: Desk, login: str) -> None:
    desk.take(replace(ISSUE, author=login))
    assert desk.git("log", "-1", "--format=%cn") == "reconciler"
    assert desk.git("log", "-1", "--format=%an")
    assert desk.git("fsck", "--strict") == ""
    assert desk.files() == ["shop-12.yaml"]


@pytest.mark.parametrize("url", ["", "javascript:x", "https://a b", f"https://x/{'y' * 3000}"])
def test_an_issue_without_a_good_url_gets_the_one_that_it_must_have(desk: Desk, url: str) -> None:
    desk.take(replace(ISSUE, url=url))
    assert desk.read()["issue"] == URL


def test_fifty_issues_at_once_are_fifty_tasks(desk: Desk) -> None:
    issues = [replace(ISSUE, number=number, url=f"{URL[:-2]}{number}") for number in range(1, 51)]
    desk.take(*issues)
    desk.begin()
    desk.take(*reversed(issues))
    assert len(desk.files()) == len(desk.subjects()) == len(desk.desired().tasks) == 50
    assert (desk.is_clean(), desk.warnings) == (True, [])


def test_a_person_who_commits_at_the_same_time_loses_nothing(desk: Desk) -> None:
    before = desk.desired()
    issues = [replace(ISSUE, number=number, url=f"{URL[:-2]}{number}") for number in range(1, 9)]

    def person() -> None:
        for number in range(8):
            (desk.fleet.top / f"note-{number}").write_text("x")
            while git.run(desk.fleet.top, "add", "--", f"note-{number}", check=False).exit:
                pass
            words = (*git.identity_words(PERSON), "commit", "--quiet", "--message", f"Note {number}")
            while git.run(desk.fleet.top, *words, "--only", "--", f"note-{number}", check=False).exit:
                pass

    thread = threading.Thread(target=person)
    thread.start()
    for _ in range(50):
        try:
            desk.take(*issues, desired=before)
            break
        except IntakeDelayed:
            continue
    thread.join()
    assert (len(desk.files()), len(desk.subjects()), desk.is_clean()) == (8, 8, True)
    assert len(desk.git("log", "--format=%s", "--grep=^Note").splitlines()) == 8


def test_a_fleet_below_the_top_of_its_repository_takes_issues_in_place(tmp_path: Path) -> None:
    with desk_of(new_fleet(tmp_path, below="ops fleet")) as desk:
        desk.take(ISSUE)
        desk.take(PLAIN)
        desk.begin()
        desk.take(ISSUE)
        assert desk.git("ls-files", "ops fleet/state/tasks") == "ops fleet/state/tasks/shop-12.yaml"
        assert desk.is_clean()
        assert (desk.read()["desired"], len(desk.subjects())) == ("run", 3)


def test_a_fleet_with_its_schemas_gets_files_that_editors_complete(desk: Desk) -> None:
    desk.write("schemas/task.schema.json", {})
    desk.take(ISSUE)
    assert (desk.fleet.root / "state/tasks/shop-12.yaml").read_text().startswith("# yaml-language-server: $schema=")
