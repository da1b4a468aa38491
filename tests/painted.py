"""The fixtures of tests about pages: a fleet that is painted, and the port at which its pages are served."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pages import Painted, painting, served

__all__ = ["painted", "port"]


@pytest.fixture
def painted(tmp_path: Path) -> Iterator[Painted]:
    with painting(tmp_path) as made:
        yield made


@pytest.fixture
def port(painted: Painted) -> Iterator[int]:
    with served(painted) as number:
        yield number
