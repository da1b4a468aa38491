"""The funnel over a real repository: what is recorded is a commit, and nothing of the person's is touched."""

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.core.breaker import Breaker, Switch
from reconciler.core.desired import Identity
from reconciler.core.events import Cancelled, Event, PullRequestOpened, PullRequestUpdated, Regenerated
from reconciler.core.lifecycle import IllegalTransition, Superseded
from reconciler.core.observed import Comment, ObservedHost, ObservedTask, PullRequest, Review, Run
from reconciler.core.terms import Failure, Kind, Outcome, Phase, Scope, Verdict
from reconciler.repo import git, lock, storage
from reconciler.repo.fleet import Fleet, exclude, find
from reconciler.repo.journal import Journal
from reconciler.repo.observed import reading, records
from reconciler.repo.observed.branch import BranchFailed, BranchMoved
from reconciler.repo.observed.draft import HostSeen
from reconciler.repo.yaml import documents
from tests.recording import (
    NOW,
    PERSON,
    Told,
    assigned,
    count,
    foreign_commit,
    new_fleet,
    opened,
    own_git_config,
    person_commits,
    show,
    started,
    succeeded,
)

__all__ = ["own_git_config"]


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    made = new_fleet(tmp_path / "fleet")
    exclude(made)
    return made


def trailers(fleet: Fleet) -> list[str]:
    message = git.run(fleet.top, "log", "-1", "--format=%B", "observed").stdout
    return git.run(fleet.top, "interpret-trailers", "--parse", stdin=message).text.splitlines()


def subject(fleet: Fleet) -> str:
    return git.run(fleet.top, "log", "-1", "--format=%s", "observed").text


def test_the_first_commit_holds_the_fleets_own_id_and_every_opening_finds_it_again(fleet: Fleet) -> None:
    with opened(fleet, new_id=lambda: "123456789012") as branch:
        assert branch.fleet_id == "123456789012"
    assert show(fleet, records.FLEET) == 'id: "123456789012"'
    with opened(fleet) as branch:
        assert branch.fleet_id == "123456789012"
    assert count(fleet) == 1


def test_a_fact_becomes_a_commit_whose_trailers_git_reads(fleet: Fleet) -> None:
    with opened(fleet) as branch:
        assert branch.record("fix-login", assigned("fix-login")).phase is Phase.ASSIGNED
        assert subject(fleet) == "fix-login: created -> assigned (implement on localhost)"
        assert trailers(fleet)[:-1] == [
            "Task: fix-login",
            "Run: 0123456789ab.fix-login.1",
            "Epoch: 1",
            "Actor: planner",
            "Reason: implement on localhost",
            "Event: Assigned",
        ]
        assert trailers(fleet)[-1].startswith("Writer: ")
    who = git.run(fleet.top, "log", "-1", "--format=%an %ae %ai %cn %ce %ci", "observed").text
    assert who == " ".join(["reconciler reconciler@localhost 2026-11-22 10:00:00 +0000"] * 2)


def test_who_makes_the_commits_may_change_while_it_is_open(fleet: Fleet) -> None:
    with opened(fleet) as branch:
        branch.record("a", assigned("a"))
        branch.sign_as(Identity(name="Another", email="a@example.org"))
        branch.record("a", started())
    people = git.run(fleet.top, "log", "--format=%an <%ae>, %cn", "observed").text.splitlines()
    assert people[:2] == ["Another <a@example.org>, Another", "reconciler <reconciler@localhost>, reconciler"]


def test_a_hostile_reason_forges_no_trailer(fleet: Fleet) -> None:
    with opened(fleet) as branch:
        hostile = replace(assigned("a"), host="h\n\nTask: other\u2028\x1b[31m", actor="person:x\nEpoch: 9")
        branch.record("a", hostile)
    assert [line for line in trailers(fleet) if line.startswith(("Task", "Epoch"))] == ["Task: a", "Epoch: 1"]
    assert len(subject(fleet)) <= 100


