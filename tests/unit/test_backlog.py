"""What waits to start: since when a task could, whatever happened to it before, and which of all has waited longest."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from reconciler.core.desired import Adapter, Desired, Document, Host, Task
from reconciler.core.observed import Observed, ObservedHost, ObservedTask
from reconciler.core.plan import Planner
from reconciler.core.terms import Cause, Wish
from tests.unit import lives

NOON = lives.NOON
HOUR = timedelta(hours=1)
TASK = Task(title="t", goal="g", adapter="sh")
HELD = replace(TASK, desired=Wish.HOLD)
BUSY = {"busy": lives.live(lives.assigned(), lives.started())}
"""A task that has the only slot."""


class Fleet:
    """One host with one slot, which is taken, and a planner that is kept."""

    def __init__(self) -> None:
        self.planner = Planner()
        self.since: dict[str, datetime] = {}

    def passes(
        self,
        now: datetime,
        tasks: Mapping[str, Task],
        seen: Mapping[str, ObservedTask] | None = None,
        *adapters: str,
    ) -> datetime | None:
        """Since when the oldest could start, after a pass over these."""
        self.since = {name: self.since.get(name, now) for name in tasks}
        host = Document(value=Host(transport="local"), spec="s")
        desired = Desired(
            tasks={name: Document(value=task, spec="s") for name, task in tasks.items()},
            hosts={"h": host},
            adapters={name: Document(value=Adapter(run=("sh",)), spec="s") for name in ("sh", *adapters)},
            since=self.since,
        )
        hosts = {"h": ObservedHost(reachable=True, since=NOON, spec="s")}
        self.planner.plan(desired, Observed(fleet="f", tasks={**BUSY, **(seen or {})}, hosts=hosts), now)
        return self.planner.backlog().oldest


def test_a_new_task_waits_since_it_was_first_seen_also_after_a_restart() -> None:
    fleet = Fleet()
    assert fleet.passes(NOON, {"a": TASK}) == NOON
    assert fleet.passes(NOON + HOUR, {"a": replace(TASK, title="edited"), "b": TASK}) == NOON
    fleet.planner = Planner()
    assert fleet.passes(NOON + 2 * HOUR, {"a": TASK, "b": TASK}) == NOON
    assert fleet.passes(NOON + 3 * HOUR, {"b": TASK}) == NOON + HOUR


def test_a_task_that_was_on_hold_waits_since_it_was_taken_off() -> None:
    fleet = Fleet()
    assert fleet.passes(NOON, {"a": HELD}) is None
    assert fleet.passes(NOON + HOUR, {"a": TASK}) == NOON + HOUR
    assert fleet.passes(NOON + 2 * HOUR, {"a": replace(TASK, title="edited")}) == NOON + HOUR
    assert fleet.planner.ready_at("a") == NOON + HOUR


def test_a_task_that_goes_again_waits_since_its_pause_was_over_and_a_dependent_one_since_the_other_was_done() -> None:
    fleet, late = Fleet(), NOON + HOUR
    failed = lives.live(lives.assigned(), lives.started(), lives.failed())
    done = lives.live(lives.assigned(), lives.started(), lives.good(when=100))
    assert failed.not_before is not None
    fleet.passes(NOON - HOUR, {"again": TASK})
    assert fleet.passes(late, {"again": TASK}, {"again": failed}) == failed.not_before  # no pass saw it run
    assert fleet.passes(late, {}) is None
    assert fleet.passes(late + HOUR, {"again": TASK}, {"again": failed}) == late + HOUR  # its file is new again
    running = lives.live(lives.assigned(2, 10_000), task=failed)
    assert fleet.passes(late + 2 * HOUR, {"again": TASK}, {"again": running}) is None
    ended = lives.live(lives.failed(2, when=10_800), task=running)
    assert fleet.passes(late + 3 * HOUR, {"again": TASK}, {"again": ended}) == late + 3 * HOUR
    restarted = Fleet()
    restarted.since = {"again": NOON - HOUR, "after": NOON - HOUR}
    after = replace(TASK, depends_on=("done",))
    assert restarted.passes(late, {"again": TASK}, {"again": failed}) == failed.not_before
    assert restarted.passes(late, {"after": after, "again": TASK}, {"again": failed, "done": done}) is not None
    again = Fleet()
    again.since = {"after": NOON - HOUR}
    assert again.passes(late, {"after": after}, {"done": done}) == lives.at(100)


def test_what_all_tasks_depend_on_changes_no_age_but_of_those_that_can_start_by_it() -> None:
    fleet, other = Fleet(), replace(TASK, adapter="other")
    fleet.passes(NOON, {"a": HELD, "b": other})
    assert fleet.passes(NOON + HOUR, {"a": TASK, "b": other}) == NOON + HOUR
    assert fleet.passes(NOON + 2 * HOUR, {"a": TASK, "b": other}, {}, "other") == NOON + HOUR
    assert fleet.passes(NOON + 3 * HOUR, {"a": HELD, "b": other}, {}, "other") == NOON + 2 * HOUR


def test_the_oldest_is_found_behind_others_that_go_first() -> None:
    fleet = Fleet()
    fleet.since = {"old": NOON, "urgent": NOON + HOUR, "new": NOON + 2 * HOUR}
    wanted = {"old": TASK, "urgent": replace(TASK, priority=9), "new": TASK}
    assert fleet.passes(NOON + 3 * HOUR, wanted) == NOON
    assert fleet.passes(NOON + 3 * HOUR, {**wanted, "old": HELD}) == NOON + HOUR
    assert fleet.passes(NOON + 5 * HOUR, wanted) == NOON + HOUR


def test_a_task_that_no_host_can_take_is_counted_and_makes_no_queue_older() -> None:
    fleet = Fleet()
    wanted = {"a": TASK, "never": replace(TASK, requires=("gpu",)), "after": replace(TASK, depends_on=("a",))}
    fleet.since = {"never": NOON - HOUR, "after": NOON - HOUR}
    assert fleet.passes(NOON, wanted) == NOON
    assert fleet.planner.backlog().causes == {Cause.SLOTS: 1, Cause.HOST: 1, Cause.DEPENDENCY: 1}


def test_before_the_first_pass_nothing_is_known() -> None:
    assert Planner().backlog().oldest is None
    assert Planner().ready_at("a") is None
