"""The history of `observed` is cut by real git: nothing else changes, and nothing in between is ever seen."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.core.desired import Identity
from reconciler.repo import git
from reconciler.repo.fleet import Fleet
from reconciler.repo.git import GitFailed
from reconciler.repo.observed import forgetting, reading
from reconciler.repo.observed.forgetting import REF, Forgotten, NothingForgotten, Publish
from reconciler.repo.remote import termcommits
from tests.recording import (
    NOW,
    PERSON,
    assigned,
    foreign_commit,
    new_fleet,
    opened,
    own_git_config,
    person_commits,
    started,
    succeeded,
)

__all__ = ["own_git_config"]

DAYS = 6
CUT = (NOW + timedelta(days=3)).date()
TAG = f"observed-until-{CUT}"
LATER = NOW + timedelta(days=30)


@pytest.fixture(params=[("", "sha1"), ("below/here", "sha256")], ids=["top", "subfolder"])
def fleet(tmp_path: Path, request: pytest.FixtureRequest) -> Fleet:
    """A fleet with a task's run on each of six days, and a commit by somebody with a will of their own."""
    below, objects = request.param
    fleet = new_fleet(tmp_path, f"--object-format={objects}", below=below)
    person_commits(tmp_path, "readme", "a fleet\n")
    (tmp_path / "readme").write_text("staged\n")
    git.run(tmp_path, "add", "readme")
    with opened(fleet) as branch:
        for day in range(DAYS):
            name, at = f"t{day}", NOW + timedelta(days=day)
            branch.record_many([(name, assigned(name, at=at))])
            branch.record_many([(name, started(at=at))])
            branch.record_many([(name, succeeded(at=at))])
    git.run(tmp_path, "update-ref", REF, peculiar(tmp_path, LATER - timedelta(days=1)))
    return fleet


def peculiar(top: Path, at: datetime) -> str:
    """A commit on top with whatever commits may have: an encoding, a zone, a signature, no newline at the end."""
    tree, parent = git.run(top, "rev-parse", f"{REF}^{{tree}}", REF).text.split()
    who = f"Zo\xeb  <z@x> {int(at.timestamp())} -0730"
    raw = (
        f"tree {tree}\nparent {parent}\nauthor {who}\ncommitter {who}\nencoding latin-1\ngpgsig one\n two\n\n\nodd \xe9"
    )
    return git.run(top, "hash-object", "-t", "commit", "-w", "--stdin", stdin=raw.encode("latin-1")).text


def forget(fleet: Fleet, day: date = CUT, publish: Publish | None = None) -> Forgotten:
    return forgetting.forget(fleet, day, LATER, Identity(name="R\n<x>"), publish)


def commits(fleet: Fleet, ref: str = REF) -> list[bytes]:
    """Every commit of the branch as it is stored, oldest first, but for its parents and signature."""
    ids = git.run(fleet.top, "rev-list", "--reverse", "--first-parent", ref).text.split()
    stored = [git.run(fleet.top, "cat-file", "commit", one).stdout for one in ids]
    return [b"\n".join(line for line in one.split(b"\n") if not line.startswith(DROPPED)) for one in stored]


DROPPED = (b"parent ", b"gpgsig ", b" two")


def refs(fleet: Fleet) -> str:
    return git.run(fleet.top, "for-each-ref").text


def untouched(fleet: Fleet) -> tuple[object, ...]:
    """All that is not the branch: other refs, HEAD, index, stash, work tree and the view of what happened."""
    others = [line for line in refs(fleet).splitlines() if REF not in line and TAG not in line]
    kept = ("index", "HEAD", "config", "info/exclude")
    files = [path for path in sorted(fleet.top.rglob("*")) if path.is_file() and ".git" not in path.parts]
    ours = [path for path in files if path != fleet.lock]
    return others, [(fleet.common / name).read_bytes() for name in kept], [(path, path.read_bytes()) for path in ours]


def test_the_branch_begins_at_the_day_and_goes_on_as_it_was(fleet: Fleet) -> None:
    before, rest, known = commits(fleet), untouched(fleet), reading.read(fleet)
    old = git.tip(fleet.top, REF)
    done = forget(fleet)
    assert (done.old, done.new, done.tag) == (old, git.tip(fleet.top, REF), TAG)
    assert git.tip(fleet.top, f"refs/tags/{TAG}") == old
    root, *after = commits(fleet)
    assert after == before[done.cut :]
    assert (done.cut, done.kept) == (10, 10)  # the first three days with the fleet's id, and the other three with one
    assert root.split(b"\n", 1)[0] == before[done.cut - 1].split(b"\n", 1)[0]
    assert f"Forget what happened before {CUT}\n\n10 commits of 2026-11-22 to 2026-11-24 are cut".encode() in root
    assert untouched(fleet) == rest
    assert reading.read(fleet) == known
    assert commits(fleet, TAG) == before
    assert "forgetting" not in refs(fleet)
    assert git.run(fleet.top, "fsck", "--strict", "--no-dangling").exit == 0


