"""Whatever hosts, people and the forge do, in any order: the invariants of the planner and the state machine hold."""

import os
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from reconciler.core import lifecycle
from reconciler.core.desired import Drain
from reconciler.core.events import (
    BranchPushed,
    Closed,
    Event,
    Finished,
    Merged,
    NotStarted,
    PullRequestOpened,
    PullRequestUpdated,
    Reviewed,
    Started,
)
from reconciler.core.observed import ObservedTask, PullRequest, Review
from reconciler.core.terms import TERMINAL, Failure, Outcome, Verdict, Wish
from tests.property.simulation import BEGIN, World, settled

TASKS = ("chore", "fix", "after")
HOSTS = ("small", "large")
SPANS = (1, 11, 35, 310, 1900, 3700)
RUN_FAILURES = tuple(failure for failure in Failure if failure is not Failure.SUPERSEDED)
LAUNCH_FAILURES = (Failure.AUTH, Failure.CONFIG, Failure.NO_CAPACITY, Failure.TRANSPORT)
FORGE = "forge:somebody"

task_ids = strategies.sampled_from(TASKS)
host_ids = strategies.sampled_from(HOSTS)
picks = strategies.integers(0, 1000)


class Machine(RuleBasedStateMachine):
    """The world, and what people, hosts and the forge can do to it."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.pr: PullRequest | None = None
        self.numbers = 0
        self.ticks = 0
        self.deliveries: list[Event] = []

    @rule()
    def turn(self) -> None:
        self.world.turn()

    @rule(seconds=strategies.sampled_from(SPANS))
    def time_passes(self, seconds: int) -> None:
        self.world.now += timedelta(seconds=seconds)
        self.world.turn()

    @rule(host_id=host_ids)
    def a_host_falls_silent(self, host_id: str) -> None:
        self.world.silent.setdefault(host_id, self.world.now)

    @rule(host_id=host_ids)
    def a_host_answers_again(self, host_id: str) -> None:
        self.world.silent.pop(host_id, None)

    @rule(host_id=host_ids)
    def a_host_reboots(self, host_id: str) -> None:
        for process in self.world.alive():
            if process.host == host_id:
                process.state = "gone"

    @precondition(lambda self: self.world.alive())
    @rule(pick=picks, failure=strategies.sampled_from((None, None, *RUN_FAILURES)))
    def a_run_ends(self, pick: int, failure: Failure | None) -> None:
        process = self.world.alive()[pick % len(self.world.alive())]
        process.state, process.failure = "ended", failure
        if failure is None:
            process.head = f"run-{process.run.run_id}"

    @precondition(lambda self: self.world.alive())
    @rule(pick=picks)
    def a_run_makes_progress(self, pick: int) -> None:
        process = self.world.alive()[pick % len(self.world.alive())]
        process.active = self.world.now

    @precondition(lambda self: self.world.alive())
    @rule(pick=picks)
    def a_run_will_not_be_stopped(self, pick: int) -> None:
        self.world.alive()[pick % len(self.world.alive())].stubborn = True

    @rule(failure=strategies.sampled_from(LAUNCH_FAILURES), times=strategies.sampled_from((1, 2, 7)))
    def launches_will_fail(self, failure: Failure, times: int) -> None:
        self.world.launch_failures = [failure] * times

    @rule(task_id=task_ids, wish=strategies.sampled_from(Wish))
    def a_person_says_what_they_want(self, task_id: str, wish: Wish) -> None:
        self.edit(task_id, desired=wish)

    @rule(task_id=task_ids)
    def a_person_raises_the_generation(self, task_id: str) -> None:
        if task_id in self.world.tasks:
            self.edit(task_id, generation=self.world.tasks[task_id].generation + 1, desired=Wish.RUN)

    @rule(task_id=task_ids)
    def a_person_raises_the_limits(self, task_id: str) -> None:
        if task_id in self.world.tasks:
            task = self.world.tasks[task_id]
            self.edit(task_id, max_reviews=task.max_reviews + 1, max_attempts=task.max_attempts + 1)

    @rule(task_id=task_ids)
    def a_person_deletes_a_task(self, task_id: str) -> None:
        if task_id in self.world.tasks:
            self.world.deleted[task_id] = self.world.tasks.pop(task_id)
            self.world.absent[task_id] = self.world.now

    @rule(task_id=task_ids)
    def a_person_restores_a_task(self, task_id: str) -> None:
        if task_id not in self.world.tasks:
            self.world.tasks[task_id] = self.world.deleted.pop(task_id)
            del self.world.absent[task_id]

    @rule(host_id=host_ids, reason=strategies.sampled_from((None, "kernel")))
    def a_person_drains_a_host(self, host_id: str, reason: str | None) -> None:
        drain = Drain(reason=reason) if reason else None
        self.world.hosts[host_id] = replace(self.world.hosts[host_id], drain=drain)
        self.world.specs[host_id] = self.world.specs.get(host_id, 0) + 1

    @rule(host_id=host_ids)
    def a_host_file_goes_or_comes_back(self, host_id: str) -> None:
        self.world.retired ^= {host_id}

    @rule(head=picks)
    def a_pull_request_is_opened_or_reopened(self, head: int) -> None:
        reopened = self.pr is not None and self.pr.state == "closed" and head % 2 == 0
        if self.pr is not None and self.pr.state == "open":
            return
        if not reopened:
            self.numbers += 1
            self.pr = PullRequest(number=self.numbers, url="u", state="open", head_sha=f"h{head}")
        pr = self.snapshot(state="open")
        self.deliveries.append(PullRequestOpened(at=self.world.now, actor=FORGE, pr=pr, reopened=reopened))

    @precondition(lambda self: self.pr is not None and self.pr.state == "open")
    @rule(head=picks)
    def somebody_pushes(self, head: int) -> None:
        pr = self.snapshot(head_sha=f"h{head}")
        self.deliveries.append(PullRequestUpdated(at=self.world.now, actor=FORGE, pr=pr))
        self.deliveries.append(BranchPushed(at=self.world.now, actor=FORGE))

    @precondition(lambda self: self.pr is not None and self.pr.state == "open")
    @rule(merge=strategies.booleans())
    def the_pull_request_is_closed(self, *, merge: bool) -> None:
        pr = self.snapshot(state="merged" if merge else "closed")
        happened = Merged if merge else Closed
        self.deliveries.append(happened(at=self.world.now, actor=FORGE, pr=pr))

    @precondition(lambda self: self.pr is not None)
    @rule(verdict=strategies.sampled_from((Verdict.CHANGES_REQUESTED, Verdict.CHANGES_REQUESTED, *Verdict)))
    def somebody_reviews(self, verdict: Verdict) -> None:
        pr = self.snapshot()
        review = Review(
            id=str(self.ticks), reviewer="r", verdict=verdict, submitted_at=self.world.now, head_sha=pr.head_sha
        )
        self.deliveries.append(Reviewed(at=self.world.now, actor=FORGE, review=review, max_reviews=2))

    @precondition(lambda self: self.deliveries)
    @rule(pick=picks, again=strategies.booleans())
    def a_webhook_arrives(self, pick: int, *, again: bool) -> None:
        """In any order, and maybe once more later."""
        event = self.deliveries[pick % len(self.deliveries)]
        if not again:
            self.deliveries.remove(event)
        self.world.record("fix", event)

    @precondition(lambda self: any(event.epoch is not None for _, event in self.world.said))
    @rule(pick=picks)
    def an_old_word_of_a_run_arrives_again(self, pick: int) -> None:
        """What is about an earlier epoch is refused, what is known already changes nothing."""
        about_runs = [(task_id, event) for task_id, event in self.world.said if event.epoch is not None]
        task_id, event = about_runs[pick % len(about_runs)]
        before = self.world.seen[task_id]
        try:
            after = lifecycle.advance(before, event)
        except lifecycle.Superseded:
            assert event.epoch != before.epoch or isinstance(event, Finished)
            return
        assert event.epoch == before.epoch
        assert replace(after, last_activity_at=None) == replace(before, last_activity_at=None)

    @precondition(lambda self: any(task.epoch > 1 for task in self.world.seen.values()))
    @rule(pick=picks, lag=strategies.integers(1, 3))
    def an_earlier_run_claims_something(self, pick: int, lag: int) -> None:
        task_id = min(task_id for task_id, task in self.world.seen.items() if task.epoch > 1)
        task = self.world.seen[task_id]
        stale = max(task.epoch - lag, 1)
        claims = (
            Started(at=self.world.now, actor="host:x", epoch=stale),
            NotStarted(at=self.world.now, actor="host:x", epoch=stale, failure=Failure.AUTH, error="e"),
            Finished(at=self.world.now, actor="host:x", epoch=stale, outcome=Outcome.SUCCEEDED),
        )
        with pytest.raises(lifecycle.Superseded):
            lifecycle.advance(task, claims[pick % len(claims)])

    @invariant()
    def everything_that_always_holds(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        """When faults stop, every task comes to rest within a bounded time."""
        world = self.world
        for task_id in TASKS:
            self.a_person_restores_a_task(task_id)
        world.silent, world.retired, world.launch_failures = {}, set(), []
        world.hosts = {host_id: replace(host, drain=None) for host_id, host in world.hosts.items()}
        for task_id, task in world.tasks.items():
            if task.desired is Wish.HOLD:
                self.edit(task_id, desired=Wish.RUN)
        for _ in range(80):
            for process in world.processes.values():
                if process.state == "alive":
                    process.state, process.stubborn = "ended", False
            planned = world.turn()
            world.check()
            if all(settled(world, task_id) for task_id in TASKS) and not world.alive():
                return
            step = timedelta(minutes=5) if planned.wake_at is None else planned.wake_at - world.now
            world.now += max(step, timedelta(minutes=3))
        raise AssertionError({task_id: world.seen.get(task_id) for task_id in TASKS})

    def edit(self, task_id: str, **changes: object) -> None:
        if task_id in self.world.tasks:
            self.world.tasks[task_id] = replace(self.world.tasks[task_id], **changes)  # type: ignore[arg-type] # any key
            self.world.specs[task_id] = self.world.specs.get(task_id, 0) + 1

    def snapshot(self, **changes: object) -> PullRequest:
        assert self.pr is not None
        self.ticks += 1
        later = BEGIN + timedelta(seconds=self.ticks)
        self.pr = replace(self.pr, updated_at=later, **changes)  # type: ignore[arg-type] # state and head only
        return self.pr


SAMPLED = "FAULT_SAMPLE" in os.environ
SHORT = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def test_the_invariants_hold_in_some_worlds() -> None:
    run_state_machine_as_test(Machine, settings=SHORT)


@pytest.mark.fault
def test_the_invariants_hold_in_many_worlds() -> None:
    """The same with other worlds at every run."""
    longer = settings(SHORT, max_examples=60 if SAMPLED else 300, stateful_step_count=60, derandomize=False)
    run_state_machine_as_test(Machine, settings=longer)


def test_a_task_that_nobody_touched_has_no_file() -> None:
    world = World()
    world.plan()
    assert world.seen == {}
    assert ObservedTask().phase not in TERMINAL
