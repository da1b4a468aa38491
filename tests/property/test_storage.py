"""Every value that is kept goes to a document and back, through real YAML text, without a change."""

import json
import types
import typing
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.desired import Adapter, Desired, Engine, Host, Settings, Task, Word, with_settings
from reconciler.core.observed import Meta, Observed, ObservedHost, ObservedTask, Sighting
from reconciler.repo import storage
from reconciler.repo.desired.filling import KEYS, Filling
from reconciler.repo.yaml import documents

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SIMPLE: dict[object, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: st.integers(-(2**53), 2**53),
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    types.NoneType: st.none(),
    datetime: st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1)).map(  # noqa: DTZ001 - hypothesis takes naive bounds
        lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
    ),
    timedelta: st.integers(0, 10**8).map(lambda seconds: timedelta(seconds=seconds)),
    Word: st.one_of(TEXT, st.lists(TEXT, max_size=2).map(tuple)),
}


def any_of(hint: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401 - a type hint has no type of its own
    """A strategy for values of a type."""
    if hint in SIMPLE:
        return SIMPLE[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (typing.Union, types.UnionType):
        words = str in arguments and any(get_origin(one) is tuple for one in arguments)
        return SIMPLE[Word] if words else st.one_of([any_of(one) for one in arguments])
    return record(hint) if origin is None else collection(origin, arguments)


def collection(origin: type, arguments: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    if origin is tuple:
        return st.lists(any_of(arguments[0]), max_size=3).map(tuple)
    keys = st.integers(0, 255) if arguments[0] is int else any_of(arguments[0])
    return st.dictionaries(keys, any_of(arguments[1]), max_size=2)


def record(cls: type) -> st.SearchStrategy[Any]:
    words = getattr(cls, "__members__", None)
    if words:
        return st.sampled_from(list(words.values()))
    hints = typing.get_type_hints(cls)
    return st.builds(cls, **{name: any_of(hint) for name, hint in hints.items()})


@pytest.mark.parametrize("cls", [Task, Host, Adapter, Settings, ObservedTask, ObservedHost, Sighting, Meta, Engine])
def test_every_value_survives_storage(cls: type) -> None:
    @settings(deadline=None, max_examples=40)
    @given(any_of(cls))
    def survives(value: object) -> None:
        data = storage.unstructure(value)
        read = documents.parse(documents.dump(data), "x.yaml").data
        assert [storage.structure(cls, read), storage.structure(cls, json.loads(json.dumps(data)))] == [value, value]

    survives()


def test_whole_pictures_survive_too() -> None:
    desired = Desired(tasks={}, retired_hosts=frozenset({"b", "a"}), absent={"x": datetime(2026, 1, 1, tzinfo=UTC)})
    observed = Observed(fleet="0" * 12, tasks={"a": ObservedTask()})
    assert storage.structure(Desired, storage.unstructure(desired)) == desired
    assert storage.structure(Observed, storage.unstructure(observed)) == observed


def test_keys_at_their_defaults_are_left_out_and_those_that_name_or_count_never() -> None:
    assert storage.unstructure(ObservedTask()) == {
        "phase": "created",
        "generation": 1,
        "epoch": 0,
        "execution_mode": "ssh_cli",
        "rework": False,
        "review_count": 0,
        "attempts": 0,
    }
    assert type(storage.unstructure(ObservedTask())["phase"]) is str
    assert storage.unstructure(Task(title="t", goal="g", idle_timeout=None)) == {
        "title": "t",
        "goal": "g",
        "idle_timeout": "none",
    }


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("45m", 2700), ("1h30m", 5400), ("1h1m1s", 3661), ("48h", 172800), ("0s", 0)]
)
def test_durations_are_read(text: str, seconds: int) -> None:
    assert storage.duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "90", "1.5h", "1d", "30m1h", " 1h", "1h\n", "-1h", "9999999h", "\u0661h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        storage.duration(text)


def test_times_are_utc_and_whole_seconds() -> None:
    moment = storage.parse_timestamp("2026-11-22T18:00:00.5+01:00")
    assert storage.timestamp(moment) == "2026-11-22T17:00:00Z"
    with pytest.raises(ValueError, match="time zone"):
        storage.parse_timestamp("2026-11-22T18:00:00")


def test_an_integer_may_be_written_as_a_whole_number_and_nothing_else() -> None:
    task = {"title": "t", "goal": "g"}
    assert storage.structure(Task, {**task, "generation": 2.0}).generation == 2
    for wrong in (True, 1.5, "1"):
        with pytest.raises(ValueError, match="is no integer"):
            storage.structure(Task, {**task, "generation": wrong})


@given(any_of(Task), any_of(Settings), any_of(Settings))
@settings(max_examples=50, deadline=None)
def test_a_task_that_is_filled_in_as_it_is_made_is_the_one_that_is_filled_in_afterwards(
    task: Task, one: Settings, other: Settings
) -> None:
    said = {key: value for key, value in storage.unstructure(task).items() if key not in KEYS or value}
    written = storage.structure(Task, said)
    data, left = Filling(one).data("fix", said)
    filled = storage.structure(Task, data)
    assert filled == with_settings("fix", written, one)
    assert left == KEYS - said.keys()
    assert Filling(other).again("fix", filled, left) == with_settings("fix", written, other)
