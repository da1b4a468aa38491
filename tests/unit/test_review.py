"""Pull requests and reviews: early, late, twice, stale, of other generations, and while a run is live."""

from dataclasses import replace
from itertools import permutations

import pytest

from reconciler.core import review, rounds
from reconciler.core.events import Event
from reconciler.core.observed import ObservedTask
from reconciler.core.terms import Delivery, Failure, Kind, Phase, Verdict
from tests.unit import lives

LATE = lives.live(lives.assigned(2), lives.started(2), task=lives.REWORK)


@pytest.mark.parametrize("before", [ObservedTask(), lives.ASSIGNED, lives.RUNNING])
def test_an_open_pull_request_brings_the_task_to_review(before: ObservedTask) -> None:
    task = lives.live(lives.opened(), task=before)
    assert task.phase is Phase.REVIEW_PENDING
    assert task.pr == lives.pull_request()
    assert task.live_run == before.live_run


def test_the_forges_title_becomes_the_tasks() -> None:
    assert lives.live(replace(lives.opened(), title="new")).pr_title == "new"
    assert lives.live(replace(lives.updated(), title="newer"), task=lives.IN_REVIEW).pr_title == "newer"


@pytest.mark.parametrize("order", list(permutations([lives.opened(), lives.updated(), lives.merged()])))
def test_a_merge_completes_whatever_came_before_or_after(order: tuple[Event, ...]) -> None:
    task = lives.live(*order, task=lives.RUNNING)
    assert (task.phase, task.pr) == (Phase.COMPLETED, lives.merged().pr)


@pytest.mark.parametrize("order", list(permutations([lives.opened(), lives.updated(), lives.closed()])))
def test_a_close_blocks_whatever_came_before_or_after(order: tuple[Event, ...]) -> None:
    task = lives.live(*order)
    assert (task.phase, task.reason, task.pr) == (Phase.BLOCKED, "pr_closed", lives.closed().pr)


def test_a_snapshot_that_is_older_than_what_is_known_changes_nothing() -> None:
    task = lives.live(lives.updated(head="b", updated=20), task=lives.IN_REVIEW)
    for event in (lives.opened(head="c"), lives.updated(), lives.closed(), lives.merged()):
        assert lives.live(event, task=task) == task


def test_a_closed_pull_request_that_is_reopened_is_in_review_again() -> None:
    task = lives.live(lives.closed(), lives.opened(updated=20, reopened=True), task=lives.IN_REVIEW)
    assert (task.phase, task.reason) == (Phase.REVIEW_PENDING, None)


def test_a_reopened_pull_request_ends_the_rework_that_its_close_cut_off() -> None:
    task = lives.live(lives.closed(), lives.opened(updated=20, reopened=True), task=lives.REWORK)
    assert (task.phase, task.rework) == (Phase.REVIEW_PENDING, False)


def test_a_pull_request_that_is_reopened_while_its_run_is_stopped_goes_on() -> None:
    task = lives.live(lives.opened(), lives.closed(), lives.opened(updated=20, reopened=True), task=lives.RUNNING)
    assert lives.live(lives.stopped(), task=task).phase is Phase.REVIEW_PENDING


def test_a_close_is_heard_once() -> None:
    task = lives.live(lives.closed(), task=lives.IN_REVIEW)
    assert lives.live(lives.closed(updated=30), task=task) == task


def test_a_merge_is_heard_once() -> None:
    task = lives.live(lives.merged(), task=lives.IN_REVIEW)
    assert lives.live(lives.merged(updated=30), task=task) == task


@pytest.mark.parametrize("failure", [Failure.AUTH, Failure.WAITING_INPUT])
def test_a_pull_request_does_not_lift_a_block_that_it_has_nothing_to_do_with(failure: Failure) -> None:
    task = lives.live(lives.failed(1, failure), lives.opened(), task=lives.RUNNING)
    assert (task.phase, task.reason, task.pr) == (Phase.BLOCKED, failure, lives.pull_request())


def test_a_pull_request_lifts_the_block_of_what_was_not_delivered() -> None:
    twice = lives.live(lives.failed(1, Failure.NOT_DELIVERED), lives.assigned(2), task=lives.RUNNING)
    task = lives.live(lives.failed(2, Failure.NOT_DELIVERED), lives.opened(), task=twice)
    assert task.phase is Phase.REVIEW_PENDING


