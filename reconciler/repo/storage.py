"""Frozen values to plain documents and back: durations and times as text, closed sets as their words.

Never checks what a person wrote (`schemas` does that first), and never reads or writes a file.
"""

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar, cast, get_origin

from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from reconciler.core.bounds import Limits, MassDeath
from reconciler.core.desired import Adapter, Engine, FailurePattern, Forge, Host, Output, Task, Trust, Word
from reconciler.core.observed import ObservedTask, Run
from reconciler.core.terms import Delivery, Failure, Permissions

T = TypeVar("T")

NONE = "none"

_DURATION = re.compile(r"(?=.)(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?")


def structure(cls: type[T], data: object) -> T:
    """The value that a document's data stand for; ValueError in one line when they stand for none."""
    try:
        return _converter().structure(data, cls)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{getattr(cls, '__name__', cls)}: {' '.join(str(error).split())}") from error


def unstructure(value: object) -> dict[str, object]:
    """The value as a document's data; keys that stand at their defaults are left out."""
    return cast("dict[str, object]", _converter().unstructure(value))


@functools.lru_cache(maxsize=4096)
def shared(value: T) -> T:
    """One and the same value for all that are equal, as far as they come soon after each other: files are alike."""
    return value


@functools.lru_cache
def duration(text: str) -> timedelta:
    """The time span of a text such as `90s`, `45m` or `1h30m`; ValueError for any other."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError(f'"{text[:40]}" is no duration such as 90s, 45m or 1h30m')
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def duration_text(span: timedelta) -> str:
    """The shortest text for a span of whole seconds; parts of a second are cut off."""
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        "".join(f"{number}{unit}" for number, unit in ((hours, "h"), (minutes, "m"), (seconds, "s")) if number) or "0s"
    )


def timestamp(moment: datetime) -> str:
    """A moment as UTC, RFC 3339, whole seconds: `2026-11-22T17:00:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str) -> datetime:
    """The moment of an RFC 3339 text, in UTC; ValueError for any other text, and for one without a zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f'"{text[:40]}" has no time zone: write it as 2026-11-22T17:00:00Z')
    return moment.astimezone(UTC)


def _strings(data: object, _: object = None) -> tuple[str, ...]:
    strings: tuple[str, ...] = shared(tuple(map(str, cast("list[object]", data))))
    return strings


def _optional_string(data: object, _: object = None) -> str | None:
    return None if data is None else shared(str(data))


def _texts(data: object, _: object = None) -> tuple[str, ...]:
    return (data,) if isinstance(data, str) else tuple(cast("list[str]", data))


def _text_or_list(texts: tuple[str, ...]) -> str | list[str]:
    return texts[0] if len(texts) == 1 else list(texts)


def _words(data: object, _: object = None) -> tuple[Word, ...]:
    return tuple(word if isinstance(word, str) else _words(word) for word in cast("list[object]", data))


def _optional_words(data: object, _: object = None) -> tuple[Word, ...] | None:
    return None if data is None else _words(data)


def _lists(words: tuple[Word, ...] | None) -> list[object] | None:
    return None if words is None else [word if isinstance(word, str) else _lists(word) for word in words]


def _integer(data: object, _: object = None) -> int:
    if isinstance(data, bool) or not isinstance(data, int | float) or data != int(data):
        raise ValueError(f"{str(data)[:40]} is no integer")
    return int(data)


def _boolean(data: object, _: object = None) -> bool:
    if not isinstance(data, bool):
        raise ValueError(f"{str(data)[:40]} is neither true nor false")  # noqa: TRY004 - one error for all bad data
    return data


def _bound(data: object, _: object = None) -> int | None:
    return None if data in (None, NONE) else _integer(data)


def _or_none(value: object) -> object:
    return NONE if value is None else value


def _span(data: object, _: object = None) -> timedelta | None:
    return None if data in (None, NONE) else duration(cast("str", data))


def _span_text(span: timedelta | None) -> str:
    return NONE if span is None else duration_text(span)


def _as_is(data: object, _: object = None) -> object:
    return data


def _word_of(words: type[StrEnum]) -> Callable[[object, object], StrEnum | None]:
    """The same for a word of a closed set: very many tasks are made, and most of them with the same words."""

    def word(data: object, _: object = None) -> StrEnum | None:
        return data if data is None or isinstance(data, words) else words(cast("str", data))

    return word


def _mass_death(data: object, _: object = None) -> MassDeath | None:
    return None if data in (None, NONE) else _converter().structure(data, MassDeath)


def _launcher(data: object, _: object = None) -> object:
    return data if data == "setsid" else _converter().structure(data, Engine)


def _plain(value: object) -> object:
    return _converter().unstructure(value)


def _plain_or_none(value: object) -> object:
    return NONE if value is None else _plain(value)


def _exit_codes(data: object, _: object = None) -> dict[int, Failure]:
    return {int(code): Failure(word) for code, word in cast("Mapping[str, str]", data).items()}


def _code_texts(codes: Mapping[int, Failure]) -> dict[str, str]:
    return {str(code): failure.value for code, failure in codes.items()}


_BOUND = override(struct_hook=_bound, unstruct_hook=_or_none)
_ONE_OR_MANY = override(struct_hook=_texts, unstruct_hook=_text_or_list)
_KEPT = override(omit_if_default=False)
_SPECIAL: dict[type, dict[str, Any]] = {
    Task: {
        "idle_timeout": override(struct_hook=_span, unstruct_hook=_span_text),
        "delivery": override(struct_hook=_word_of(Delivery)),
        "permissions": override(struct_hook=_word_of(Permissions)),
        **dict.fromkeys(("branch", "pr_title"), override(struct_hook=_as_is)),
    },
    Host: {"launcher": override(struct_hook=_launcher, unstruct_hook=_plain)},
    Adapter: {
        "run": override(struct_hook=_words, unstruct_hook=_lists),
        "resume": override(struct_hook=_optional_words, unstruct_hook=_lists),
        "exit_codes": override(struct_hook=_exit_codes, unstruct_hook=_code_texts),
    },
    Output: dict.fromkeys(("summary", "session", "error", "input_tokens", "output_tokens", "cost_usd"), _ONE_OR_MANY),
    Forge: {"webhook_secret_env": _ONE_OR_MANY},
    Trust: {"signed": override(struct_hook=_as_is, unstruct_hook=_as_is)},
    FailurePattern: {
        "failure": override(rename="class"),
        "resets": override(struct_hook=_as_is, unstruct_hook=_as_is),
    },
    Limits: {
        "running": _BOUND,
        "review": _BOUND,
        "launches_per_task_per_hour": _BOUND,
        "mass_death": override(struct_hook=_mass_death, unstruct_hook=_plain_or_none),
    },
    ObservedTask: dict.fromkeys(
        ("phase", "generation", "epoch", "execution_mode", "rework", "review_count", "attempts"), _KEPT
    ),
    Run: {"generation": _KEPT, "counts_as_attempt": _KEPT},
}


@functools.cache
def _converter() -> Converter:
    converter = Converter(detailed_validation=False, unstruct_collection_overrides={tuple: list, frozenset: sorted})
    converter.register_structure_hook_factory(_is_record, lambda cls: _structure_hook(cls, converter))
    converter.register_unstructure_hook_factory(_is_record, lambda cls: _unstructure_hook(cls, converter))
    converter.register_structure_hook_func(lambda cls: cls == tuple[str, ...], _strings)
    converter.register_structure_hook_func(lambda cls: cls == str | None, _optional_string)
    converter.register_structure_hook(int, _integer)
    converter.register_structure_hook(bool, _boolean)
    converter.register_unstructure_hook(StrEnum, lambda word: word.value)
    converter.register_structure_hook(timedelta, lambda text, _: duration(text))
    converter.register_unstructure_hook(timedelta, duration_text)
    converter.register_structure_hook(datetime, lambda text, _: parse_timestamp(text))
    converter.register_unstructure_hook(datetime, timestamp)
    return converter


def _is_record(cls: object) -> bool:
    return is_dataclass(get_origin(cls) or cls)


def _structure_hook(cls: type[T], converter: Converter) -> Callable[[Mapping[str, object], object], T]:
    overrides = _SPECIAL.get(cls, {})
    return make_dict_structure_fn(cls, converter, **overrides)


def _unstructure_hook(cls: type[T], converter: Converter) -> Callable[[T], dict[str, object]]:
    overrides = _SPECIAL.get(cls, {})
    return make_dict_unstructure_fn(cls, converter, _cattrs_omit_if_default=True, **overrides)
