"""Rules of one file that no schema can say: branch names, addresses, times, expressions, patterns, placeholders.

Never looks at another file (`crosscheck` does), and takes only documents that their schema has passed.
"""

import difflib
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import assert_never

from reconciler.core import report
from reconciler.core.desired import Adapter, Engine, Host, Problem, Settings, Task, Trust, Word
from reconciler.repo.desired import channelchecks, refnames
from reconciler.repo.yaml.documents import Parsed
from reconciler.repo.yaml.yamlnodes import Path, shown

PLACEHOLDERS = frozenset(
    "model workspace branch task run_id session new_session run_dir prompt prompt_file max_turns".split()  # noqa: SIM905 - a list of words reads better as one line
)
ENGINE_PLACEHOLDERS = frozenset(("script", "run_dir", "run_id", "job"))
RESERVED = "RECONCILER_RUN"
ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")

_PLACEHOLDER = re.compile(r"(?<!\$)\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""What looks like a placeholder; `${x}` is a variable of a shell."""

_TRANSPORT = re.compile(r"[A-Za-z0-9+.-]*::")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_JUMP = re.compile(r"(?:[^@:\s-][^@:\s]*@)?(?:\[[0-9A-Fa-f:.]+\]|[^@:\s\[\]-][^@:\s\[\]]*)(?::([0-9]{1,5}))?")
_AUTHOR = re.compile(r"[^<>]+|[^<>]*<[^<>\s]+>\s*")
_MAX_PORT = 65535

Found = Iterator[tuple[Path, str]]
Value = Task | Host | Adapter | Settings


def check(value: Value, parsed: Parsed, file: str) -> tuple[Problem, ...]:
    """Everything that is wrong with one file's value, with the place of the value in its text."""
    return tuple(_problem(parsed, file, path, message) for path, message in found(value))


def found(value: Value) -> Found:
    """Everything that is wrong with one file's value."""
    match value:
        case Task():
            return _task(value)
        case Host():
            return _host(value)
        case Adapter():
            return _adapter(value)
        case Settings():
            return _settings(value)
        case _:
            assert_never(value)


def times(kind: str, data: Mapping[str, object]) -> Found:
    """Times that fit the pattern of their schema and yet are none, such as a 13th month."""
    drain = data.get("drain")
    if kind == "host" and isinstance(drain, dict) and "until" in drain:
        try:
            datetime.fromisoformat(str(drain["until"]))
        except ValueError:
            yield ("drain", "until"), f"{shown(drain['until'])} is no day and time of the calendar"


def time_problems(kind: str, parsed: Parsed, file: str) -> tuple[Problem, ...]:
    """`times` as problems."""
    return tuple(_problem(parsed, file, path, message) for path, message in times(kind, parsed.data))


def _problem(parsed: Parsed, file: str, path: Path, message: str) -> Problem:
    line, column = parsed.value(path)
    return Problem(file=file, line=line, column=column, message=message)


def _task(task: Task) -> Found:
    for key, name in (("branch", task.branch), ("base", task.base)):
        if name is not None and (why := refnames.branch_problem(name)):
            yield (key,), f'"{key}" is no branch name of git: {shown(name)} {why}'
    if task.repository is not None and (why := remote_problem(task.repository)):
        yield ("repository",), f'"repository" {why}'
    yield from _reserved(task.env, task.secrets)


def remote_problem(remote: str) -> str | None:
    """Why git must not be given this URL or path, as the end of a sentence; None when it may be."""
    if remote.startswith("-"):
        return f"must not start with -, git would take {shown(remote)} for an option"
    if found := _TRANSPORT.match(remote):
        return f"must not use the transport {shown(found[0])}, which can run programs: give a URL or a path"
    return "must not hold control characters: give a URL or a path" if _CONTROL.search(remote) else None


def _reserved(env: Mapping[str, str], secrets: tuple[str, ...]) -> Found:
    if RESERVED in env:
        yield ("env", RESERVED), f'"{RESERVED}" is set by the reconciler itself: use another name'
    if RESERVED in secrets:
        yield ("secrets", secrets.index(RESERVED)), f'"{RESERVED}" is set by the reconciler itself: use another name'


def _host(host: Host) -> Found:
    yield from _reserved(host.env, ())
    if isinstance(host.launcher, Engine):
        yield from _engine(host.launcher)
    for number, jump in enumerate(host.jump):
        found = _JUMP.fullmatch(jump)
        if not found or int(found[1] or 1) not in range(1, _MAX_PORT + 1):
            rule = "write user@address:port or the id of a host"
            yield ("jump", number), f'"jump[{number}]" is no jump host: {shown(jump)}, {rule}'


def _engine(engine: Engine) -> Found:
    for key, words in (("submit", engine.submit), ("alive", engine.alive), ("cancel", engine.cancel)):
        known = ENGINE_PLACEHOLDERS - {"job"} if key == "submit" else ENGINE_PLACEHOLDERS
        for number, word in enumerate(words):
            place = ("launcher", key, number)
            yield from ((place, _unknown(name, known)) for name in _unfilled(word, known))


def _settings(settings: Settings) -> Found:
    if int(settings.listen.rsplit(":", 1)[1]) > _MAX_PORT:
        yield ("listen",), f'"listen" has no port of at most {_MAX_PORT}: {shown(settings.listen)}'
    if settings.remote is not None and (why := remote_problem(settings.remote)):
        yield ("remote",), f'"remote" {why}'
    if settings.trust is not None:
        yield from _trust(settings.trust, settings.remote)
    yield from channelchecks.found(settings.notify)


def _trust(trust: Trust, remote: str | None) -> Found:
    if remote is None:
        yield ("trust",), '"trust" needs "remote": without it the files of the work tree count, whoever wrote them'
    if not trust.authors and trust.signed is None:
        yield ("trust",), '"trust" names nobody: add "authors" or "signed"'
    for number, author in enumerate(trust.authors):
        if not _AUTHOR.fullmatch(author):
            rule = "write an address, a name, or Name <address>"
            yield ("trust", "authors", number), f'"trust.authors[{number}]" is no author: {shown(author)}, {rule}'
    if isinstance(trust.signed, str) and not _is_plain_path(trust.signed):
        rule = "write a path inside the fleet without . and .., or one that begins with / or ~/"
        yield ("trust", "signed"), f'"trust.signed" is no path: {shown(trust.signed)}, {rule}'


def _is_plain_path(path: str) -> bool:
    return path.startswith(("/", "~/")) or not any(part in {"", ".", "..", "~"} for part in path.split("/"))


def _adapter(adapter: Adapter) -> Found:
    yield from _reserved(adapter.env, adapter.secrets)
    if RESERVED in adapter.unset:
        yield ("unset", adapter.unset.index(RESERVED)), f'"{RESERVED}" must reach the agent: remove it from "unset"'
    yield from _words(adapter.run, ("run",))
    yield from _words(adapter.resume or (), ("resume",))
    for profile, words in adapter.permissions.items():
        yield from _words(words, ("permissions", profile.value), permissions=False)
    yield from _expressions(adapter)
    yield from _patterns(adapter)


def _words(words: tuple[Word, ...], path: Path, *, permissions: bool = True) -> Found:
    for number, word in enumerate(words):
        place = (*path, number)
        if not isinstance(word, str):
            yield from _words(word, place, permissions=permissions)
        elif "\0" in word:
            yield place, "a word of a command line cannot hold a NUL: remove it"
        elif not (permissions and word == "{permissions}"):
            yield from ((place, _no_value(name)) for name in _unfilled(word, PLACEHOLDERS))


def _unfilled(word: str, known: frozenset[str]) -> Iterator[str]:
    """The names in braces that nothing is filled in for; in a word that is a script only those that look misspelt."""
    script = any(character.isspace() for character in word)
    for name in _PLACEHOLDER.findall(word):
        if name not in known and (not script or name == "permissions" or difflib.get_close_matches(name, known)):
            yield name


def _no_value(name: str) -> str:
    if name == "permissions":
        return 'the placeholder "{permissions}" must be a word of its own in "run" or "resume"'
    return _unknown(name, PLACEHOLDERS)


def _unknown(name: str, known: frozenset[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    hint = f'did you mean "{{{close[0]}}}"?' if close else f"known are {', '.join(sorted(known))}"
    return f'unknown placeholder "{{{name}}}": {hint}'


def _expressions(adapter: Adapter) -> Found:
    output = adapter.output
    for key in ("summary", "session", "error", "input_tokens", "output_tokens", "cost_usd"):
        expressions: tuple[str, ...] = getattr(output, key)
        for number, expression in enumerate(expressions):
            if why := report.compile_problem(expression):
                yield ("output", key, number), f'"output.{key}" is no JMESPath expression: {why}'
    for key in ("failed", "finished", "abort"):
        expression = getattr(output, key)
        if expression is not None and (why := report.compile_problem(expression)):
            yield ("output", key), f'"output.{key}" is no JMESPath expression: {why}'


def _patterns(adapter: Adapter) -> Found:
    if adapter.version is not None:
        yield from _pattern(adapter.version.pattern, ("version", "pattern"), _one_group)
    for number, failure in enumerate(adapter.failures):
        rule = functools.partial(_has_group, group=failure.resets)
        yield from _pattern(failure.pattern, ("failures", number, "pattern"), rule)


def _pattern(text: str, place: Path, rule: Callable[[re.Pattern[str]], str | None]) -> Found:
    try:
        why = rule(re.compile(text))
    except (re.error, OverflowError, RecursionError) as error:
        why = f"is no regular expression: {' '.join(str(error).split())}"
    if why:
        yield place, f"{shown(text)} {why}"


def _one_group(pattern: re.Pattern[str]) -> str | None:
    return (
        None
        if pattern.groups == 1
        else f"must have one group, the version, not {pattern.groups}: use (...) and (?:...)"
    )


def _has_group(pattern: re.Pattern[str], group: str | int | None) -> str | None:
    known = group is None or group in pattern.groupindex or (isinstance(group, int) and group <= pattern.groups)
    return None if known else f'has no group {shown(group)}, which "resets" names'