def not_delivered_rework() -> ObservedTask:
    failed = (lives.failed(2, Failure.NOT_DELIVERED), lives.assigned(3), lives.failed(3, Failure.NOT_DELIVERED))
    return lives.live(lives.assigned(2), *failed, task=lives.REWORK)


def test_only_a_new_head_lifts_the_block_of_a_rework_that_was_not_delivered() -> None:
    blocked = not_delivered_rework()
    assert lives.live(lives.opened(updated=3), task=blocked).phase is Phase.BLOCKED
    assert lives.live(lives.updated(head="b"), task=blocked).phase is Phase.REVIEW_PENDING
    assert lives.live(lives.opened(head="b", updated=3), task=blocked).phase is Phase.REVIEW_PENDING


def test_a_new_head_ends_the_rework_of_a_task_that_stays_blocked() -> None:
    blocked = lives.live(lives.failed(2, Failure.AUTH), task=LATE)
    task = lives.live(lives.updated(head="b"), task=blocked)
    assert (task.phase, task.rework) == (Phase.BLOCKED, False)


def test_the_newest_open_pull_request_is_the_tasks_own() -> None:
    task = lives.live(lives.opened(5), lives.opened(6, "b"), task=lives.RUNNING)
    assert task.pr == lives.pull_request(6, "b")
    assert lives.live(lives.opened(5, updated=9), lives.closed(5), task=task) == task
    assert lives.live(lives.closed(6), lives.opened(5), task=replace(task, runs=())).phase is Phase.REVIEW_PENDING


def test_a_pull_request_that_was_closed_before_the_next_one_belongs_to_the_same_generation() -> None:
    task = lives.live(lives.closed(), lives.opened(2, "b"), task=lives.IN_REVIEW)
    assert (task.pr, task.other_prs, task.past_prs) == (lives.pull_request(2, "b"), (1,), ())
    assert lives.live(lives.closed(2, 30), lives.regenerated(), task=task).past_prs == (1, 2)


def test_a_close_that_comes_before_its_opening_is_the_newer_pull_requests() -> None:
    task = lives.live(lives.closed(), lives.closed(2), lives.opened(2), task=lives.IN_REVIEW)
    assert (task.phase, task.pr, task.other_prs) == (Phase.BLOCKED, lives.closed(2).pr, (1,))


@pytest.mark.parametrize("event", [lives.opened(updated=50), lives.closed(), lives.merged(), lives.updated(head="z")])
def test_a_later_generation_ignores_an_earlier_ones_pull_request(event: Event) -> None:
    task = lives.live(lives.merged(), lives.regenerated(), task=lives.IN_REVIEW)
    assert lives.live(event, task=task) == task


def test_a_person_can_bring_a_past_pull_request_back() -> None:
    task = lives.live(lives.closed(), lives.regenerated(), task=lives.IN_REVIEW)
    task = lives.live(lives.opened(updated=20, reopened=True), task=task)
    assert (task.phase, task.past_prs) == (Phase.REVIEW_PENDING, ())


@pytest.mark.parametrize("finished", [lives.FAILED, lives.COMPLETED, lives.CANCELLED])
def test_a_pull_request_that_comes_when_the_task_is_over_belongs_to_that_generation(finished: ObservedTask) -> None:
    task = lives.live(lives.opened(), task=finished)
    assert task.phase is finished.phase
    again = lives.live(lives.regenerated(), task=task)
    assert again.past_prs == (1,)
    assert lives.live(lives.opened(updated=9), task=again) == again


def test_a_task_that_is_over_takes_note_of_what_becomes_of_its_pull_request() -> None:
    task = lives.live(lives.opened(), lives.updated(head="b"), lives.closed(updated=30), task=lives.FAILED)
    assert (task.phase, task.pr) == (Phase.FAILED, lives.closed(updated=30).pr)
    assert lives.live(lives.merged(updated=40), task=task).phase is Phase.COMPLETED


def test_changes_requested_send_the_task_back_once_per_review() -> None:
    task = lives.live(lives.reviewed(), lives.reviewed(), task=lives.IN_REVIEW)
    assert (task.phase, task.review_count, task.rework) == (Phase.CREATED, 1, True)
    assert [known.counted for known in task.reviews] == [True]


