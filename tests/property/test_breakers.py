"""Whatever dies when, whoever closes what: breakers do as they are told, alike after a restart, and starve nobody."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from reconciler.core.breaker import Breaker, Switch
from reconciler.core.desired import Desired, Host, Settings, Task, with_settings
from reconciler.core.events import Assigned, Event, Finished
from reconciler.core.massdeath import MASS_DEATH
from reconciler.core.observed import ObservedTask, Run
from reconciler.core.plan import Plan, plan
from reconciler.core.terms import Failure, Outcome, Phase
from reconciler.repo import storage
from tests.property.simulation import World, settled

TASKS = tuple(f"t{number}" for number in range(13))
OWN_ACCOUNT = ("t7", "t8")
DEADLY = frozenset({"agent_error", "unknown", "host_lost", "provider", "auth", "config", "stalled"})
FAILURES = (Failure.AGENT_ERROR, Failure.PROVIDER, Failure.HOST_LOST, Failure.USAGE_LIMIT, Failure.AUTH, Failure.LIMIT)
SPANS_S = (0.4, 1.7, 20, 61, 305, 601, 1300, 3700)
AN_HOUR = timedelta(hours=1)

spans = strategies.sampled_from(SPANS_S)
counts = strategies.integers(1, 9)


def tasks() -> dict[str, Task]:
    """Chores, two of which use an account of their own."""
    chore = Task(title="t", goal="g", adapter="sh", max_attempts=40)
    own = replace(chore, env={"WHO": "another"})
    return {name: with_settings(name, own if name in OWN_ACCOUNT else chore, Settings()) for name in TASKS}


def hosts() -> dict[str, Host]:
    return {"one": Host(transport="local", slots=8), "two": Host(transport="local", slots=5)}


@dataclass
class BreakersWorld(World):
    """Many chores on two hosts, and what people say in the settings of breakers."""

    tasks: dict[str, Task] = field(default_factory=tasks)
    hosts: dict[str, Host] = field(default_factory=hosts)
    marks: dict[str, datetime] = field(default_factory=dict)
    limits_end: dict[str, datetime] = field(default_factory=dict)
    rounds: int = 30

    def desired(self) -> Desired:
        return replace(super().desired(), settings=Settings(closed_breakers=dict(self.marks)))

    def record(self, task_id: str, event: Event) -> None:
        """A usage limit says when it ends, as far as the CLI does; nothing starts that its account is held for."""
        if isinstance(event, Finished) and event.failure is Failure.USAGE_LIMIT:
            event = replace(event, resets_at=self.limits_end.get(task_id))
        if isinstance(event, Assigned):
            held = [one for one in self.breakers.values() if one.holds(self.now) and one.scope == "usage"]
            assert event.account not in {one.account for one in held}
        super().record(task_id, event)

    def _switch(self, switch: Switch) -> None:
        before, after = self.breakers.get(switch.name), switch.breaker
        if switch.name == "fleet" and after is not None and after.openings == 1 and after.is_open:
            assert before is None or not before.is_open
            assert mass_death(self)
        if before is not None and before.is_open and after is not None and after.is_open:
            assert after.until > before.until
        if after is not None and after.is_open:
            assert after.until > self.now
        super()._switch(switch)

    def runs(self) -> Iterator[tuple[str, Run]]:
        for task_id, seen in self.seen.items():
            for run in seen.runs:
                yield task_id, run

    def reloaded(self) -> "BreakersWorld":
        """The world as a reconciler sees it that read everything from the branch."""
        seen = {name: storage.structure(ObservedTask, storage.unstructure(one)) for name, one in self.seen.items()}
        known = {name: storage.structure(Breaker, storage.unstructure(one)) for name, one in self.breakers.items()}
        return replace(self, seen=seen, breakers=known)


def seconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


def mass_death(world: BreakersWorld) -> bool:
    """By the words of the contract: five of a minute, and half of those that lived when the first of them died."""
    known = world.breakers.get("fleet")
    times = [one for one in (known.closed_at if known else None, world.marks.get("fleet")) if one is not None]
    deaths = [
        (seconds(run.finished_at), task_id, run.run_id)
        for task_id, run in world.runs()
        if run.finished_at is not None
        and run.outcome in {Outcome.FAILED, Outcome.LOST}
        and str(run.failure) in DEADLY
        and all(seconds(run.finished_at) > one for one in times)
        and run.finished_at > world.now - AN_HOUR
    ]
    for begin, _, _ in deaths:
        inside = [one for one in deaths if timedelta(0) <= one[0] - begin <= timedelta(seconds=60)]
        live = {
            run.run_id
            for _, run in world.runs()
            if run.outcome is not Outcome.NOT_STARTED
            and seconds(run.assigned_at) <= begin
            and (run.finished_at is None or seconds(run.finished_at) >= begin)
        }
        recent = max(one[0] for one in inside) + timedelta(minutes=10) > world.now
        of_live = sum(one[2] in live for one in inside)
        if recent and len({one[1] for one in inside}) >= 5 and of_live * 2 >= len(live):
            return True
    return False


class Machine(RuleBasedStateMachine):
    """What can happen to them."""

    def __init__(self) -> None:
        super().__init__()
        self.world = BreakersWorld()

    @rule()
    def turn(self) -> None:
        self.turned()

    def turned(self) -> Plan:
        """A turn, after which every breaker is as it is to be."""
        planned = self.world.turn()
        fleet = self.world.breakers.get("fleet")
        assert not mass_death(self.world) or (fleet is not None and fleet.is_open)
        for one in self.world.breakers.values():
            assert one.holds(self.world.now) or one.trial or not one.is_open
        if fleet is not None and fleet.tries(self.world.now):
            tried = [run for _, run in self.world.runs() if run.assigned_at >= fleet.until]
            assert not [run for run in tried if run.outcome is Outcome.SUCCEEDED or str(run.failure) in DEADLY]
            lived = self.world.now - timedelta(minutes=5, seconds=1)
            assert not [run for run in tried if run.outcome is None and run.started_at and run.started_at < lived]
        return planned

    @rule(span=spans)
    def time_passes(self, span: float) -> None:
        self.world.now += timedelta(seconds=span)

    @rule(count=counts, failure=strategies.sampled_from(FAILURES), told=strategies.booleans())
    def runs_die(self, count: int, failure: Failure, *, told: bool) -> None:
        for process in self.world.alive()[:count]:
            task_id = process.run.run_id.split(".")[1]
            self.world.limits_end.pop(task_id, None)
            if told:
                self.world.limits_end[task_id] = self.world.now + timedelta(minutes=47)
            process.state, process.failure = ("gone" if failure is Failure.HOST_LOST else "ended"), failure

    @rule(count=counts)
    def runs_end_well(self, count: int) -> None:
        for process in self.world.alive()[-count:]:
            process.state = "ended"

    @rule(failure=strategies.sampled_from((Failure.NO_CAPACITY, Failure.TRANSPORT)), count=strategies.integers(1, 4))
    def launches_fail(self, failure: Failure, count: int) -> None:
        self.world.launch_failures = [failure] * count

    @rule(name=strategies.sampled_from(("one", "two")))
    def a_person_changes_a_host(self, name: str) -> None:
        self.world.specs[name] = self.world.specs.get(name, 0) + 1

    @rule()
    def people_have_everything_done_again(self) -> None:
        for name in TASKS:
            self.world.tasks[name] = replace(self.world.tasks[name], generation=self.world.tasks[name].generation + 1)

    @precondition(lambda self: any(one.is_open for one in self.world.breakers.values()))
    @rule(pick=strategies.integers(0, 9))
    def a_person_closes_a_breaker(self, pick: int) -> None:
        opened = sorted(name for name, one in self.world.breakers.items() if one.is_open and one.scope != "task")
        for name in opened[pick % len(opened) :][:1] if opened else ():
            self.world.marks[name] = self.world.breakers[name].opened_at
            self.world.turn()
            assert not self.world.breakers[name].is_open

    @rule()
    def the_reconciler_starts_anew(self) -> None:
        """What it decides is what it would have decided."""
        anew = self.world.reloaded()
        decided, again = self.world.plan(), anew.plan()
        assert [one for one in again.actions if isinstance(one, Switch)] == [
            one for one in decided.actions if isinstance(one, Switch)
        ]
        assert len(again.actions) == len(decided.actions)
        self.world = anew

    @invariant()
    def one_run_tries_at_a_time(self) -> None:
        self.world.check()
        live = [run for _, run in self.world.runs() if run.finished_at is None]
        for one in self.world.breakers.values():
            late = [run for run in live if run.assigned_at >= one.until] if one.tries(self.world.now) else []
            match one.scope:
                case "fleet":
                    assert len(late) <= 1
                case "host":
                    assert len([run for run in late if run.host == one.id]) <= 1
                case "usage":
                    assert len([run for run in late if run.account == one.account]) <= 1

    def teardown(self) -> None:
        """When nothing dies any more, everything is done, and nothing is held."""
        world = self.world
        world.launch_failures = []
        for _ in range(120):
            for process in world.alive():
                process.state, process.failure = "ended", None
            planned = self.turned()
            if all(self.done(name) for name in TASKS) and not world.alive():
                break
            assert planned.wake_at is not None
            world.now += max(planned.wake_at - world.now, timedelta(minutes=2))
        assert all(self.done(name) for name in TASKS), world.breakers
        last = plan(world.desired(), world.observed(), world.now + 2 * AN_HOUR)
        assert not any(one.holds(world.now + 2 * AN_HOUR) for one in world.breakers.values())
        assert not any(isinstance(one, Switch) and one.breaker and one.breaker.is_open for one in last.actions)

    def done(self, name: str) -> bool:
        """Whether nothing is to happen to a task by itself, also not when a breaker closes."""
        seen = self.world.seen.get(name, ObservedTask())
        return settled(self.world, name) and (seen.phase, seen.reason) != (Phase.BLOCKED, MASS_DEATH)


SAMPLED = "FAULT_SAMPLE" in os.environ
SHORT = settings(
    max_examples=40,
    stateful_step_count=35,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def test_breakers_do_as_they_are_told_in_some_worlds() -> None:
    run_state_machine_as_test(Machine, settings=SHORT)


@pytest.mark.fault
def test_breakers_do_as_they_are_told_in_many_worlds() -> None:
    """The same with other worlds at every run."""
    longer = settings(SHORT, max_examples=60 if SAMPLED else 400, stateful_step_count=60, derandomize=False)
    run_state_machine_as_test(Machine, settings=longer)
