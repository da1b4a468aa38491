"""Kills the program around some writes to the journal; loaded by Python where a test puts it in the way."""

from collections.abc import Iterator
from contextlib import contextmanager
from sqlite3 import Connection

from reconciler.repo.journal import Journal
from tests.fault.shims.killing import counted

as_it_is = Journal.writing


@contextmanager
def writing(self: Journal) -> Iterator[Connection]:
    with counted(), as_it_is(self) as connection:
        yield connection


setattr(Journal, "writing", writing)  # noqa: B010 - a method is not to be assigned otherwise