@pytest.mark.parametrize("verdict", [Verdict.APPROVED, Verdict.COMMENTED])
def test_other_verdicts_are_recorded(verdict: Verdict) -> None:
    task = lives.live(lives.reviewed(verdict=verdict), task=lives.IN_REVIEW)
    assert (task.phase, task.review_count, len(task.reviews)) == (Phase.REVIEW_PENDING, 0, 1)


def test_changes_requested_at_the_limit_block_until_the_limit_is_raised() -> None:
    task = lives.live(lives.reviewed(max_reviews=0), task=lives.IN_REVIEW)
    assert (task.phase, task.reason, task.owner, task.review_count) == (Phase.BLOCKED, "review_limit", "reviewer", 0)
    task = lives.live(lives.released(), task=task)
    assert (task.phase, task.rework, task.review_count) == (Phase.CREATED, True, 1)


def test_while_a_rework_is_due_an_open_pull_request_alone_brings_nothing_back() -> None:
    task = lives.live(lives.opened(updated=3), lives.updated(updated=4), task=LATE)
    assert (task.phase, task.rework) == (Phase.RUNNING, True)


@pytest.mark.parametrize("event", [lives.updated(head="b"), lives.opened(head="b", updated=3), lives.opened(2, "b")])
def test_a_new_head_ends_a_rework(event: Event) -> None:
    task = lives.live(event, task=LATE)
    assert (task.phase, task.rework, task.live_run) == (Phase.REVIEW_PENDING, False, LATE.live_run)


def test_a_good_run_ends_a_rework() -> None:
    task = lives.live(lives.good(2, Delivery.PULL_REQUEST), task=LATE)
    assert (task.phase, task.rework) == (Phase.REVIEW_PENDING, False)


def test_a_rework_without_a_known_pull_request_ends_with_a_head_that_no_run_left() -> None:
    unseen = replace(LATE, pr=None)
    assert lives.live(lives.opened(), task=unseen).phase is Phase.RUNNING
    assert lives.live(lives.opened(head="b"), task=unseen).phase is Phase.REVIEW_PENDING
    headless = replace(unseen, runs=tuple(replace(run, head_sha=None) for run in unseen.runs))
    assert lives.live(lives.opened(head="b"), task=headless).phase is Phase.RUNNING


def test_changes_requested_while_a_run_lives_wait_for_its_end() -> None:
    busy = lives.live(lives.opened(), lives.reviewed(), task=lives.RUNNING)
    assert (busy.phase, busy.review_count) == (Phase.REVIEW_PENDING, 0)
    moved = lives.live(lives.updated(head="b"), task=busy)
    task = lives.live(lives.good(head="b"), task=moved)
    assert (task.phase, task.review_count) == (Phase.CREATED, 1)


def test_changes_requested_during_a_rework_are_the_next_round() -> None:
    task = lives.live(lives.reviewed("r2"), lives.good(2, Delivery.PULL_REQUEST, head="b"), task=LATE)
    assert (task.phase, task.review_count, task.rework) == (Phase.CREATED, 2, True)


def test_a_demand_about_a_head_that_the_task_has_left_counts_and_starts_no_round() -> None:
    done = lives.live(lives.updated(head="b"), lives.good(2, Delivery.PULL_REQUEST, head="b"), task=LATE)
    late = lives.live(lives.reviewed("late", "a"), task=done)
    assert (late.phase, late.review_count, late.reviews[0].counted) == (Phase.REVIEW_PENDING, 2, True)
    assert lives.live(lives.reviewed("new", "b"), task=done).phase is Phase.CREATED


def test_a_stale_demand_is_recorded_and_nothing_else() -> None:
    stale = replace(lives.reviewed(), review=replace(lives.reviewed().review, stale=True))
    task = lives.live(stale, task=lives.IN_REVIEW)
    assert (task.phase, task.review_count, task.reviews) == (Phase.REVIEW_PENDING, 0, (stale.review,))
    assert (review.pending(task), rounds.to_address(task)) == (None, ())
    again = lives.live(stale, lives.reviewed("r2"), task=task)
    assert (again.review_count, [known.id for known in rounds.to_address(again)]) == (1, ["r2"])


def test_a_demand_about_the_head_that_a_run_pushed_counts_before_the_forge_has_told_of_it() -> None:
    done = lives.live(lives.good(2, Delivery.PULL_REQUEST, head="b"), task=LATE)
    assert lives.live(lives.reviewed("new", "b"), task=done).phase is Phase.CREATED


