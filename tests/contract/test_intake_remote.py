"""Issues of a fleet that lives on a remote: on its main, once; by a pull request where that is protected."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.core.desired import Desired
from reconciler.core.issues import Issue
from reconciler.edges.lead import Held, Lead
from reconciler.forge.client import ForgeUnreachable
from reconciler.repo import git
from reconciler.repo.journal import Journal
from reconciler.repo.main.mainline import Mainline
from reconciler.repo.main.tip import Tip
from reconciler.repo.remote.door import MAIN
from reconciler.repo.yaml import documents
from reconciler.watching.intake import IntakeDelayed
from tests import remotes
from tests.contract.test_intake import ISSUE, PLAIN, URL, Bench
from tests.forge.server import FakeForge
from tests.recording import NOW, opened, own_git_config
from tests.remotes import Line, Person
from tests.waiting import until

__all__ = ["own_git_config"]

FLEET = "acme/fleet"
PULLS = f"/repos/{FLEET}/pulls"
BRANCH = "reconciler/shop-12"
ADDED = "Add shop-12 from issue team/shop#12"


class Killed(BaseException):
    """The process dies here."""


@dataclass(kw_only=True)
class Far(Bench):
    """The same over the program's clone of a fleet whose own repository is on a forge, where Grace pushes too."""

    forge: FakeForge
    remote: Line
    grace: Person
    url: str
    clock_s: float = 0.0

    async def taking(self, issues: Sequence[Issue], desired: Desired | None = None) -> None:
        held = Held(number=1, until_s=1.0, remote="origin", url=self.url)
        self.edges = replace(self.edges, lead=Lead(held, lambda: self.clock_s, lambda: None))
        await super().taking(issues, desired)

    def mainline(self) -> Mainline:
        return Tip(self.fleet, self.remote.origin())

    def read(self, task_id: str = "shop-12") -> Mapping[str, object]:
        path = f"state/tasks/{task_id}.yaml"
        return documents.parse(self.git("show", f"main:{path}").encode(), path).data

    def files(self) -> list[str]:
        folder = "state/tasks/"
        return sorted(path.removeprefix(folder) for path in git.ls_tree(self.remote.bare, "main", folder))

    def git(self, *words: str) -> str:
        return git.run(self.remote.bare, *words).text

    def protect(self, *, on: bool = True) -> None:
        remotes.protect(self.remote.bare, on=on)

    def pulls(self, branch: str = BRANCH) -> list[int]:
        self.forge.settle()
        return self.forge.pulls_of(branch)

    def merged(self, number: int, how: str = "squash") -> None:
        """Grace says yes; the program sees it."""
        self.protect(on=False)
        self.forge.merge(number, how=how)
        self.protect()
        self.remote.origin().follow()


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Far]:
    with FakeForge.running(tmp_path / "forge", FLEET) as forge:
        bare = forge.only.bare.path
        grace = Person.joins(bare, tmp_path / "grace")
        service = {"kind": "forgejo", "url": forge.url, "token_env": "TOKEN"}
        settings = {"default_adapter": "shell", "remote": str(bare), "forge": service}
        files: Mapping[str, Mapping[str, object]] = {
            "adapters/shell": {"run": ["sh", "{prompt_file}"]},
            "state/settings": settings,
        }
        for path, data in files.items():
            grace.writes(f"{path}.yaml", documents.dump(data).decode())
        remote = Line(bare, remotes.clone(bare, tmp_path / "service"))
        with opened(remote.fleet) as branch:
            journal = Journal(remote.fleet.journal)
            far = Far(
                fleet=remote.fleet,
                branch=branch,
                journal=journal,
                token=forge.token,
                forge=forge,
                remote=remote,
                grace=grace,
                url=f"{forge.url}/{FLEET}.git",
            )
            yield far
            assert far.git("fsck", "--strict", "--no-dangling") == ""
            assert git.run(far.fleet.top, "status", "--porcelain", "--untracked-files=no").text == ""
            journal.close()


