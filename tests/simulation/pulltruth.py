"""Compares what the program tells agents that ask for work, and records of their runs, with what is true of them.

It believes nothing that the program says of itself, and changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.core.events import Finished
from reconciler.core.terms import Outcome
from tests.simulation.clock import BEGIN
from tests.simulation.ledger import Ledger, run_of, seconds

SLACK_S = 2.0
"""Times are kept in whole seconds."""

SAID = {"completed": Outcome.SUCCEEDED, "failed": Outcome.FAILED, "blocked": Outcome.FAILED}
OK, SERVER_ERROR = 200, 500


@dataclass
class PullTruth(Ledger):
    """Who works on which run, and until when their agents were told that they are held."""

    pulling: dict[str, str] = field(default_factory=dict)
    at_work: set[str] = field(default_factory=set)
    told_s: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def ended(self, name: str, event: Finished) -> None:
        """A pull agent's run is lost only after its lease and the patience after that."""
        if event.outcome is not Outcome.LOST:
            return
        at_s, patience = seconds(event), self.book.fleet.settings.lost_after.pull
        held_s = max((until_s for told_s, until_s in self.told_s.get(name, []) if told_s <= at_s), default=0.0)
        early = at_s < held_s + patience.total_seconds() - SLACK_S
        self.must(not early, "no lease ends early", f"{name}: held until {held_s:.0f}, lost at {at_s:.0f}")

    def pulled(self, name: str, agent: str) -> None:
        """An agent that asked begins to work."""
        task_id, _, epoch = name.rpartition(".")
        self.say(f"{agent}: {name} begins")
        run = run_of(self.book.tasks.get(task_id), int(epoch))
        self.must(run is not None, "commit before launch", f"{name} for {agent}")
        self.must(self.pulling.setdefault(name, agent) == agent, "an epoch runs once", f"{name} for {agent}")
        for other in self.at_work - {name}:
            if other.rpartition(".")[0] == task_id:
                older = run_of(self.book.tasks.get(task_id), int(other.rpartition(".")[2]))
                over = older is not None and older.outcome in {Outcome.LOST, Outcome.CANCELLED}
                self.must(over, "one live run per task", f"{name} beside {other}")
        self.at_work.add(name)

    def left(self, name: str, agent: str) -> None:
        """The agent works on it no more."""
        self.say(f"{agent}: leaves {name}")
        self.at_work.discard(name)

    def answered(
        self, path: str, epoch: int, body: Mapping[str, object], answer: tuple[int, Mapping[str, object]]
    ) -> None:
        """The program answered an agent; what it said is so."""
        status, said = answer
        self.must(status != SERVER_ERROR, "no defect", f"{path}: {said}")
        if status != OK:
            return
        task_id = str(said.get("task") or path.split("/")[4])
        number = int(str(said.get("epoch") or epoch))
        if said.get("lease_expires_at"):
            until_s = (datetime.fromisoformat(str(said["lease_expires_at"])) - BEGIN).total_seconds()
            self.told_s.setdefault(f"{task_id}.{number}", []).append((self.now_s, until_s))
        run = run_of(self.book.tasks.get(task_id), number)
        self.must(run is not None, "nothing acknowledged is lost", f"{task_id}.{number}: {path}")
        wanted = SAID.get(str(body.get("phase")))
        if wanted is not None and run is not None:
            right = run.outcome in {wanted, Outcome.CANCELLED}
            self.must(right, "nothing acknowledged is lost", f"{task_id}.{number}: {body} became {run.outcome}")
        elif run is not None and "dequeue" not in path:
            self.must(run.outcome is None, "a stale epoch changes nothing", f"{task_id}.{number}: {path}")