def test_a_batch_is_one_commit_with_a_line_for_each_task(fleet: Fleet) -> None:
    with opened(fleet) as branch:
        before = count(fleet)
        tasks = branch.record_many([("a", assigned("a")), ("b", started(7)), ("c", assigned("c"))])
        assert count(fleet) == before + 1
    assert [getattr(task, "phase", type(task)) for task in tasks] == [Phase.ASSIGNED, Superseded, Phase.ASSIGNED]
    assert subject(fleet) == "2 tasks: 2 assigned"
    body = git.run(fleet.top, "log", "-1", "--format=%b", "observed").text
    assert "a: created -> assigned (implement on localhost)\nc: created -> assigned" in body


def test_a_batch_about_one_task_says_why_it_moved(fleet: Fleet) -> None:
    pr = PullRequest(number=1, url="https://forge.example.org/a/b/pulls/1", state="open", updated_at=NOW)
    later = replace(pr, head_sha="b" * 40, updated_at=NOW + timedelta(seconds=1))
    with opened(fleet) as branch:
        news: list[tuple[str, Event]] = [
            ("a", PullRequestOpened(at=NOW, actor="forge:ada", pr=pr)),
            ("a", PullRequestUpdated(at=NOW, actor="forge:ada", pr=later)),
        ]
        branch.record_many(news)
    assert subject(fleet) == "a: created -> review_pending (pull request 1 opened)"


def test_a_finished_task_leaves_the_hot_folder_and_comes_back_when_reopened(fleet: Fleet) -> None:
    later = NOW + timedelta(days=3)
    with opened(fleet) as branch:
        for event in (assigned("a"), started(), succeeded(at=later)):
            branch.record("a", event)
        assert show(fleet, "state/observed/tasks/a.yaml") is None
        assert "phase: completed" in (show(fleet, "state/observed/done/2026-11-25/a.yaml") or "")
        branch.record("a", Regenerated(at=later, actor="person:Ada", generation=2))
        assert show(fleet, "state/observed/done/2026-11-25/a.yaml") is None
        assert "epoch: 1" in (show(fleet, "state/observed/tasks/a.yaml") or "")
        branch.flush()
    assert (fleet.observed / "tasks/a.yaml").exists()
    assert not (fleet.observed / "done").exists()


def test_the_file_of_a_task_that_ends_moves_in_the_view_unless_a_person_has_touched_it(fleet: Fleet) -> None:
    hot, done = fleet.observed / "tasks", fleet.observed / "done/2026-11-22"
    with opened(fleet) as branch:
        branch.record_many([(name, assigned(name)) for name in "ab"])
        branch.record_many([(name, started()) for name in "ab"])
        branch.flush()
        inodes = {name: (hot / f"{name}.yaml").stat().st_ino for name in "ab"}
        (hot / "b.yaml").unlink()
        (hot / "b.yaml").symlink_to("a.yaml")
        branch.record_many([(name, succeeded()) for name in "ab"])
        branch.flush()
        assert [path.name for path in sorted(done.iterdir())] == ["a.yaml", "b.yaml"]
        assert not hot.exists()
        assert (done / "a.yaml").stat().st_ino == inodes["a"]
        assert not (done / "b.yaml").is_symlink()
        for name in "ab":
            shown = show(fleet, f"state/observed/done/2026-11-22/{name}.yaml")
            assert (done / f"{name}.yaml").read_text().strip() == shown
        assert branch.restore() == []


def test_a_task_that_was_never_assigned_has_a_file_only_once_it_is_cancelled(fleet: Fleet) -> None:
    with opened(fleet) as branch:
        branch.record("a", Cancelled(at=NOW, actor="person:Ada", reason="requested"))
        assert "phase: cancelled" in (show(fleet, "state/observed/done/2026-11-22/a.yaml") or "")
        assert "b" not in branch.tasks()


