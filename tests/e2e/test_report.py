"""`reconciler report`: what real runs came to, as a table, CSV and JSON."""

import csv
from pathlib import Path

import pytest

from tests.e2e.fleets import Fleet
from tests.e2e.program import run


def test_the_runs_of_a_week_are_told_as_table_csv_and_json(fleet: Fleet) -> None:
    fleet.task("good", "true")
    fleet.task("bad", "exit 3", max_attempts=1)
    nothing = run("report", cwd=fleet.root)
    assert (nothing.exit, nothing.out[:22]) == (0, "no run ended since 202")
    fleet.until_idle()
    table = run("report", cwd=fleet.root)
    assert table.exit == 0
    heading, row = table.out.splitlines()
    assert heading.split() == [
        "ADAPTER",
        "RUNS",
        "TASKS",
        "GOOD",
        "FAILED",
        "OTHER",
        "TOOK",
        "WAITED",
        "IN",
        "OUT",
        "COST",
    ]
    assert row.split()[:6] == ["shell", "2", "2", "50%", "1", "0"]
    told = run("report", "--by", "task", "--json", "--since", "1h", cwd=fleet.root).json
    assert [(one["task"], one["succeeded"], one["failed"]) for one in told["rows"]] == [("bad", 0, 1), ("good", 1, 0)]
    assert (told["all"]["runs"], told["all"]["success"], told["all"]["cost_usd"]) == (2, 0.5, None)
    lines = list(csv.DictReader(run("report", "--by", "failure", "--csv", cwd=fleet.root).out.splitlines()))
    assert [(one["failure"], one["runs"]) for one in lines] == [("agent_error", "1"), ("succeeded", "1")]
    assert run("report", "--since", "2999-01-01", "--csv", cwd=fleet.root).out.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ("--since", "yesterday"),
            '--since needs a date such as 2026-11-22, or a span such as 7d or 36h, not "yesterday"',
        ),
        (("--since", ""), '--since needs a date such as 2026-11-22, or a span such as 7d or 36h, not ""'),
        (("--by", "mood"), '--by takes one of adapter, host, day, task, failure, not "mood"'),
        (("--csv", "--json"), "report: --csv and --json do not go together; leave one out"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    done = run("report", *words, cwd=tmp_path)
    assert (done.exit, done.complaint) == (2, f"reconciler: {says}")