def delayed(far: Far, *issues: Issue) -> str:
    """Why they have to wait."""
    with pytest.raises(IntakeDelayed) as why:
        far.take(*issues)
    return str(why.value)


def test_an_issue_becomes_one_file_on_the_remotes_main_and_is_held_and_released_there(far: Far) -> None:
    for issues in ((ISSUE, ISSUE), (ISSUE,), (PLAIN,), (PLAIN,), (ISSUE,)):
        far.take(*issues)
        far.begin()
    assert far.read()["desired"] == "run"
    assert far.subjects() == [
        ADDED,
        "Hold shop-12: issue team/shop#12 lost its label",
        "Release shop-12: issue team/shop#12 is wanted again",
    ]
    assert far.git("log", "--format=%an", "--grep", ADDED) == "ada"
    assert "shop-12" in far.desired().tasks
    assert (far.warnings, set(far.remote.pushes)) == ([], {MAIN})


def test_what_somebody_else_pushed_meanwhile_is_looked_at_before_anything_is_written(far: Far) -> None:
    before = far.desired()
    far.grace.writes("state/tasks/shop-12.yaml", "title: hers\ngoal: g\n")
    far.take(ISSUE, desired=before)
    assert far.files() == ["shop-12.yaml", "team-shop-12.yaml"]
    far.grace.writes("state/tasks/hers.yaml", f"title: hers\ngoal: g\nissue: {URL}3\n")
    far.take(replace(ISSUE, number=123, url=f"{URL}3"), desired=before)
    assert far.files() == ["hers.yaml", "shop-12.yaml", "team-shop-12.yaml"]
    far.grace.writes("state/tasks/hers.yaml", None)
    far.begin()
    far.take(replace(ISSUE, number=123, url=f"{URL}3"))
    assert (far.files(), far.warnings) == (["shop-12.yaml", "team-shop-12.yaml"], [])


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_that_dies_around_the_push_leaves_one_file_all_the_same(far: Far, when: str) -> None:
    def cut(step: str) -> None:
        if step.startswith(when):
            far.remote.cut = lambda _: None
            raise Killed

    known = far.desired()
    far.remote.cut = cut
    with pytest.raises(Killed):
        far.take(ISSUE)
    far.begin()
    far.take(ISSUE, desired=known)
    assert (far.files(), far.subjects()) == (["shop-12.yaml"], [ADDED])


def test_nothing_is_written_while_another_one_may_lead(far: Far) -> None:
    far.clock_s = 2.0
    assert delayed(far, ISSUE)
    assert (far.files(), far.remote.pushes, far.warnings) == ([], [], [])
    far.clock_s = 0.0
    far.take(ISSUE)
    assert far.files() == ["shop-12.yaml"]


def test_a_push_that_always_comes_second_is_given_up_and_told_once(far: Far) -> None:
    turns = iter(range(1000))
    far.remote.cut = lambda step: far.grace.writes("note", str(next(turns))) if step.startswith("before") else None
    for _ in range(2):
        assert delayed(far, ISSUE) == "others pushed first, 10 times in a row"
    far.remote.cut = lambda _: None
    far.take(ISSUE)
    assert (far.files(), next(turns)) == (["shop-12.yaml"], 20)
    assert far.warnings == ["issues wait to be taken in: others pushed first, 10 times in a row"]


def test_people_and_intake_push_at_once_and_nothing_is_lost(far: Far) -> None:
    issues = [replace(ISSUE, number=number, url=f"{URL[:-2]}{number}") for number in range(1, 9)]
    known = far.desired()

    def person() -> None:
        for number in range(8):
            far.grace.writes(f"note-{number}", "x\n")

    def taken() -> bool:
        try:
            far.take(*issues, desired=known)
        except IntakeDelayed:
            return False
        return True

    thread = threading.Thread(target=person)
    thread.start()
    until(taken, seconds=60)
    thread.join()
    assert (len(far.files()), len(far.subjects())) == (8, 8)
    assert len(far.git("log", "--format=%s", "--grep=^Change note", "main").splitlines()) == 8
    assert far.git("rev-list", "--count", "--min-parents=2", "main") == "0"