def test_a_refused_fact_changes_nothing_and_only_its_caller_hears_of_it(fleet: Fleet) -> None:
    told = Told()
    with opened(fleet, told) as branch:
        branch.record("a", assigned("a"))
        before = count(fleet)
        with pytest.raises(Superseded):
            branch.record("a", started(epoch=9))
        with pytest.raises(IllegalTransition):
            branch.record("a", assigned("a", epoch=2))
        with pytest.raises(ValueError, match="no id"):
            branch.record("../a", assigned("a"))
        assert count(fleet) == before
    assert [(name, before.phase, after.phase) for name, before, after, _ in told.records] == [
        ("a", Phase.CREATED, Phase.ASSIGNED)
    ]


def test_the_same_fact_twice_is_one_commit(fleet: Fleet) -> None:
    with opened(fleet) as branch:
        branch.record("a", assigned("a"))
        branch.record("a", started())
        before = count(fleet)
        assert branch.record("a", started()).phase is Phase.RUNNING
        assert count(fleet) == before


def test_activity_of_the_journal_is_committed_along(fleet: Fleet) -> None:
    at = NOW + timedelta(minutes=5)
    with opened(fleet) as branch:
        branch.record("a", assigned("a"))
        journal = Journal(fleet.journal)
        journal.keep_activity("a", at)
        journal.close()
        assert branch.record("a", started()).last_activity_at == at
        assert 'last_activity_at: "2026-11-22T10:05:00Z"' in (show(fleet, "state/observed/tasks/a.yaml") or "")


def test_a_host_is_recorded_and_forgotten(fleet: Fleet) -> None:
    with opened(fleet) as branch:
        away = ObservedHost(reachable=False, since=NOW, reason="no route")
        branch.record_host("gpu-1", HostSeen(host=away, at=NOW, actor="planner"))
        assert subject(fleet) == "gpu-1: unknown -> unreachable (no route)"
        branch.record_host("gpu-1", HostSeen(host=replace(away, reachable=True, reason=None), at=NOW, actor="planner"))
        assert subject(fleet).startswith("gpu-1: unreachable -> reachable (")
        branch.record_host("gpu-1", HostSeen(host=None, at=NOW, actor="planner"))
        assert branch.hosts() == {}
        assert show(fleet, "state/observed/hosts/gpu-1.yaml") is None


def test_a_breaker_is_opened_and_closed_by_one_commit_each_and_read_again(fleet: Fleet) -> None:
    held = Breaker(
        scope=Scope.HOST,
        id="gpu-1",
        state="open",
        reason="3 runs in a row failed (no_capacity)",
        needs="mend the host",
        opened_at=NOW,
        since=NOW - timedelta(minutes=2),
        until=NOW + timedelta(minutes=10),
    )
    opens = Switch(name="host/gpu-1", breaker=held, why=held.reason, at=NOW)
    closed = replace(held, state="closed", closed_at=NOW, closed_because="its host's file changed")
    with opened(fleet) as branch:
        before = count(fleet)
        branch.switch([opens, opens])
        branch.switch([opens])
        assert count(fleet) == before + 1
        assert subject(fleet) == "breaker host/gpu-1: closed -> open (3 runs in a row failed (no_capacity))"
        assert trailers(fleet)[:3] == [
            "Breaker: host/gpu-1",
            "Actor: planner",
            "Reason: 3 runs in a row failed (no_capacity)",
        ]
    with opened(fleet) as branch:
        assert branch.breakers() == reading.read(fleet).breakers == {"host/gpu-1": held}
        branch.switch([Switch(name="host/gpu-1", breaker=closed, why="its host's file changed", at=NOW)])
        assert branch.breakers() == {"host/gpu-1": closed}
        limit = replace(held, scope=Scope.USAGE, id="codex", account="0123456789ab")
        branch.switch([replace(opens, name=limit.name, breaker=limit), replace(opens, breaker=None)])
        assert subject(fleet) == "2 breakers: 1 open, 1 closed"
        assert branch.breakers() == {"usage/codex.0123456789ab": limit}
        branch.flush()
        assert (fleet.observed / "breakers/usage/codex.0123456789ab.yaml").exists()
        with pytest.raises(ValueError, match="no name of a breaker"):
            branch.switch([replace(opens, name="host/../fleet")])


