"""The local copies of outputs: as long as the original, in place, and without the run's secrets."""

import stat
from pathlib import Path

import pytest

from reconciler.core.mask import Blot
from reconciler.repo import logs
from reconciler.repo.fleet import Fleet

VALUE = "hunter-22-secret"
COPY = logs.Copy(task_id="quiet", epoch=1, stream="stdout")


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(root=tmp_path, top=tmp_path, common=tmp_path / ".git")


def copied(fleet: Fleet) -> bytes:
    return b"".join(logs.read(fleet, COPY.task_id, COPY.epoch, COPY.stream))


@pytest.mark.parametrize("cut", range(len(VALUE) + 9))
def test_a_secret_that_comes_in_two_pieces_is_blotted_out_of_the_copy(fleet: Fleet, cut: int) -> None:
    printed = f"ab {VALUE} cd\n".encode()
    blot = Blot([VALUE])
    logs.append(fleet, COPY, 0, printed[:cut], blot)
    logs.append(fleet, COPY, len(printed[:cut]), printed[cut:], blot)
    assert copied(fleet) == b"ab " + b"*" * len(VALUE) + b" cd\n"
    assert logs.size(fleet, COPY.task_id, COPY.epoch, COPY.stream) == len(printed)


def test_without_secrets_a_copy_is_the_original_and_its_owners_alone(fleet: Fleet) -> None:
    for piece in (b"one\n", b"", b"\xff\0two", b"\n"):
        logs.append(fleet, COPY, len(copied(fleet)), piece, Blot([]))
    path = fleet.logs(COPY.task_id, COPY.epoch) / COPY.stream
    assert path.read_bytes() == b"one\n\xff\0two\n"
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IRUSR | stat.S_IWUSR


def test_what_is_written_again_stays_as_it_is_and_what_would_leave_a_hole_is_refused(fleet: Fleet) -> None:
    printed = f"ab {VALUE} cd {VALUE} ef\n".encode()
    blot = Blot([VALUE])
    for begin, end in ((0, 9), (0, 9), (3, 30), (0, 12), (25, len(printed)), (0, len(printed))):
        logs.append(fleet, COPY, begin, printed[begin:end], blot)
    whole = copied(fleet)
    assert whole == printed.replace(VALUE.encode(), b"*" * len(VALUE))
    with pytest.raises(OSError, match=f"cut to {len(whole)} bytes"):
        logs.append(fleet, COPY, len(whole) + 1, b"x", blot)
    assert copied(fleet) == whole


@pytest.mark.parametrize("name", ["../planted", "a/b", "/etc/planted", "", ".", "..", "x" * 64, "a\nb"])
def test_a_file_is_kept_under_a_plain_name_or_not_at_all(fleet: Fleet, name: str) -> None:
    with pytest.raises(ValueError, match="is no name for a file"):
        logs.keep_file(fleet, COPY.task_id, COPY.epoch, name, b"planted")
    logs.keep_file(fleet, COPY.task_id, COPY.epoch, "usage.json", b"{}")
    assert [path.name for path in fleet.root.rglob("*") if path.is_file()] == ["usage.json"]
