"""Both places where people's files count pass the same tests; the remote's tip stands against whoever else pushes."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.core.desired import Identity
from reconciler.repo import git
from reconciler.repo.git import Refused, Signature
from reconciler.repo.main import mainline as mainlines
from reconciler.repo.main.commits import Edit
from reconciler.repo.main.mainline import Mainline, Moved, Protected, WorkTree
from reconciler.repo.main.tip import Tip
from reconciler.repo.remote.door import MAIN, RemoteFailed
from tests import remotes
from tests.recording import new_fleet, own_git_config, person_commits
from tests.remotes import Line, Person

__all__ = ["own_git_config"]

SERVICE = Identity(name="Service", email="service@example.org")
BY_ADA = Signature(committer=SERVICE, author=Identity(name="Ada", email="ada@forge.example.org"))
OWN = Signature(committer=SERVICE, author=SERVICE)
TASK = "# mine\ntitle: t  # so\ngoal: g\n"


@dataclass(kw_only=True)
class Bench:
    """A fleet with one task, a way to write to it, and the repository in which that counts."""

    main: Mainline
    where: Path

    def git(self, *words: str) -> str:
        return git.run(self.where, *words).text

    def show(self, path: str) -> str:
        return self.git("show", f"main:{self.main.fleet.prefix}{path}")


def settled(top: Path, below: str) -> None:
    """What the fleet starts with."""
    person_commits(top, f"{below}state/tasks/own.yaml", TASK)
    person_commits(top, f"{below}state/settings.yaml", "{}\n")
    person_commits(top, "unrelated", "x\n")


def in_work_tree(folder: Path, below: str) -> Bench:
    fleet = new_fleet(folder / "fleet", below=below)
    settled(fleet.top, fleet.prefix)
    return Bench(main=WorkTree(fleet), where=fleet.top)


def at_tip(folder: Path, below: str) -> Bench:
    remote = shared(folder, below)
    return Bench(main=Tip(remote.fleet, remote.origin()), where=remote.bare)


def shared(folder: Path, below: str = "") -> Line:
    """A fleet on a remote, and the program's clone of it."""
    seed = new_fleet(folder / "seed", below=below)
    settled(seed.top, seed.prefix)
    bare = folder / "fleet.git"
    git.run(folder, "clone", "--quiet", "--bare", str(seed.top), str(bare))
    return Line(bare, remotes.clone(bare, folder / "service", below=below))


@pytest.fixture(params=[in_work_tree, at_tip], ids=["work tree", "tip"])
def place(request: pytest.FixtureRequest) -> Callable[[Path, str], Bench]:
    made: Callable[[Path, str], Bench] = request.param
    return made


@pytest.fixture
def bench(place: Callable[[Path, str], Bench], tmp_path: Path) -> Iterator[Bench]:
    made = place(tmp_path, "")
    made.main.begin(strictly=True)
    yield made
    assert made.git("fsck", "--strict", "--no-dangling") == ""


def test_files_are_found_and_read(bench: Bench) -> None:
    main = bench.main
    assert main.task_paths() == {"own": ["state/tasks/own.yaml"]}
    assert main.read("state/tasks/own.yaml") == TASK.encode()
    assert [main.exists(path) for path in ("state/tasks/own.yaml", "state/tasks", "unrelated", "x")] == [
        True, False, True, False,
    ]  # fmt: skip
    assert mainlines.is_committed(main, "state/tasks/own.yaml")
    assert not mainlines.is_committed(main, "state/tasks/other.yaml")
    with pytest.raises(OSError, match="gone"):
        main.read("state/tasks/gone.yaml")


def test_a_commit_has_exactly_its_edits_and_names_who_wanted_it(bench: Bench) -> None:
    new = bench.main.commit(
        [
            Edit(path="state/tasks/new.yaml", old=None, new=b"title: n\ngoal: g\n"),
            Edit(path="state/tasks/own.yaml", old=TASK.encode(), new=b"title: other\ngoal: g\n"),
            Edit(path="unrelated", old=b"x\n", new=None),
        ],
        "Add new from issue x#1\n\nIssue: https://x/1\nIntake: hold",
        BY_ADA,
    )
    assert bench.git("rev-parse", "main") == new == bench.main.tip()
    shown = bench.git("show", "--name-status", "--format=%an <%ae>%n%cn <%ce>%n%B", "main")
    assert list(filter(None, shown.splitlines())) == [
        "Ada <ada@forge.example.org>", "Service <service@example.org>",
        "Add new from issue x#1", "Issue: https://x/1", "Intake: hold",
        "A\tstate/tasks/new.yaml", "M\tstate/tasks/own.yaml", "D\tunrelated",
    ]  # fmt: skip
    assert bench.main.task_paths().keys() == {"new", "own"}
    assert mainlines.trailers(bench.main, "state/tasks/new.yaml", "Intake") == ["hold"]
    assert mainlines.trailers(bench.main, "state/settings.yaml", "Issue") == []


