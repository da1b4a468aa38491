"""The page about the lifecycle, and the drawing on the site, say what the table says."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

from reconciler.core.lifecycle import TABLE
from reconciler.core.terms import Phase
from website import lifecycle, picture

PAGE = Path(__file__).parents[2] / "docs" / "lifecycle.md"
MOVES = {(before, after) for row in TABLE.values() for before, to in row.items() for after in to if before != after}


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == lifecycle.page(), "write lifecycle.page() to docs/lifecycle.md"


def test_every_move_of_the_table_is_an_arrow() -> None:
    arrows = {line.split(":")[0].strip() for line in lifecycle.page().splitlines() if " --> " in line}
    assert arrows >= {f"{before} --> {after}" for before, after in MOVES}
    assert len(arrows) == len(MOVES) + len({Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED}) + 1


def test_the_drawing_has_a_box_for_each_phase_and_an_arrow_for_each_move_and_no_other() -> None:
    drawing = ET.fromstring(picture.svg())  # noqa: S314 - it was made a moment ago, here
    boxes = [box.text for box in drawing.iter("text")]
    arrows = [arrow for arrow in drawing.iter("path") if "data-from" in arrow.attrib]
    assert sorted(map(str, boxes)) == sorted(Phase)
    assert sorted((arrow.attrib["data-from"], arrow.attrib["data-to"]) for arrow in arrows) == sorted(MOVES)
    for arrow in arrows:
        (title,) = [child.text for child in arrow]
        before, after = Phase(arrow.attrib["data-from"]), Phase(arrow.attrib["data-to"])
        events = {event for event, row in TABLE.items() if after in row.get(before, ())}
        assert title is not None
        said = title.partition(": ")[2].split(", ")
        assert said == [
            re.sub(r"(?<=[a-z])(?=[A-Z])", " ", event.__name__).lower() for event in events_in_order(events)
        ]


def events_in_order(events: set[type]) -> list[type]:
    return [event for event in TABLE if event in events]
