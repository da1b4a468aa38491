"""Reading output: lines, documents, tails and bounds, whatever bytes come and wherever they are cut."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core import output
from reconciler.core.output import Events, RawOutput


def read(output_format: str, *chunks: bytes, ended: bool = True) -> RawOutput:
    assert output_format in {"json", "jsonl", "text"}
    events = Events(output_format)  # type: ignore[arg-type]  # asserted above
    for chunk in chunks:
        events.feed(chunk)
    return events.read(ended=ended)


def test_each_line_that_parses_is_an_event_and_the_others_are_counted() -> None:
    seen = read("jsonl", b'{"a":1}\n\nnot json\r\n 2 \n{"b":')
    assert seen.events == [{"a": 1}, 2]
    assert seen.bad_lines == 2
    assert seen.warnings == ("stdout could not be read as jsonl in 2 lines: their raw text is kept",)
    assert "not json" in seen.stdout_tail
    assert not seen.unreadable


def test_a_line_is_split_on_newlines_only() -> None:
    assert read("jsonl", '{"a":"x\u2028y\u2029z\x85"}\n'.encode()).events == [{"a": "x\u2028y\u2029z\x85"}]


def test_a_last_line_counts_once_the_output_has_ended() -> None:
    assert read("jsonl", b'{"a":1}\n{"a":2}', ended=False).events == [{"a": 1}]
    assert read("jsonl", b'{"a":1}\n{"a":2}').events == [{"a": 1}, {"a": 2}]


def test_a_live_reading_can_go_on() -> None:
    events = Events("jsonl")
    events.feed(b'{"a"')
    assert events.read(ended=False).events == []
    assert events.read(ended=False).warnings == ()
    events.feed(b":1}\n")
    assert events.read(ended=True).events == [{"a": 1}]


@given(st.lists(st.integers(min_value=0, max_value=200), max_size=6))
def test_the_events_do_not_depend_on_where_the_reads_were_cut(cuts: list[int]) -> None:
    data = '{"a":"é😀"}\nbad\xff\n{"b":[1,2]}\n\n{"c":"\u2028"}'.encode()
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    chunks = [data[start:end] for start, end in itertools.pairwise(places)]
    assert read("jsonl", *chunks) == read("jsonl", data)


def test_bytes_that_are_not_utf8_are_replaced_and_counted() -> None:
    seen = read("jsonl", b'{"a":"\xff"}\n{"a":"\xef\xbf\xbd"}\n')
    assert seen.events == [{"a": "\ufffd"}, {"a": "\ufffd"}]
    assert seen.warnings == ("1 lines of stdout are not UTF-8: their bad bytes were replaced",)


@pytest.mark.parametrize("line", [b"[" * 200_000, b"1" * 5_000, b"{", b"\xff\xfe"])
def test_a_line_that_no_parser_takes_is_a_bad_line(line: bytes) -> None:
    seen = read("jsonl", line + b"\n")
    assert (seen.events, seen.bad_lines, seen.unreadable) == ([], 1, True)


def test_a_line_of_twenty_megabytes_is_read_whole() -> None:
    line = json.dumps({"text": "x" * 20_000_000}).encode()
    chunks = [line[start : start + 1_000_000] for start in range(0, len(line), 1_000_000)]
    seen = read("jsonl", *chunks, b"\n")
    assert seen.bad_lines == 0
    assert seen.events == [{"text": "x" * 20_000_000}]
    assert len(seen.stdout_tail) == output.TAIL_BYTES


def test_a_line_over_the_bound_is_bad_and_the_next_one_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "LINE_BYTES", 10)
    seen = read("jsonl", b'"12345', b'67890123"\n"short"\n"12345678901"')
    assert (seen.events, seen.bad_lines) == (["short"], 2)


def test_beyond_the_bound_the_oldest_events_go_but_never_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "KEPT_EVENT_BYTES", 3)
    seen = read("jsonl", b"1\n2\n3\n4\n5\n6\n")
    assert seen.events == [1, 4, 5, 6]
    assert seen.warnings == ("stdout is too large: its 2 oldest events but the first were dropped",)


@pytest.mark.parametrize(
    ("text", "events"),
    [(b'{"a":\n1}\n', [{"a": 1}]), (b'[{"a":1},2]', [{"a": 1}, 2]), (b'\xef\xbb\xbf{"a":1}', [{"a": 1}]), (b" \n", [])],
)
def test_a_document_is_one_event_and_a_list_its_items(text: bytes, events: list[object]) -> None:
    seen = read("json", text)
    assert (seen.events, seen.bad_lines, seen.warnings) == (events, 0, ())


def test_a_document_that_was_cut_is_kept_as_text_with_a_warning() -> None:
    seen = read("json", b'{"a": 1')
    assert seen.unreadable
    assert seen.stdout_tail == '{"a": 1'
    assert seen.warnings == ("stdout could not be read as json: its raw text is kept",)


def test_a_document_over_the_bound_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "LINE_BYTES", 4)
    assert read("json", b"[1]", b",[2]").unreadable


def test_text_has_no_events_and_keeps_its_end() -> None:
    seen = read("text", b"x" * 70_000, b"end")
    assert seen.events == []
    assert len(seen.stdout_tail) == output.TAIL_BYTES
    assert seen.stdout_tail.endswith("xend")


@given(st.binary(max_size=200), st.sampled_from(["json", "jsonl", "text"]))
def test_no_bytes_are_refused(data: bytes, output_format: str) -> None:
    assert read(output_format, data).stdout_tail == data.decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("no object", None),
        ('warn {x} {"a": {"b": 1}} and {"c": 2} end {', {"c": 2}),
        ('{"outer": {"a": 1}, "cut": ', {"a": 1}),
        ('{"a":' * 30_000, None),
    ],
)
def test_the_last_whole_object_of_a_text_is_found(text: str, found: object) -> None:
    assert output.last_object(text) == found


def test_a_file_is_json_where_it_can_be_and_text_else() -> None:
    assert output.file_value(b'{"a": 1}') == {"a": 1}
    assert output.file_value(b"plain \xff") == "plain \ufffd"


def test_a_tail_is_the_end_as_text() -> None:
    assert output.tail(b"\xffx" + b"y" * output.TAIL_BYTES) == "y" * output.TAIL_BYTES


@pytest.mark.parametrize(("code", "name"), [(None, None), (0, None), (143, "SIGTERM"), (137, "SIGKILL"), (145, None)])
def test_an_exit_code_names_the_signal_that_ends_a_process(code: int | None, name: str | None) -> None:
    assert output.signal_name(code) == name
