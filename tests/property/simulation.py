"""A world of hosts, people and a forge that keeps what is physically true, and applies a plan's actions to it.

It never decides anything: what happens to a task is `advance`'s part, what to do next is `plan`'s.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from reconciler.core import lifecycle, placement
from reconciler.core.actions import Action, Collect, GiveUp, Launch, Record, Stop
from reconciler.core.breaker import Breaker, Switch
from reconciler.core.desired import Adapter, Desired, Document, Host, Task, with_settings
from reconciler.core.events import Assigned, Event, Finished, NotStarted
from reconciler.core.observed import Meta, Observed, ObservedHost, ObservedTask, Run, Sighting
from reconciler.core.plan import Plan, plan
from reconciler.core.terms import TERMINAL, Delivery, Failure, Kind, Outcome, Phase, StopReason, Wish
from tests.property.steady import Steady

FLEET = "0123456789ab"
ADAPTER = Adapter(run=("agent",))
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
STOPPED = {
    StopReason.TIMED_OUT: Failure.TIMED_OUT,
    StopReason.STALLED: Failure.STALLED,
    StopReason.ABORTED: Failure.PROVIDER,
}


@dataclass
class Process:
    """What is physically there of one run; `stubborn` ones do not end when they are told to."""

    run: Run
    host: str
    task: Task
    since: datetime
    active: datetime
    state: Literal["alive", "ended", "gone"] = "alive"
    stop: StopReason | None = None
    stubborn: bool = False
    failure: Failure | None = None
    head: str | None = None


def tasks() -> dict[str, Task]:
    """Three tasks: a chore, one with a pull request that needs a capability, one that depends on the chore."""
    there = {
        "chore": Task(title="t", goal="g", adapter="sh", max_attempts=2),
        "fix": Task(
            title="t",
            goal="g",
            adapter="sh",
            repository="r",
            delivery=Delivery.PULL_REQUEST,
            requires=("gpu",),
            max_reviews=2,
        ),
        "after": Task(
            title="t", goal="g", adapter="sh", repository="q", delivery=Delivery.BRANCH, depends_on=("chore",)
        ),
    }
    return {task_id: with_settings(task_id, task, Desired().settings) for task_id, task in there.items()}


def hosts() -> dict[str, Host]:
    """A small host, and one with two slots and a capability."""
    return {
        "small": Host(transport="ssh", address="small"),
        "large": Host(transport="local", slots=2, capabilities=("gpu",)),
    }


@dataclass
class World:
    """Everything that is true at `now`, and what the reconciler knows of it."""

    now: datetime = BEGIN
    tasks: dict[str, Task] = field(default_factory=tasks)
    specs: dict[str, int] = field(default_factory=dict)
    hosts: dict[str, Host] = field(default_factory=hosts)
    retired: set[str] = field(default_factory=set)
    absent: dict[str, datetime] = field(default_factory=dict)
    deleted: dict[str, Task] = field(default_factory=dict)
    silent: dict[str, datetime] = field(default_factory=dict)
    seen: dict[str, ObservedTask] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)
    void: set[str] = field(default_factory=set)
    launch_failures: list[Failure] = field(default_factory=list)
    said: list[tuple[str, Event]] = field(default_factory=list)
    breakers: dict[str, Breaker] = field(default_factory=dict)
    rounds: int = 12
    steady: Steady = field(default_factory=Steady)

    def desired(self) -> Desired:
        """What the files say."""
        return Desired(
            tasks={
                task_id: Document(value=task, spec=f"{task_id}-{self.specs.get(task_id, 0)}")
                for task_id, task in self.tasks.items()
            },
            hosts={
                host_id: Document(value=host, spec=f"{host_id}-{self.specs.get(host_id, 0)}")
                for host_id, host in self.hosts.items()
            },
            adapters={"sh": Document(value=ADAPTER, spec="sh")},
            retired_hosts=frozenset(self.retired),
            absent=dict(self.absent),
        )

    def observed(self) -> Observed:
        """What happened, and what a poll of the hosts that answer shows."""
        desired = self.desired()
        known = {
            host_id: ObservedHost(reachable=host_id not in self.silent, since=BEGIN, spec=document.spec)
            for host_id, document in desired.hosts.items()
        }
        sightings = {
            run.run_id: self._sighting(run)
            for task in self.seen.values()
            for run in task.runs
            if run.host not in self.silent and (run.finished_at is None or run.outcome is Outcome.LOST)
        }
        return Observed(
            fleet=FLEET,
            tasks=dict(self.seen),
            hosts=known,
            sightings=sightings,
            silent=dict(self.silent),
            breakers=dict(self.breakers),
        )

    def turn(self) -> Plan:
        """Plan and apply until a plan brings nothing but effects that are asked for again; the last plan."""
        for _ in range(self.rounds):
            planned = self.plan()
            before = (dict(self.seen), dict(self.breakers), self._physical())
            for action in planned.actions:
                self.apply(action)
            if before == (self.seen, self.breakers, self._physical()):
                assert not any(isinstance(action, Record | Switch) for action in planned.actions), planned.actions
                return planned
        raise AssertionError(f"planning does not come to rest: {planned.actions}")

    def plan(self) -> Plan:
        """What the planner says, which never asks to be woken in the past; one that was kept says the same."""
        desired, observed = self.desired(), self.observed()
        planned = plan(desired, observed, self.now)
        self.steady.check(desired, observed, self.now, planned)
        assert planned.wake_at is None or planned.wake_at > self.now
        return planned

    def record(self, task_id: str, event: Event) -> None:
        """Let the event happen to the task, and check what must hold for every change."""
        before = self.seen.get(task_id, ObservedTask())
        after = lifecycle.advance(before, event)
        assert after.epoch >= before.epoch
        assert after is before or after.phase in lifecycle.TABLE[type(event)].get(before.phase, {before.phase})
        assert lifecycle.advance(after, event) == after if _repeatable(event) else True
        assert after.phase is not Phase.BLOCKED or (after.reason and after.owner and after.needs)
        self.seen[task_id] = after
        self.said.append((task_id, event))

    def apply(self, action: Action) -> None:
        """Do what a plan asks for, as far as the world lets it."""
        match action:
            case Record():
                if isinstance(action.event, Assigned):
                    self._check_assignment(action.task_id, action.event)
                self.record(action.task_id, action.event)
            case Switch():
                self._switch(action)
            case Launch():
                self._launch(action)
            case GiveUp():
                self._give_up(action.task_id, action.run, Failure.SUPERSEDED, action)
            case Stop():
                process = self.processes[action.run.run_id]
                if process.host not in self.silent:
                    process.stop = process.stop or action.reason
                    process.state = "alive" if process.stubborn else "ended"
            case Collect():
                self._collect(action)

    def alive(self) -> list[Process]:
        """The processes that really live."""
        return [process for process in self.processes.values() if process.state == "alive"]

    def check(self) -> None:
        """What holds at every moment."""
        for host_id, host in self.hosts.items():
            assert sum(process.host == host_id for process in self.alive()) <= host.slots
        lost = {run.run_id for task in self.seen.values() for run in task.runs if run.outcome is Outcome.LOST}
        for task_id, task in self.seen.items():
            living = [process.run.run_id for process in self.alive() if process.run.run_id.split(".")[1] == task_id]
            assert len([name for name in living if name not in lost]) <= 1, living
            starts = [run.assigned_at for run in task.runs]
            assert all(late - early >= timedelta(hours=1) for early, late in zip(starts, starts[6:], strict=False))
            counted = [run for run in task.runs if run.counts_as_attempt and run.generation == task.generation]
            assert task.attempts == len(counted)
            assert [run.epoch for run in task.runs] == list(range(1, task.epoch + 1))
            assert task.phase not in {Phase.ASSIGNED, Phase.RUNNING} or task.live_run is not None
        planned = self.plan()
        assert planned.actions or planned.wake_at is not None or not list(self.outstanding())

    def outstanding(self) -> Iterator[str]:
        """The tasks that are still to do something by themselves."""
        for task_id in {*self.seen, *self.tasks}:
            task = self.seen.get(task_id, ObservedTask())
            wanted = task_id in self.tasks and self.tasks[task_id].desired is Wish.RUN
            if task.live_run is not None or (wanted and task.phase is Phase.CREATED):
                yield task_id

    def _physical(self) -> list[tuple[str, str]]:
        return [*((name, process.state) for name, process in self.processes.items()), *((v, "void") for v in self.void)]

    def _sighting(self, run: Run) -> Sighting:
        process = self.processes.get(run.run_id)
        if run.run_id in self.void or process is None:
            return Sighting(state="void" if run.run_id in self.void else "absent")
        meta = Meta(
            run_id=run.run_id,
            task_id="",
            epoch=run.epoch,
            kind=Kind.IMPLEMENT,
            task=process.task,
            adapter_id="sh",
            adapter=ADAPTER,
            run_dir="/r",
            workspace="/w",
            branch="b",
        )
        return replace(
            Sighting(state="alive", meta=meta, stopping=process.stop),
            state=process.state,
            elapsed=self.now - process.since,
            idle=self.now - process.active,
        )

    def _check_assignment(self, task_id: str, event: Assigned) -> None:
        task, host = self.tasks[task_id], self.hosts[event.host]
        assert set(task.requires) <= set(host.capabilities)
        assert task.desired is Wish.RUN
        assert event.host not in {*self.retired, *self.silent}
        assert host.drain is None
        held = {name for name, one in self.breakers.items() if one.is_open and self.now < one.until}
        assert not held & {"fleet", f"host/{event.host}", f"adapter/{event.adapter}", f"task/{task_id}"}
        assert placement.load(self.observed())[event.host] < host.slots
        assert all(self.seen[other].phase is Phase.COMPLETED for other in task.depends_on)

    def _switch(self, switch: Switch) -> None:
        """A breaker changes for a reason that time or a person gave, and is then other than it was."""
        assert self.breakers.get(switch.name) != switch.breaker
        if switch.breaker is None:
            del self.breakers[switch.name]
        else:
            assert switch.breaker.name == switch.name
            self.breakers[switch.name] = switch.breaker

    def _launch(self, action: Launch) -> None:
        if action.run.host in self.silent or action.run.run_id in self.processes:
            return
        if self.launch_failures:
            self._give_up(action.task_id, action.run, self.launch_failures.pop(), action)
            return
        task = self.tasks.get(action.task_id) or self.deleted[action.task_id]
        self.processes[action.run.run_id] = Process(
            run=action.run, host=action.run.host, task=task, since=self.now, active=self.now
        )

    def _give_up(self, task_id: str, run: Run, failure: Failure, action: Launch | GiveUp) -> None:
        if run.host in self.silent or run.run_id in self.processes:
            return
        self.void.add(run.run_id)
        cancel = action.cancel if isinstance(action, GiveUp) else None
        event = NotStarted(
            at=self.now, actor="planner", epoch=run.epoch, failure=failure, error="it did not start", cancel=cancel
        )
        self.record(task_id, event)

    def _collect(self, action: Collect) -> None:
        process = self.processes[action.run.run_id]
        if process.host in self.silent:
            return
        outcome, failure = _result(process)
        task = self.tasks.get(action.task_id, process.task)
        event = Finished(
            at=self.now,
            actor=f"host:{process.host}",
            epoch=action.run.epoch,
            outcome=outcome,
            failure=failure,
            delivery=process.task.delivery or Delivery.NONE,
            max_attempts=task.max_attempts,
            max_reviews=task.max_reviews,
            cancel=action.cancel,
            head_sha=process.head if action.wanted else None,
        )
        self.record(action.task_id, event)


def _result(process: Process) -> tuple[Outcome, Failure | None]:
    if process.state == "gone":
        return Outcome.LOST, Failure.HOST_LOST
    if process.stop is not None:
        failure = STOPPED.get(process.stop)
        return (Outcome.FAILED, failure) if failure else (Outcome.CANCELLED, None)
    return (Outcome.FAILED, process.failure) if process.failure else (Outcome.SUCCEEDED, None)


def _repeatable(event: Event) -> bool:
    """Whether the same event again is no refusal but no news: everything but what people ask for once."""
    names = {"Released", "Revived", "Cancelled", "BreakerOpened"}
    return type(event).__name__ not in names


def settled(world: World, task_id: str) -> bool:
    """Whether nothing is to happen to the task any more unless a person or the forge does something."""
    task = world.seen.get(task_id, ObservedTask())
    if task.live_run is not None:
        return False
    if task.phase in {*TERMINAL, Phase.BLOCKED, Phase.REVIEW_PENDING}:
        return True
    waits = [world.seen.get(other, ObservedTask()).phase for other in world.tasks[task_id].depends_on]
    return any(phase is not Phase.COMPLETED for phase in waits)