def test_a_demand_before_its_pull_request_is_recorded_and_pending_afterwards() -> None:
    task = lives.live(lives.reviewed(), lives.opened())
    assert (task.phase, task.review_count) == (Phase.REVIEW_PENDING, 0)
    waiting = review.pending(task)
    assert waiting == task.reviews[0]
    assert lives.live(lives.reviewed(), task=task).phase is Phase.CREATED


def test_a_reviewer_who_approves_afterwards_wants_nothing_more() -> None:
    busy = lives.live(lives.opened(), lives.reviewed(), task=lives.RUNNING)
    approved = lives.live(lives.reviewed("r2", verdict=Verdict.APPROVED), lives.good(), task=busy)
    assert (approved.phase, review.pending(approved)) == (Phase.REVIEW_PENDING, None)
    other = lives.live(lives.reviewed("r2", verdict=Verdict.APPROVED, reviewer="bob"), lives.good(), task=busy)
    assert other.phase is Phase.CREATED


@pytest.mark.parametrize("finished", [lives.COMPLETED, lives.FAILED, lives.CANCELLED])
def test_a_finished_task_counts_a_late_review_as_it_would_have_counted(finished: ObservedTask) -> None:
    task = lives.live(lives.reviewed("r2"), lives.reviewed("r1"), lives.reviewed("r1"), task=finished)
    assert (task.phase, task.review_count) == (finished.phase, 2)
    assert [(known.id, known.counted) for known in task.reviews] == [("r1", True), ("r2", True)]


def test_an_update_of_another_pull_request_or_without_news_changes_nothing() -> None:
    assert lives.live(lives.updated(9), task=lives.IN_REVIEW) == lives.IN_REVIEW
    assert lives.live(lives.updated(updated=0), task=lives.IN_REVIEW) == lives.IN_REVIEW
    assert lives.live(lives.updated(head="b"), task=lives.IN_REVIEW).phase is Phase.REVIEW_PENDING


def test_a_round_is_about_what_was_said_since_the_last_good_run() -> None:
    assert rounds.to_address(lives.IN_REVIEW) == ()
    task = lives.live(lives.reviewed("r2", verdict=Verdict.COMMENTED), task=lives.REWORK)
    assert [known.id for known in rounds.to_address(task)] == ["r1", "r2"]
    never = replace(task, runs=())
    assert [known.id for known in rounds.to_address(never)] == ["r1", "r2"]
    approved = lives.live(lives.reviewed("r3", verdict=Verdict.APPROVED), task=task)
    assert [known.id for known in rounds.to_address(approved)] == ["r1", "r2"]


def to_address(*events: Event, task: ObservedTask) -> list[str]:
    return [known.id for known in rounds.to_address(lives.live(*events, task=task))]


ROUND = lives.live(
    lives.dated(lives.reviewed("early", verdict=Verdict.COMMENTED), -60),
    lives.dated(lives.reviewed("r1"), 12),
    replace(lives.assigned(2, when=10), kind=Kind.ADDRESS_REVIEW),
    lives.started(2),
    task=lives.IN_REVIEW,
)
"""A round that was assigned at 10 by our clock, for a demand that was made at 12 by that of the forge."""
GOOD = lives.good(2, Delivery.PULL_REQUEST, head="b", when=30)


@pytest.mark.parametrize("when", [-30, 11, 12, 60])
def test_what_a_good_round_was_told_is_not_told_again_whatever_the_clock_of_the_forge(when: float) -> None:
    assert [known.id for known in rounds.about(ROUND, 2)] == ["early", "r1"]
    ended = lives.live(lives.dated(lives.reviewed("r2"), when), GOOD, task=ROUND)
    assert (ended.phase, to_address(task=ended)) == (Phase.CREATED, ["r2"])
    afterwards = lives.live(GOOD, lives.dated(lives.reviewed("r2", "b"), when), task=ROUND)
    assert (afterwards.phase, to_address(task=afterwards)) == (Phase.CREATED, ["r2"])


