"""Figures of measurements: ratios are taken within a round, and the plot shows every row."""

from xml.etree import ElementTree as ET

import pytest

from bench import plots
from bench.figures import Figures, Goal, Row, interleaved

ROWS = (
    Row(name="ours <fast>", part="this", values=(10.0, 40.0, 12.0)),
    Row(name="theirs", part="peer", values=(1.0, 2.0, 4.0)),
)


def test_a_ratio_is_that_of_one_round_and_the_median_decides() -> None:
    goals = (
        Goal(wording="ten times", of="ours <fast>", than="theirs", at_least=10),
        Goal(wording="nine times at most", of="ours <fast>", than="theirs", at_most=9),
        Goal(wording="below two", of="theirs", at_most=2),
        Goal(wording="not measured", of="ours <fast>", than="absent", at_least=1),
    )
    reached = Figures(name="f", title="t", unit="u", rows=ROWS, goals=goals).reached()
    assert [(one.values, one.good) for one in reached] == [
        ((10.0, 20.0, 3.0), True),
        ((10.0, 20.0, 3.0), False),
        ((1.0, 2.0, 4.0), True),
    ]


def test_rounds_are_interleaved_and_begin_with_another_each_time() -> None:
    order: list[str] = []

    def take(name: str) -> float:
        order.append(name)
        return float(len(order))

    taken = interleaved(2, {"a": lambda: take("a"), "b": lambda: take("b")})
    assert order == ["a", "b", "b", "a"]
    assert taken == {"a": (1.0, 4.0), "b": (2.0, 3.0)}


def test_a_plot_is_well_formed_and_has_a_bar_for_every_row() -> None:
    drawn = ET.fromstring(plots.svg(Figures(name="f", title="a & b", unit="u", rows=ROWS)))  # noqa: S314 - ours
    bars = [bar for bar in drawn.iter() if bar.tag.endswith("rect")]
    assert [bar.get("class") for bar in bars] == ["this", "peer"]
    assert float(bars[0].get("width", 0)) > float(bars[1].get("width", 0)) > 0


@pytest.mark.parametrize(("value", "text"), [(0.0, "0"), (0.01234, "0.0123"), (9.876, "9.88"), (1234.5, "1,234")])
def test_a_number_has_three_digits_that_count(value: float, text: str) -> None:
    assert plots.short(value) == text
