"""Words the state machine from its table, as the document that people read.

It never says anything that the table does not say.
"""

import re

from reconciler.core.lifecycle import TABLE
from reconciler.core.terms import TERMINAL, Phase

HEAD = """# The lifecycle of a task

A task is always in one phase. What happens to it (an agent ends, a pull request is merged, a person raises
`generation`) is an event, and one table says what each event does in each phase. This page is written from that table,
which is in `reconciler/core/lifecycle.py`, by `website/lifecycle.py`; a test says that it is up to date.

| phase | what it means |
|---|---|
| `created` | it is wanted; nothing runs |
| `assigned` | a host is chosen and the number of the run is committed; the agent was not seen yet |
| `running` | the agent was seen |
| `review_pending` | the work is in an open pull request |
| `completed` | it is done: merged, or, where no pull request is wanted, delivered |
| `blocked` | a person must act; `reconciler why TASK` says who, and what is needed |
| `failed` | its attempts are used up |
| `cancelled` | it is not wanted any more |

An arrow is labelled with the events that can move a task so. An event that has no arrow from a phase either leaves the
phase as it is or is refused, and a refused event changes nothing.
"""


def page() -> str:
    """The document `docs/lifecycle.md`: the phases, a mermaid state diagram, and a table of every move."""
    known = moves()
    lines = [f"    {before} --> {after}: {', '.join(words)}" for (before, after), words in known.items()]
    ends = [f"    {phase} --> [*]" for phase in Phase if phase in TERMINAL]
    rows = [f"| `{before}` | `{after}` | {', '.join(words)} |" for (before, after), words in known.items()]
    diagram = ["```mermaid", "stateDiagram-v2", f"    [*] --> {Phase.CREATED}", *lines, *ends, "```"]
    table = ["| from | to | events |", "|---|---|---|", *rows]
    return "\n".join([HEAD, *diagram, "", *table, ""])


def moves() -> dict[tuple[Phase, Phase], list[str]]:
    """The events of each move from a phase to another, in the order of the phases."""
    found: dict[tuple[Phase, Phase], list[str]] = {}
    for before in Phase:
        for after in Phase:
            words = [_words(event.__name__) for event, row in TABLE.items() if after in row.get(before, ())]
            if words and before is not after:
                found[before, after] = words
    return found


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