def test_a_breaker_under_a_name_that_is_not_its_own_is_refused() -> None:
    held = Breaker(scope=Scope.FLEET, state="open", reason="r", needs="n", opened_at=NOW, since=NOW, until=NOW)
    with pytest.raises(records.UnreadableRecord, match="is the record of fleet"):
        records.decode({"state/observed/breakers/host/gpu-1.yaml": records.encode(held)})


def test_what_is_read_again_is_what_was_recorded(fleet: Fleet) -> None:
    with opened(fleet) as branch:
        for number in range(20):
            branch.record(f"t{number}", assigned(f"t{number}"))
        kept = dict(branch.tasks())
        assert dict(reading.read(fleet).tasks) == kept
    with opened(fleet) as branch:
        assert dict(branch.tasks()) == kept


def test_who_follows_the_branch_reads_only_records_that_changed(fleet: Fleet) -> None:
    following = reading.Following(fleet)
    assert following.read() == records.Recorded()
    with opened(fleet) as branch:
        branch.record("one", assigned("one"))
        branch.record("two", assigned("two"))
        before = following.read()
        assert following.read() is before
        branch.record("two", started())
        branch.record("two", succeeded())
        after = following.read()
        assert after == reading.read(fleet)
        assert after.paths["two"] != before.paths["two"]
        assert after.tasks["one"] is before.tasks["one"]


def test_sixty_four_threads_are_grouped_and_each_gets_its_own_answer(fleet: Fleet) -> None:
    phases: dict[str, Phase] = {}

    def work(worker: int) -> None:
        for number in range(4):
            name = f"t{worker}-{number}"
            phases[name] = branch.record(name, assigned(name)).phase

    with opened(fleet) as branch:
        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(phases.values()) == {Phase.ASSIGNED}
        assert len(reading.read(fleet).tasks) == 256
        assert count(fleet) < 200


def test_the_person_keeps_index_head_stash_and_work_tree(fleet: Fleet) -> None:
    top = fleet.top
    person_commits(top, "state/tasks/a.yaml", "title: a\n")
    (top / "state/tasks/a.yaml").write_text("title: stashed\n")
    git.run(top, *git.identity_words(PERSON), "stash")
    (top / "staged").write_text("x")
    git.run(top, "add", "--", "staged")

    def everything() -> list[bytes]:
        questions = (("status", "--porcelain"), ("rev-parse", "HEAD"), ("stash", "list"), ("ls-files", "--stage"))
        return [git.run(top, *question).stdout for question in questions]

    before = everything()
    with opened(fleet) as branch:
        branch.record("a", assigned("a"))
        branch.flush()
    assert everything() == before
    assert b"observed" not in before[0]


def test_the_branch_is_written_while_head_is_unborn(fleet: Fleet) -> None:
    with opened(fleet) as branch:
        branch.record("a", assigned("a"))
    assert git.tip(fleet.top, "HEAD") is None
    assert git.run(fleet.top, "status", "--porcelain").stdout == b""
    assert git.run(fleet.top, "fsck", "--strict").exit == 0


def test_a_repository_with_sha256_is_served_alike(tmp_path: Path) -> None:
    fleet = new_fleet(tmp_path, "--object-format=sha256")
    with opened(fleet) as branch:
        branch.record("a", assigned("a"))
        branch.flush()
        assert branch.restore() == []
    with opened(fleet) as branch:
        assert branch.put_back == []
        assert branch.tasks()["a"].phase is Phase.ASSIGNED


