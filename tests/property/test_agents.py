"""Whatever agents that ask for work do, beside all that may happen anyway: no epoch has two owners, none is robbed."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import settings, strategies
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from reconciler.core.desired import Drain
from reconciler.core.terms import Failure, Wish
from tests.property.agents import PULL_HOSTS, PULL_TASKS, AgentsWorld, later
from tests.property.simulation import settled
from tests.property.test_world import SAMPLED, SHORT, Machine, picks

FAILURES = (None, None, Failure.AGENT_ERROR, Failure.WAITING_INPUT)
CAPABILITIES = (None, frozenset[str](), frozenset({"gpu"}))
AWAY = (60, 1000, 5000)

LONG = settings(SHORT, stateful_step_count=100)
"""Of this many rules only some are about agents."""

pull_hosts = strategies.sampled_from(PULL_HOSTS)
pull_tasks = strategies.sampled_from(PULL_TASKS)


class AgentsMachine(Machine):
    """The world with agents, and what these can do to it."""

    def __init__(self) -> None:
        super().__init__()
        self.world: AgentsWorld = AgentsWorld()

    @rule(host_id=pull_hosts, capabilities=strategies.sampled_from(CAPABILITIES))
    def an_agent_asks(self, host_id: str, capabilities: frozenset[str] | None) -> None:
        self.world.asking.append(self.world.newcomer(host_id, capabilities))

    @rule(host_id=pull_hosts)
    def an_agent_repeats_its_request(self, host_id: str) -> None:
        self.world.asking.extend([self.world.newcomer(host_id)] * 2)
        self.world.turn()

    @rule(host_id=pull_hosts)
    def many_agents_ask_and_get_what_there_is(self, host_id: str) -> None:
        self.world.asking.extend(self.world.newcomer(host_id) for _ in PULL_TASKS)
        self.world.turn()

    @rule()
    def those_who_ask_go_away(self) -> None:
        self.world.asking.clear()

    @rule(lossy=strategies.booleans())
    def answers_are_lost_or_arrive(self, *, lossy: bool) -> None:
        self.world.lossy = lossy

    @precondition(lambda self: self.world.live())
    @rule(pick=picks)
    def an_agent_that_heard_nothing_asks_again(self, pick: int) -> None:
        live = self.world.live()
        self.world.asks_again(*live[pick % len(live)])

    @precondition(lambda self: self.world.holders)
    @rule(pick=picks)
    def an_agent_gives_a_sign_of_life(self, pick: int) -> None:
        self.world.works(self.world.holders[pick % len(self.world.holders)])

    @precondition(lambda self: self.world.holders)
    @rule(pick=picks, failure=strategies.sampled_from(FAILURES))
    def an_agent_reports_an_end_maybe_late(self, pick: int, failure: Failure | None) -> None:
        self.world.report(self.world.holders[pick % len(self.world.holders)], failure)

    @rule()
    def the_journal_is_lost(self) -> None:
        self.world.leases.clear()
        self.world.lend(ran_out=True)

    @rule(seconds=strategies.sampled_from(AWAY))
    def the_reconciler_is_away(self, seconds: int) -> None:
        later(self.world, timedelta(seconds=seconds))

    @rule(task_id=pull_tasks, wish=strategies.sampled_from(Wish))
    def a_person_wants_something_else_of_an_agent(self, task_id: str, wish: Wish) -> None:
        self.edit(task_id, desired=wish)

    @rule(task_id=pull_tasks)
    def a_person_wants_it_done_again(self, task_id: str) -> None:
        self.edit(task_id, generation=self.world.tasks[task_id].generation + 1, desired=Wish.RUN)

    @rule(host_id=pull_hosts, reason=strategies.sampled_from((None, "holidays")))
    def a_person_drains_an_agent(self, host_id: str, reason: str | None) -> None:
        drain = Drain(reason=reason) if reason else None
        self.world.hosts[host_id] = replace(self.world.hosts[host_id], drain=drain)

    @rule(host_id=pull_hosts)
    def the_host_file_of_an_agent_goes_or_comes_back(self, host_id: str) -> None:
        self.world.retired ^= {host_id}

    def teardown(self) -> None:
        """With agents that do their work, every task of theirs comes to rest as well."""
        world = self.world
        world.lossy, world.diligent = False, True
        for task_id in PULL_TASKS:
            self.edit(task_id, desired=Wish.RUN)
        super().teardown()
        for _ in range(80):
            planned = world.turn()
            world.check()
            if all(settled(world, task_id) for task_id in PULL_TASKS):
                return
            step = timedelta(minutes=5) if planned.wake_at is None else planned.wake_at - world.now
            world.now += max(step, timedelta(minutes=3))
        raise AssertionError({task_id: world.seen.get(task_id) for task_id in PULL_TASKS})


def test_no_epoch_has_two_owners_in_some_worlds() -> None:
    run_state_machine_as_test(AgentsMachine, settings=LONG)


@pytest.mark.fault
def test_no_epoch_has_two_owners_in_many_worlds() -> None:
    """The same with other worlds at every run."""
    longer = settings(LONG, max_examples=40 if SAMPLED else 200, derandomize=False)
    run_state_machine_as_test(AgentsMachine, settings=longer)
