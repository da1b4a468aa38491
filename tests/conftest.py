"""The order of the tests: those that take longest first, so that the workers are done at the same time."""

import pytest

LONGEST_FIRST = ("simulation", "e2e", "fault", "contract", "browser", "property", "fuzz")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    folder = item.nodeid.split("/")[1]
    return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)
