"""What a fleet did, in numbers: every end on its day, every run once, and nothing where nothing is known."""

from datetime import UTC, datetime, timedelta

from reconciler.core.numbers import Stretch, ended_at, numbers
from reconciler.core.observed import ObservedTask, PullRequest, Run
from reconciler.core.terms import Kind, Outcome, Phase

NOW = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def run(end: datetime | None, outcome: Outcome | None, **keys: object) -> Run:
    at = (end or NOW) - HOUR
    known: dict[str, object] = {
        "epoch": 1, "run_id": "x", "host": "a", "adapter": "codex", "kind": Kind.IMPLEMENT, "assigned_at": at,
        "started_at": at, "finished_at": end, "outcome": outcome,
    }  # fmt: skip
    return Run(**{**known, **keys})  # type: ignore[arg-type]


def merged(at: datetime) -> PullRequest:
    return PullRequest(number=1, url="https://h/1", state="merged", updated_at=at)


def test_every_end_is_counted_on_its_day_and_every_run_once() -> None:
    yesterday = NOW - 2 * HOUR
    good = run(yesterday - 5 * HOUR, Outcome.SUCCEEDED, input_tokens=5, output_tokens=2, cost_usd=0.5)
    bad = run(NOW, Outcome.FAILED, cost_usd=0.25, host="b")
    old = run(NOW - 9 * 24 * HOUR, Outcome.SUCCEEDED, cost_usd=9.0)
    tasks = {
        "merged": ObservedTask(phase=Phase.COMPLETED, pr=merged(yesterday), runs=(good,)),
        "failed": ObservedTask(phase=Phase.FAILED, runs=(bad,)),
        "old": ObservedTask(phase=Phase.COMPLETED, runs=(old,)),
        "live": ObservedTask(phase=Phase.RUNNING, runs=(run(None, None),)),
        "never": ObservedTask(phase=Phase.CANCELLED),
    }
    found = numbers(tasks, {"merged": good.assigned_at - 3 * HOUR}, NOW, 3)
    assert [str(day.day) for day in found.days] == ["2026-11-20", "2026-11-21", "2026-11-22"]
    assert [dict(day.tasks) for day in found.days] == [{}, {Phase.COMPLETED: 1}, {Phase.FAILED: 1}]
    assert [day.runs.cost_usd for day in found.days] == [None, 0.5, 0.25]
    assert (found.runs.input_tokens, found.runs.cost_usd) == (5, 0.75)
    assert found.finished == {Phase.COMPLETED: 1, Phase.FAILED: 1}
    assert {name: (one.runs, one.success) for name, one in found.hosts.items()} == {"a": (1, 1.0), "b": (1, 0.0)}
    assert {name: one.success for name, one in found.adapters.items()} == {"codex": 0.5}
    assert found.stretches == (
        Stretch(name="waiting to start", tasks=1, middle=3 * HOUR, most=3 * HOUR),
        Stretch(name="agents at work", tasks=1, middle=HOUR, most=HOUR),
        Stretch(name="in review", tasks=1, middle=5 * HOUR, most=5 * HOUR),
    )


def test_where_nothing_can_be_judged_nothing_is_said() -> None:
    stopped = ObservedTask(phase=Phase.CANCELLED, runs=(run(NOW, Outcome.CANCELLED, adapter=None),))
    found = numbers({"a": stopped}, {}, NOW, 1)
    assert {name: (one.runs, one.success) for name, one in found.adapters.items()} == {"a": (1, None)}
    assert (found.stretches, numbers({}, {}, NOW, 7).adapters) == ((), {})


def test_a_task_ended_with_its_merge_else_with_its_run_else_when_it_last_moved() -> None:
    ended = run(NOW - HOUR, Outcome.SUCCEEDED)
    assert ended_at(ObservedTask(phase=Phase.COMPLETED, runs=(ended,), pr=merged(NOW))) == NOW
    assert ended_at(ObservedTask(phase=Phase.COMPLETED, runs=(ended,))) == NOW - HOUR
    assert ended_at(ObservedTask(phase=Phase.CANCELLED, last_activity_at=NOW)) == NOW
    assert ended_at(ObservedTask(phase=Phase.REVIEW_PENDING, runs=(ended,))) is None
