"""Fixtures of the end-to-end tests: a fleet whose runs end with the test, a real sshd, a forge, an HTTP server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.scripted import Scripted, scripted
from tests.contract.sshd import Sshd
from tests.e2e.fleets import Fleet
from tests.forge.server import FakeForge


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


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[FakeForge]:
    with FakeForge.running(tmp_path / "forge") as one:
        yield one


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted() as one:
        yield one
