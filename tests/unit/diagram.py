"""Draws the state machine from its table, as the document that people read.

It never says anything that the table does not say.
"""

import re

from reconciler.core.lifecycle import TABLE
from reconciler.core.terms import TERMINAL, Phase

HEAD = """# The lifecycle of a task

This page is written from the table in `reconciler/core/lifecycle.py` by `tests/unit/diagram.py`; a test says that it is
up to date. An arrow is labelled with the events that can move a task so. An event that has no arrow from a phase
either leaves the phase as it is or is refused, and a refused event changes nothing.
"""


def lifecycle_page() -> str:
    """The document `docs/lifecycle.md`: a mermaid state diagram and a table of every move."""
    moves = _moves()
    lines = [f"    {before} --> {after}: {', '.join(words)}" for (before, after), words in moves.items()]
    ends = [f"    {phase} --> [*]" for phase in Phase if phase in TERMINAL]
    rows = [f"| `{before}` | `{after}` | {', '.join(words)} |" for (before, after), words in moves.items()]
    diagram = ["```mermaid", "stateDiagram-v2", f"    [*] --> {Phase.CREATED}", *lines, *ends, "```"]
    table = ["| from | to | events |", "|---|---|---|", *rows]
    return "\n".join([HEAD, *diagram, "", *table, ""])


def _moves() -> dict[tuple[Phase, Phase], list[str]]:
    """The events of each move from a phase to another, in the order of the phases."""
    moves: dict[tuple[Phase, Phase], list[str]] = {}
    for before in Phase:
        for after in Phase:
            words = [_words(event.__name__) for event, row in TABLE.items() if after in row.get(before, ())]
            if words and before is not after:
                moves[before, after] = words
    return moves


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
