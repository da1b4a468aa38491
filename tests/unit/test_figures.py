"""What runs came to: counted by key, medians of what was told, and nothing made of what was not."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from reconciler.core import figures
from reconciler.core.observed import ObservedTask, Run
from reconciler.core.terms import Failure, Kind, Outcome
from tests.unit.lives import at


def run(epoch: int, outcome: Outcome | None, *, ended: float = 100, started: float | None = 10) -> Run:
    return Run(
        epoch=epoch,
        run_id=f"f.t.{epoch}",
        host="h",
        adapter="codex",
        kind=Kind.IMPLEMENT,
        assigned_at=at(0),
        started_at=at(started) if started is not None else None,
        finished_at=at(ended) if outcome is not None else None,
        outcome=outcome,
        failure=Failure.AGENT_ERROR if outcome is Outcome.FAILED else None,
    )


def tasks(**runs: tuple[Run, ...]) -> dict[str, ObservedTask]:
    return {name: ObservedTask(runs=of) for name, of in runs.items()}


def test_runs_are_counted_by_key_with_medians_and_sums_of_what_was_told() -> None:
    seen = tasks(
        one=(run(1, Outcome.FAILED, ended=30), replace(run(2, Outcome.SUCCEEDED), input_tokens=5, cost_usd=0.5)),
        two=(run(1, Outcome.LOST, started=None), replace(run(2, Outcome.SUCCEEDED, ended=60), input_tokens=7)),
        three=(replace(run(1, Outcome.SUCCEEDED), adapter="claude"), run(2, None)),
    )
    found = figures.since(at(0), seen, figures.KEYS["adapter"])
    assert list(found) == ["claude", "codex"]
    one = found["codex"]
    assert (one.runs, one.tasks, dict(one.outcomes)) == (
        4,
        2,
        {Outcome.FAILED: 1, Outcome.SUCCEEDED: 2, Outcome.LOST: 1},
    )
    assert one.success == 2 / 3
    assert (one.took, one.waited) == (timedelta(seconds=50), timedelta(seconds=10))
    assert (one.input_tokens, one.output_tokens, one.cost_usd) == (12, None, 0.5)


def test_only_runs_that_ended_since_then_count() -> None:
    seen = tasks(one=(run(1, Outcome.FAILED, ended=99), run(2, Outcome.SUCCEEDED, ended=100), run(3, None)))
    assert [one.epoch for _, one in figures.ended(at(100), seen)] == [2]


def test_where_no_run_was_an_agents_there_is_no_success_to_tell() -> None:
    lost = figures.of([("t", run(1, Outcome.LOST, started=None))])
    assert (lost.success, lost.took, lost.waited) == (None, None, None)


def test_a_run_is_counted_by_day_failure_and_the_name_of_its_agent() -> None:
    failed = replace(run(1, Outcome.FAILED), adapter=None)
    assert {name: key("t", failed) for name, key in figures.KEYS.items()} == {
        "adapter": "h",
        "host": "h",
        "day": "2026-01-01",
        "task": "t",
        "failure": "agent_error",
    }
    assert figures.KEYS["failure"]("t", run(1, Outcome.CANCELLED)) == "cancelled"


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from(Outcome), st.floats(0, 200), st.integers(0, 9) | st.none())
    )
)
def test_groups_add_up_to_all(ends: list[tuple[str, Outcome, float, int | None]]) -> None:
    runs = [
        replace(run(number, what, ended=ended), host=host, output_tokens=told)
        for number, (host, what, ended, told) in enumerate(ends)
    ]
    seen = tasks(t=tuple(runs))
    whole = figures.of(figures.ended(at(50), seen))
    parts = figures.since(at(50), seen, figures.KEYS["host"]).values()
    assert sum(one.runs for one in parts) == whole.runs
    assert sum(one.output_tokens or 0 for one in parts) == (whole.output_tokens or 0)
    for outcome in Outcome:
        assert sum(one.outcomes.get(outcome, 0) for one in parts) == whole.outcomes.get(outcome, 0)
