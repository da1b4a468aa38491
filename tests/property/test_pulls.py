"""Whatever order the forge's news come in, a task ends up the same; and with runs in between nothing breaks."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core import lifecycle, pulls
from reconciler.core.observed import ObservedTask
from reconciler.core.pulls import Shown
from reconciler.core.terms import Delivery, Failure
from tests.property.pullworld import BEGIN, Branch
from tests.unit import lives

DEEDS = ("open", "open", "push", "demand", "demand", "approve", "comment", "close", "reopen", "merge", "draft", "ready")
STARTS = {
    "created": ObservedTask(),
    "assigned": lives.ASSIGNED,
    "running": lives.RUNNING,
    "in review": lives.live(lives.good(delivery=Delivery.PULL_REQUEST), task=lives.RUNNING),
    "not delivered": lives.live(
        lives.failed(1, Failure.NOT_DELIVERED),
        lives.assigned(2),
        lives.failed(2, Failure.NOT_DELIVERED),
        task=lives.RUNNING,
    ),
    "failed": lives.FAILED,
    "cancelled": lives.CANCELLED,
    "completed": lives.COMPLETED,
}
histories = st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(0, 5)), max_size=12)
orders = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3)), max_size=20)
limits = st.integers(0, 3)
QUICK = settings(max_examples=300, deadline=None, database=None, derandomize=True)


def after(history: list[tuple[str, int]]) -> list[Shown]:
    branch = Branch()
    for deed, pick in history:
        branch.does(deed, pick)
    return branch.shown


def told(task: ObservedTask, shown: Shown, max_reviews: int, *, seconds: int = 0) -> ObservedTask:
    """The task after the facts, of which a second look finds no more."""
    now = BEGIN + timedelta(seconds=seconds)
    for event in pulls.facts(task, shown, now=now, max_reviews=max_reviews):
        task = lifecycle.advance(task, event)
    assert pulls.facts(task, shown, now=now, max_reviews=max_reviews) == ()
    return task


def one_of(shown: Shown, pick: int) -> Shown:
    """What a single delivery shows: one pull request with its reviews, or with the newest of them alone."""
    if not shown.pulls:
        return shown
    pull = shown.pulls[pick % len(shown.pulls)]
    reviews = shown.reviews.get(pull.number, ())
    return Shown(pulls=(pull,), reviews={pull.number: reviews[-1:] if pick % 2 else reviews})


def settled(task: ObservedTask, shown: Shown, max_reviews: int) -> ObservedTask:
    """The task at rest: a run that lives is stopped, for until then a close is not told from an opening."""
    if task.live_run is not None:
        task = lifecycle.advance(task, replace(lives.stopped(), max_reviews=max_reviews))
    return replace(told(task, shown, max_reviews), last_activity_at=None)


@QUICK
@given(st.sampled_from(sorted(STARTS)), histories, orders, limits)
def test_the_same_news_in_any_order_give_the_same_task(
    start: str, history: list[tuple[str, int]], order: list[tuple[int, int]], max_reviews: int
) -> None:
    shown = after(history)
    if not shown:
        return
    task = STARTS[start]
    for news in shown:
        task = told(task, news, max_reviews)
    shuffled = STARTS[start]
    for position, pick in order:
        shuffled = told(shuffled, one_of(shown[position % len(shown)], pick), max_reviews)
    shuffled = told(shuffled, shown[-1], max_reviews)
    assert settled(shuffled, shown[-1], max_reviews) == settled(task, shown[-1], max_reviews)


@QUICK
@given(st.sampled_from(sorted(STARTS)), histories, limits)
def test_the_last_look_alone_gives_the_same_task(start: str, history: list[tuple[str, int]], max_reviews: int) -> None:
    shown = after(history)
    if not shown:
        return
    task = STARTS[start]
    for news in shown:
        task = told(task, news, max_reviews)
    last = told(STARTS[start], shown[-1], max_reviews)
    assert settled(last, shown[-1], max_reviews) == settled(task, shown[-1], max_reviews)
