"""The fleet's remote over real git: every move by compare-and-swap, nothing lost, whatever becomes of a push."""

import asyncio
import os
import secrets
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.core.desired import Identity
from reconciler.core.leadership import Pace, Term
from reconciler.core.standing import Standing
from reconciler.leading.pushing import Landed, NotLanded, Overtaken, Pushing
from reconciler.leading.standby import Named, Standby, Taken
from reconciler.leading.upstream import Upstream
from reconciler.repo import git
from reconciler.repo.fleet import IN_FORCE, Fleet
from reconciler.repo.journal import Journal
from reconciler.repo.remote import acceptance, holder, record, standings, termcommits
from reconciler.repo.remote.acceptance import FETCHED_MAIN
from reconciler.repo.remote.door import LEADER, MAIN, OBSERVED, Move, Remote, RemoteFailed
from reconciler.repo.remote.standings import Standings
from tests.recording import NOW, PERSON, assigned, foreign_commit, opened, own_git_config, person_commits
from tests.remotes import SHIM, SPEECHLESS, WAITING, Bare, push
from tests.waiting import until

__all__ = ["own_git_config"]

HUNG = "#!/bin/sh\necho $$ >{pids}\nsleep 60 &\necho $! >>{pids}\nwait\n"
ZERO = "0" * 40
TERM = Term(number=7, holder="a1b2", name="one:/srv/fleet")


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    return Bare.make(tmp_path)


@pytest.fixture
def fleet(bare: Bare, tmp_path: Path) -> Fleet:
    return bare.fleet(tmp_path / "one")


def local(fleet: Fleet) -> str | None:
    return git.tip(fleet.top, "refs/heads/main")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# the door


def test_refs_are_looked_at_fetched_and_moved_by_their_full_names(fleet: Fleet, bare: Bare, tmp_path: Path) -> None:
    remote, first = Remote(fleet.top, "origin"), local(fleet)
    assert remote.refs() == {MAIN: first}
    second = foreign_commit(fleet.top, str(first))
    remote.push([Move(ref=MAIN, old=first, new=second), Move(ref=LEADER, old=None, new=second)])
    assert remote.refs() == {MAIN: second, LEADER: second}
    other = bare.clone(tmp_path / "two")
    person_commits(other.top, "x", "1")
    third = push(other, "y", "2")
    remote.fetch({MAIN: FETCHED_MAIN})
    assert git.tip(fleet.top, FETCHED_MAIN) == third
    remote.push([Move(ref=LEADER, old=second, new=None)])
    assert LEADER not in remote.refs()
    assert Remote(fleet.top, "origin").url() == str(bare.path)


def test_a_push_from_a_place_that_moved_meanwhile_moves_nothing_at_all(fleet: Fleet, bare: Bare) -> None:
    remote, first = Remote(fleet.top, "origin"), local(fleet)
    new = foreign_commit(fleet.top, str(first))
    for stale in ([Move(ref=LEADER, old=new, new=first)], [Move(ref=MAIN, old=None, new=new)]):
        with pytest.raises(RemoteFailed, match="origin: git push: "):
            remote.push([Move(ref=OBSERVED, old=None, new=new), *stale])
    bare.hook("update", '#!/bin/sh\n[ "$1" != refs/heads/observed ]\n')
    with pytest.raises(RemoteFailed, match="declined"):
        remote.push([Move(ref=LEADER, old=None, new=new), Move(ref=OBSERVED, old=None, new=new)])
    assert remote.refs() == {MAIN: first}


