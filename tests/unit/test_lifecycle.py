"""The table: every pair of phase and event is a row or a refusal, nothing is done twice, no stale word is heard."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import get_args

import pytest

from reconciler.core import lifecycle
from reconciler.core.events import BreakerOpened, Cancelled, Event, Released, Revived
from reconciler.core.lifecycle import TABLE, IllegalTransition, Superseded
from reconciler.core.observed import ObservedTask
from reconciler.core.terms import TERMINAL, Delivery, Failure, Phase
from tests.unit import lives

PHASES: Mapping[str, ObservedTask] = {
    Phase.CREATED: ObservedTask(),
    Phase.ASSIGNED: lives.ASSIGNED,
    Phase.RUNNING: lives.RUNNING,
    Phase.REVIEW_PENDING: lives.IN_REVIEW,
    Phase.COMPLETED: lives.COMPLETED,
    Phase.BLOCKED: lives.BLOCKED,
    Phase.FAILED: lives.FAILED,
    Phase.CANCELLED: lives.CANCELLED,
}
ONCE = (Cancelled, Revived, Released, BreakerOpened)
"""What people ask for once: a second time it is a lost race."""

WORLD: Mapping[str, ObservedTask] = {
    **PHASES,
    "waiting after a failure": lives.live(lives.failed(), task=lives.RUNNING),
    "rework": lives.REWORK,
    "rework assigned": lives.live(lives.assigned(2), task=lives.REWORK),
    "rework at work": lives.live(lives.assigned(2), lives.started(2), task=lives.REWORK),
    "in review and running": lives.live(lives.opened(), task=lives.RUNNING),
    "in review and assigned": lives.live(lives.opened(), task=lives.ASSIGNED),
    "in review, running, with a demand": lives.live(lives.opened(), lives.reviewed(), task=lives.RUNNING),
    "in review, running, closed": lives.live(lives.opened(), lives.closed(), task=lives.RUNNING),
    "in review and closed before it started": lives.live(lives.opened(), lives.closed(), task=lives.ASSIGNED),
    "closed": lives.live(lives.closed(), task=lives.IN_REVIEW),
    "not delivered": lives.live(
        lives.failed(1, Failure.NOT_DELIVERED),
        lives.assigned(2),
        lives.failed(2, Failure.NOT_DELIVERED),
        task=lives.RUNNING,
    ),
    "rework, not delivered": lives.live(
        lives.assigned(2),
        lives.failed(2, Failure.NOT_DELIVERED),
        lives.assigned(3),
        lives.failed(3, Failure.NOT_DELIVERED),
        task=lives.REWORK,
    ),
    "review limit": lives.live(lives.reviewed(max_reviews=0), task=lives.IN_REVIEW),
    "merged while running": lives.live(lives.merged(), task=lives.RUNNING),
}


def happenings(epoch: int) -> tuple[Event, ...]:
    cancel = replace(lives.failed(epoch), cancel="requested")
    return (
        lives.assigned(epoch + 1, 100),
        lives.started(epoch),
        *(lives.not_started(epoch, failure) for failure in (Failure.TRANSPORT, Failure.AUTH)),
        lives.not_started(epoch, cancel="deleted"),
        lives.good(epoch),
        lives.good(epoch, Delivery.PULL_REQUEST),
        *(lives.failed(epoch, failure) for failure in (None, *Failure)),
        replace(lives.failed(epoch), max_attempts=1),
        replace(lives.failed(epoch), max_reviews=0),
        cancel,
        lives.lost(epoch),
        lives.opened(),
        lives.opened(updated=20, reopened=True),
        lives.opened(2, "b"),
        lives.updated(head="b"),
        lives.merged(),
        lives.closed(),
        lives.reviewed("r2"),
        lives.reviewed("r2", max_reviews=0),
        lives.reviewed("r2", max_reviews=1),
        lives.dated(lives.reviewed("r0", "0", max_reviews=1), -1),
        lives.pushed(),
        lives.breaker(),
        lives.cancelled(),
        lives.revived(),
        lives.released(),
        lives.regenerated(),
    )


@pytest.mark.parametrize("task", WORLD.values(), ids=map(str, WORLD))
def test_every_event_in_every_phase_is_a_row_of_the_table_or_refused(task: ObservedTask) -> None:
    for event in happenings(task.epoch):
        before = task
        try:
            after = lifecycle.advance(task, event)
        except (IllegalTransition, Superseded):
            assert task == before
            continue
        assert after == task or after.phase in TABLE[type(event)][task.phase]


def test_every_row_of_the_table_can_happen() -> None:
    seen = set()
    for task in WORLD.values():
        for event in happenings(task.epoch):
            try:
                seen.add((type(event), task.phase, lifecycle.advance(task, event).phase))
            except (IllegalTransition, Superseded):
                continue
    rows = {(event, before, after) for event, row in TABLE.items() for before, to in row.items() for after in to}
    assert {row for row in rows - seen if row[1] is not row[2]} == set()


def test_the_table_knows_every_event() -> None:
    assert set(TABLE) == set(get_args(Event))


@pytest.mark.parametrize("task", WORLD.values(), ids=map(str, WORLD))
def test_the_same_event_twice_gives_the_same_value_or_is_refused(task: ObservedTask) -> None:
    for event in happenings(task.epoch):
        try:
            once = lifecycle.advance(task, event)
        except (IllegalTransition, Superseded):
            continue
        if isinstance(event, ONCE) and once.phase is not task.phase:
            with pytest.raises(IllegalTransition):
                lifecycle.advance(once, event)
        else:
            assert lifecycle.advance(once, event) == once


@pytest.mark.parametrize("word", [lives.started, lives.not_started, lives.good, lives.failed, lives.lost])
@pytest.mark.parametrize("epoch", [1, 3])
def test_a_word_about_another_epoch_than_the_current_one_is_refused(word: Callable[[int], Event], epoch: int) -> None:
    task = lives.live(lives.failed(), lives.assigned(2), task=lives.RUNNING)
    with pytest.raises(Superseded):
        lifecycle.advance(task, word(epoch))


def test_a_word_about_a_run_must_name_its_epoch() -> None:
    with pytest.raises(Superseded):
        lifecycle.advance(lives.ASSIGNED, lives.started(None))


def test_a_fact_of_the_task_that_names_an_old_epoch_is_refused() -> None:
    with pytest.raises(Superseded):
        lifecycle.advance(lives.ASSIGNED, replace(lives.pushed(), epoch=7))


@pytest.mark.parametrize("word", [lives.started, lives.not_started, lives.good])
def test_a_task_without_a_run_cannot_have_one_that_moves(word: Callable[[int], Event]) -> None:
    with pytest.raises(IllegalTransition):
        lifecycle.advance(ObservedTask(), word(0))


def test_an_assignment_must_be_the_next_epoch() -> None:
    with pytest.raises(Superseded):
        lifecycle.advance(ObservedTask(), lives.assigned(2))


def test_nothing_is_assigned_while_a_run_lives() -> None:
    with pytest.raises(IllegalTransition):
        lifecycle.advance(lives.RUNNING, lives.assigned(2))


def test_the_end_of_a_run_can_be_told_once() -> None:
    with pytest.raises(Superseded):
        lifecycle.advance(lives.COMPLETED, lives.failed())


def test_a_result_of_a_lost_run_is_refused() -> None:
    with pytest.raises(Superseded):
        lifecycle.advance(lives.live(lives.lost(), task=lives.RUNNING), lives.good())


def test_the_life_of_a_task_without_a_repository() -> None:
    task = lives.live(lives.assigned(), lives.started(), lives.good())
    assert (task.phase, task.epoch, task.attempts, task.live_run) == (Phase.COMPLETED, 1, 0, None)


def test_the_agent_is_seen_once() -> None:
    first = lives.live(lives.started(1, 1), lives.started(1, 9), task=lives.ASSIGNED)
    assert first.runs[-1].started_at == lives.at(1)


def test_an_end_that_is_seen_first_counts_as_started_too() -> None:
    task = lives.live(lives.good(when=5), task=lives.ASSIGNED)
    assert task.phase is Phase.COMPLETED
    assert task.runs[-1].started_at == lives.at(5)


def test_an_edited_pull_request_title_takes_effect_at_the_next_run() -> None:
    again = lives.live(lives.failed(), lives.assigned(2, title="better"), task=lives.RUNNING)
    assert again.pr_title == "better"
    assert lives.live(lives.assigned(2, title="better"), task=lives.REWORK).pr_title == "t"


def test_the_last_activity_never_goes_back() -> None:
    task = lives.live(lives.pushed(), lives.opened(), task=lives.RUNNING)
    assert task.last_activity_at == lives.pushed().at


def test_a_cancelled_task_comes_back_as_it_was() -> None:
    task = lives.live(lives.cancelled(), lives.revived(), task=lives.REWORK)
    assert (task.phase, task.reason, task.rework, task.review_count) == (Phase.CREATED, None, True, 1)


def test_a_cancelled_task_comes_back_without_its_closed_pull_request() -> None:
    task = lives.live(lives.closed(), lives.cancelled(), lives.revived(), task=lives.IN_REVIEW)
    assert (task.phase, task.pr, task.past_prs) == (Phase.CREATED, None, (1,))


def test_a_new_generation_restarts_the_counters_but_not_the_epoch() -> None:
    task = lives.live(lives.regenerated(), task=replace(lives.FAILED, pr=lives.pull_request(), review_count=2))
    assert (task.phase, task.generation, task.epoch) == (Phase.CREATED, 2, 1)
    assert (task.attempts, task.review_count, task.reviews, task.pr, task.past_prs) == (0, 0, (), None, (1,))


def test_an_old_generation_changes_nothing() -> None:
    assert lives.live(lives.regenerated(1), task=lives.FAILED) == lives.FAILED


def test_a_breaker_blocks_a_waiting_task_with_an_owner_and_a_need() -> None:
    task = lives.live(lives.breaker())
    assert (task.phase, task.reason, task.owner, task.needs) == (
        Phase.BLOCKED,
        "mass_death",
        "operator",
        "mend the cause",
    )


@pytest.mark.parametrize("phase", sorted(TERMINAL))
def test_a_finished_task_is_only_moved_by_a_merge_or_a_person(phase: Phase) -> None:
    task = PHASES[phase]
    moved = set()
    for event in happenings(task.epoch):
        try:
            if lifecycle.advance(task, event).phase is not phase:
                moved.add(type(event).__name__)
        except (IllegalTransition, Superseded):
            continue
    assert moved <= {"Merged", "Revived", "Regenerated"}


def test_every_event_says_why_in_a_few_words() -> None:
    said = {type(event).__name__: event.why for event in happenings(1)}
    assert said["Assigned"] == "implement on h"
    assert said["Started"] == "the agent was seen"
    assert said["NotStarted"] == "did not start: transport"
    assert said["Finished"] == "lost: host_lost"
    assert lives.good().why == "succeeded"
    assert lives.opened().why == "pull request 1 opened"
    assert lives.opened(reopened=True).why == "pull request 1 reopened"
    assert said["PullRequestUpdated"] == "pull request 1 updated"
    assert said["Merged"] == "pull request 1 merged"
    assert said["Closed"] == "pull request 1 closed unmerged"
    assert said["Reviewed"] == "changes requested by ann"
    assert said["BranchPushed"] == "branch pushed"
    assert said["BreakerOpened"] == "mass_death"
    assert lives.cancelled("deleted").why == "task file deleted"
    assert said["Cancelled"] == "asked for in the task file"
    assert said["Revived"] == "the task file asks for it again"
    assert said["Released"] == "task file changed"
    assert said["Regenerated"] == "generation 2"
