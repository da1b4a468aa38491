"""The world with agents that ask for work beside the hosts: they hold runs by leases, fall silent, and come back late.

As in the world without them, nothing is decided here.
"""

from dataclasses import dataclass, field, replace
from datetime import timedelta

from reconciler.core import lifecycle
from reconciler.core.actions import Action, Record
from reconciler.core.desired import Desired, Host, Settings, Task, with_settings
from reconciler.core.events import Assigned, Event, Finished, Started
from reconciler.core.observed import Asking, Lease, Observed, Run
from reconciler.core.plan import Plan
from reconciler.core.terms import Delivery, ExecutionMode, Failure, Outcome
from tests.property import simulation
from tests.property.simulation import World

LEASE = Settings().lease
GRACE = Settings().lost_after.pull
PULL_HOSTS = ("bot", "crab")
PULL_TASKS = ("errand", "chat", "draw", "later")


@dataclass(frozen=True)
class Holder:
    """An agent that believes to hold a run."""

    task_id: str
    run: Run


def tasks() -> dict[str, Task]:
    """Beside those that are dispatched: two errands, one that needs a capability, one that depends on one of those."""
    errand = Task(title="t", goal="g", execution_mode=ExecutionMode.HTTP_PULL, max_attempts=2)
    there = {
        "errand": errand,
        "chat": errand,
        "draw": replace(errand, requires=("gpu",), host="bot", priority=1),
        "later": replace(errand, depends_on=("chore",), repository="p", delivery=Delivery.BRANCH),
    }
    own = {task_id: with_settings(task_id, task, Desired().settings) for task_id, task in there.items()}
    return {**simulation.tasks(), **own}


def hosts() -> dict[str, Host]:
    """Beside those with a shell: an agent with a capability, and one of two slots without."""
    own = {"bot": Host(transport="pull", capabilities=("gpu",)), "crab": Host(transport="pull", slots=2)}
    return {**simulation.hosts(), **own}


