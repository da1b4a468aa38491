"""`doctor`: looks at all that a fleet needs to work, and says of each thing what would mend it.

It changes nothing, records nothing, and starts no run.
"""

import asyncio
from collections import Counter

from reconciler.commands import examining, progress, reading
from reconciler.commands.command import Command
from reconciler.commands.screen import Cell, Rows
from reconciler.commands.session import Session
from reconciler.repo import shapes

_STYLES = {"right": "green", "wrong": "red", "note": "yellow"}


def doctor(session: Session, *, json: bool = False) -> int:
    """Look at everything that a fleet needs to work, and say what would mend it.

    This machine, the files, the remote, hosts with their clocks and CLIs, the forge and the way of its webhooks are
    asked now, all at the same time, in about a minute at most. What is wrong makes the exit code 1. Run it where
    `reconciler reconcile` runs, with its environment: it reaches, with the same secrets, what the reconciler would.
    """
    view = reading.load(session)
    with progress.working(session.screen, f"asking {_asked(len(view.desired.hosts))}"):
        findings = asyncio.run(examining.examine(session, view))
    wrong = sum(one.state == "wrong" for one in findings)
    if json:
        session.screen.json({"findings": [shapes.plain(one) for one in findings]})
        return 1 if wrong else 0
    rows = [
        [Cell(text=one.about), Cell(text=one.state, style=_STYLES[one.state]), Cell(text=one.message)]
        for one in findings
    ]
    session.screen.table(Rows(headings=("ABOUT", "STATE", "FOUND"), rows=rows, whole=2))
    counts = Counter(one.state for one in findings)
    said = f"{counts['right']} right, {counts['wrong']} wrong, {counts['note']} to know"
    session.screen.line(said, style="red" if wrong else "green")
    return 1 if wrong else 0


def _asked(hosts: int) -> str:
    return f"{hosts} {'host' if hosts == 1 else 'hosts'} and whatever else the settings name"


COMMANDS = (
    Command(
        name="doctor",
        group="Look",
        does=doctor,
        options={"json": "print the findings as JSON"},
        example="reconciler doctor",
    ),
)