def test_a_remote_that_does_not_answer_is_ended_with_all_that_was_started_for_it(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = tmp_path / "pids"
    shim = tmp_path / "hung"
    shim.write_text(HUNG.format(pids=pids))
    shim.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(shim))
    git.run(fleet.top, "remote", "add", "hung", "ssh://nowhere/fleet.git")

    def started() -> list[int]:
        return [int(word) for word in pids.read_text().split()] if pids.exists() else []

    with pytest.raises(RemoteFailed, match=r"hung: git ls-remote: no answer within 0\.5 s"):
        Remote(fleet.top, "hung", timeout_s=0.5).refs()
    until(lambda: len(started()) == 2 and not any(alive(pid) for pid in started()))
    pids.unlink()
    remote, heard = Remote(fleet.top, "hung"), list[str]()

    def ask() -> None:
        try:
            remote.refs()
        except RemoteFailed as error:
            heard.append(str(error))

    asking = threading.Thread(target=ask)
    asking.start()
    until(lambda: len(started()) == 2)
    remote.close()
    asking.join(10)
    assert heard
    until(lambda: not any(alive(pid) for pid in started()))
    with pytest.raises(RemoteFailed, match="the reconciler is stopping"):
        remote.refs()


def test_a_remote_that_is_missing_is_one_clear_line(fleet: Fleet) -> None:
    with pytest.raises(
        RemoteFailed, match=r"^there is no remote upstream in this clone: `git remote add upstream URL`$"
    ):
        Remote(fleet.top, "upstream").refs()
    with pytest.raises(RemoteFailed, match=r"^/nowhere\.git: git ls-remote: "):
        Remote(fleet.top, "/nowhere.git").refs()


# terms, and who holds them


def test_the_same_term_is_the_same_commit_and_is_read_back(fleet: Fleet) -> None:
    identity = Identity()
    commit = termcommits.write(fleet.top, TERM, identity)
    assert termcommits.write(fleet.top, TERM, identity) == commit
    others = (replace(TERM, turn=1), replace(TERM, released=True), replace(TERM, number=8), replace(TERM, holder="b"))
    assert len({commit, *(termcommits.write(fleet.top, term, identity) for term in others)}) == 5
    for term in (TERM, *others):
        assert termcommits.read(fleet.top, termcommits.write(fleet.top, term, identity)) == term
    hostile = replace(TERM, name="x\nTerm: 99\nHolder: evil\x1b[31m\nState: released" + "y" * 300)
    found = termcommits.read(fleet.top, termcommits.write(fleet.top, hostile, Identity(name="A <x>", email="a>b\n<")))
    assert found is not None
    assert (found.number, found.holder, found.released) == (7, "a1b2", False)
    assert found.name.isprintable()


@pytest.mark.parametrize(
    "said", ["", "Term: 7", "Term: -1\nHolder: x", "Term: ²\nHolder: x", f"Term: {'9' * 5000}\nHolder: x"]
)
def test_a_commit_that_says_no_term_says_none(fleet: Fleet, said: str) -> None:
    made = git.run(
        fleet.top,
        *git.identity_words(Identity()),
        "commit-tree",
        "HEAD^{tree}",
        "-F",
        "-",
        stdin=f"x\n\n{said}".encode(),
    ).text
    assert termcommits.read(fleet.top, made) is None
    assert termcommits.read(fleet.top, "1" * 40) is None
    git.run(fleet.top, "update-ref", record.LOCAL, made)
    assert termcommits.highest(fleet.top) in {0, 7}


def test_the_highest_term_is_remembered_and_never_a_lower_one(fleet: Fleet) -> None:
    assert termcommits.highest(fleet.top) == 0
    for number, highest in ((3, 3), (9, 9), (4, 9)):
        term = replace(TERM, number=number)
        termcommits.remember(fleet.top, termcommits.write(fleet.top, term, Identity()), term)
        assert termcommits.highest(fleet.top) == highest


def test_a_copied_folder_is_another_holder(fleet: Fleet, tmp_path: Path) -> None:
    name = holder.holder(fleet)
    assert (len(name), holder.holder(fleet)) == (12, name)
    shutil.copytree(fleet.top, tmp_path / "copy", symlinks=True)
    copy = replace(fleet, root=tmp_path / "copy", top=tmp_path / "copy", common=tmp_path / "copy" / ".git")
    assert (fleet.local / "holder").read_text() == (copy.local / "holder").read_text()
    assert holder.holder(copy) != name
    (fleet.local / "holder").unlink()
    assert holder.holder(fleet) != name


# what people want