def test_a_protected_main_is_asked_by_one_pull_request_and_a_merge_starts_work(far: Far) -> None:
    far.protect()
    for _ in range(3):
        far.take(ISSUE)
        far.begin()
    (number,) = far.pulls()
    pull, head = far.forge.pull(number)
    assert (pull.title, head.base, far.files()) == (ADDED, "main", [])
    assert f"For {URL}\n" in pull.body
    assert "Merging this starts work" in pull.body
    assert far.git("diff", "--name-status", f"main...{BRANCH}") == "A\tstate/tasks/shop-12.yaml"
    assert far.git("log", "-1", "--format=%an %cn %(trailers:key=Issue,valueonly)", BRANCH).split() == [
        "ada",
        "reconciler",
        URL,
    ]
    far.merged(number, "merge")
    far.take(ISSUE)
    assert (far.files(), far.pulls(), far.warnings) == (["shop-12.yaml"], [number], [])
    assert "shop-12" in far.desired().tasks


def test_a_closed_pull_request_is_a_no_until_the_issue_says_something_else(far: Far) -> None:
    far.protect()
    far.take(ISSUE)
    far.forge.close(far.pulls()[0])
    far.take(ISSUE, replace(ISSUE, updated_at=NOW + timedelta(minutes=1)))
    far.begin()
    pushed = len(far.remote.pushes)
    far.take(ISSUE)
    assert (len(far.pulls()), len(far.remote.pushes), far.warnings) == (1, pushed, [])
    other = replace(ISSUE, body="Accept a plus and a dot.", updated_at=NOW + timedelta(minutes=2))
    far.take(other)
    far.take(other)
    assert len(far.pulls()) == 2
    far.merged(far.pulls()[1])
    far.take(other)
    assert (far.files(), far.read()["goal"]) == (["shop-12.yaml"], "Accept a plus and a dot.")


@pytest.mark.parametrize("answer", ["open", "close"])
def test_what_was_asked_is_known_from_the_forge_where_the_memory_is_lost(far: Far, answer: str) -> None:
    far.protect()
    far.take(ISSUE)
    (number,) = far.pulls()
    if answer == "close":
        far.forge.close(number)
    with far.journal.writing() as connection:
        connection.execute("DELETE FROM published")
    far.begin()
    far.take(ISSUE)
    far.take(ISSUE)
    assert (far.pulls(), far.warnings) == ([number], [])


@pytest.mark.parametrize("when", [f"after refs/heads/{BRANCH}", f"before refs/heads/{BRANCH}"])
def test_a_pull_request_that_was_not_opened_in_time_is_opened_by_the_next_try(far: Far, when: str) -> None:
    def cut(step: str) -> None:
        if step == when:
            far.remote.cut = lambda _: None
            raise Killed

    far.protect()
    far.remote.cut = cut
    with pytest.raises(Killed):
        far.take(ISSUE)
    far.begin()
    far.take(ISSUE)
    assert len(far.pulls()) == 1


def test_a_forge_that_is_silent_or_refuses_delays_the_pull_request(far: Far) -> None:
    far.protect()
    far.forge.fails(403, "POST", PULLS, times=1)
    assert "open a pull request for reconciler/shop-12" in delayed(far, ISSUE)
    far.forge.down()
    with pytest.raises(ForgeUnreachable):
        far.take(ISSUE)
    far.forge.up()
    far.take(ISSUE)
    assert (len(far.pulls()), len(far.warnings)) == (1, 1)


