"""The page about the lifecycle says what the table says."""

from pathlib import Path

from reconciler.core.lifecycle import TABLE
from reconciler.core.terms import Phase
from tests.unit.diagram import lifecycle_page

PAGE = Path(__file__).parents[2] / "docs" / "lifecycle.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == lifecycle_page(), "write lifecycle_page() to docs/lifecycle.md"


def test_every_move_of_the_table_is_an_arrow() -> None:
    moves = {(before, after) for row in TABLE.values() for before, to in row.items() for after in to if before != after}
    arrows = {line.split(":")[0].strip() for line in lifecycle_page().splitlines() if " --> " in line}
    assert arrows >= {f"{before} --> {after}" for before, after in moves}
    assert len(arrows) == len(moves) + len({Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED}) + 1