def test_what_a_round_was_told_that_came_to_nothing_is_told_again_with_all_that_came_since() -> None:
    late = lives.dated(lives.reviewed("late", verdict=Verdict.COMMENTED), 11)
    failed = lives.live(late, lives.failed(2), task=ROUND)
    assert to_address(task=failed) == ["early", "late", "r1"]
    again = lives.live(replace(lives.assigned(3), kind=Kind.ADDRESS_REVIEW), task=failed)
    assert [known.id for known in rounds.about(again, 3)] == ["early", "late", "r1"]


def test_a_review_that_comes_after_a_round_was_assigned_does_not_change_what_it_is_about() -> None:
    assert [known.id for known in rounds.about(lives.live(lives.reviewed("r2"), task=ROUND), 2)] == ["early", "r1"]


def test_a_round_without_a_new_demand_is_about_the_newest_one() -> None:
    assert to_address(GOOD, task=ROUND) == ["r1"]
    assert to_address(GOOD, lives.dated(lives.reviewed("r2", verdict=Verdict.COMMENTED), 5), task=ROUND) == ["r2", "r1"]


def test_one_round_answers_all_that_was_asked_before_it_and_each_counts() -> None:
    task = lives.live(lives.reviewed("r1", max_reviews=1), lives.reviewed("r2", max_reviews=1), task=lives.IN_REVIEW)
    assert (task.phase, task.review_count) == (Phase.CREATED, 2)
    busy = lives.live(lives.opened(), lives.reviewed("r1"), lives.reviewed("r2"), task=lives.RUNNING)
    ended = lives.live(replace(lives.good(), max_reviews=1), task=busy)
    assert (ended.phase, ended.review_count) == (Phase.CREATED, 2)
    assert [known.id for known in rounds.to_address(ended)] == ["r1", "r2"]


def test_a_demand_that_joins_a_round_does_not_shorten_its_wait() -> None:
    waiting = lives.live(lives.assigned(2), lives.failed(2), task=lives.REWORK)
    task = lives.live(lives.reviewed("r2"), task=waiting)
    assert (task.phase, task.review_count, task.not_before) == (Phase.CREATED, 2, waiting.not_before)


def test_at_the_limit_the_earliest_demands_count_in_whatever_order_they_come() -> None:
    first, second = (
        lives.dated(lives.reviewed("r1", "a", max_reviews=1), -2),
        lives.dated(lives.reviewed("r2", "b", max_reviews=1), -1),
    )
    moved = lives.live(lives.updated(head="b"), task=lives.IN_REVIEW)
    one, other = lives.live(first, second, task=moved), lives.live(second, first, task=moved)
    assert (one.phase, one.reason, one.review_count) == (Phase.BLOCKED, "review_limit", 1)
    assert one == other


def test_a_late_demand_at_the_limit_leaves_a_round_that_is_due_again_alone() -> None:
    due = lives.live(replace(lives.assigned(2), kind=Kind.ADDRESS_REVIEW), lives.failed(2), task=lives.REWORK)
    task = lives.live(lives.dated(lives.reviewed("r0", "0", max_reviews=1), -1), task=due)
    assert (task.phase, task.rework, task.review_count) == (Phase.CREATED, True, 1)


def test_a_demand_counts_while_its_pull_request_is_closed_and_is_due_when_it_is_reopened() -> None:
    closed = lives.live(lives.closed(), lives.reviewed(), task=lives.IN_REVIEW)
    assert (closed.phase, closed.reason, closed.review_count, closed.rework) == (Phase.BLOCKED, "pr_closed", 1, True)
    task = lives.live(lives.opened(updated=20, reopened=True), task=closed)
    assert (task.phase, task.rework, task.review_count) == (Phase.REVIEW_PENDING, False, 0)
    assert lives.live(lives.reviewed(), task=task) == replace(
        lives.live(lives.reviewed(), task=lives.IN_REVIEW), pr=task.pr, last_activity_at=task.last_activity_at
    )


def test_a_late_demand_about_an_earlier_head_is_not_due_when_a_closed_pull_request_is_reopened() -> None:
    moved = lives.live(lives.updated(head="b"), lives.closed(head="b"), task=lives.IN_REVIEW)
    late = lives.live(lives.reviewed(), task=moved)
    assert (late.phase, late.review_count, late.rework) == (Phase.BLOCKED, 1, False)


def test_what_an_approval_took_back_during_a_run_counts_and_starts_no_round() -> None:
    approval = lives.reviewed("r2", verdict=Verdict.APPROVED)
    task = lives.live(lives.opened(), lives.reviewed(), approval, lives.good(), task=lives.RUNNING)
    assert (task.phase, task.review_count) == (Phase.REVIEW_PENDING, 1)


