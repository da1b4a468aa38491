"""The one branch under several hands: nothing lost, nothing overwritten, everybody told the truth."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.core.desired import Identity
from reconciler.repo import git
from reconciler.repo.observed import fastimport
from reconciler.repo.observed.branch import Branch, BranchAdvanced, BranchFailed, BranchMoved, Place
from reconciler.repo.observed.fastimport import Change
from tests.recording import NOW, foreign_commit, own_git_config

__all__ = ["own_git_config"]

REF = "refs/heads/observed"


@pytest.fixture(params=["sha1", "sha256"])
def repository(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    git.run(tmp_path, "init", "--quiet", "--initial-branch=main", f"--object-format={request.param}")
    return tmp_path


@contextmanager
def writing(repository: Path, writer: str = "w") -> Iterator[Branch]:
    place = Place(
        repository=repository,
        common=repository / ".git",
        name="observed",
        identity=Identity(name="Re\nCon <x>", email="r@localhost"),
        writer=writer,
    )
    branch = Branch(place)
    try:
        yield branch
    finally:
        branch.close()


def change(name: str, content: str = "x: 1\n") -> Change:
    return Change(
        message=f"{name}: changed\n\nTask: {name}",
        at=NOW,
        files={f"state/observed/tasks/{name}.yaml": content.encode()},
    )


def subjects(repository: Path) -> list[str]:
    return git.run(repository, "log", "--format=%s", REF).text.splitlines()


def test_each_commit_stands_on_the_one_before(repository: Path) -> None:
    with writing(repository) as branch:
        ids = [branch.commit(change(f"t{number}")) for number in range(5)]
        assert git.run(repository, "rev-list", "--reverse", REF).text.splitlines() == ids
        assert len(branch.files()) == 5
        branch.commit(Change(message="gone", at=NOW, files={"state/observed/tasks/t0.yaml": None}))
        assert len(branch.files()) == 4
    assert git.run(repository, "fsck", "--strict").exit == 0
    assert list((repository / ".git/objects/pack").glob("*.keep")) == []


def test_two_writers_of_the_same_change_never_make_the_same_commit(repository: Path) -> None:
    with writing(repository, "one") as one, writing(repository, "two") as two:
        first = one.commit(change("a"))
        with pytest.raises(BranchAdvanced):
            two.commit(change("a"))
        two.follow()
        assert two.commit(change("a")) != first


def test_racing_writers_lose_nothing_and_overwrite_nothing(repository: Path) -> None:
    landed: list[str] = []

    def work(writer: str) -> None:
        with writing(repository, writer) as branch:
            for number in range(15):
                name = f"{writer}-{number}"
                while True:
                    try:
                        landed.append(branch.commit(change(name)))
                        break
                    except BranchAdvanced:
                        branch.follow()

    threads = [threading.Thread(target=work, args=(writer,)) for writer in ("one", "two", "three")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(git.run(repository, "rev-list", REF).text.splitlines()) == sorted(landed)
    assert len(set(subjects(repository))) == 45
    assert len(git.ls_tree(repository, REF)) == 45


def test_a_rewritten_or_deleted_branch_is_never_forced(repository: Path) -> None:
    with writing(repository) as branch:
        first, second = branch.commit(change("a")), branch.commit(change("b"))
        git.run(repository, "update-ref", REF, first)
        with pytest.raises(BranchMoved, match=f"git branch --force observed {second}"):
            branch.commit(change("c"))
        assert git.tip(repository, REF) == first
        git.run(repository, "update-ref", "-d", REF)
        with pytest.raises(BranchMoved, match="is gone"):
            branch.commit(change("c"))
    assert git.tip(repository, REF) is None


def test_a_packed_ref_is_read_as_well_as_a_loose_one(repository: Path) -> None:
    with writing(repository) as branch:
        branch.commit(change("a"))
        git.run(repository, "pack-refs", "--all")
        branch.commit(change("b"))
        git.run(repository, "gc", "--quiet")
        branch.commit(change("c"))
    assert subjects(repository) == ["c: changed", "b: changed", "a: changed"]


def test_a_lock_that_this_program_left_is_removed_and_another_is_not(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fastimport, "REF_LOCK_MS", 50)
    stale = repository / ".git/refs/heads/observed.lock"
    with writing(repository) as branch:
        first = branch.commit(change("a"))
        second = branch.commit(change("b"))
    git.run(repository, "update-ref", REF, first)
    stale.write_text(f"{second}\n")
    with writing(repository) as branch:
        branch.commit(change("c"))
        assert not stale.exists()
        stale.write_text(f"{foreign_commit(repository, REF)}\n")
        with pytest.raises(BranchFailed, match=r"remove .*observed\.lock"):
            branch.commit(change("d"))
    assert stale.exists()


def test_packs_that_killed_children_kept_are_released(repository: Path) -> None:
    for name in ("a", "b"):
        with writing(repository) as branch:
            branch.commit(change(name))
    packs = repository / ".git/objects/pack"
    pack, hers = packs.glob("*.pack")
    pack.with_suffix(".keep").write_text("fast-import\n")
    hers.with_suffix(".keep").touch()
    (packs / "pack-mine.keep").write_text("mine")
    (packs / "pack-begun.keep").touch()  # by a child that was killed before it could write into it
    with writing(repository):
        assert {keep.name for keep in packs.glob("*.keep")} == {"pack-mine.keep", f"{hers.stem}.keep"}


def test_a_pack_that_lost_its_index_can_be_read_again(repository: Path, caplog: pytest.LogCaptureFixture) -> None:
    with writing(repository) as branch:
        made = branch.commit(change("a"))
    (index,) = (repository / ".git/objects/pack").glob("*.idx")
    index.unlink()
    (index.parent / "pack-torn.pack").write_bytes(b"")
    assert git.tip(repository, made) is None
    with writing(repository) as branch:
        assert git.tip(repository, made) == made
        branch.commit(change("b"))
    told = sorted(message.rpartition("pack-")[2] for message in caplog.messages)
    assert len(told) == 2
    assert told[0].startswith(f"{index.stem.removeprefix('pack-')}.pack had lost its index")
    assert told[1].startswith("torn.pack has no index and cannot be read")
    assert git.run(repository, "fsck", "--strict").exit == 0


def test_a_path_that_some_git_would_not_take_is_never_written(repository: Path) -> None:
    with writing(repository) as branch:
        for path in (".git/x", "a/../b", "/a", "a//b", "a\nb", "a/.git", ""):
            with pytest.raises(ValueError, match="no path"):
                branch.commit(Change(message="m", at=NOW, files={path: b""}))
        assert git.tip(repository, REF) is None