def test_the_fleet_goes_on_under_its_own_id_and_the_tag_alone_keeps_what_was(fleet: Fleet) -> None:
    with opened(fleet) as branch:
        name = branch.fleet_id
    done = forget(fleet)
    with opened(fleet) as branch:
        assert branch.fleet_id == name
        assert branch.put_back == []
        assert branch.record("fresh", assigned("fresh", at=LATER)).epoch == 1
    git.run(fleet.top, "tag", "-d", TAG)
    git.run(fleet.top, "gc", "--quiet", "--prune=now")
    assert git.run(fleet.top, "cat-file", "-e", done.old, check=False).exit != 0
    assert git.run(fleet.top, "fsck", "--strict", "--no-dangling").exit == 0


def test_what_cuts_nothing_is_refused_and_changes_nothing(fleet: Fleet, tmp_path: Path) -> None:
    seen = refs(fleet)
    for day, why in {
        LATER.date() + timedelta(days=1): "in the future",
        NOW.date(): "observed begins at 2026-11-22",
        date(1999, 1, 1): "nothing is to be cut",
    }.items():
        with pytest.raises(NothingForgotten, match=why):
            forget(fleet, day)
    assert refs(fleet) == seen
    with pytest.raises(NothingForgotten, match="nothing has happened yet"):
        forget(new_fleet(tmp_path / "other"))
    forget(fleet)
    seen = refs(fleet)
    with pytest.raises(NothingForgotten, match="observed begins at 2026-11-24"):
        forget(fleet)
    assert refs(fleet) == seen


def test_the_term_in_which_the_fleet_was_led_is_never_forgotten(fleet: Fleet) -> None:
    tree = git.run(fleet.top, "rev-parse", f"{REF}^{{tree}}").text
    words = ("commit-tree", tree, "-p", REF, "-m", "led\n\nTerm: 7")
    git.run(fleet.top, "update-ref", REF, git.run(fleet.top, *git.identity_words(PERSON), *words).text)
    assert termcommits.highest(fleet.top) == 7
    done = forgetting.forget(fleet, date.max, datetime.max.replace(tzinfo=UTC), Identity())
    assert done.kept == 0
    assert termcommits.highest(fleet.top) == 7


def test_it_can_be_cut_again_and_down_to_its_last_state(fleet: Fleet) -> None:
    first = forget(fleet)
    last = forget(fleet, LATER.date())
    assert (last.old, last.cut, last.kept) == (first.new, first.kept + 1, 0)
    assert len(commits(fleet)) == 1
    assert git.run(fleet.top, "diff", "--name-only", first.old, last.new).text == ""


def test_the_remote_comes_first_and_its_refusal_leaves_everything_as_it_was(fleet: Fleet) -> None:
    seen, old = [], git.tip(fleet.top, REF)

    def publish(*said: str) -> None:
        seen.append((*said, git.tip(fleet.top, REF), git.tip(fleet.top, f"refs/tags/{said[2]}")))
        if len(seen) == 1:
            raise GitFailed("the remote is away")

    with pytest.raises(GitFailed, match="away"):
        forget(fleet, publish=publish)
    assert git.tip(fleet.top, REF) == old
    done = forget(fleet, publish=publish)
    assert seen == [(old, done.new, TAG, old, old)] * 2
    assert git.tip(fleet.top, REF) == done.new


def test_a_branch_that_moves_meanwhile_is_not_overwritten(fleet: Fleet) -> None:
    moved = foreign_commit(fleet.top, REF)

    def publish(*_: str) -> None:
        git.run(fleet.top, "update-ref", REF, moved)

    with pytest.raises(GitFailed, match="expected"):
        forget(fleet, publish=publish)
    assert git.tip(fleet.top, REF) == moved
    assert forget(fleet).old == moved
    assert git.tip(fleet.top, f"refs/tags/{TAG}") == moved


def test_a_tag_that_keeps_something_else_is_never_moved(fleet: Fleet) -> None:
    git.run(fleet.top, "tag", TAG, "main")
    with pytest.raises(NothingForgotten, match=f"git tag -d {TAG}"):
        forget(fleet)
    assert git.tip(fleet.top, f"refs/tags/{TAG}") == git.tip(fleet.top, "refs/heads/main")


def test_a_clock_that_was_wrong_cuts_too_little(fleet: Fleet) -> None:
    late = peculiar(fleet.top, NOW - timedelta(days=900))
    git.run(fleet.top, "update-ref", REF, late)
    before = commits(fleet)
    done = forget(fleet)
    assert commits(fleet)[1:] == before[done.cut :]
    assert done.cut == 10


@pytest.mark.parametrize("name", [REF, f"refs/tags/{TAG}"])
def test_the_lock_that_a_killed_call_left_is_removed_and_another_is_not(fleet: Fleet, name: str) -> None:
    left, wrote = fleet.common / f"{name}.lock", done_once(fleet)
    left.parent.mkdir(exist_ok=True)
    left.write_text("0" * len(wrote.new) + "\n")
    with pytest.raises(GitFailed, match="File exists"):
        forget(fleet)
    left.write_text(f"{wrote.new if name == REF else wrote.old}\n")
    assert forget(fleet).new == wrote.new
    assert not left.exists()


def done_once(fleet: Fleet) -> Forgotten:
    """What comes of it, with everything put back as it was."""
    done = forget(fleet)
    git.run(fleet.top, "update-ref", REF, done.old)
    git.run(fleet.top, "tag", "-d", TAG)
    return done
