"""Fixtures of the end-to-end tests: a fleet whose runs end with the test, a real sshd, a forge, an HTTP server."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.scripted import Scripted, scripted
from tests.contract.sshd import Sshd
from tests.e2e.fleets import Fleet
from tests.forge.server import FakeForge
from tests.waiting import until


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


@pytest.fixture
def built_in_address() -> Iterator[tuple[str, int]]:
    """The address that a reconciler listens at unless it is told another: for one test at a time, of all workers.

    Whoever has the UDP port of its number has it, so that nothing is left behind by a test that is killed.
    """
    address = ("127.0.0.1", 8732)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:

        def has_it() -> bool:
            with contextlib.suppress(OSError):
                held.bind(address)
                return True
            return False

        until(has_it, seconds=120)
        yield address
