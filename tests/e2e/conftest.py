"""Fixtures of the end-to-end tests: a fleet whose runs are ended with the test, and a real sshd."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.sshd import Sshd
from tests.e2e.fleets import Fleet


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet.make(tmp_path)
    yield made
    made.end_runs()


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    server = Sshd.start(tmp_path / "sshd")
    yield server
    server.stop()
