"""Figures as an SVG: a bar for every row, this program, peers and limits in colours of their own, light or dark.

It reads no result and decides nothing: bars are as long as medians are, by powers of ten where these differ much.
"""

import math
from html import escape

from bench.figures import Figures, Row

LABEL, BAR, VALUE, LINE, TOP = 330, 340, 210, 24, 44
WIDE = 40
"""From this ratio of the longest to the shortest on, lengths go by powers of ten."""

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f } .title { font-weight: 600 } .quiet { fill: #57606a }
.this { fill: #1a7f37 } .peer { fill: #8c959f } .limit { fill: #bf8700 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .quiet { fill: #8b949e }
  .this { fill: #3fb950 } .peer { fill: #6e7681 } .limit { fill: #d29922 }
}
"""


def svg(figures: Figures) -> str:
    """The plot, as text."""
    height = TOP + LINE * len(figures.rows) + 12
    medians = [row.median for row in figures.rows if row.median > 0]
    wide = bool(medians) and max(medians) / min(medians) > WIDE
    scale = ", by powers of ten" if wide else ""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LABEL + BAR + VALUE}" height="{height}" role="img">'
        f"<title>{escape(figures.title)}</title><style>{STYLE}</style>"
        f'<text class="title" x="8" y="20">{escape(figures.title)}</text>'
        f'<text class="quiet" x="8" y="37">{escape(figures.unit + scale)}</text>'
    )
    bars = "".join(_bar(row, number, medians, wide=wide) for number, row in enumerate(figures.rows))
    return f"{head}{bars}</svg>\n"


def _bar(row: Row, number: int, medians: list[float], *, wide: bool) -> str:
    y = TOP + LINE * number
    length = _length(row.median, medians, wide=wide)
    text = f"{short(row.median)}  [{short(min(row.values))} - {short(max(row.values))}]"
    return (
        f'<text x="{LABEL - 8}" y="{y + 15}" text-anchor="end">{escape(row.name)}</text>'
        f'<rect class="{row.part}" x="{LABEL}" y="{y + 3}" width="{length:.1f}" height="{LINE - 8}" rx="2"/>'
        f'<text class="quiet" x="{LABEL + length + 6:.1f}" y="{y + 15}">{escape(text)}</text>'
    )


def _length(value: float, medians: list[float], *, wide: bool) -> float:
    if value <= 0:
        return 1.0
    if not wide:
        return max(1.0, BAR * value / max(medians))
    low = math.floor(math.log10(min(medians)))
    return max(1.0, BAR * (math.log10(value) - low) / (math.log10(max(medians)) - low))


def short(value: float) -> str:
    """A number with three digits that count."""
    if value == 0 or abs(value) >= 100:  # noqa: PLR2004 - three digits before the point
        return f"{value:,.0f}"
    return f"{value:.{2 - math.floor(math.log10(abs(value)))}f}" if abs(value) < 100 else f"{value:.0f}"  # noqa: PLR2004