def test_a_review_that_is_older_than_all_that_a_file_keeps_is_no_news() -> None:
    many = lives.live(
        *(lives.dated(lives.reviewed(f"r{n}", verdict=Verdict.COMMENTED), n) for n in range(review.MOST_REVIEWS)),
        task=lives.IN_REVIEW,
    )
    assert lives.live(lives.dated(lives.reviewed("old"), -1), task=many) == many
    assert len(lives.live(lives.dated(lives.reviewed("new"), 99), task=many).reviews) == review.MOST_REVIEWS + 1


def test_of_several_merged_pull_requests_the_first_is_the_tasks_own() -> None:
    two = lives.live(lives.opened(), lives.opened(2), lives.merged(2), task=lives.RUNNING)
    assert (two.phase, two.other_prs) == (Phase.COMPLETED, (1,))
    first = lives.live(lives.merged(1), task=two)
    assert (first.pr, first.other_prs) == (lives.merged(1).pr, (2,))
    assert lives.live(lives.merged(2), lives.closed(2), lives.opened(2), task=first) == first
    assert lives.live(lives.merged(3), task=first).other_prs == (2, 3)
    assert lives.live(lives.merged(3), task=lives.COMPLETED).other_prs == (3,)


def test_a_past_pull_request_that_is_reopened_beside_a_newer_one_is_another_of_this_generation() -> None:
    task = lives.live(lives.closed(), lives.regenerated(), lives.opened(2), task=lives.IN_REVIEW)
    task = lives.live(lives.opened(1, updated=20, reopened=True), task=task)
    assert (task.past_prs, task.other_prs, task.pr) == ((), (1,), lives.pull_request(2))


def test_an_update_that_shows_a_closed_pull_request_open_reopens_it() -> None:
    task = lives.live(lives.closed(), lives.updated(head="b", updated=20), task=lives.IN_REVIEW)
    assert task.phase is Phase.REVIEW_PENDING


def test_an_update_cannot_close_and_a_closed_one_can_change() -> None:
    closed = replace(lives.updated(updated=20), pr=lives.pull_request(1, "b", "closed", 20))
    assert lives.live(closed, task=lives.IN_REVIEW) == lives.IN_REVIEW
    task = lives.live(lives.closed(), task=lives.REWORK)
    moved = lives.live(closed, task=task)
    assert (moved.pr, moved.phase, moved.rework) == (closed.pr, Phase.BLOCKED, False)


def test_of_one_moment_the_close_is_later_than_the_opening_unless_a_person_reopened() -> None:
    task = lives.live(lives.closed(updated=10), task=lives.IN_REVIEW)
    assert lives.live(lives.opened(updated=10), task=task) == task
    assert lives.live(lives.opened(updated=10, reopened=True), task=task).phase is Phase.REVIEW_PENDING
    unknown = replace(lives.opened(), pr=replace(lives.opened().pr, updated_at=None))
    assert lives.live(unknown, task=task).phase is Phase.REVIEW_PENDING


def test_once_a_round_began_a_demand_still_joins_it_while_it_is_due_again() -> None:
    due = lives.live(replace(lives.assigned(2), kind=Kind.ADDRESS_REVIEW), lives.failed(2), task=lives.REWORK)
    task = lives.live(lives.reviewed("r2", max_reviews=1), task=due)
    assert (task.phase, task.review_count) == (Phase.CREATED, 2)


def test_all_demands_of_one_round_count_towards_the_limit() -> None:
    moved = lives.live(lives.updated(head="b"), task=lives.IN_REVIEW)
    asked = [("r1", "a", -3), ("r2", "a", -2), ("r3", "b", -1)]
    events = [lives.dated(lives.reviewed(name, head, max_reviews=2), when) for name, head, when in asked]
    tasks = [lives.live(*order, task=moved) for order in permutations(events)]
    assert {(task.phase, task.review_count) for task in tasks} == {(Phase.BLOCKED, 2)}
    assert all(task == tasks[0] for task in tasks)


def test_a_demand_without_a_head_is_about_the_current_one() -> None:
    assert lives.live(lives.reviewed(head=None), task=lives.IN_REVIEW).phase is Phase.CREATED