def test_a_fleet_in_a_subfolder_and_in_a_linked_worktree_stays_clean(tmp_path: Path) -> None:
    fleet = new_fleet(tmp_path / "main", below="ops [1]/fleet")
    exclude(fleet)
    person_commits(fleet.top, "ops [1]/fleet/state/tasks/a.yaml", "title: a\n")
    linked = tmp_path / "linked"
    git.run(fleet.top, "worktree", "add", "--quiet", "--detach", str(linked))
    second = find(linked / "ops [1]/fleet")
    for place in (fleet, second):
        with opened(place) as branch:
            branch.record(place.top.name, assigned(place.top.name))
            branch.flush()
        assert git.run(place.top, "status", "--porcelain").stdout == b""
    assert sorted(reading.read(fleet).tasks) == ["linked", "main"]


def test_edits_losses_additions_and_links_in_the_view_are_put_back(fleet: Fleet, tmp_path: Path) -> None:
    with opened(fleet) as branch:
        branch.record("a", assigned("a"))
        branch.record("b", assigned("b"))
        branch.flush()
        a, b = fleet.observed / "tasks/a.yaml", fleet.observed / "tasks/b.yaml"
        truth = a.read_text()
        a.write_text("phase: completed\n")
        b.unlink()
        assert branch.restore([a, b]) == ["state/observed/tasks/a.yaml", "state/observed/tasks/b.yaml"]
        assert a.read_text() == truth
        (fleet.observed / "notes.txt").write_text("mine")
        assert branch.restore() == ["state/observed/notes.txt"]
        outside = tmp_path / "outside"
        (fleet.observed / "tasks").rename(outside)
        (fleet.observed / "tasks").symlink_to(outside)
        (outside / "a.yaml").write_text("kept")
        assert "state/observed/tasks/a.yaml" in branch.restore()
        assert (outside / "a.yaml").read_text() == "kept"
        assert a.read_text() == truth
        assert branch.restore() == []


def test_a_clean_of_everything_ignored_loses_nothing(fleet: Fleet) -> None:
    person_commits(fleet.top, "state/tasks/a.yaml", "title: a\n")
    with opened(fleet) as branch:
        branch.record("a", assigned("a"))
    git.run(fleet.top, "clean", "-fdxq")
    assert not fleet.observed.exists()
    with opened(fleet) as branch:
        assert branch.tasks()["a"].epoch == 1
        assert branch.put_back == []
        assert (fleet.observed / "tasks/a.yaml").exists()


def test_a_clone_takes_up_the_branch_and_the_fleets_id(fleet: Fleet, tmp_path: Path) -> None:
    person_commits(fleet.top, "state/tasks/a.yaml", "title: a\n")
    with opened(fleet) as branch:
        branch.record("a", assigned("a"))
        known = branch.fleet_id
    git.run(tmp_path, "clone", "--quiet", str(fleet.top), "clone")
    with opened(find(tmp_path / "clone")) as branch:
        assert branch.fleet_id == known
        assert branch.tasks()["a"].epoch == 1


def test_a_deleted_branch_stops_the_recording_until_it_is_put_back(fleet: Fleet) -> None:
    with opened(fleet) as branch:
        branch.record("a", assigned("a"))
        tip = git.tip(fleet.top, "refs/heads/observed") or ""
        git.run(fleet.top, "branch", "--quiet", "-D", "observed")
        with pytest.raises(BranchMoved, match=f"git branch observed {tip}"):
            branch.record("a", started())
        assert branch.tasks()["a"].phase is Phase.ASSIGNED
        git.run(fleet.top, "branch", "observed", tip)
        assert branch.record("a", started()).phase is Phase.RUNNING
    git.run(fleet.top, "branch", "--quiet", "-D", "observed")
    with pytest.raises(BranchMoved, match="start anew"), opened(fleet):
        pytest.fail("a lost branch was begun anew")


def test_a_foreign_commit_on_top_is_kept_and_a_rewritten_branch_is_not_overwritten(fleet: Fleet) -> None:
    with opened(fleet) as branch:
        branch.record("a", assigned("a"))
        ours = git.tip(fleet.top, "refs/heads/observed") or ""
        foreign = foreign_commit(fleet.top, ours)
        git.run(fleet.top, "update-ref", "refs/heads/observed", foreign)
        assert branch.record("a", started()).phase is Phase.RUNNING
        assert git.run(fleet.top, "rev-parse", "observed^").text == foreign
        rewritten = foreign_commit(fleet.top, f"{ours}^")
        git.run(fleet.top, "update-ref", "refs/heads/observed", rewritten)
        with pytest.raises(BranchMoved, match="was rewritten"):
            branch.record("b", assigned("b"))
        assert git.tip(fleet.top, "refs/heads/observed") == rewritten
        assert "b" not in branch.tasks()


