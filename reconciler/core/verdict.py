"""Decides from what a run said and how it ended whether it was good, and if not, of which class its failure is.

Never evaluates an expression and never looks at what changed: that is git's word.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from reconciler.core import resets
from reconciler.core.desired import Adapter, FailurePattern, Word
from reconciler.core.output import TAIL_BYTES, RawOutput
from reconciler.core.terms import Failure, Outcome, StopReason

SUMMARY_BYTES = 4 * 1024
"""The longest summary and the longest error of a run."""

LAST_WORDS = 1000
"""How many characters of the end of stderr explain a failure that nothing else explains."""

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

NOT_STARTED = frozenset({126, 127})
"""What a shell exits with when it cannot execute a command, or cannot find it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the output of a run says, read by its adapter; `failed` is `None` where no expression answers that."""

    failed: bool | None
    summary: str | None
    error: str | None
    session: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What the reconciler itself knows of the end: why it stopped the run, what was to go on, and the time now."""

    stop: StopReason | None
    resumed: str | None
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a run ended. `summary` and `error` have at most 4 KiB; tokens and cost are those of this run alone.

    `resets_at` is when the usage limit that ended the run is over, where the CLI said so.
    """

    outcome: Outcome
    failure: Failure | None = None
    exit_code: int | None = None
    signal: str | None = None
    summary: str | None = None
    error: str | None = None
    session: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    warnings: tuple[str, ...] = ()
    resets_at: datetime | None = None


def reach(adapter: Adapter, output: RawOutput, said: Said, ended: Ended) -> Result:
    """The whole result; the order of the questions is the order of what is certain.

    Our own stop comes first, then an exit that nobody knows, then what the CLI says of itself.
    """
    result = Result(
        outcome=Outcome.SUCCEEDED,
        failure=None,
        exit_code=output.exit_code,
        signal=output.signal,
        summary=_summary(adapter, output, said),
        error=None,
        session=said.session,
        input_tokens=said.input_tokens,
        output_tokens=said.output_tokens,
        cost_usd=said.cost_usd,
        warnings=tuple(_warnings(adapter, output, said)),
    )
    match ended.stop:
        case StopReason.CANCELLED | StopReason.SUPERSEDED:
            superseded = ended.stop is StopReason.SUPERSEDED
            return replace(result, outcome=Outcome.CANCELLED, failure=Failure.SUPERSEDED if superseded else None)
        case StopReason.TIMED_OUT:
            return _failed(result, Failure.TIMED_OUT, said.error or "the run took longer than its timeout")
        case StopReason.STALLED:
            return _failed(result, Failure.STALLED, said.error or "no output, no commit and no work for too long")
        case StopReason.ABORTED:
            cause = _cause(adapter, replace(output, exit_code=None, signal=None), said, ended.now)
            sentence = said.error or "the CLI was in a loop that it does not leave by itself, and was stopped"
            return _caused(result, replace(cause, sentence=sentence), Failure.PROVIDER)
        case StopReason.LINGERED | None:
            return _by_itself(adapter, output, said, ended, result)
        case _:
            assert_never(ended.stop)


def pattern_problem(pattern: FailurePattern) -> str | None:
    """Why a failure pattern can never be used, in one line; `None` when it can."""
    try:
        compiled = re.compile(pattern.pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return f"the pattern {pattern.pattern} is no regular expression: {error}"
    groups = {*range(compiled.groups + 1), *compiled.groupindex}
    if pattern.resets is not None and pattern.resets not in groups:
        return f"the pattern {pattern.pattern} has no group {pattern.resets}"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cause:
    """What the patterns and exit codes of an adapter make of a failed run; `failure` is `None` where nothing fits."""

    sentence: str
    failure: Failure | None = None
    resets_at: datetime | None = None
    warnings: tuple[str, ...] = ()


def _by_itself(adapter: Adapter, output: RawOutput, said: Said, ended: Ended, result: Result) -> Result:
    """The result of a run that the CLI brought to its end."""
    if output.exit_code is None:
        return _failed(result, Failure.UNKNOWN, said.error or "nobody saw how the agent ended: it left no exit code")
    if not _good(adapter, output, said):
        return _caused(result, _cause(adapter, output, said, ended.now), Failure.AGENT_ERROR)
    if ended.resumed and said.session not in {None, ended.resumed} and _resumes(adapter):
        sentence = f"the CLI was to go on with the session {ended.resumed} and went on with {said.session}"
        return _failed(result, Failure.SESSION, sentence)
    return result


def _good(adapter: Adapter, output: RawOutput, said: Said) -> bool:
    """Whether the CLI succeeded: it did not fail, and it has an answer where its format promises one."""
    failed = output.exit_code != 0 if said.failed is None else said.failed
    if failed:
        return False
    if adapter.output.format == "text":
        return True
    answer = said.summary if adapter.output.summary else output.stdout_tail
    return not output.unreadable and bool(answer and answer.strip())


def _cause(adapter: Adapter, output: RawOutput, said: Said, now: datetime) -> _Cause:
    """The class of a failure: the exit code's, else that of the first pattern that fits, text by text."""
    problems = tuple(problem for problem in map(pattern_problem, adapter.failures) if problem)
    usable = [pattern for pattern in adapter.failures if pattern_problem(pattern) is None]
    sentence = said.error or _sentence(output)
    by_code = adapter.exit_codes.get(output.exit_code) if output.exit_code is not None else None
    error = (said.error or "")[:TAIL_BYTES]
    for pattern, found in _matches(usable, (error, output.stderr_tail, output.stdout_tail)):
        if by_code in {None, pattern.failure}:
            end = found.group(pattern.resets) if pattern.resets is not None else None
            resets_at = resets.parse(end, now) if end else None
            return _Cause(sentence=sentence, failure=pattern.failure, resets_at=resets_at, warnings=problems)
    if by_code is None and output.exit_code in NOT_STARTED and _not_started(adapter, output):
        sentence = f"the host cannot run {_first_word(adapter.run)}: install it there, or put it on the PATH"
        return _Cause(sentence=sentence, failure=Failure.CONFIG, warnings=problems)
    return _Cause(sentence=sentence, failure=by_code, warnings=problems)


