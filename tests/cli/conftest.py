"""Runs this folder only when it is asked for with `-m cli`: it fetches packages and takes minutes."""

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "cli" in str(config.getoption("markexpr")):
        return
    unasked = [item for item in items if item.get_closest_marker("cli")]
    items[:] = [item for item in items if not item.get_closest_marker("cli")]
    if unasked:
        config.hook.pytest_deselected(items=unasked)
