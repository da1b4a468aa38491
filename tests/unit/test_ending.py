"""How runs end: done, again with backoff, blocked with an owner, failed."""

from dataclasses import replace

import pytest

from reconciler.core import ending, lifecycle
from reconciler.core.events import CancelReason, Event
from reconciler.core.observed import ObservedTask
from reconciler.core.terms import Delivery, Failure, Outcome, Phase
from tests.unit import lives

COUNTED = {Failure.STALLED, Failure.TIMED_OUT, Failure.AGENT_ERROR, Failure.LIMIT, Failure.UNKNOWN}
BLOCKS = {Failure.AUTH, Failure.CONFIG, Failure.WAITING_INPUT}


def ends(*failures: Failure | None, task: ObservedTask | None = None) -> ObservedTask:
    """A task whose runs failed so, one after the other."""
    task = task or ObservedTask()
    for failure in failures:
        epoch = task.epoch + 1
        task = lives.live(lives.assigned(epoch), lives.started(epoch), lives.failed(epoch, failure), task=task)
    return task


@pytest.mark.parametrize("delivery", [Delivery.NONE, Delivery.BRANCH])
def test_a_good_run_completes_what_needs_no_pull_request(delivery: Delivery) -> None:
    assert lives.live(lives.good(delivery=delivery), task=lives.RUNNING).phase is Phase.COMPLETED


def test_a_good_run_waits_for_review_where_a_pull_request_is_wanted() -> None:
    task = lives.live(lives.good(delivery=Delivery.PULL_REQUEST), task=lives.RUNNING)
    assert (task.phase, task.rework) == (Phase.REVIEW_PENDING, False)


@pytest.mark.parametrize("failure", Failure)
def test_only_five_failure_classes_count_as_attempts(failure: Failure) -> None:
    task = ends(failure)
    assert task.attempts == (failure in COUNTED)
    assert task.runs[-1].counts_as_attempt == (failure in COUNTED)
    assert task.phase is (Phase.BLOCKED if failure in BLOCKS else Phase.CREATED)


def test_a_failure_without_a_class_counts_as_an_attempt() -> None:
    assert ends(None).attempts == 1


def test_attempts_that_are_used_up_fail_the_task_and_say_so() -> None:
    task = ends(Failure.AGENT_ERROR, Failure.TRANSPORT, Failure.TIMED_OUT, Failure.UNKNOWN)
    assert (task.phase, task.reason, task.attempts) == (Phase.FAILED, "unknown", 3)
    assert task.needs == "3 of 3 attempts are used up: retry, or change the task"


def test_a_provider_failure_counts_from_the_fourth_in_a_row() -> None:
    assert ends(*[Failure.PROVIDER] * 3).attempts == 0
    assert ends(*[Failure.PROVIDER] * 4).attempts == 1
    assert ends(*[Failure.PROVIDER] * 3, Failure.TRANSPORT, Failure.PROVIDER).attempts == 0
    assert ends(*[Failure.PROVIDER] * 6).phase is Phase.FAILED


def test_provider_failures_of_an_earlier_generation_do_not_count_on() -> None:
    task = lives.live(lives.regenerated(), task=ends(*[Failure.PROVIDER] * 3))
    task = lives.live(lives.assigned(4, generation=2), lives.failed(4, Failure.PROVIDER), task=task)
    assert task.attempts == 0


@pytest.mark.parametrize("failure", sorted(BLOCKS))
def test_what_only_people_can_mend_blocks_with_owner_and_needs(failure: Failure) -> None:
    task = ends(failure)
    assert task.reason == failure
    assert task.owner == ("author" if failure is Failure.WAITING_INPUT else "operator")
    assert task.needs


def test_nothing_delivered_blocks_at_the_second_time_in_a_row() -> None:
    assert ends(Failure.NOT_DELIVERED).phase is Phase.CREATED
    twice = ends(Failure.NOT_DELIVERED, Failure.NOT_DELIVERED)
    assert (twice.phase, twice.reason, twice.attempts) == (Phase.BLOCKED, "not_delivered", 0)
    once_more = ends(Failure.NOT_DELIVERED, task=lives.live(lives.released(), task=twice))
    assert once_more.phase is Phase.CREATED


def test_a_lost_run_is_charged_nothing_and_followed_by_another() -> None:
    task = lives.live(lives.lost(), task=lives.RUNNING)
    assert (task.phase, task.attempts, task.not_before) == (Phase.CREATED, 0, lives.at(12))


def test_a_usage_limit_holds_the_task_until_it_resets() -> None:
    limited = lives.failed(1, Failure.USAGE_LIMIT)
    late = lives.live(replace(limited, resets_at=lives.at(9000)), task=lives.RUNNING)
    assert late.not_before == lives.at(9000)
    past = lives.live(replace(limited, resets_at=lives.at(-9000)), task=lives.RUNNING)
    assert past.not_before == lives.at(12)