def accept(fleet: Fleet) -> acceptance.Verdict:
    remote = Remote(fleet.top, "origin")
    wanted = remote.refs().get(MAIN)
    if wanted is not None:
        remote.fetch({MAIN: FETCHED_MAIN})
    return acceptance.accept(fleet, "origin", wanted)


def in_force(fleet: Fleet) -> str | None:
    return git.tip(fleet.top, IN_FORCE)


def follow(fleet: Fleet) -> list[str]:
    return [f"{problem.file}: {problem.message}" for problem in acceptance.follow(fleet, "origin")]


def test_what_is_pushed_comes_in_force_and_the_clone_is_fast_forwarded(
    fleet: Fleet, bare: Bare, tmp_path: Path
) -> None:
    assert (accept(fleet), follow(fleet)) == (acceptance.Verdict(moved=True), [])
    assert accept(fleet) == acceptance.Verdict()
    pushed = push(bare.clone(tmp_path / "two"), "state/tasks/a.yaml", "title: a\n")
    assert accept(fleet) == acceptance.Verdict(moved=True)
    assert follow(fleet) == []
    assert in_force(fleet) == local(fleet) == pushed
    assert (fleet.root / "state/tasks/a.yaml").read_text() == "title: a\n"


@pytest.mark.parametrize("back", [False, True], ids=["another commit", "only taken back"])
def test_a_rewritten_main_changes_nothing_until_it_is_put_back_or_accepted(
    fleet: Fleet, bare: Bare, *, back: bool
) -> None:
    known = push(fleet, "hosts/here.yaml", "transport: local\n")
    accept(fleet)
    follow(fleet)

    def rewritten() -> str:
        made = str(bare.tip("main~1")) if back else bare.rewrite(MAIN)
        bare.git("update-ref", MAIN, made)
        return made

    made = rewritten()
    for _ in range(2):
        refused = accept(fleet).refused
        assert refused is not None
        assert f"main on origin was rewritten: {made[:12]} does not contain {known[:12]}" in refused
        assert (in_force(fleet), local(fleet)) == (known, known)
    bare.git("update-ref", MAIN, known)
    assert accept(fleet) == acceptance.Verdict()
    made = rewritten()
    assert accept(fleet).refused is not None
    git.run(fleet.top, "reset", "--quiet", "--keep", made)  # what the refusal says, for whoever wants it so
    assert accept(fleet) == acceptance.Verdict(moved=True)
    assert (in_force(fleet), follow(fleet), accept(fleet)) == (made, [], acceptance.Verdict())


@pytest.mark.parametrize("trusting", [False, True])
def test_a_merge_the_wrong_way_round_counts_only_where_it_does_not_matter_whose_commits_are_in_it(
    fleet: Fleet, bare: Bare, *, trusting: bool
) -> None:
    rules = "trust: {authors: [ada@example.org]}\n" if trusting else "# whoever may push\n"
    known = push(fleet, "state/settings.yaml", f"remote: origin\n{rules}")
    accept(fleet)
    side = git.run(
        bare.path, *git.identity_words(PERSON), "commit-tree", "-p", f"{known}~1", "-m", "Aside", f"{known}~1^{{tree}}"
    ).text
    words = ("commit-tree", "-p", side, "-p", known, "-m", "Merge main into mine", f"{known}^{{tree}}")
    turned = git.run(bare.path, *git.identity_words(PERSON), *words).text
    bare.git("update-ref", MAIN, turned)
    refused = accept(fleet).refused
    assert (refused is not None, in_force(fleet)) == (trusting, known if trusting else turned)
    assert refused is None or "main on origin was merged the wrong way round" in refused


def test_a_clone_that_diverged_is_a_refusal_and_commits_that_are_not_pushed_a_problem(
    fleet: Fleet, bare: Bare, tmp_path: Path
) -> None:
    accept(fleet)
    person_commits(fleet.top, "here", "1")
    kept = local(fleet)
    assert accept(fleet) == acceptance.Verdict()
    (said,) = follow(fleet)
    assert "main of this clone has 1 commits that origin has not: push them" in said
    known = in_force(fleet)
    push(bare.clone(tmp_path / "two"), "there", "2")
    refused = accept(fleet).refused
    assert refused is not None
    assert "have diverged" in refused
    assert (in_force(fleet), local(fleet)) == (known, kept)


