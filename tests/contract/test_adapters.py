"""Every shipped adapter against what the real CLIs really printed: first runs, resumed ones, failures, cut output."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from reconciler.core import report, verdict
from reconciler.core.report import Resumed
from reconciler.core.terms import Failure, Outcome, Permissions, StopReason
from reconciler.core.verdict import Result
from tests.contract import captures
from tests.contract.captures import Capture, capture

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SHIPPED = sorted(path.stem for path in captures.ADAPTERS.glob("*.yaml"))
CLASSES = {
    "server": {Failure.PROVIDER},
    "network": {Failure.PROVIDER},
    "rate_limit": {Failure.PROVIDER, Failure.USAGE_LIMIT},
    "usage": {Failure.CONFIG},
    "session_not_found": {Failure.SESSION},
    "limit": {Failure.LIMIT},
    "auth": {Failure.AUTH},
    "truncated": {Failure.AGENT_ERROR},
}


def judged(taken: Capture, *, stop: StopReason | None = None, resumed: Resumed | None = None) -> Result:
    return report.judge(taken.adapter, taken.read(), stop=stop, resumed=resumed, now=NOW)


@pytest.mark.parametrize("name", captures.every())
def test_a_real_run_is_judged_as_it_ended(name: str) -> None:
    taken = capture(name)
    expected = taken.expected
    result = judged(taken)
    assert (result.outcome is not Outcome.SUCCEEDED) is expected["is_error"]
    if "error_kind" in expected:
        assert result.failure in CLASSES[str(expected["error_kind"])]
    if "final_text" in expected:
        assert result.summary == expected["final_text"]
    assert result.input_tokens == expected.get("usage.input_tokens", result.input_tokens)
    assert result.output_tokens == expected.get("usage.output_tokens", result.output_tokens)
    assert result.cost_usd == expected.get("cost_usd", result.cost_usd)
    assert result.outcome is Outcome.SUCCEEDED or result.error
    assert not [warning for warning in result.warnings if "cannot be evaluated" in warning]


@pytest.mark.parametrize("name", [name for name in captures.every() if "codex-0.34.0" not in name])
def test_a_good_run_was_seen_to_finish_and_names_its_session(name: str) -> None:
    taken = capture(name)
    seen = report.look(taken.adapter, taken.read())
    if judged(taken).outcome is Outcome.SUCCEEDED:
        assert seen.finished
        assert seen.session
        assert not seen.aborted


@pytest.mark.parametrize(
    "name",
    [
        "claude-2.1.330/stream-resume",
        "claude-2.1.330/resume",
        "codex-0.169.0/resume",
        "copilot-1.0.102/resume",
        "gemini-0.61.0/resume",
        "gemini-0.61.0/stream-resume",
        "opencode-1.18.33/resume",
        "qwen-0.24.4/resume",
        "qwen-0.24.4/stream-resume",
    ],
)
def test_a_resumed_run_counts_only_its_own_tokens_and_cost(name: str) -> None:
    first = judged(capture(f"{name}/first"))
    assert first.session
    before = Resumed(
        session=first.session,
        input_tokens=first.input_tokens or 0,
        output_tokens=first.output_tokens or 0,
        cost_usd=first.cost_usd or 0.0,
    )
    second = judged(capture(name), resumed=before)
    assert second.outcome is Outcome.SUCCEEDED
    assert second.session == first.session
    assert second.input_tokens == first.input_tokens
    assert second.output_tokens == first.output_tokens
    assert second.cost_usd == pytest.approx(first.cost_usd)


@pytest.mark.parametrize("name", ["codex-0.44.0/resume-unknown", "claude-1.0.57/resume"])
def test_a_cli_that_goes_on_with_another_session_than_asked_for_has_lost_it(name: str) -> None:
    result = judged(capture(name), resumed=Resumed(session="00000000-0000-4000-8000-000000000000"))
    assert (result.outcome, result.failure) == (Outcome.FAILED, Failure.SESSION)


@pytest.mark.parametrize("name", ["codex-0.169.0/conn-refused", "codex-0.169.0/conn-refused-noretry"])
def test_a_cli_that_waits_for_the_network_for_ever_is_to_be_stopped(name: str) -> None:
    taken = capture(name)
    assert report.look(taken.adapter, taken.read()).aborted
    assert judged(taken, stop=StopReason.ABORTED).failure is Failure.PROVIDER


@pytest.mark.parametrize("name", [name for name in captures.every() if "sigterm" in name])
def test_a_run_that_was_cancelled_is_cancelled_whatever_the_cli_says(name: str) -> None:
    result = judged(capture(name), stop=StopReason.CANCELLED)
    assert (result.outcome, result.failure) == (Outcome.CANCELLED, None)


@pytest.mark.parametrize("stop", [StopReason.TIMED_OUT, StopReason.STALLED])
def test_a_run_that_was_stopped_for_its_time_is_of_that_class(stop: StopReason) -> None:
    result = judged(capture("claude-2.1.330/stream-edit"), stop=stop)
    assert (result.outcome, result.failure) == (Outcome.FAILED, Failure(stop.value))


@pytest.mark.parametrize("name", [name for name in captures.every() if name.endswith("edit")])
def test_a_result_stands_when_only_its_process_lingered(name: str) -> None:
    taken = capture(name)
    output = replace(taken.read(), exit_code=143, signal="SIGTERM")
    stopped = report.judge(taken.adapter, output, stop=StopReason.LINGERED, resumed=None, now=NOW)
    assert stopped.outcome is Outcome.SUCCEEDED
    assert stopped.exit_code == 143
    killed = report.judge(taken.adapter, output, stop=None, resumed=None, now=NOW)
    assert killed.outcome is Outcome.FAILED


@pytest.mark.parametrize("name", [name for name in captures.every() if name.endswith("edit")])
@pytest.mark.parametrize("exit_code", [1, 2, 137, 143, None])
def test_a_valid_result_with_a_bad_exit_is_no_success(name: str, exit_code: int | None) -> None:
    taken = capture(name)
    output = replace(taken.read(), exit_code=exit_code)
    result = report.judge(taken.adapter, output, stop=None, resumed=None, now=NOW)
    assert result.outcome is Outcome.FAILED
    assert result.failure is (Failure.UNKNOWN if exit_code is None else Failure.AGENT_ERROR)


@pytest.mark.parametrize(
    "name",
    [
        "claude-2.1.330/stream-edit",
        "claude-2.1.330/edit",
        "codex-0.169.0/edit",
        "gemini-0.61.0/stream-edit",
        "opencode-1.18.33/text",
        "qwen-0.24.4/stream-edit",
        "copilot-1.0.102/text",
    ],
)
def test_output_that_was_cut_anywhere_is_no_success(name: str) -> None:
    taken = capture(name)
    whole = taken.stdout.rstrip()
    step = max(1, len(whole) // 400)
    for end in [*range(0, len(whole), step), *range(max(0, len(whole) - 40), len(whole))]:
        result = report.judge(taken.adapter, taken.read(whole[:end]), stop=None, resumed=None, now=NOW)
        assert result.outcome is Outcome.FAILED, end
    last = report.judge(taken.adapter, taken.read(whole), stop=None, resumed=None, now=NOW)
    assert last.outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("name", [name for name in SHIPPED if name != "shell"])
def test_a_cli_with_another_format_leaves_its_raw_text_and_a_warning(name: str) -> None:
    adapter = captures.adapter(name)
    for stdout in (b"Done, I fixed it.\n", b'{"kind": "v9", "say": "Done"}\n', b"\xff\xfe\x00", b'{"a":' * 100_000):
        output = captures.read(adapter, stdout)
        result = report.judge(adapter, output, stop=None, resumed=None, now=NOW)
        assert result.outcome is Outcome.FAILED
        assert result.summary
        assert result.warnings


@pytest.mark.parametrize("name", SHIPPED)
def test_an_adapter_has_only_expressions_and_patterns_that_work(name: str) -> None:
    adapter = captures.adapter(name)
    wanted = adapter.output
    several = [*wanted.summary, *wanted.session, *wanted.error, *wanted.input_tokens, *wanted.output_tokens]
    for expression in [*several, *wanted.cost_usd, wanted.failed, wanted.finished, wanted.abort]:
        assert expression is None or report.compile_problem(expression) is None
    assert [verdict.pattern_problem(pattern) for pattern in adapter.failures] == [None] * len(adapter.failures)
    assert set(adapter.permissions) in (set(), set(Permissions))
    assert adapter.secrets == ()


@pytest.mark.parametrize(
    ("name", "said", "resets_at"),
    [
        (
            "codex",
            "You've hit your usage limit. Try again in 2 hours 5 minutes.",
            datetime(2026, 11, 22, 14, 5, tzinfo=UTC),
        ),
        (
            "codex",
            "You've hit your usage limit, try again at Nov 25th, 2026 3:45 PM.",
            datetime(2026, 11, 25, 15, 45, tzinfo=UTC),
        ),
        ("claude-code", "Claude AI usage limit reached|1795357800", datetime(2026, 11, 22, 14, 30, tzinfo=UTC)),
        ("claude-code", "5-hour limit reached ∙ resets 3pm", datetime(2026, 11, 22, 15, 0, tzinfo=UTC)),
        (
            "claude-code",
            "You've hit your limit · resets 3pm (Europe/Berlin)",
            datetime(2026, 11, 22, 14, 0, tzinfo=UTC),
        ),
        ("claude-code", "Credit balance is too low", None),
    ],
)
def test_a_usage_limit_says_when_it_ends(name: str, said: str, resets_at: datetime | None) -> None:
    adapter = captures.adapter(name)
    output = captures.read(adapter, b"", stderr=said.encode(), exit_code=1)
    result = report.judge(adapter, output, stop=None, resumed=None, now=NOW)
    assert result.failure is Failure.USAGE_LIMIT
    assert result.resets_at == resets_at


def test_the_shell_adapter_believes_the_exit_code_and_keeps_the_end_of_stdout() -> None:
    adapter = captures.adapter("shell")
    good = report.judge(adapter, captures.read(adapter, b"changed 3 files\n"), stop=None, resumed=None, now=NOW)
    assert (good.outcome, good.summary) == (Outcome.SUCCEEDED, "changed 3 files\n")
    silent = report.judge(adapter, captures.read(adapter, b""), stop=None, resumed=None, now=NOW)
    assert (silent.outcome, silent.summary) == (Outcome.SUCCEEDED, None)
    bad = captures.read(adapter, b"", stderr=b"prompt: 1: foo: not found\n", exit_code=127)
    result = report.judge(adapter, bad, stop=None, resumed=None, now=NOW)
    assert (result.failure, result.error) == (Failure.AGENT_ERROR, "prompt: 1: foo: not found")