def test_one_commit_stands_on_the_other(bench: Bench) -> None:
    first = bench.main.commit([Edit(path="a", old=None, new=b"1")], "One", OWN)
    second = bench.main.commit([Edit(path="a", old=b"1", new=b"2")], "Two", OWN)
    assert bench.git("rev-list", "--max-count=2", "main").split() == [second, first]
    assert bench.git("log", "-1", "--format=%an", "main") == "Service"


@pytest.mark.parametrize("old", [None, b"what it never was\n"])
def test_an_edit_of_something_else_is_refused_and_writes_nothing(bench: Bench, old: bytes | None) -> None:
    before = bench.git("rev-parse", "main")
    with pytest.raises(Refused, match=r"own\.yaml"):
        bench.main.commit([Edit(path="state/tasks/own.yaml", old=old, new=b"x")], "No", OWN)
    assert bench.git("rev-parse", "main") == before


@pytest.mark.parametrize("folder", ["ops fleet", 'od"d\\n\u00e4me'])
def test_a_fleet_below_the_top_is_written_in_place(
    place: Callable[[Path, str], Bench], tmp_path: Path, folder: str
) -> None:
    bench = place(tmp_path, folder)
    bench.main.begin(strictly=True)
    new = Edit(path='state/tasks/a "b"\n/new.yaml', old=None, new=b"title: n\ngoal: g\n")
    bench.main.commit([new], "Add new", OWN)
    assert bench.main.task_paths() == {"own": ["state/tasks/own.yaml"], "new": [new.path]}
    assert bench.show(new.path) == "title: n\ngoal: g"
    bench.main.commit([Edit(path=new.path, old=new.new, new=None)], "Remove new", OWN)
    assert bench.main.task_paths().keys() == {"own"}


def test_what_lies_in_the_services_clone_is_neither_read_nor_touched(tmp_path: Path) -> None:
    remote = shared(tmp_path)
    top = remote.fleet.top
    (top / "state/tasks/own.yaml").write_text("half an ed")
    (top / "staged").write_text("1")
    git.run(top, "add", "staged")
    git.run(top, "checkout", "--quiet", "--detach")
    (top / ".git/MERGE_HEAD").write_text(git.run(top, "rev-parse", "HEAD").text)
    (top / ".git/index.lock").touch()
    before = (git.run(top, "status", "--porcelain=v2", "--branch").text, (top / ".git/index").read_bytes())
    main = Tip(remote.fleet, remote.origin())
    main.begin(strictly=True)
    assert main.read("state/tasks/own.yaml") == TASK.encode()
    main.commit([Edit(path="state/tasks/own.yaml", old=TASK.encode(), new=b"title: t\ngoal: h\n")], "Edit own", OWN)
    assert (git.run(top, "status", "--porcelain=v2", "--branch").text, (top / ".git/index").read_bytes()) == before
    assert git.tip(top, remote.fleet.ref) == remote.refs()[MAIN]


def test_a_file_keeps_its_mode_and_a_link_is_no_task(tmp_path: Path) -> None:
    remote = shared(tmp_path)
    ada = Person.joins(remote.bare, tmp_path / "ada")
    (ada.top / "state/tasks/own.yaml").chmod(0o755)
    (ada.top / "state/tasks/link.yaml").symlink_to("own.yaml")
    ada.git("add", "--all")
    ada.git("commit", "--quiet", "--message", "Play")
    ada.git("push", "--quiet", "origin", "HEAD:main")
    main = Tip(remote.fleet, remote.origin())
    remote.origin().follow()
    main.begin(strictly=True)
    assert main.task_paths().keys() == {"own"}
    main.commit([Edit(path="state/tasks/own.yaml", old=TASK.encode(), new=b"x")], "Edit own", OWN)
    assert git.run(remote.bare, "ls-tree", "main", "state/tasks/own.yaml").text.startswith("100755 ")