def test_a_remote_without_main_stops_new_work_and_touches_nothing(fleet: Fleet, bare: Bare) -> None:
    accept(fleet)
    known = in_force(fleet)
    bare.git("update-ref", "-d", MAIN)
    assert accept(fleet).refused == "origin has no branch main: push it, `git push origin main`"
    assert (in_force(fleet), local(fleet)) == (known, known)


def test_what_somebody_edited_in_the_clone_is_never_lost(fleet: Fleet, bare: Bare, tmp_path: Path) -> None:
    push(fleet, "hosts/here.yaml", "transport: local\n")
    accept(fleet)
    follow(fleet)
    other = bare.clone(tmp_path / "two")
    edited = fleet.root / "hosts/here.yaml"
    edited.write_text("transport: local\nslots: 9\n")
    push(other, "state/tasks/a.yaml", "title: a\n")
    accept(fleet)
    (said,) = follow(fleet)  # an edit in nobody's way: everything else comes in
    assert said.startswith("hosts/here.yaml: edited in this clone: only what is committed and pushed to origin counts")
    assert (local(fleet), edited.read_text()) == (in_force(fleet), "transport: local\nslots: 9\n")
    before = local(fleet)
    push(other, "hosts/here.yaml", "transport: local\nslots: 2\n")
    push(other, "state/tasks/b.yaml", "title: b\n")
    (fleet.root / "state/tasks/b.yaml").write_text("title: mine\n")
    accept(fleet)
    said_now = follow(fleet)
    assert [line.partition(":")[0] for line in said_now] == ["hosts/here.yaml", "state/tasks/b.yaml"]
    assert local(fleet) == before
    assert edited.read_text() == "transport: local\nslots: 9\n"
    assert (fleet.root / "state/tasks/b.yaml").read_text() == "title: mine\n"
    assert in_force(fleet) == bare.tip(MAIN)
    git.run(fleet.top, "checkout", "--quiet", "--", "hosts/here.yaml")
    (fleet.root / "state/tasks/b.yaml").unlink()
    assert follow(fleet) == []
    assert local(fleet) == bare.tip(MAIN)


def test_head_elsewhere_and_a_merge_under_way_are_left_as_they_are(fleet: Fleet, bare: Bare, tmp_path: Path) -> None:
    accept(fleet)
    other = bare.clone(tmp_path / "two")
    git.run(fleet.top, "checkout", "--quiet", "-b", "mine")
    pushed = push(other, "a", "1")
    accept(fleet)
    assert follow(fleet) == []
    assert (local(fleet), git.head_branch(fleet.top)) == (pushed, "mine")
    person_commits(fleet.top, "a", "mine")
    git.run(fleet.top, "checkout", "--quiet", "main")
    git.run(fleet.top, *git.identity_words(Identity()), "merge", "--quiet", "--no-commit", "mine", check=False)
    assert git.in_progress(fleet.top) == "merge"
    push(other, "b", "2")
    accept(fleet)
    (said,) = follow(fleet)
    assert "this clone stays behind origin's main, which is in force: a merge is under way" in said
    assert (git.in_progress(fleet.top), local(fleet)) == ("merge", pushed)


# the record


def on(fleet: Fleet, parent: str) -> str:
    """A commit on another one, like none before."""
    words = ("commit-tree", f"{parent}^{{tree}}", "-p", parent, "-m", secrets.token_hex(8))
    return git.run(fleet.top, *git.identity_words(PERSON), *words).text


def chain(fleet: Fleet, count: int, base: str | None = None) -> list[str]:
    """Commits, each on the one before."""
    made = [base or str(local(fleet))]
    for _ in range(count):
        made.append(on(fleet, made[-1]))
    return made[1:]


