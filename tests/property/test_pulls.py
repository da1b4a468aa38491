"""Whatever order the forge's news come in, a task ends up the same; and with runs in between nothing breaks."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core import demands, lifecycle, pulls
from reconciler.core.events import Event
from reconciler.core.observed import ObservedTask
from reconciler.core.pulls import Shown
from reconciler.core.terms import Delivery, Failure, Kind, Phase
from tests.property.pullworld import BEGIN, Branch
from tests.unit import lives

DEEDS = ("push", "push", "demand", "demand", "approve", "comment", "close", "reopen", "open", "draft", "ready", "merge")
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
RUN_DEEDS = ("assign", "round", "start", "good", "fail", "miss", "stop")
EPOCHS = 40

histories = st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(0, 5)), min_size=3, max_size=12)
orders = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3)), max_size=20)
limits = st.integers(0, 3)
QUICK = settings(max_examples=300, deadline=None, database=None, derandomize=True)


def after(history: list[tuple[str, int]]) -> list[Shown]:
    branch = Branch()
    for deed, pick in (("open", 0), *history):
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
    return undated(told(task, shown, max_reviews))


def undated(task: ObservedTask) -> ObservedTask:
    """The task without the times that are noted along with other news."""
    pr = replace(task.pr, updated_at=None) if task.pr is not None else None
    return replace(task, pr=pr, last_activity_at=None)


@QUICK
@given(st.sampled_from(sorted(STARTS)), histories, orders, limits)
def test_the_same_news_in_any_order_give_the_same_task(
    start: str, history: list[tuple[str, int]], order: list[tuple[int, int]], max_reviews: int
) -> None:
    shown = after(history)
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
    task = STARTS[start]
    for news in shown:
        task = told(task, news, max_reviews)
    last = told(STARTS[start], shown[-1], max_reviews)
    assert settled(last, shown[-1], max_reviews) == settled(task, shown[-1], max_reviews)


@QUICK
@given(histories, limits)
def test_stale_reviews_are_recorded_and_move_nothing(history: list[tuple[str, int]], max_reviews: int) -> None:
    """A review of an earlier head, of which it was known that it was left, is the same as none but for its record."""
    branch, task, other = Branch(), ObservedTask(), ObservedTask()
    for deed, pick in (("open", 0), *history, ("push", 0)):
        branch.does(deed, pick)
        task, other = (told(one, branch.shown[-1], max_reviews) for one in (task, other))
    before = {number: set(reviews) for number, reviews in branch.reviews.items()}
    branch.does("stale", 0)
    shown = branch.shown[-1]
    task = told(task, shown, max_reviews)
    other = told(other, replace(shown, reviews={n: tuple(before.get(n, ())) for n in shown.reviews}), max_reviews)
    fresh = {review.id for review in task.reviews} - {review.id for review in other.reviews}
    own = task.pr is not None and task.pr.state == "open" and len(branch.pulls) == 1
    assert all(review.stale for review in task.reviews if review.id in fresh) or not own
    if own:
        kept = tuple(review for review in task.reviews if review.id not in fresh)
        assert undated(replace(task, reviews=kept)) == undated(other)


@QUICK
@given(
    st.lists(st.tuples(st.sampled_from((*DEEDS, "stale", *RUN_DEEDS)), st.integers(0, 5)), max_size=25), orders, limits
)
def test_with_runs_in_between_the_invariants_hold(
    life: list[tuple[str, int]], order: list[tuple[int, int]], max_reviews: int
) -> None:
    """Forge and runs go on side by side; news come at once, late, twice or never."""
    branch, task = Branch(), ObservedTask()
    lates = iter(order)
    for deed, pick in life:
        before = task
        if deed in RUN_DEEDS:
            task = ran(task, deed, max_reviews)
        else:
            branch.does(deed, pick)
            task = told(task, branch.shown[-1], max_reviews) if pick else task
        position, which = next(lates, (0, 0))
        if position % 3 and branch.shown:
            task = told(task, one_of(branch.shown[position % len(branch.shown)], which), max_reviews)
        holds(before, task)
    if branch.shown:
        task = told(task, branch.shown[-1], max_reviews)
    merged = any(pull.state == "merged" for pull in branch.pulls.values())
    assert (task.phase is Phase.COMPLETED) == merged


def ran(task: ObservedTask, deed: str, max_reviews: int) -> ObservedTask:
    """The task after something happened to its runs, where that can happen."""
    epoch, live = task.epoch, task.live_run
    if live is None and task.phase is Phase.CREATED and deed in {"assign", "round"} and epoch < EPOCHS:
        kind = Kind.ADDRESS_REVIEW if task.rework else Kind.IMPLEMENT
        return lifecycle.advance(task, replace(lives.assigned(epoch + 1), kind=kind))
    if live is None or deed in {"assign", "round"}:
        return task
    ends: dict[str, Event] = {
        "start": lives.started(epoch),
        "good": replace(lives.good(epoch, Delivery.PULL_REQUEST, head=f"run{epoch}"), max_reviews=max_reviews),
        "fail": replace(lives.failed(epoch), max_reviews=max_reviews, max_attempts=99),
        "miss": replace(lives.failed(epoch, Failure.NOT_DELIVERED), max_reviews=max_reviews),
        "stop": replace(lives.stopped(epoch), max_reviews=max_reviews),
    }
    return lifecycle.advance(task, ends[deed])


def holds(before: ObservedTask, task: ObservedTask) -> None:
    assert sum(run.finished_at is None for run in task.runs) <= 1
    assert [run.epoch for run in task.runs] == list(range(1, task.epoch + 1))
    assert task.epoch >= before.epoch
    assert before.phase is not Phase.COMPLETED or task.phase is Phase.COMPLETED
    assert task.review_count == sum(review.counted for review in task.reviews)
    assert list(task.reviews) == sorted(task.reviews, key=demands.moment)
    assert len({review.id for review in task.reviews}) == len(task.reviews)
    assert not any(review.stale and review.counted for review in task.reviews)
    assert task.phase is not Phase.BLOCKED or (task.reason and task.owner and task.needs)
    assert task.pr is None or task.pr.number not in {*task.other_prs, *task.past_prs}
    assert not task.rework or task.phase is not Phase.REVIEW_PENDING