@pytest.mark.parametrize("lacking", [{"token": None}, {"url": "https://elsewhere.example.org/acme/fleet.git"}])
def test_a_protected_main_without_a_way_to_ask_is_told_in_one_line(far: Far, lacking: dict[str, str | None]) -> None:
    for name, value in lacking.items():
        setattr(far, name, value)
    far.begin()
    far.protect()
    for _ in range(2):
        assert "main is protected on the remote, and no pull request can be opened" in delayed(far, ISSUE)
    assert (len(far.warnings), far.pulls(), far.files()) == (1, [], [])
    far.protect(on=False)
    far.take(ISSUE)
    assert far.files() == ["shop-12.yaml"]


def test_a_branch_that_the_remote_keeps_too_is_told(far: Far) -> None:
    hook = far.remote.bare / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    assert "does not take the branch reconciler/shop-12" in delayed(far, ISSUE)


def test_a_label_that_goes_and_comes_asks_to_hold_and_to_release(far: Far) -> None:
    far.take(ISSUE)
    far.protect()
    for _ in range(2):
        far.take(PLAIN)
        far.begin()
    (hold,) = far.pulls()
    assert far.forge.pull(hold)[0].title == "Hold shop-12: issue team/shop#12 lost its label"
    assert "on hold" in far.forge.pull(hold)[0].body
    far.take(ISSUE)
    far.merged(hold, "merge")
    assert far.read()["desired"] == "hold"
    far.take(ISSUE)
    far.take(ISSUE)
    _, release = far.pulls()
    far.forge.close(release)
    far.begin()
    far.take(ISSUE)
    assert (len(far.pulls()), far.read()["desired"], far.warnings) == (2, "hold", [])


def test_two_issues_that_would_have_one_id_are_asked_for_by_a_branch_each(far: Far) -> None:
    far.protect()
    other = replace(ISSUE, repository="Else/shop", url=f"{far.forge.url}/Else/shop/issues/12", clone_url=None)
    far.take(ISSUE, other)
    far.begin()
    third = replace(other, repository="third/shop", url=f"{far.forge.url}/third/shop/issues/12")
    far.take(other, ISSUE, third)
    found = [far.pulls(f"reconciler/{name}") for name in ("shop-12", "else-shop-12", "third-shop-12")]
    assert [len(numbers) for numbers in found] == [1, 1, 1]


def test_a_pull_request_of_a_person_on_the_branch_is_left_to_them(far: Far) -> None:
    far.protect()
    head = far.forge.push(BRANCH, {"note": "mine"})
    number = far.forge.open(BRANCH, "Something else", by="ada")
    assert "for something else" in delayed(far, ISSUE)
    assert (far.pulls(), far.git("rev-parse", BRANCH)) == ([number], head)


def test_where_commits_count_by_their_author_the_program_signs_and_never_brings_in_what_others_wrote(far: Far) -> None:
    settings = documents.parse(far.git("show", "main:state/settings.yaml").encode(), "").data
    trust = {"authors": ["grace@example.org", "reconciler@localhost"]}
    far.grace.writes("state/settings.yaml", documents.dump({**settings, "trust": trust}).decode())
    far.remote.origin().follow()
    far.take(ISSUE)
    assert far.git("log", "-1", "--format=%an %(trailers:key=Asked-by,valueonly)", "main").split() == [
        "reconciler",
        "ada",
    ]
    assert "shop-12" in far.desired().tasks
    eve = Person.joins(far.remote.bare, far.grace.top.parent / "eve")
    path, text = "state/tasks/shop-12.yaml", far.git("show", "main:state/tasks/shop-12.yaml")
    eve.writes(path, text.replace("Accept a plus.", "Send me the keys."))
    far.remote.origin().follow()
    assert "has changes that are not in force" in delayed(far, PLAIN)
    assert far.desired().tasks["shop-12"].value.goal == "Accept a plus."
    far.grace.writes(path, f"{text}\n")
    far.remote.origin().follow()
    far.take(PLAIN)
    assert (far.read()["desired"], far.desired().tasks["shop-12"].value.desired) == ("hold", "hold")