def test_the_record_of_another_leader_is_taken_over_and_what_was_written_alone_is_kept(fleet: Fleet) -> None:
    theirs, longer = chain(fleet, 2)
    assert record.take_over(fleet, None) == record.Taken()
    assert record.take_over(fleet, theirs) == record.Taken(moved=True)
    git.run(fleet.top, "update-ref", record.LOCAL, longer)
    assert record.take_over(fleet, theirs) == record.Taken()  # more of the same line: it waits to be pushed
    assert record.tip(fleet) == longer
    sideways = on(fleet, theirs)
    taken = record.take_over(fleet, sideways)
    assert taken == record.Taken(moved=True, aside=f"refs/reconciler/superseded/{longer[:12]}")
    assert (record.tip(fleet), git.tip(fleet.top, str(taken.aside))) == (sideways, longer)
    assert record.take_over(fleet, sideways) == record.Taken()


def test_a_backlog_goes_out_in_portions_each_on_the_one_before(fleet: Fleet) -> None:
    commits = chain(fleet, 7)
    git.run(fleet.top, "update-ref", record.LOCAL, commits[-1])
    assert record.behind(fleet, commits[0]).commits == 6
    assert record.behind(fleet, commits[-1]) == record.Behind()
    sent, portions = commits[0], []
    while (portion := record.portion(fleet, sent, 3)) is not None:
        portions.append(portion)
        sent = portion
    assert portions == [commits[3], commits[6]]


def test_the_oldest_commit_that_waits_tells_the_lag(fleet: Fleet) -> None:
    with opened(fleet) as branch:
        branch.record("a", assigned("a"))
        first = str(record.tip(fleet))
        later = NOW + timedelta(minutes=7)
        branch.record("b", assigned("b", at=later))
        branch.record("c", assigned("c", at=later + timedelta(minutes=7)))
    assert record.behind(fleet, first) == record.Behind(commits=2, since=later)
    assert record.behind(fleet, None).since == NOW


# pushing it, whatever becomes of a push


@dataclass
class Process:
    """What one process has: a clock of its own, and what it said."""

    fleet: Fleet
    timeout_s: float = 20.0
    clock_s: float = 100.0
    warned: list[str] = field(default_factory=list)

    def upstream(self) -> Upstream:
        return Upstream(
            fleet=self.fleet,
            remote=Remote(self.fleet.top, "origin", self.timeout_s),
            holder=holder.holder(self.fleet),
            name=holder.name(self.fleet),
            identity=Identity(),
            now=lambda: NOW,
            clock_s=lambda: self.clock_s,
            said=lambda _: None,
            warn=self.warned.append,
            pace=Pace(),
        )

    def takes(self) -> tuple[Pushing, Taken]:
        """The next term, without waiting."""

        async def wait() -> Taken | None:
            standby = Standby(self.upstream(), lambda: Named(in_force="origin", here="origin"), lambda _: None)
            return await standby.wait(asyncio.Event(), patient=False)

        taken = asyncio.run(wait())
        assert taken is not None
        return Pushing(self.upstream(), taken), taken

    def records(self, count: int = 1) -> list[str]:
        """Something is recorded; its commits."""
        made = chain(self.fleet, count, record.tip(self.fleet))
        git.run(self.fleet.top, "update-ref", record.LOCAL, made[-1])
        return made


def released(bare: Bare) -> None:
    """The term that stands on the remote is given back by whoever wants to be followed at once."""
    term = termcommits.read(bare.path, str(bare.tip(LEADER)))
    assert term is not None
    bare.git("update-ref", LEADER, termcommits.write(bare.path, replace(term, released=True), Identity()))


