"""Runs this folder only when it is asked for with `-m cli`: it fetches packages and takes minutes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli import install, offline
from tests.cli.stage import KEYS, Stage
from tests.contract.sshd import Sshd


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "cli" in str(config.getoption("markexpr")):
        return
    unasked = [item for item in items if item.get_closest_marker("cli")]
    items[:] = [item for item in items if not item.get_closest_marker("cli")]
    if unasked:
        config.hook.pytest_deselected(items=unasked)


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real CLIs: in the folder that `RECONCILER_CLIS` names, else fetched once into a temporary one."""
    if not offline.SERVER.exists():
        pytest.skip("there is no scripted model server beside this repository")
    temporary = tmp_path_factory.getbasetemp()
    shared = temporary.parent if temporary.name.startswith("popen-") else temporary
    return install.install(Path(os.environ.get("RECONCILER_CLIS", shared / "clis")))


@pytest.fixture(params=sorted(KEYS))
def cli(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["local", "ssh"])
def place(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def stage(tmp_path: Path, cli: str, place: str, commands: Path) -> Iterator[Stage]:
    """One CLI at one place: by default each of the four tests that this makes runs."""
    sshd = Sshd.start(tmp_path / "sshd") if place == "ssh" else None
    made = Stage.make(tmp_path, cli, commands, sshd)
    yield made
    made.close()
    if sshd is not None:
        sshd.stop()