def test_a_run_that_did_not_start_is_no_attempt_but_waits() -> None:
    task = lives.live(lives.not_started(), task=lives.ASSIGNED)
    assert (task.phase, task.attempts, task.not_before) == (Phase.CREATED, 0, lives.at(12))
    assert (task.runs[-1].outcome, task.runs[-1].failure) == (Outcome.NOT_STARTED, Failure.TRANSPORT)


@pytest.mark.parametrize("failure", [Failure.AUTH, Failure.CONFIG])
def test_a_preparation_that_only_people_can_mend_blocks(failure: Failure) -> None:
    task = lives.live(lives.not_started(1, failure), task=lives.ASSIGNED)
    assert (task.phase, task.reason, task.owner) == (Phase.BLOCKED, failure, "operator")


def test_six_runs_in_a_row_that_did_not_start_block() -> None:
    task = ObservedTask()
    for epoch in range(1, 7):
        assert task.phase is Phase.CREATED
        task = lives.live(lives.assigned(epoch), lives.not_started(epoch, Failure.NO_CAPACITY), task=task)
    assert (task.phase, task.reason, task.owner) == (Phase.BLOCKED, "not_started", "operator")


def test_that_a_run_did_not_start_is_heard_once() -> None:
    once = lives.live(lives.not_started(), task=lives.ASSIGNED)
    assert lives.live(lives.not_started(when=99), task=once) == once


@pytest.mark.parametrize("end", [lives.good(), lives.failed(), lives.lost(), lives.not_started()])
def test_in_review_the_end_of_a_run_changes_no_phase(end: Event) -> None:
    task = lives.live(end, task=lives.live(lives.opened(), task=lives.ASSIGNED))
    assert (task.phase, task.live_run) == (Phase.REVIEW_PENDING, None)


@pytest.mark.parametrize("reason", ["requested", "deleted"])
@pytest.mark.parametrize("before", [lives.ASSIGNED, lives.live(lives.opened(), task=lives.ASSIGNED)])
def test_a_cancel_is_final_when_the_run_has_ended(before: ObservedTask, reason: CancelReason) -> None:
    ends_of_it: tuple[Event, ...] = (
        lives.stopped(cancel=reason),
        lives.lost(cancel=reason),
        lives.not_started(cancel=reason),
        replace(lives.good(), cancel=reason),
    )
    for event in ends_of_it:
        task = lives.live(event, task=before)
        assert (task.phase, task.reason, task.not_before) == (Phase.CANCELLED, reason, None)


def test_a_cancel_that_was_taken_back_starts_again_at_once() -> None:
    task = lives.live(lives.stopped(), task=lives.RUNNING)
    assert (task.phase, task.attempts, task.not_before) == (Phase.CREATED, 0, None)


@pytest.mark.parametrize("end", [lives.stopped(), lives.lost(), lives.not_started()])
def test_a_closed_pull_request_blocks_when_its_run_has_ended(end: Event) -> None:
    closing = lives.live(lives.opened(), lives.closed(), task=lives.ASSIGNED)
    assert closing.phase is Phase.REVIEW_PENDING
    task = lives.live(end, task=closing)
    assert (task.phase, task.reason, task.owner) == (Phase.BLOCKED, "pr_closed", "author")


@pytest.mark.parametrize("end", [lives.stopped(), lives.good(), lives.failed(), lives.lost()])
def test_after_a_merge_the_end_of_the_run_is_only_recorded(end: Event) -> None:
    task = lives.live(lives.merged(), end, task=lives.RUNNING)
    assert (task.phase, task.live_run, task.reason) == (Phase.COMPLETED, None, None)


def test_a_run_cannot_be_given_up_after_it_was_seen() -> None:
    with pytest.raises(lifecycle.IllegalTransition):
        lives.live(lives.not_started(), task=lives.RUNNING)


def test_a_launch_that_did_not_start_does_not_spare_what_is_not_delivered_twice() -> None:
    task = lives.live(lives.failed(1, Failure.NOT_DELIVERED), task=lives.RUNNING)
    task = lives.live(lives.assigned(2), lives.not_started(2), lives.assigned(3), task=task)
    assert lives.live(lives.failed(3, Failure.NOT_DELIVERED), task=task).phase is Phase.BLOCKED


def test_what_the_last_run_missed_is_said_until_a_run_or_a_person_begins_anew() -> None:
    assert ending.missed(ObservedTask()) is None
    assert ending.missed(lives.FAILED) is None
    task = lives.live(lives.failed(1, Failure.NOT_DELIVERED), task=lives.RUNNING)
    assert ending.missed(task) == "nothing was delivered"
    why = lives.live(replace(lives.failed(1, Failure.NOT_DELIVERED), error="no commit"), task=lives.RUNNING)
    assert (
        ending.missed(lives.live(lives.assigned(2), lives.not_started(2), lives.assigned(3), task=why)) == "no commit"
    )
    assert ending.missed(lives.live(lives.assigned(2), lives.failed(2), task=why)) is None
    assert ending.missed(lives.live(lives.regenerated(), task=why)) is None