def test_a_push_carries_the_record_with_the_term_and_a_deposed_leader_moves_nothing(
    fleet: Fleet, bare: Bare, tmp_path: Path
) -> None:
    one, two = Process(fleet), Process(bare.clone(tmp_path / "two"))
    pushing, taken = one.takes()
    assert taken.term.number == 1
    (first,) = one.records()
    one.clock_s = 111.0
    assert pushing.push() == Landed(asked_s=111.0, whole=True)
    assert bare.tip(OBSERVED) == first
    released(bare)
    after, _ = two.takes()
    held = bare.tip(LEADER)
    one.records()
    assert pushing.push() == Overtaken(commit=held)
    assert isinstance(pushing.release(), Overtaken)
    assert (bare.tip(LEADER), bare.tip(OBSERVED)) == (held, first)
    two.records()
    assert isinstance(after.push(), Landed)
    assert isinstance(after.release(), Landed)
    standby, _ = one.takes()
    assert standby.observed == bare.tip(OBSERVED)
    assert any("refs/reconciler/superseded/" in line for line in one.warned)
    assert len(git.run(fleet.top, "for-each-ref", record.SET_ASIDE).text.splitlines()) == 1


def test_what_was_recorded_during_a_push_does_not_hold_back_what_was_before(fleet: Fleet, bare: Bare) -> None:
    one = Process(fleet)
    pushing, _ = one.takes()
    one.records()
    bare.hook("pre-receive", WAITING)
    (bare.path / "blocked").touch()
    outcomes: list[object] = []
    working = threading.Thread(target=lambda: outcomes.append(pushing.push()))
    working.start()
    until(lambda: any(b"hooks/pre-receive" in words for words in commands()))
    one.records()
    (bare.path / "blocked").unlink()
    working.join(20)
    assert outcomes == [Landed(asked_s=100.0, whole=True)]
    assert pushing.is_behind()


def commands() -> list[bytes]:
    """The command lines of all processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes())
        except OSError:
            continue
    return found


def test_a_push_whose_answer_is_lost_has_landed(fleet: Fleet, bare: Bare) -> None:
    one = Process(fleet)
    pushing, _ = one.takes()
    (first,) = one.records()
    bare.hook("post-receive", SPEECHLESS)
    (bare.path / "speechless").touch()
    assert pushing.push() == Landed(asked_s=100.0, whole=True)
    assert (bare.tip(OBSERVED), pushing.observed) == (first, first)
    assert isinstance(pushing.release(), Landed)
    term = termcommits.read(bare.path, str(bare.tip(LEADER)))
    assert term is not None
    assert term.released


@pytest.fixture
def far(bare: Bare, fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Process], None]:
    """The remote behind a connection whose far side lives on alone; the call has pushes of a process hang."""
    shim = tmp_path / "shim"
    shim.write_text(SHIM)
    shim.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(shim))
    git.run(fleet.top, "remote", "set-url", "origin", f"ssh://far{bare.path}")
    bare.hook("pre-receive", WAITING)

    def hang(process: Process) -> None:
        (bare.path / "blocked").touch()
        process.timeout_s = 1.5

    return hang


def lets_go(bare: Bare) -> None:
    (bare.path / "blocked").unlink()
    until(lambda: not any(b"receive-pack" in words and os.fsencode(bare.path) in words for words in commands()))


def test_a_push_that_lands_late_is_found_and_counts_from_when_it_was_asked_for(
    fleet: Fleet, bare: Bare, far: Callable[[Process], None]
) -> None:
    one = Process(fleet)
    _, taken = one.takes()
    far(one)
    pushing = Pushing(one.upstream(), taken)
    (first,) = one.records()
    assert isinstance(pushing.push(), NotLanded)
    one.clock_s = 140.0
    lets_go(bare)
    assert bare.tip(OBSERVED) == first
    refs = one.upstream().remote.refs()
    assert pushing.look(refs) == Landed(asked_s=100.0, whole=True)
    assert pushing.look(refs) is None
    (second,) = one.records()
    assert pushing.push() == Landed(asked_s=140.0, whole=True)
    assert bare.tip(OBSERVED) == second


def test_a_renewal_that_lands_late_does_not_untie_the_next_push_from_its_term(
    fleet: Fleet, bare: Bare, far: Callable[[Process], None]
) -> None:
    """Asked for twice in the same words, the second push would find the term's ref moved, and move only the record."""
    one = Process(fleet)
    _, taken = one.takes()
    far(one)
    pushing = Pushing(one.upstream(), taken)
    assert isinstance(pushing.push(), NotLanded)
    lets_go(bare)
    late = bare.tip(LEADER)
    assert late != taken.commit
    one.records()
    one.clock_s = 120.0
    outcome = pushing.push()
    assert outcome == Landed(asked_s=100.0, whole=False)
    assert (bare.tip(LEADER), bare.tip(OBSERVED)) == (late, None)
    assert pushing.push() == Landed(asked_s=120.0, whole=True)
    assert bare.tip(OBSERVED) == record.tip(fleet)


