"""A short slice of the fuzzing with fresh numbers, and everything that ever broke."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz import fuzzing
from tests.fuzz.targets import TARGETS, WEB, Target

KEPT = sorted(path for path in fuzzing.CORPUS.rglob("*") if path.is_file())


@pytest.fixture(scope="module", autouse=True)
def web() -> Iterator[None]:
    yield
    WEB.close()


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.relative_to(fuzzing.CORPUS).as_posix())
def test_what_broke_once_does_not_break_again(path: Path) -> None:
    fuzzing.tried(TARGETS[path.parent.name], path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_that_reads_what_strangers_wrote_breaks(name: str) -> None:
    for data in TARGETS[name].seeds():
        fuzzing.tried(TARGETS[name], data)
    number = fuzzing.fresh()
    broken = fuzzing.fuzz(TARGETS[name], number, 100)
    assert broken is None, f"seed {number}: {broken}"


def test_a_target_that_breaks_is_found_and_made_small() -> None:
    def breaks(data: bytes) -> None:
        assert b"\0" not in data

    broken = fuzzing.fuzz(Target(check=breaks, seeds=lambda: [b"abcdef"], words=(b"\0",)), 1, 500)
    assert broken is not None
    assert broken.data == b"\0"
