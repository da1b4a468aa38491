"""The truth table of a run's end, cell by cell, with adapters made for it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from reconciler.core import report
from reconciler.core.desired import Adapter, FailurePattern, Output, Task
from reconciler.core.observed import Meta
from reconciler.core.output import RawOutput
from reconciler.core.report import Resumed
from reconciler.core.terms import Failure, Kind, Outcome, StopReason
from reconciler.core.verdict import Result, pattern_problem

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CLI = Adapter(
    run=("agent", ("--model", "{model}")),
    resume=("agent", ("--resume", "{session}")),
    output=Output(
        format="jsonl",
        summary=("events[?type=='done'] | [-1].text",),
        session=("events[?id] | [-1].id",),
        error=("events[?type=='oops'] | [-1].text",),
        input_tokens=("events[-1].input",),
        output_tokens=("events[-1].output",),
        cost_usd=("events[-1].cost",),
        failed="events[?type=='done'] | [-1].bad",
        finished="events[?type=='done']",
        abort="length(events[?type=='again']) > `2`",
        cumulative=("tokens", "cost"),
    ),
    failures=(
        FailurePattern(failure=Failure.USAGE_LIMIT, pattern=r"limit until (?P<when>.+)", resets="when"),
        FailurePattern(failure=Failure.AUTH, pattern="log in"),
    ),
)
DONE = {"type": "done", "text": "Fixed.", "id": "s1", "input": 30, "output": 20, "cost": 0.5}
GOOD = RawOutput(events=[DONE], stdout_tail="raw", exit_code=0)
TEXT = Adapter(run=("agent",))


def judged(
    adapter: Adapter, output: RawOutput, *, stop: StopReason | None = None, resumed: Resumed | None = None
) -> Result:
    return report.judge(adapter, output, stop=stop, resumed=resumed, now=NOW)


def test_a_good_run_has_everything_that_the_cli_said() -> None:
    expected = Result(
        outcome=Outcome.SUCCEEDED,
        failure=None,
        exit_code=0,
        signal=None,
        summary="Fixed.",
        error=None,
        session="s1",
        input_tokens=30,
        output_tokens=20,
        cost_usd=0.5,
    )
    assert judged(CLI, GOOD) == expected


@pytest.mark.parametrize(
    ("stop", "outcome", "failure"),
    [
        (StopReason.CANCELLED, Outcome.CANCELLED, None),
        (StopReason.SUPERSEDED, Outcome.CANCELLED, Failure.SUPERSEDED),
        (StopReason.TIMED_OUT, Outcome.FAILED, Failure.TIMED_OUT),
        (StopReason.STALLED, Outcome.FAILED, Failure.STALLED),
        (StopReason.ABORTED, Outcome.FAILED, Failure.PROVIDER),
        (StopReason.LINGERED, Outcome.SUCCEEDED, None),
    ],
)
def test_our_own_stop_decides_whatever_the_exit_code(
    stop: StopReason, outcome: Outcome, failure: Failure | None
) -> None:
    for exit_code in (0, 143, None):
        result = judged(CLI, replace(GOOD, exit_code=exit_code), stop=stop)
        assert (result.outcome, result.failure, result.exit_code) == (outcome, failure, exit_code)


def test_an_abort_takes_its_class_from_the_patterns_and_not_from_our_signal() -> None:
    adapter = replace(CLI, exit_codes={143: Failure.LIMIT})
    output = RawOutput(stderr_tail="please log in", exit_code=143)
    result = judged(adapter, output, stop=StopReason.ABORTED)
    assert result.failure is Failure.AUTH
    assert "loop" in (result.error or "")
    assert "not by the reconciler" not in (result.error or "")


def test_a_failure_pattern_may_name_the_beginning_and_the_end_of_any_line() -> None:
    adapter = replace(CLI, failures=(FailurePattern(failure=Failure.AUTH, pattern="^log in first$"),))
    output = RawOutput(stderr_tail="starting\nlog in first\nbye\n", exit_code=1)
    assert judged(adapter, output).failure is Failure.AUTH


@pytest.mark.parametrize(
    ("bad", "exit_code", "outcome"),
    [
        (True, 0, Outcome.FAILED),
        (True, 1, Outcome.FAILED),
        (False, 1, Outcome.SUCCEEDED),
        (None, 0, Outcome.SUCCEEDED),
        (None, 1, Outcome.FAILED),
    ],
)
def test_the_failed_expression_decides_and_the_exit_code_where_it_says_nothing(
    *, bad: bool | None, exit_code: int, outcome: Outcome
) -> None:
    output = replace(GOOD, events=[{**DONE, "bad": bad}], exit_code=exit_code)
    assert judged(CLI, output).outcome is outcome


def test_an_exit_that_nobody_knows_is_never_a_success() -> None:
    result = judged(CLI, replace(GOOD, exit_code=None))
    assert (result.outcome, result.failure) == (Outcome.FAILED, Failure.UNKNOWN)


@pytest.mark.parametrize("text", [None, "", " \n", [], {}])
def test_without_a_summary_a_structured_run_is_not_good_and_its_raw_text_is_kept(text: object) -> None:
    result = judged(CLI, replace(GOOD, events=[{**DONE, "text": text}]))
    assert (result.outcome, result.failure, result.summary) == (Outcome.FAILED, Failure.AGENT_ERROR, "raw")
    assert result.error == "the agent ended without a final result"
    assert result.warnings[0].startswith("no summary was found")


def test_without_a_summary_expression_the_raw_text_is_the_summary() -> None:
    adapter = replace(CLI, output=Output(format="jsonl"))
    assert judged(adapter, GOOD).summary == "raw"
    assert judged(adapter, GOOD).outcome is Outcome.SUCCEEDED
    assert judged(adapter, replace(GOOD, stdout_tail=" ")).outcome is Outcome.FAILED
    assert judged(adapter, replace(GOOD, unreadable=True)).outcome is Outcome.FAILED


def test_a_text_run_may_be_silent() -> None:
    result = judged(TEXT, RawOutput(exit_code=0))
    assert (result.outcome, result.summary, result.warnings) == (Outcome.SUCCEEDED, None, ())


def test_a_summary_is_cut_to_four_kibibytes_between_characters() -> None:
    long = judged(TEXT, RawOutput(exit_code=0, stdout_tail="x" + "ä" * 4000))
    assert long.summary == "ä" * 2048
    head = judged(CLI, replace(GOOD, events=[{**DONE, "text": "ä" * 4000}])).summary
    assert head == "ä" * 2046 + "…"
    assert len(head.encode()) <= 4096


def test_half_a_surrogate_pair_becomes_text_that_can_be_written() -> None:
    assert judged(CLI, replace(GOOD, events=[{**DONE, "text": "a\ud800b"}])).summary == "a?b"


def test_a_summary_that_is_no_string_is_written_as_lines_or_json() -> None:
    assert judged(CLI, replace(GOOD, events=[{**DONE, "text": ["a", "b"]}])).summary == "a\nb"
    assert judged(CLI, replace(GOOD, events=[{**DONE, "text": {"a": 1}}])).summary == '{"a": 1}'


def test_the_error_text_is_searched_before_stderr_and_stderr_before_stdout() -> None:
    oops = {"type": "oops", "text": "limit until 3pm"}
    output = RawOutput(events=[oops], stderr_tail="log in", stdout_tail="log in", exit_code=1)
    result = judged(CLI, output)
    assert (result.failure, result.error) == (Failure.USAGE_LIMIT, "limit until 3pm")
    assert result.resets_at == datetime(2026, 11, 22, 15, 0, tzinfo=UTC)
    assert result.summary is None
    other = judged(CLI, RawOutput(stderr_tail="log in", stdout_tail="limit until 3pm", exit_code=1))
    assert (other.failure, other.resets_at) == (Failure.AUTH, None)


def test_an_exit_code_names_the_class_before_the_patterns_do() -> None:
    adapter = replace(CLI, exit_codes={9: Failure.LIMIT, 8: Failure.USAGE_LIMIT})
    assert judged(adapter, RawOutput(stderr_tail="log in", exit_code=9)).failure is Failure.LIMIT
    limited = judged(adapter, RawOutput(stderr_tail="limit until 15:00, log in", exit_code=8))
    assert limited.failure is Failure.USAGE_LIMIT
    assert limited.resets_at == datetime(2026, 11, 22, 15, 0, tzinfo=UTC)


def test_a_failure_that_nothing_explains_is_the_agents() -> None:
    result = judged(CLI, RawOutput(exit_code=3))
    assert (result.failure, result.error) == (
        Failure.AGENT_ERROR,
        "the agent ended with exit code 3 and said nothing of an error",
    )
    killed = judged(CLI, RawOutput(exit_code=137, signal="SIGKILL", stderr_tail="\x1b[31mworking\x1b[0m\n"))
    assert killed.failure is Failure.AGENT_ERROR
    assert killed.error == "the agent was killed by SIGKILL, and not by the reconciler\nworking"


@pytest.mark.parametrize("exit_code", [126, 127])
def test_a_cli_that_is_not_there_is_named(exit_code: int) -> None:
    result = judged(CLI, RawOutput(exit_code=exit_code, stderr_tail="sh: 1: agent: not found"))
    assert result.failure is Failure.CONFIG
    assert result.error == "the host cannot run agent: install it there, or put it on the PATH"
    nested = replace(TEXT, run=(("agent", "x"),))
    text = judged(nested, RawOutput(exit_code=exit_code, stderr_tail="env: 'agent': No such file or directory"))
    assert text.failure is Failure.CONFIG


def test_a_command_that_the_agent_did_not_find_is_the_agents_error() -> None:
    output = RawOutput(exit_code=127, stderr_tail="/runs/agent: 3: jq: not found", stdout_tail="x")
    assert judged(TEXT, output).failure is Failure.AGENT_ERROR
    assert judged(replace(TEXT, run=()), output).failure is Failure.AGENT_ERROR


def test_a_resumed_run_reports_only_what_it_used_itself() -> None:
    before = Resumed(session="s1", input_tokens=10, output_tokens=25, cost_usd=0.2)
    result = judged(CLI, GOOD, resumed=before)
    assert (result.outcome, result.input_tokens, result.output_tokens) == (Outcome.SUCCEEDED, 20, 20)
    assert result.cost_usd == pytest.approx(0.3)
    assert judged(CLI, GOOD, resumed=replace(before, output_tokens=20)).output_tokens == 0
    alone = replace(CLI, output=replace(CLI.output, cumulative=()))
    assert judged(alone, GOOD, resumed=before).input_tokens == 30


def test_another_session_than_the_one_to_resume_is_a_lost_session() -> None:
    result = judged(CLI, GOOD, resumed=Resumed(session="s0", input_tokens=10))
    assert (result.outcome, result.failure) == (Outcome.FAILED, Failure.SESSION)
    assert result.input_tokens == 30
    nameless = replace(GOOD, events=[{**DONE, "id": None}])
    assert judged(CLI, nameless, resumed=Resumed(session="s0")).outcome is Outcome.SUCCEEDED
    fresh = replace(CLI, resume=None)
    assert judged(fresh, GOOD, resumed=Resumed(session="s0")).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("session", ["-x", "a b", "", "a\n", 7, "x" * 300])
def test_a_session_that_is_no_plain_word_is_never_handed_on(session: object) -> None:
    adapter = replace(CLI, output=replace(CLI.output, session=("events[-1].id",)))
    result = judged(adapter, replace(GOOD, events=[{**DONE, "id": session}]))
    assert result.session is None
    assert result.warnings == ("the session that the CLI reported is not one plain word: it is not used",)


@pytest.mark.parametrize("value", [True, "12", -1, float("nan"), float("inf"), 10**400, None, {}])
def test_a_figure_that_is_no_number_is_unknown(value: object) -> None:
    result = judged(CLI, replace(GOOD, events=[{**DONE, "input": value, "cost": value}]))
    assert (result.input_tokens, result.cost_usd) == (None, None)


def test_an_expression_that_fails_is_null_and_a_warning() -> None:
    adapter = replace(CLI, output=replace(CLI.output, error=("join('x', `3`)", "events[0:1:0]"), finished="sum(`{}`)"))
    result = judged(adapter, GOOD)
    assert result.outcome is Outcome.SUCCEEDED
    assert len(result.warnings) == 2
    assert result.warnings[0].startswith("the expression join('x', `3`) cannot be evaluated: ")
    assert report.look(adapter, GOOD).finished is False
    big = replace(CLI, output=replace(CLI.output, error=("abs(stdout)",)))
    assert len(judged(big, replace(GOOD, stdout_tail="x" * 5000)).warnings[0]) < 300


def test_expressions_see_the_one_object_of_the_contract() -> None:
    seen = "[stderr, stderr_json.a, files.usage.n, exit_code, signal, bad_lines, missing.path]"
    adapter = replace(TEXT, output=Output(format="text", summary=(seen,)))
    output = RawOutput(
        stderr_tail='x {"a": 1}', files={"usage": {"n": 2}}, exit_code=0, signal="SIGTERM", bad_lines=3, warnings=("w",)
    )
    result = judged(adapter, output)
    assert result.summary == '["x {\\"a\\": 1}", 1, 2, 0, "SIGTERM", 3, null]'
    assert result.warnings == ("w",)


def test_of_several_expressions_the_first_that_is_not_null_counts() -> None:
    adapter = replace(CLI, output=replace(CLI.output, summary=("events[-1].none", "events[-1].text", "stdout")))
    assert judged(adapter, GOOD).summary == "Fixed."


def test_a_live_run_is_looked_at_with_the_same_expressions() -> None:
    again = RawOutput(events=[{"type": "again", "id": "s9"}] * 3)
    seen = report.look(CLI, again)
    assert (seen.finished, seen.aborted, seen.session) == (False, True, "s9")
    assert report.look(CLI, GOOD).finished
    nothing = report.look(TEXT, again)
    assert (nothing.finished, nothing.aborted, nothing.session) == (False, False, None)


def test_a_broken_pattern_is_reported_and_never_matches() -> None:
    broken = FailurePattern(failure=Failure.AUTH, pattern="(")
    groupless = FailurePattern(failure=Failure.USAGE_LIMIT, pattern="log in", resets=1)
    result = judged(replace(CLI, failures=(broken, groupless)), RawOutput(exit_code=1, stderr_tail="log in"))
    assert result.failure is Failure.AGENT_ERROR
    assert len(result.warnings) == 2
    assert pattern_problem(groupless) == "the pattern log in has no group 1"
    assert pattern_problem(FailurePattern(failure=Failure.AUTH, pattern="(x)", resets=1)) is None


def test_what_was_resumed_stands_in_the_meta_of_the_run() -> None:
    meta = Meta(
        run_id="f.t.1",
        task_id="t",
        epoch=1,
        kind=Kind.ADDRESS_REVIEW,
        task=Task(title="t", goal="g"),
        adapter_id="cli",
        adapter=CLI,
        run_dir="/r",
        workspace="/w",
        branch="task/t",
        before_input_tokens=4,
    )
    assert report.resumed(meta) is None
    assert report.resumed(replace(meta, session="s1")) == Resumed(session="s1", input_tokens=4)


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("a.b[?c=='d'] | [-1].{x: y, z: not_null(a, b, c)}", None),
        ("max_by(a, &b)", None),
        ("a[0:1]", None),
        ("", "Invalid JMESPath expression: cannot be empty."),
        ("nope(a)", "there is no function nope()"),
        ("a[?length(b, c) > `1`]", "length() takes another number of arguments than 2"),
        ("not_null()", "not_null() takes another number of arguments than 0"),
        ("!" * 5000 + "a", "the expression is nested too deeply"),
    ],
)
def test_an_expression_that_can_never_work_is_told_in_one_line(expression: str, problem: str | None) -> None:
    assert report.compile_problem(expression) == problem


def test_a_syntax_error_is_one_line() -> None:
    problem = report.compile_problem("a[\n")
    assert problem
    assert "\n" not in problem