def test_a_push_that_was_stuck_while_another_place_took_the_term_moves_nothing(
    fleet: Fleet, bare: Bare, far: Callable[[Process], None], tmp_path: Path
) -> None:
    one, two = Process(fleet), Process(bare.clone(tmp_path / "two"))
    _, taken = one.takes()
    far(one)
    pushing = Pushing(one.upstream(), taken)
    one.records()
    assert isinstance(pushing.push(), NotLanded)
    bare.hook("pre-receive", "#!/bin/sh\n")  # whoever came before goes on to wait
    released(bare)
    after, _ = two.takes()
    held = bare.tip(LEADER)
    lets_go(bare)
    assert (bare.tip(LEADER), bare.tip(OBSERVED)) == (held, None)
    assert isinstance(after.push(), Landed)


def test_a_record_that_somebody_changed_on_the_remote_is_put_back_or_stops_new_work(
    fleet: Fleet, bare: Bare, tmp_path: Path
) -> None:
    one = Process(fleet)
    pushing, _ = one.takes()
    first, second = one.records(2)
    pushing.push()

    def look() -> object:
        return pushing.look(one.upstream().remote.refs())

    bare.git("update-ref", "-d", OBSERVED)
    assert look() is None
    assert one.warned == ["the record was deleted on origin; it is put back"]
    assert pushing.push() == Landed(asked_s=100.0, whole=True)
    bare.git("update-ref", OBSERVED, first)
    assert look() is None
    assert pushing.is_behind()
    pushing.push()
    assert bare.tip(OBSERVED) == second
    other = bare.clone(tmp_path / "two")
    git.run(other.top, "checkout", "--quiet", "observed")
    person_commits(other.top, "more", "1")
    git.run(other.top, "push", "--quiet", "origin", "observed")
    assert look() is None  # somebody went on from it: it is followed
    assert record.tip(fleet) == bare.tip(OBSERVED)
    made = bare.rewrite(OBSERVED)
    one.records()
    assert isinstance(pushing.push(), NotLanded)
    rewritten = str(pushing.rewritten)
    assert "observed on origin was rewritten by somebody" in rewritten
    assert pushing.push() == Landed(asked_s=100.0, whole=False)  # the term is renewed, and no assignment has arrived
    assert bare.tip(OBSERVED) == made
    (words,) = [word for word in rewritten.split("`") if word.startswith("git push")]
    git.run(fleet.top, *words.split()[1:])
    assert look() is None
    assert pushing.rewritten is None
    assert pushing.push() == Landed(asked_s=100.0, whole=True)
    assert bare.tip(OBSERVED) == record.tip(fleet)


# how it stands, for others


def test_how_the_fleet_stands_is_kept_for_others_and_not_written_for_every_answer(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite3")
    kept = Standings(journal)
    assert standings.read(journal) is None
    first = Standing(role="leader", remote="origin", term=3, leader="one", heard_at=NOW, behind=2, behind_since=NOW)
    kept.keep(first)
    assert standings.read(journal) == first
    kept.keep(replace(first, heard_at=NOW + timedelta(seconds=29)))
    assert standings.read(journal) == first
    newer = replace(first, heard_at=NOW + timedelta(seconds=30))
    kept.keep(newer)
    kept.keep(replace(newer, refused="no"))
    assert standings.read(journal) == replace(newer, refused="no")
    kept.drop()
    assert standings.read(journal) is None
    journal.close()
