"""Draws the state machine as SVG, in the colours of its page: a box for each phase, an arrow for each move.

It knows where a box stands; which arrows there are is the table's to say.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from reconciler.core.terms import Phase
from website import lifecycle

WIDTH, HEIGHT = 1000, 590
BOX_WIDTH, BOX_HEIGHT = 150, 46
PLACES: Mapping[Phase, tuple[int, int]] = {
    Phase.BLOCKED: (500, 45),
    Phase.CREATED: (165, 265),
    Phase.ASSIGNED: (400, 265),
    Phase.RUNNING: (635, 265),
    Phase.REVIEW_PENDING: (870, 265),
    Phase.CANCELLED: (190, 485),
    Phase.FAILED: (500, 485),
    Phase.COMPLETED: (810, 485),
}
"""The middle of each box."""

USUAL = (Phase.CREATED, Phase.ASSIGNED, Phase.RUNNING, Phase.REVIEW_PENDING, Phase.COMPLETED)
"""The way of a task with which nothing goes wrong; its arrows are strong."""

TITLE = "The phases of a task, and how it moves between them; the table below says it in words"

STEP = 235
"""How far apart the boxes of the middle row are."""

Move = tuple[Phase, Phase]


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """Where an arrow touches a box, and on which side of it."""

    side: str
    x: float
    y: float


def svg() -> str:
    """The drawing, as one element without a blank line in it."""
    known = lifecycle.moves()
    ports = _ports(list(known))
    arrows = [_arrow(move, words, ports) for move, words in known.items()]
    boxes = [_box(phase) for phase in PLACES]
    return "\n".join(
        [
            f'<svg class="lifecycle" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="lifecycle-title">',
            f'<title id="lifecycle-title">{TITLE}</title>',
            *_heads(),
            *arrows,
            *boxes,
            "</svg>",
        ]
    )


def _heads() -> Iterator[str]:
    yield "<defs>"
    for name in ("usual", "other"):
        yield (
            f'<marker id="head-{name}" class="{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="9"'
            ' markerHeight="9" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0 10 5 0 10z"/></marker>'
        )
    yield "</defs>"


def _box(phase: Phase) -> str:
    x, y = PLACES[phase]
    left, top = x - BOX_WIDTH // 2, y - BOX_HEIGHT // 2
    return (
        f'<g class="phase {phase}"><rect x="{left}" y="{top}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8"/>'
        f'<text x="{x}" y="{y}">{phase}</text></g>'
    )


def _arrow(move: Move, words: list[str], ports: Mapping[tuple[Move, bool], Port]) -> str:
    before, after = move
    kind = "usual" if move in set(pairwise(USUAL)) else "other"
    said = escape(f"{before} → {after}: {', '.join(words)}")
    path = _curve(ports[move, True], ports[move, False])
    return (
        f'<path class="move {kind}" data-from="{before}" data-to="{after}" d="{path}" marker-end="url(#head-{kind})">'
        f"<title>{said}</title></path>"
    )


def _ports(known: list[Move]) -> dict[tuple[Move, bool], Port]:
    """Where each move leaves its box (`True`) and enters the other one (`False`), spread along the sides."""
    at: dict[tuple[Phase, str], list[tuple[Move, bool]]] = {}
    for move in known:
        leaves, enters = _sides(*move)
        at.setdefault((move[0], leaves), []).append((move, True))
        at.setdefault((move[1], enters), []).append((move, False))
    found = {}
    for (phase, side), ends in at.items():
        ends.sort(key=lambda end: _order(end, side))
        for number, end in enumerate(ends, 1):
            found[end] = _port(phase, side, number / (len(ends) + 1))
    return found


def _order(end: tuple[Move, bool], side: str) -> tuple[float, bool]:
    """Arrows of one side in the order in which their other ends lie, so that they do not cross at the box."""
    (before, after), leaves = end
    here, there = (PLACES[before], PLACES[after]) if leaves else (PLACES[after], PLACES[before])
    if side in {"left", "right"}:
        return there[1] - here[1], leaves
    if there[1] == here[1]:
        far = there[0] - here[0]
        return (WIDTH if far > 0 else -WIDTH) - far / 10, leaves
    return there[0] - here[0], leaves


def _port(phase: Phase, side: str, share: float) -> Port:
    x, y = PLACES[phase]
    along = share - 0.5
    if side in {"left", "right"}:
        outward = BOX_WIDTH / 2 if side == "right" else -BOX_WIDTH / 2
        return Port(side=side, x=x + outward, y=y + along * BOX_HEIGHT)
    downward = BOX_HEIGHT / 2 if side == "bottom" else -BOX_HEIGHT / 2
    return Port(side=side, x=x + along * BOX_WIDTH, y=y + downward)


def _sides(before: Phase, after: Phase) -> tuple[str, str]:
    """The sides of the two boxes between which an arrow runs."""
    (x, y), (to_x, to_y) = PLACES[before], PLACES[after]
    if y == to_y and 0 < to_x - x <= 1.5 * STEP:
        return "right", "left"
    if y == to_y:
        side = "top" if to_x > x and y != PLACES[Phase.FAILED][1] else "bottom"
        return side, side
    if abs(to_y - y) > HEIGHT / 2:
        return ("right", "right") if to_x > x else ("left", "left")
    return ("bottom", "top") if to_y > y else ("top", "bottom")


def _curve(start: Port, end: Port) -> str:
    """The way between two ports: it leaves and enters at right angles to the sides."""
    (lead_x, lead_y), (last_x, last_y) = _pull(start, end), _pull(end, start)
    return (
        f"M{start.x:.0f} {start.y:.0f}C{start.x + lead_x:.0f} {start.y + lead_y:.0f} {end.x + last_x:.0f}"
        f" {end.y + last_y:.0f} {end.x:.0f} {end.y:.0f}"
    )


def _pull(port: Port, other: Port) -> tuple[float, float]:
    """How far, and where to, the curve is pulled out of a side."""
    across, down = abs(other.x - port.x), abs(other.y - port.y)
    match port.side:
        case "left":
            return -(across / 3 if port.side != other.side else 260), 0
        case "right":
            return (across / 3 if port.side != other.side else 260), 0
        case "top":
            return 0, -(down / 2 if other.side != "top" else 30 + across / 6)
        case _:
            return 0, (down / 2 if other.side != "bottom" else 30 + across / 8)