def _matches(
    patterns: Sequence[FailurePattern], texts: Sequence[str]
) -> Iterator[tuple[FailurePattern, re.Match[str]]]:
    for text in texts:
        for pattern in patterns:
            found = re.search(pattern.pattern, text, re.MULTILINE)
            if found:
                yield pattern, found


def _not_started(adapter: Adapter, output: RawOutput) -> bool:
    """Whether it was the CLI that could not be executed, and not a command that it ran in its turn."""
    if adapter.output.format != "text" and not output.stdout_tail.strip():
        return True
    name = re.escape(_first_word(adapter.run))
    refused = rf"(?<![\w./-]){name}\W?: (command )?(not found|no such file|permission denied|cannot execute)"
    return re.search(refused, output.stderr_tail, re.IGNORECASE) is not None


def _first_word(words: Sequence[Word]) -> str:
    first = words[0] if words else ""
    return first if isinstance(first, str) else _first_word(first)


def _resumes(adapter: Adapter) -> bool:
    """Whether the CLI is told at all which session to go on with."""
    return _mentions(adapter.run if adapter.resume is None else adapter.resume, "{session}")


def _mentions(word: Word, text: str) -> bool:
    return text in word if isinstance(word, str) else any(_mentions(part, text) for part in word)


def _summary(adapter: Adapter, output: RawOutput, said: Said) -> str | None:
    """What the CLI says that it did; where nothing can be read that explains the run, the raw text."""
    if said.summary and said.summary.strip():
        return head(said.summary)
    if said.error and adapter.output.format != "text":
        return None
    return _end(output.stdout_tail) if output.stdout_tail.strip() else None


def _warnings(adapter: Adapter, output: RawOutput, said: Said) -> Iterator[str]:
    if not adapter.output.summary or said.error or not output.stdout_tail.strip():
        return
    if not (said.summary and said.summary.strip()):
        yield "no summary was found in the output: the raw text is kept; was the output cut, or has the CLI changed?"


def _sentence(output: RawOutput) -> str:
    """What is known of an end that the CLI does not explain itself."""
    last_words = _ESCAPES.sub("", output.stderr_tail).strip()[-LAST_WORDS:]
    if output.signal:
        return f"the agent was killed by {output.signal}, and not by the reconciler\n{last_words}".strip()
    if last_words:
        return last_words
    if output.exit_code:
        return f"the agent ended with exit code {output.exit_code} and said nothing of an error"
    return "the agent ended without a final result"


def _caused(result: Result, cause: _Cause, otherwise: Failure) -> Result:
    result = replace(result, resets_at=cause.resets_at, warnings=(*result.warnings, *cause.warnings))
    return _failed(result, cause.failure or otherwise, cause.sentence)


def _failed(result: Result, failure: Failure, error: str) -> Result:
    return replace(result, outcome=Outcome.FAILED, failure=failure, error=head(error))


def head(text: str) -> str:
    """The first 4 KiB, cut between characters."""
    data = text.encode()
    return text if len(data) <= SUMMARY_BYTES else data[: SUMMARY_BYTES - 3].decode(errors="ignore") + "…"


def _end(text: str) -> str:
    """The last 4 KiB, cut between characters."""
    return text.encode()[-SUMMARY_BYTES:].decode(errors="ignore")
