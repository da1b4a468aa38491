"""Whatever an issue says, its file is a task that says the same when it is read again."""

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core import issues, names
from reconciler.core.desired import Task
from reconciler.core.issues import Issue
from reconciler.core.terms import Wish
from reconciler.repo.desired import checks, loading
from reconciler.repo.yaml import documents, yamlbytes

ANY = st.text(st.characters())
PIECES = st.sampled_from(
    [
        "## Constraints", "# validation", "####   VALIDATION  ##", "### Other", "- ", "  - ", "1. ", "- [ ] ", "* [x] ",
        "```", "~~~sh", "````", "\n", "\n\n", "\r\n", "\r", "---", "...", "desired: cancel", "&a [*a]", "<<: *a",
        "!!x y", "<<<<<<< HEAD", "=======", ">>>>>>> x", "%YAML 1.2", "\t", "  ", "    ", "\u2028", "\x85",
        "\ufeff", "\ud800", "\u202e", "<!--", "-->", "'", '"', "\\", ": ", " #", "{", "]", "|", ">-", "_No response_",
        "x", "\x00", "\u200d",
    ]
)  # fmt: skip
BODIES = st.one_of(ANY, st.lists(st.one_of(PIECES, ANY), max_size=60).map("".join))
NAMES = st.from_regex(r"[^\s/\x00-\x1f\x7f]{1,80}/[^\s/\x00-\x1f\x7f]{1,80}", fullmatch=True)


def issue(title: str, body: str, repository: str = "team/shop", number: int = 1) -> Issue:
    url = f"https://forge.example.org/team/shop/issues/{number}"
    return Issue(repository=repository, number=number, url=url, title=title, body=body, author="ada")


@settings(max_examples=400, deadline=None)
@given(title=BODIES, body=BODIES)
def test_any_text_gives_a_file_that_loads_as_the_same_task(title: str, body: str) -> None:
    data = dict(issues.task_data(issue(title, body), "https://forge.example.org/team/shop.git"))
    text = documents.dump(data)
    assert documents.parse(text, "f").data == data
    loaded = loading.load("task", text, "f")
    assert loaded.problems == ()
    assert isinstance(loaded.value, Task)
    assert loaded.value.desired is Wish.RUN
    assert set(data) <= {"title", "goal", "constraints", "validation", "repository", "issue"}
    assert not any("\u202a" <= letter <= "\u202e" or "\ud800" <= letter <= "\udfff" for letter in text.decode())


@settings(max_examples=25, deadline=None)
@given(
    piece=st.one_of(PIECES, ANY.filter(bool)),
    times=st.integers(1000, 60_000),
    head=st.sampled_from(["", "# Validation\n"]),
)
def test_no_text_is_too_long_for_a_file(piece: str, times: int, head: str) -> None:
    text = documents.dump(issues.task_data(issue("t", head + piece * times + "\n# Constraints\n" + piece * times), "r"))
    assert len(text) < yamlbytes.MAX_BYTES
    assert loading.load("task", text, "f").problems == ()


@settings(deadline=None)
@given(repository=NAMES, number=st.integers(1, 10**15 - 1), taken=st.integers(0, 40))
def test_an_id_is_valid_free_and_always_the_same(repository: str, number: int, taken: int) -> None:
    one = issue("t", "b", repository, number)
    used: set[str] = set()
    for _ in range(taken):
        used.add(issues.task_id(one, used))
    found = issues.task_id(one, used)
    assert (len(used), found in used) == (taken, False)
    assert checks.ID.fullmatch(found)
    assert found == issues.task_id(one, frozenset(used))


@settings(deadline=None)
@given(title=ANY)
def test_a_slug_is_an_id(title: str) -> None:
    assert checks.ID.fullmatch(names.slug(title))