def test_whoever_comes_second_decides_anew_on_what_the_first_one_wrote(tmp_path: Path) -> None:
    remote = shared(tmp_path)
    main = Tip(remote.fleet, remote.origin())
    main.begin(strictly=True)
    Person.joins(remote.bare, tmp_path / "ada").writes("state/tasks/new.yaml", "title: hers\ngoal: g\n")
    with pytest.raises(Moved):
        main.commit([Edit(path="state/tasks/new.yaml", old=None, new=b"ours")], "Add new", OWN)
    main.begin(strictly=True)
    assert main.read("state/tasks/new.yaml") == b"title: hers\ngoal: g\n"
    assert git.run(remote.bare, "rev-list", "--count", "main").text == "4"


def test_a_main_that_went_back_is_not_written_to(tmp_path: Path) -> None:
    remote = shared(tmp_path)
    git.run(remote.bare, "update-ref", MAIN, "main~1")
    main = Tip(remote.fleet, remote.origin())
    main.begin(strictly=True)
    with pytest.raises(Refused, match="was rewritten"):
        main.commit([Edit(path="a", old=None, new=b"1")], "One", OWN)
    assert git.run(remote.bare, "rev-list", "--count", "main").text == "2"


def test_a_protected_main_and_a_remote_that_is_away_stay_as_they_are(tmp_path: Path) -> None:
    remote = shared(tmp_path)
    main = Tip(remote.fleet, remote.origin())
    before = remote.refs()[MAIN]
    main.begin(strictly=True)
    remotes.protect(remote.bare)
    with pytest.raises(Protected) as kept:
        main.commit([Edit(path="a", old=None, new=b"1")], "One", OWN)
    assert remote.refs()[MAIN] == before == main.tip()
    for _ in range(2):
        kept.value.origin.put("reconciler/one", kept.value.commit)
    assert git.run(remote.bare, "show", "reconciler/one:a").text == "1"
    remote.bare.rename(tmp_path / "away")
    with pytest.raises(RemoteFailed):
        main.commit([Edit(path="a", old=None, new=b"1")], "One", OWN)


def test_a_remote_without_main_is_said_and_taken_once_it_has_one(tmp_path: Path) -> None:
    remote = shared(tmp_path)
    for repository, ref in ((remote.bare, MAIN), (remote.fleet.top, remote.fleet.ref)):
        git.run(repository, "update-ref", "-d", ref)
    main = Tip(remote.fleet, remote.origin())
    with pytest.raises(Refused, match="has no branch main"):
        main.begin(strictly=True)
    git.run(remote.fleet.top, "push", "--quiet", str(remote.bare), f"HEAD:{MAIN}")
    main.begin(strictly=True)
    assert main.exists("state/tasks/own.yaml")


@pytest.mark.parametrize(("ours", "theirs"), [(12, 3), pytest.param(100, 25, marks=pytest.mark.fault)])
def test_nothing_is_lost_where_three_people_and_the_program_push_at_once(
    tmp_path: Path, ours: int, theirs: int
) -> None:
    remote = shared(tmp_path)
    before = int(git.run(remote.bare, "rev-list", "--count", "main").text)
    people = [Person.joins(remote.bare, tmp_path / name) for name in ("ada", "grace", "rex")]

    def person(one: Person) -> None:
        for number in range(theirs):
            one.writes(f"state/tasks/{one.name}-{number}.yaml", f"title: {number}\ngoal: g\n")

    def program() -> None:
        main = Tip(remote.fleet, remote.origin())
        for number in range(ours):
            edit = Edit(path=f"state/tasks/issue-{number}.yaml", old=None, new=b"title: t\ngoal: g\n")
            while True:
                main.begin(strictly=True)
                try:
                    main.commit([edit], f"Add issue-{number}", OWN)
                except Moved:
                    continue
                break

    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(program), *(pool.submit(person, one) for one in people)]:
            done.result()
    assert len(git.ls_tree(remote.bare, "main", "state/tasks")) == 1 + ours + 3 * theirs
    assert int(git.run(remote.bare, "rev-list", "--count", "main").text) == before + ours + 3 * theirs
    assert git.run(remote.bare, "rev-list", "--count", "--min-parents=2", "main").text == "0"
    for repository in (remote.bare, remote.fleet.top):
        assert git.run(repository, "fsck", "--strict", "--no-dangling").text == ""
    assert len(remote.pushes) >= ours
