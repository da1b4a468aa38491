"""What a forge shows becomes facts: which pull request is the task's, what is news of it, what is not."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations

import pytest

from reconciler.core import pulls, twins
from reconciler.core.events import (
    Closed,
    Event,
    Merged,
    PullRequestOpened,
    PullRequestUpdated,
)
from reconciler.core.observed import Comment, ObservedTask, PullRequest, Review
from reconciler.core.pulls import Pull, Shown
from reconciler.core.terms import Delivery, Kind, Phase, Verdict
from tests.unit import lives

PULL = Pull(
    repository="team/app",
    number=1,
    url="u",
    title="title",
    state="open",
    branch="task/task",
    same_repository=True,
    head_sha="a",
    author="ann",
    updated_at=lives.at(0),
)
DEMAND = Review(
    id="r1", reviewer="bob", verdict=Verdict.CHANGES_REQUESTED, submitted_at=lives.at(5), body="No.", head_sha="a"
)


def shown(*seen: Pull, reviews: Mapping[int, tuple[Review, ...]] | None = None, **more: object) -> Shown:
    return replace(Shown(pulls=seen, reviews=dict(reviews or {})), **more)  # type: ignore[arg-type] # hints only


def facts(task: ObservedTask, news: Shown, max_reviews: int = 3) -> tuple[Event, ...]:
    return pulls.facts(task, news, now=lives.at(50), max_reviews=max_reviews)


def after(task: ObservedTask, *news: Shown, max_reviews: int = 3) -> ObservedTask:
    for one in news:
        task = lives.live(*facts(task, one, max_reviews), task=task)
        assert facts(task, one, max_reviews) == ()
    return task


def pull_request(pull: Pull) -> PullRequest:
    return PullRequest(
        number=pull.number, url=pull.url, state=pull.state, head_sha=pull.head_sha, updated_at=pull.updated_at
    )


SEEN = after(ObservedTask(), shown(PULL))


def test_an_open_pull_request_is_opened_once() -> None:
    opened = PullRequestOpened(
        at=lives.at(50), actor="forge:ann", pr=pull_request(PULL), title="title", branch="task/task"
    )
    assert facts(ObservedTask(), shown(PULL)) == (opened,)
    assert (SEEN.phase, SEEN.pr_title, SEEN.branch_name) == (Phase.REVIEW_PENDING, "title", "task/task")


@pytest.mark.parametrize("event", [Merged, Closed])
def test_what_is_first_seen_at_its_end_tells_its_title_and_branch(event: type[Event]) -> None:
    pull = replace(PULL, state="merged" if event is Merged else "closed")
    (told,) = facts(ObservedTask(), shown(pull))
    assert isinstance(told, event)
    task = lives.live(told)
    assert (task.pr, task.pr_title, task.branch_name) == (pull_request(pull), "title", "task/task")


def test_the_branch_of_a_task_that_ran_stays_its_own() -> None:
    assert after(lives.RUNNING, shown(replace(PULL, branch="other"))).branch_name == "task/task"


def test_the_one_who_caused_it_is_the_actor() -> None:
    (opened,) = facts(ObservedTask(), shown(PULL, by="eve"))
    (other,) = facts(ObservedTask(), shown(replace(PULL, author="")))
    assert (opened.actor, other.actor) == ("forge:eve", "forge:unknown")
    (reviewed,) = facts(SEEN, shown(PULL, reviews={1: (DEMAND,)}))
    assert reviewed.actor == "forge:bob"


NOTHING: Mapping[str, Pull] = {
    "a fork's": replace(PULL, same_repository=False),
    "a draft": replace(PULL, draft=True),
    "a draft that was closed": replace(PULL, draft=True, state="closed"),
}


@pytest.mark.parametrize("pull", NOTHING.values(), ids=NOTHING)
def test_nothing_follows_from(pull: Pull) -> None:
    assert facts(ObservedTask(), shown(pull, reviews={1: (DEMAND,)})) == ()


def test_nothing_is_shown() -> None:
    assert facts(SEEN, shown()) == ()


def test_a_pull_request_that_becomes_a_draft_stays_as_it_was_until_it_ends() -> None:
    draft = replace(PULL, draft=True, title="WIP: title", head_sha="b", updated_at=lives.at(9))
    assert facts(SEEN, shown(draft, reviews={1: (DEMAND,)})) == ()
    assert after(SEEN, shown(replace(draft, state="closed"))).reason == "pr_closed"


def test_of_several_the_newest_open_one_is_the_tasks_own() -> None:
    pulls_of_branch = (replace(PULL, number=2), PULL, replace(PULL, number=3, state="closed"))
    task = after(ObservedTask(), shown(*pulls_of_branch))
    assert (task.phase, task.pr, task.other_prs) == (Phase.REVIEW_PENDING, pull_request(pulls_of_branch[0]), (1, 3))


def test_an_older_one_is_the_tasks_own_again_when_the_newer_is_closed() -> None:
    task = after(ObservedTask(), shown(PULL, replace(PULL, number=2)))
    closed = replace(PULL, number=2, state="closed", updated_at=lives.at(9))
    assert after(task, shown(PULL, closed)).pr == pull_request(PULL)
    both = shown(replace(PULL, state="closed", updated_at=lives.at(10)), closed)
    assert after(task, shown(PULL, closed), both).pr == pull_request(closed)


def test_a_merge_counts_more_than_an_open_pull_request() -> None:
    merged = replace(PULL, state="merged", updated_at=lives.at(9))
    task = after(SEEN, shown(merged, replace(PULL, number=2)))
    assert (task.phase, task.pr, task.other_prs) == (Phase.COMPLETED, pull_request(merged), (2,))


def test_one_of_an_earlier_generation_is_nothing_unless_a_person_reopened_it() -> None:
    over = after(SEEN, shown(replace(PULL, state="closed", updated_at=lives.at(9))))
    again = lives.live(lives.regenerated(), task=over)
    back = replace(PULL, updated_at=lives.at(20))
    assert facts(again, shown(back, reviews={1: (DEMAND,)})) == ()
    assert after(again, shown(back, reopened=frozenset({1}))).phase is Phase.REVIEW_PENDING


def test_each_shown_twice_counts_as_it_was_last_shown() -> None:
    later = replace(PULL, title="later", updated_at=lives.at(9))
    dateless = replace(PULL, title="dateless", updated_at=None)
    assert after(ObservedTask(), shown(later, PULL, dateless)).pr_title == "later"


def test_without_dates_the_title_that_was_given_in_so_many_words_counts_in_any_order() -> None:
    dateless = replace(PULL, updated_at=None)
    edited = shown(replace(dateless, title="better"), retitled=frozenset({1}))
    reviewed = shown(dateless, reviews={1: (DEMAND,)})
    titles = {after(ObservedTask(), *order).pr_title for order in permutations((shown(dateless), reviewed, edited))}
    assert titles == {"better"}


def test_news_of_a_finished_pull_request_are_noted() -> None:
    merged = replace(PULL, state="merged", updated_at=lives.at(9))
    done = after(SEEN, shown(merged))
    later = replace(merged, title="better", updated_at=lives.at(12))
    assert [type(event) for event in facts(done, shown(later))] == [PullRequestUpdated]
    assert (after(done, shown(later)).pr_title, after(done, shown(later)).phase) == ("better", Phase.COMPLETED)
    assert facts(done, shown(replace(PULL, updated_at=lives.at(99)))) == ()


def test_a_review_of_the_head_that_was_pushed_since_the_last_look_is_not_stale() -> None:
    pushed = replace(PULL, head_sha="c", updated_at=lives.at(9))
    unseen = replace(DEMAND, id="r0", head_sha="b")
    task = after(SEEN, shown(pushed, reviews={1: (unseen, replace(DEMAND, head_sha="c"))}))
    assert (task.phase, task.review_count, [review.stale for review in task.reviews]) == (
        Phase.CREATED,
        2,
        [False, False],
    )


def test_a_review_of_a_head_that_was_known_to_be_left_is_stale() -> None:
    moved = after(SEEN, shown(replace(PULL, head_sha="b")))
    task = after(moved, shown(replace(PULL, head_sha="b", updated_at=lives.at(5)), reviews={1: (DEMAND,)}))
    assert (task.phase, task.review_count, task.reviews) == (
        Phase.REVIEW_PENDING,
        0,
        (replace(DEMAND, stale=True),),
    )


def test_no_review_is_stale_where_the_forge_gives_no_dates() -> None:
    dateless = replace(PULL, head_sha="b", updated_at=None)
    task = after(ObservedTask(), shown(dateless), shown(dateless, reviews={1: (DEMAND,)}))
    assert (task.phase, task.review_count) == (Phase.REVIEW_PENDING, 1)


def test_a_review_of_another_pull_request_of_the_branch_is_not_judged_by_the_date_of_the_tasks_own() -> None:
    own = replace(PULL, number=2, head_sha="b")
    moved = after(ObservedTask(), shown(replace(PULL, head_sha="b"), own))
    reviewed = replace(PULL, head_sha="b", updated_at=lives.at(5))
    task = after(moved, shown(reviewed, own, reviews={1: (DEMAND,)}))
    assert (task.phase, task.reviews) == (Phase.REVIEW_PENDING, (replace(DEMAND, counted=True),))


def test_a_late_review_of_a_head_that_was_left_afterwards_counts_and_starts_no_round() -> None:
    news = shown(replace(PULL, head_sha="b", updated_at=lives.at(9)), reviews={1: (DEMAND,)})
    task = after(ObservedTask(), news)
    assert (task.phase, task.review_count, task.reviews) == (
        Phase.REVIEW_PENDING,
        1,
        (replace(DEMAND, counted=True),),
    )


def test_a_push_does_not_touch_the_date_and_is_still_later_than_a_review_of_that_moment() -> None:
    review = shown(replace(PULL, updated_at=lives.at(5)), reviews={1: (DEMAND,)})
    push = shown(replace(PULL, head_sha="b", updated_at=lives.at(5)))
    one, other = after(SEEN, review, push), after(SEEN, push, review)
    assert one == other
    assert (one.phase, one.review_count, one.pr) == (Phase.REVIEW_PENDING, 1, pull_request(push.pulls[0]))


def test_what_waited_counts_when_a_merge_ends_the_run() -> None:
    busy = after(lives.RUNNING, shown(PULL, reviews={1: (DEMAND,)}))
    assert busy.review_count == 0
    assert after(busy, shown(replace(PULL, state="merged", updated_at=lives.at(9)))).review_count == 1


def snapshot(**changes: object) -> Pull:
    return replace(PULL, **changes)  # type: ignore[arg-type] # any key of a pull request


CHANGES = shown(snapshot(updated_at=lives.at(5)), reviews={1: (DEMAND,)})
SYNC = shown(snapshot(head_sha="b", updated_at=lives.at(6)))
CLOSE = shown(snapshot(head_sha="b", state="closed", updated_at=lives.at(7)))
REOPEN = shown(snapshot(head_sha="b", updated_at=lives.at(8)), reopened=frozenset({1}))
MERGE = shown(snapshot(head_sha="b", state="merged", updated_at=lives.at(9)))
WORDS = {"changes": CHANGES, "sync": SYNC, "close": CLOSE, "reopen": REOPEN, "merge": MERGE}
"""What a forge without a token tells, each once, and each with the date at which it happened."""

AROUND: tuple[tuple[str, Phase, int], ...] = (
    ("changes | sync close reopen", Phase.CREATED, 1),
    ("changes sync | close reopen", Phase.CREATED, 1),
    ("changes close | reopen sync", Phase.REVIEW_PENDING, 1),
    ("changes close reopen | sync", Phase.CREATED, 1),
    ("sync close | changes reopen", Phase.REVIEW_PENDING, 1),
    ("close | reopen changes sync", Phase.REVIEW_PENDING, 1),
    ("reopen close | changes sync", Phase.REVIEW_PENDING, 1),
    ("sync | changes", Phase.REVIEW_PENDING, 1),
    ("| sync close", Phase.BLOCKED, 0),
    ("merge | changes sync close reopen", Phase.COMPLETED, 1),
    ("reopen close sync changes | merge", Phase.COMPLETED, 1),
    ("changes sync | merge close reopen", Phase.COMPLETED, 1),
)
"""News before the end of a live run | news after it, the phase in which the task is then, what was counted."""


@pytest.mark.parametrize(("news", "phase", "count"), AROUND, ids=[case[0] for case in AROUND])
def test_around_the_end_of_a_live_run(news: str, phase: Phase, count: int) -> None:
    before, later = (part.split() for part in news.split("|"))
    busy = after(lives.RUNNING, shown(PULL), *(WORDS[word] for word in before))
    assert busy.live_run == lives.RUNNING.live_run
    assert busy.phase is (Phase.COMPLETED if "merge" in before else Phase.REVIEW_PENDING)
    unwanted = busy.phase is Phase.COMPLETED or (busy.pr is not None and busy.pr.state == "closed")
    end = lives.stopped() if unwanted else lives.good(delivery=Delivery.PULL_REQUEST, head="b")
    task = after(lives.live(end, task=busy), *(WORDS[word] for word in later))
    assert (task.phase, task.review_count, task.live_run) == (phase, count, None)


@pytest.mark.parametrize("order", list(permutations(WORDS)), ids=" ".join)
@pytest.mark.parametrize("cut", range(6))
def test_no_order_around_a_live_run_breaks_anything(order: tuple[str, ...], cut: int) -> None:
    """Merged in the end, with the review counted once; whatever else is told later changes no phase."""
    busy = after(lives.RUNNING, shown(PULL), *(WORDS[word] for word in order[:cut]))
    task = after(lives.live(lives.stopped(), task=busy), *(WORDS[word] for word in order[cut:]))
    assert (task.phase, task.review_count, task.epoch) == (Phase.COMPLETED, 1, 1)


def test_the_push_of_a_run_does_not_end_the_round_that_began_with_its_end() -> None:
    busy = after(lives.RUNNING, shown(PULL), CHANGES)
    due = lives.live(lives.good(delivery=Delivery.PULL_REQUEST, head="b"), task=busy)
    task = after(due, SYNC)
    assert (task.phase, task.rework, task.pr) == (Phase.CREATED, True, pull_request(SYNC.pulls[0]))
    assert after(task, shown(snapshot(head_sha="c", updated_at=lives.at(7)))).phase is Phase.REVIEW_PENDING


def test_a_date_alone_is_no_news_and_is_noted_along_with_other_news() -> None:
    task = after(ObservedTask(), shown(PULL))
    talked = replace(PULL, updated_at=lives.at(20))
    assert facts(task, shown(talked)) == ()
    later = after(task, shown(replace(talked, head_sha="b")))
    assert later.pr is not None
    assert (later.pr.head_sha, later.pr.updated_at) == ("b", lives.at(20))


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_close_and_a_reopening_may_be_told_in_any_order(order: tuple[int, ...]) -> None:
    opened = replace(PULL, updated_at=lives.at(0))
    steps = [
        shown(opened),
        shown(replace(opened, state="closed", updated_at=lives.at(5))),
        shown(replace(opened, updated_at=lives.at(6)), reopened=frozenset({opened.number})),
    ]
    task = after(ObservedTask(), *(steps[step] for step in order))
    assert task.pr is not None
    assert (task.phase, task.pr.state, task.pr.updated_at) == (Phase.REVIEW_PENDING, "open", lives.at(6))


TOLD = replace(DEMAND, id=f"{twins.MADE_UP}x", submitted_at=lives.at(6))
"""What a webhook told of the demand, where nothing else could be asked."""
TOUCHED = replace(PULL, updated_at=lives.at(6))


def test_a_review_that_a_webhook_told_of_gets_its_real_name_and_counts_once() -> None:
    real = replace(DEMAND, comments=(Comment(path="a.py", body="here", line=3),))
    task = after(SEEN, shown(TOUCHED, reviews={1: (TOLD,)}))
    polled = after(task, shown(TOUCHED, reviews={1: (real,)}))
    assert (polled.phase, polled.review_count, polled.reviews) == (Phase.CREATED, 1, (replace(real, counted=True),))


def test_a_review_that_is_known_by_its_real_name_is_not_news_when_a_webhook_tells_of_it() -> None:
    task = after(SEEN, shown(TOUCHED, reviews={1: (DEMAND,)}))
    assert facts(task, shown(TOUCHED, reviews={1: (TOLD,)})) == ()


def test_what_a_round_was_told_under_a_made_up_name_is_not_told_again() -> None:
    task = after(SEEN, shown(TOUCHED, reviews={1: (TOLD,)}))
    round_ = replace(lives.assigned(1), kind=Kind.ADDRESS_REVIEW)
    ended = lives.live(round_, lives.good(1, Delivery.PULL_REQUEST, head="b"), task=task)
    moved = replace(TOUCHED, head_sha="b", updated_at=lives.at(20))
    again = after(ended, shown(moved, reviews={1: (DEMAND,)}))
    assert (again.phase, again.review_count) == (Phase.REVIEW_PENDING, 1)
    assert [(one.id, one.told) for one in again.reviews] == [("r1", 1)]


@pytest.mark.parametrize(
    "other",
    [
        replace(DEMAND, reviewer="eve"),
        replace(DEMAND, body="No!"),
        replace(DEMAND, verdict=Verdict.APPROVED),
        replace(DEMAND, submitted_at=lives.at(60), head_sha="b"),
        replace(DEMAND, submitted_at=lives.at(-60)),
        replace(TOLD, id=f"{twins.MADE_UP}y"),
    ],
)
def test_another_review_is_another_one(other: Review) -> None:
    assert twins.known([TOLD], other) is None


def test_of_two_that_say_the_same_each_gets_its_own_name() -> None:
    later = replace(TOLD, id=f"{twins.MADE_UP}y", submitted_at=lives.at(40))
    task = after(SEEN, shown(TOUCHED, reviews={1: (TOLD,)}), shown(TOUCHED, reviews={1: (later,)}))
    second = replace(DEMAND, id="r2", submitted_at=lives.at(41))
    for order in ((DEMAND, second), (second, DEMAND)):
        named = after(task, *(shown(TOUCHED, reviews={1: (one,)}) for one in order))
        assert [one.id for one in named.reviews] == ["r1", "r2"]
        assert named.review_count == task.review_count == 2


def test_where_a_review_leaves_the_date_of_its_pull_request_alone_the_head_tells() -> None:
    undated = replace(TOLD, submitted_at=lives.at(-3600))
    assert twins.known([undated], DEMAND) == undated
    assert twins.known([DEMAND], undated) == DEMAND
    assert twins.known([replace(undated, head_sha=None)], DEMAND) is None
