"""The journal: what it answers is on disk, and a damaged file never stops the program."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta, timezone
from pathlib import Path

import pytest

from reconciler.core.observed import Lease
from reconciler.repo.inbox import Delivery, Inbox
from reconciler.repo.journal import Journal, JournalFailed
from reconciler.repo.leasebook import LeaseBook
from tests.recording import NOW
from tests.waiting import until


def test_everything_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "local" / "journal.sqlite3"
    journal = Journal(path)
    journal.keep_good_versions({"state/tasks/a.yaml": "b1"})
    journal.keep_good_versions({"state/tasks/a.yaml": "b2"})
    journal.keep_metas({"f.a.1": "{}"})
    journal.keep_leases({"a": Lease(epoch=2, until=NOW)})
    journal.keep_activity("a", NOW)
    journal.close()
    again = Journal(path)
    assert again.warning is None
    assert again.good_version("state/tasks/a.yaml") == "b2"
    assert again.meta("f.a.1") == "{}"
    assert again.lease("a") == Lease(epoch=2, until=NOW)
    assert again.activity("a") == NOW
    again.close()


def test_what_was_never_kept_is_not_there(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    assert journal.good_version("x") is None
    assert journal.meta("f.a.1") is None
    assert journal.lease("a") is None
    assert journal.activity("a") is None
    journal.close()


def test_a_run_that_is_over_is_forgotten_and_others_are_not(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    for run in ("f.a.1", "f.a.2"):
        journal.keep_metas({run: "{}"})
    journal.forget("f.a.1")
    assert (journal.meta("f.a.1"), journal.meta("f.a.2")) == (None, "{}")
    journal.close()


def delivery(text: str, name: str = "1") -> Delivery:
    return Delivery(kind="forgejo", event="push", event_type="push", id=name, body=text.encode(), received_at=NOW)


def test_a_delivery_is_new_once_by_what_it_says_and_never_by_an_id_that_nobody_signed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    inbox = Inbox(journal)
    assert [inbox.keep(delivery(*one)) for one in (("x", "1"), ("y", "1"), ("x", "2"))] == [True, True, False]
    assert [one.body for one in inbox.waiting(10)] == [b"x", b"y"]
    inbox.acted_on(1)
    assert [one.number for one in inbox.waiting(10)] == [2]
    assert not inbox.keep(delivery("x"))
    journal.close()


def test_a_task_keeps_the_time_at_which_it_was_seen_first(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    later = NOW + timedelta(hours=1)
    assert journal.first_seen({"a": NOW}) == {"a": NOW}
    assert journal.first_seen({"a": later, "b": later}) == {"a": NOW, "b": later}
    journal.close()


def test_activity_only_moves_forward_whatever_the_zone(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.keep_activity("a", NOW)
    journal.keep_activity("a", NOW - timedelta(seconds=1))
    assert journal.activity("a") == NOW
    later = (NOW + timedelta(minutes=1)).astimezone(timezone(timedelta(hours=-5)))
    journal.keep_activity("a", later)
    assert journal.activity("a") == later
    journal.close()


@pytest.mark.parametrize("content", [b"not a database" * 500, b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_damaged_file_is_kept_aside_and_a_new_one_begun(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "j"
    path.write_bytes(content)
    journal = Journal(path)
    assert journal.warning is not None
    assert "moved to j.broken-1" in journal.warning
    assert (tmp_path / "j.broken-1").read_bytes() == content
    journal.keep_metas({"r": "{}"})
    journal.close()


def test_a_file_of_another_program_or_of_a_newer_version_is_kept_aside(tmp_path: Path) -> None:
    for name, statement in (("j1", "CREATE TABLE other (x)"), ("j2", "PRAGMA user_version = 999")):
        foreign = sqlite3.connect(tmp_path / name)
        foreign.execute(statement)
        foreign.close()
        journal = Journal(tmp_path / name)
        assert journal.warning is not None
        journal.close()
        assert (tmp_path / f"{name}.broken-1").exists()


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalFailed, match="cannot be opened"):
        Journal(tmp_path / "file" / "j")


def test_many_threads_share_one_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    inbox = Inbox(journal)
    news: list[bool] = []

    def work() -> None:
        news.extend(inbox.keep(delivery(str(number))) for number in range(40))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert news.count(True) == 40
    journal.close()


@pytest.mark.parametrize("full", [False, True])
def test_leases_that_are_renewed_while_others_are_written_are_written_as_one(tmp_path: Path, *, full: bool) -> None:
    journal, lock, wanted = Journal(tmp_path / "j"), threading.RLock(), Lease(epoch=1, until=NOW)
    writes: list[int] = []

    @contextmanager
    def writing() -> Iterator[sqlite3.Connection]:
        writes.append(1)
        if full:
            raise JournalFailed("the disk is full")
        with journal.writing() as connection:
            yield connection

    book = LeaseBook(journal.rows, writing, lock)
    with ThreadPoolExecutor(16) as pool:
        with lock:
            kept = [pool.submit(book.keep, {f"t{number}": wanted}) for number in range(16)]
            until(lambda: book._next.members == 15)  # noqa: SLF001 - all but the one that is being written
        for number, one in enumerate(kept):
            assert isinstance(one.exception(), JournalFailed) if full else one.result() == {f"t{number}": wanted}
    assert len(writes) == 2
    assert len(journal.leases()) == (0 if full else 16)
    journal.close()


def test_leases_that_another_process_wrote_are_seen(tmp_path: Path) -> None:
    one, other = Journal(tmp_path / "j"), Journal(tmp_path / "j")
    assert one.leases() == {}
    other.keep_leases({"a": Lease(epoch=1, until=NOW)})
    assert one.leases() == {"a": Lease(epoch=1, until=NOW)}
    other.drop_leases(["a"])
    assert one.lease("a") is None
    one.close()
    other.close()


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, signal\n"
        "from reconciler.repo.journal import Journal\n"
        f"journal = Journal(pathlib.Path({str(tmp_path / 'j')!r}))\n"
        "journal.keep_metas({'r': 'kept'})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    journal = Journal(tmp_path / "j")
    assert (journal.warning, journal.meta("r")) == (None, "kept")
    journal.close()
