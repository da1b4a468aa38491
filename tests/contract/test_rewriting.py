"""A file that gets another content: who opens it reads one or the other, who has it open keeps what they opened."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.repo.observed import rewriting

READER = """
import sys
print("ready", flush=True)
seen = set()
while (text := open(sys.argv[1], "rb").read()) != b"end":
    seen.add(text)
sys.exit(0 if seen <= {b"a" * 300, b"b" * 9000} else f"torn: {sorted(map(len, seen))}")
"""


def given(file: Path, content: bytes) -> None:
    assert (rewriting.rewrite(str(file), content) or rewriting.replace(str(file), content)).st_size == len(content)


def test_a_reader_sees_the_one_or_the_other_and_the_file_stays_the_same(tmp_path: Path) -> None:
    file = tmp_path / "task.yaml"
    file.write_bytes(b"a" * 300)
    inode = file.stat().st_ino
    assert rewriting.rewrite(str(file), b"b" * 9000) is not None
    assert (file.stat().st_ino, file.read_bytes()) == (inode, b"b" * 9000)
    with subprocess.Popen(
        [sys.executable, "-c", READER, file], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as reader:
        assert reader.stdout is not None
        assert reader.stderr is not None
        assert reader.stdout.readline() == b"ready\n"
        for number in range(2000):
            given(file, b"b" * 9000 if number % 2 else b"a" * 300)
        given(file, b"end")
        assert (reader.wait(10), reader.stderr.read()) == (0, b"")
    assert [path.name for path in tmp_path.iterdir()] == ["task.yaml"]


def test_who_has_it_open_and_who_has_another_name_for_it_keeps_what_was_there(tmp_path: Path) -> None:
    file, copy = tmp_path / "task.yaml", tmp_path / "copy"
    file.write_bytes(b"before")
    with file.open("rb") as held:
        assert rewriting.rewrite(str(file), b"after") is None
        given(file, b"after")
        assert (held.read(), file.read_bytes()) == (b"before", b"after")
    copy.hardlink_to(file)
    assert rewriting.rewrite(str(file), b"later") is None
    given(file, b"later")
    assert (copy.read_bytes(), file.read_bytes()) == (b"after", b"later")


@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "nothing"])
def test_what_is_no_plain_file_is_replaced_and_nothing_behind_it_touched(tmp_path: Path, kind: str) -> None:
    file, other = tmp_path / "task.yaml", tmp_path / "other"
    other.write_bytes(b"mine")
    match kind:
        case "link":
            file.symlink_to(other)
        case "folder":
            (file / "deep").mkdir(parents=True)
        case "pipe":
            os.mkfifo(file)
        case _:
            pass
    assert rewriting.rewrite(str(file), b"after") is None
    given(file, b"after")
    assert (file.is_symlink(), file.read_bytes(), other.read_bytes()) == (False, b"after", b"mine")


def test_a_file_comes_from_elsewhere_with_another_content_but_not_over_one_that_stands_there(tmp_path: Path) -> None:
    source, file = tmp_path / "hot.yaml", tmp_path / "done.yaml"
    source.write_bytes(b"running")
    inode = source.stat().st_ino
    made = rewriting.move(str(source), str(file), b"completed")
    assert made is not None
    assert made.st_ino == inode
    assert (source.exists(), file.read_bytes()) == (False, b"completed")
    assert rewriting.move(str(source), str(file), b"again") is None
    source.write_bytes(b"running")
    assert rewriting.move(str(source), str(file), b"again") is None
    assert file.read_bytes() == b"completed"
    given(file, b"again")
    rewriting.replace(str(file), b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["done.yaml"]