@dataclass
class AgentsWorld(World):
    """Who asks, what is held and by whom; `lossy`: answers do not reach those who asked."""

    tasks: dict[str, Task] = field(default_factory=tasks)
    hosts: dict[str, Host] = field(default_factory=hosts)
    asking: list[Asking] = field(default_factory=list)
    leases: dict[str, Lease] = field(default_factory=dict)
    holders: list[Holder] = field(default_factory=list)
    owners: dict[tuple[str, int], tuple[str, str | None]] = field(default_factory=dict)
    claims: int = 0
    lossy: bool = False
    diligent: bool = False

    def observed(self) -> Observed:
        """What a shell cannot show, agents and leases do."""
        seen = super().observed()
        own = {run.run_id for task in self.seen.values() for run in task.runs if run.host in PULL_HOSTS}
        sightings = {name: one for name, one in seen.sightings.items() if name not in own}
        return replace(seen, sightings=sightings, asking=tuple(self.asking), leases=dict(self.leases))

    def turn(self) -> Plan:
        """As ever; with `diligent` agents everything is done at once that is given, and somebody always asks."""
        self.lend(ran_out=False)
        if self.diligent:
            for task_id, run in self.live():
                self.report(Holder(task_id, run), None)
            self.asking = [self.newcomer(host_id) for host_id in PULL_HOSTS for _ in PULL_TASKS]
        return super().turn()

    def newcomer(self, host_id: str, capabilities: frozenset[str] | None = None) -> Asking:
        """An agent with a key that nobody had before."""
        self.claims += 1
        return Asking(host=host_id, capabilities=capabilities, claim=f"key-{self.claims}")

    def apply(self, action: Action) -> None:
        """Agents hear of what they were given, and lose nothing before its time."""
        match action:
            case Record(task_id=task_id, event=Assigned(execution_mode=ExecutionMode.HTTP_PULL) as event):
                super().apply(action)
                self._handed_over(task_id, event)
            case Record(task_id=task_id, event=Finished()) if self.seen[task_id].runs[-1].host in PULL_HOSTS:
                assert self.now >= self.leases[task_id].until + GRACE
                super().apply(action)
            case _:
                super().apply(action)

    def live(self) -> list[tuple[str, Run]]:
        """The runs that agents have."""
        found = ((task_id, seen.live_run) for task_id, seen in self.seen.items())
        return [(task_id, run) for task_id, run in found if run is not None and run.host in PULL_HOSTS]

    def lend(self, *, ran_out: bool) -> None:
        """A lease for every run without one; after an absence of the reconciler also for those whose lease ran out."""
        for task_id, run in self.live():
            lease = self.leases.get(task_id)
            if lease is None or lease.epoch != run.epoch or (ran_out and lease.until <= self.now):
                self.leases[task_id] = Lease(epoch=run.epoch, until=self.now + LEASE)

    def works(self, holder: Holder) -> None:
        """A sign of life; refused where the run is no longer the agent's."""
        event = Started(at=self.now, actor=f"agent:{holder.run.host}", epoch=holder.run.epoch)
        if self.says(holder, event):
            self.leases[holder.task_id] = Lease(epoch=holder.run.epoch, until=self.now + LEASE)

    def report(self, holder: Holder, failure: Failure | None) -> None:
        """The agent has ended its run."""
        task = self.tasks.get(holder.task_id) or self.deleted[holder.task_id]
        outcome = Outcome.FAILED if failure else Outcome.SUCCEEDED
        event = Finished(
            at=self.now,
            actor=f"agent:{holder.run.host}",
            epoch=holder.run.epoch,
            outcome=outcome,
            failure=failure,
            delivery=task.delivery or Delivery.NONE,
            max_attempts=task.max_attempts,
            cancel="requested" if task.desired == "cancel" else None,
        )
        self.says(holder, event)
        self.holders = [one for one in self.holders if one != holder]

    def says(self, holder: Holder, event: Event) -> bool:
        """What the agent says counts while the run is its own and has not ended; else nothing changes."""
        seen = self.seen[holder.task_id]
        mine = seen.live_run is not None and seen.epoch == holder.run.epoch
        try:
            self.record(holder.task_id, event)
        except lifecycle.Superseded:
            assert not mine
            self.holders = [one for one in self.holders if one != holder]
        else:
            known = self.seen[holder.task_id]
            assert mine or replace(known, last_activity_at=None) == replace(seen, last_activity_at=None)
        return mine

    def check(self) -> None:
        """What holds of agents at every moment."""
        super().check()
        live = self.live()
        for host_id in PULL_HOSTS:
            assert sum(run.host == host_id for _, run in live) <= self.hosts[host_id].slots
        for task_id, run in live:
            assert self.owners[task_id, run.epoch] == (run.host, run.claim)
        for seen in self.seen.values():
            assert not any(run.counts_as_attempt for run in seen.runs if run.outcome is Outcome.LOST)

    def _handed_over(self, task_id: str, event: Assigned) -> None:
        assert (task_id, event.epoch) not in self.owners
        assert (event.host, event.claim) not in self.owners.values()
        self.owners[task_id, event.epoch or 0] = (event.host, event.claim)
        taker = next(one for one in self.asking if (one.host, one.claim) == (event.host, event.claim))
        assert taker.capabilities is None or taker.capabilities >= set(self.tasks[task_id].requires)
        self.asking = [one for one in self.asking if (one.host, one.claim) != (event.host, event.claim)]
        run = self.seen[task_id].runs[-1]
        self.leases[task_id] = Lease(epoch=run.epoch, until=self.now + LEASE)
        if not self.lossy:
            self.holders.append(Holder(task_id, run))

    def asks_again(self, task_id: str, run: Run) -> None:
        """An agent that heard nothing asks again with its key: the planner gives it nothing, the desk what it has."""
        asking = Asking(host=run.host, claim=run.claim)
        before = dict(self.owners)
        self.asking.append(asking)
        self.turn()
        assert asking in self.asking
        self.asking.remove(asking)
        assert all(owner != (run.host, run.claim) for key, owner in self.owners.items() if key not in before)
        self.holders.append(Holder(task_id, run))


def later(world: AgentsWorld, span: timedelta) -> None:
    """The reconciler was away for that long, and comes back."""
    world.now += span
    world.lend(ran_out=True)