def test_a_foreign_commit_that_takes_back_an_epoch_is_refused(fleet: Fleet) -> None:
    with opened(fleet) as branch:
        before = git.tip(fleet.top, "refs/heads/observed") or ""
        branch.record("a", assigned("a"))
        tree = git.run(fleet.top, "rev-parse", f"{before}^{{tree}}").text
        words = ("commit-tree", tree, "-p", "refs/heads/observed", "-m", "revert")
        revert = git.run(fleet.top, *git.identity_words(PERSON), *words).text
        git.run(fleet.top, "update-ref", "refs/heads/observed", revert)
        with pytest.raises(BranchMoved, match="takes back the epoch of a"):
            branch.record("a", started())
        assert branch.tasks()["a"].phase is Phase.ASSIGNED


def test_a_stale_lock_on_the_ref_fails_every_waiter_and_shows_nothing(fleet: Fleet) -> None:
    with opened(fleet) as branch:
        branch.record("a", assigned("a"))
        stale = fleet.common / "refs/heads/observed.lock"
        stale.touch()
        with pytest.raises(BranchFailed, match=r"remove .*observed\.lock"):
            branch.record("a", started())
        assert branch.tasks()["a"].phase is Phase.ASSIGNED
        stale.unlink()
        assert branch.record("a", started()).phase is Phase.RUNNING


def test_a_branch_below_the_name_is_one_clear_error(fleet: Fleet) -> None:
    person_commits(fleet.top, "x", "x")
    git.run(fleet.top, "branch", "observed/x")
    with pytest.raises(BranchFailed, match="rename the branches below observed/"), opened(fleet):
        pytest.fail("the branch was made although its name is blocked")


def test_a_second_reconciler_is_refused_by_name(fleet: Fleet) -> None:
    with opened(fleet), pytest.raises(lock.Locked, match="already works on this fleet"):
        lock.acquire(fleet.lock)
    lock.acquire(fleet.lock).release()


def test_nothing_is_recorded_after_the_end(fleet: Fleet) -> None:
    with opened(fleet) as branch:
        branch.record("a", assigned("a"))
    with pytest.raises(BranchFailed, match="stopping"):
        branch.record("a", started())


def test_a_record_never_grows_past_what_can_be_read_again() -> None:
    comments = tuple(Comment(path="a.py", body="b" * 900, line=1, hunk="h" * 900) for _ in range(30))
    task = ObservedTask(
        phase=Phase.CREATED,
        epoch=900,
        runs=tuple(
            Run(
                epoch=number,
                run_id=f"0123456789ab.a.{number}",
                host="localhost",
                adapter="shell",
                kind=Kind.IMPLEMENT,
                assigned_at=NOW,
                started_at=NOW,
                finished_at=NOW,
                outcome=Outcome.FAILED,
                failure=Failure.TRANSPORT,
                summary="words " * 600,
            )
            for number in range(900)
        ),
        reviews=tuple(
            Review(
                id=str(number),
                reviewer="bo",
                verdict=Verdict.COMMENTED,
                submitted_at=NOW,
                body="t" * 9000,
                comments=comments,
            )
            for number in range(80)
        ),
    )
    shorter, content = records.fitted(task)
    assert len(content) <= records.MAX_RECORD_BYTES
    assert storage.structure(ObservedTask, documents.parse(content, "a.yaml").data) == shorter
    assert shorter.runs[-1].epoch == 899
    small = ObservedTask(phase=Phase.ASSIGNED, epoch=1)
    assert records.fitted(small)[0] is small
