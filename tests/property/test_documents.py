"""Any document survives dump, parse and edit."""

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.desired import Problem
from reconciler.repo.yaml import documents, yamltext
from reconciler.repo.yaml.documents import InvalidDocument

NASTY = [
    "", " ", "on", "no", "12:30", "0x1f", "0o17", "017", "1e3", "null", "~", "-", "- a", "a: b", "a #b", "# a", "*a",
    "&a", "!a", "%a", "@a", "`a", "|", ">", "[", "{", "}", "'", '"', "\\", "\\n", "\n", "\n\n", "a\n", "a\nb", "a\nb\n",
    "a\n\n", "\na", " a\nb", "a\n b\n", "a\n\tb", "a \nb", "a\n  \nb", "a\r\nb", "a\rb", "\ta", "a\t", "\u2028",
    "a\u2028b", "a\x85b", "\ufeff", "\x00", "\x1b[0m", "\x7f", "😀", "é", "\uffff", "<<", "=", "---", "...", "--- a\n",
    "a\n---\nb\n", "2026-01-01", "2026-11-22T17:00:00Z", ".inf", ".nan", "+1", "1.", "true", "TRUE", "x" * 3000,
    "<<<<<<< HEAD\n", "a\n=======\nb\n", "key: |\n  x\n", "\U0010ffff", "\u200b", "a:", ":a", "?", "? a", ",",
    "a\n#b\n",
]  # fmt: skip
TEXT = st.one_of(st.sampled_from(NASTY), st.text(max_size=30), st.text("ab \n\t:#-'\"", max_size=12))
NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, TEXT)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(TEXT, VALUES, max_size=6)


def same(one: object, other: object) -> bool:
    return yamltext.exact(one) == yamltext.exact(other)


@settings(deadline=None, max_examples=300)
@given(DOCUMENTS)
def test_what_is_dumped_is_read_back(data: dict[str, object]) -> None:
    dumped = documents.dump(data)
    assert same(documents.parse(dumped, "x.yaml").data, data), dumped
    assert documents.dump(data) == dumped


@settings(deadline=None, max_examples=200)
@given(
    DOCUMENTS,
    st.dictionaries(st.one_of(TEXT, st.just("desired")), VALUES, min_size=1, max_size=3),
    st.sampled_from([b"\n", b"\r\n"]),
)
def test_an_edit_changes_what_it_names_and_nothing_else(
    data: dict[str, object], changes: dict[str, object], ending: bytes
) -> None:
    text = documents.dump(data).replace(b"\n", ending)
    wanted = {key: value for key, value in (data | changes).items() if key not in changes or value is not None}
    assert same(documents.parse(documents.edit(text, changes), "x.yaml").data, wanted)


PIECES = st.sampled_from([
    "title: x\n", "goal: |\n  a\n\n  b\n", "goal: |+\n  a\n\n", "# note\n", "\n", "list:\n- a\n- b\n", "list: [a, b]\n",
    "flow: {a: 1}\n", "desired: run # now\n", "desired: 'run'\n", 'desired: "run"\n', "desired:\n",
    "desired: >-\n  run\n",
    "desired: &d run\nother: *d\n", "map:\n  a: 1\n  # inside\n  b: 2\n", "env:\n  A: b # c\n", "---\n", "...\n",
    "? desired\n: run\n", "desired:\n  run\n", "é: 😀\n", "text: a\n  b\n", "tail: x", "{desired: run, a: 1}\n", "{}\n",
    "desired: !!str run\n", "  # indented\n",
])  # fmt: skip


@settings(deadline=None, max_examples=400)
@given(st.lists(PIECES, max_size=6), st.sampled_from([None, "hold", "a\nb\n", 3, ["x"], {}, {"a": ["b"]}, ""]))
def test_an_edit_of_what_a_person_wrote_comes_out_right(pieces: list[str], value: object) -> None:
    text = "".join(pieces).encode()
    try:
        before = documents.parse(text, "x.yaml").data
    except InvalidDocument:
        return
    wanted = {key: child for key, child in (before | {"desired": value}).items() if child is not None or key in before}
    if value is None:
        wanted.pop("desired", None)
    edited = documents.edit(text, {"desired": value})
    assert same(documents.parse(edited, "x.yaml").data, wanted), edited
    if b"# note" in text and b"&d" not in text:
        assert b"# note" in edited


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.binary(max_size=60), st.text("ab:-#&*!|>'\"[]{}?,\n \t%@`\\<=0.~", max_size=40).map(str.encode)))
def test_no_bytes_bring_the_reader_down(text: bytes) -> None:
    problems: tuple[Problem, ...] = ()
    try:
        assert isinstance(documents.parse(text, "x.yaml").data, dict)
    except InvalidDocument as error:
        problems = error.problems
    assert all("\n" not in one.message and one.line > 0 < one.column for one in problems)
