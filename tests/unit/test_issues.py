"""An issue as a task: its title, goal, lists and id."""

import re
from dataclasses import replace

import pytest

from reconciler.core import issues, names, sections
from reconciler.core.issues import Issue

ISSUE = Issue(
    repository="Team/Shop.js",
    number=12,
    url="https://forge.example.org/Team/Shop.js/issues/12",
    title="Fix the login",
    body="Accept a plus.",
    author="ada",
)


def data(body: str = "Accept a plus.", title: str = "Fix the login") -> dict[str, object]:
    return dict(issues.task_data(replace(ISSUE, body=body, title=title), "../shop"))


def split(body: str) -> tuple[str, list[str], list[str]]:
    rest, found = sections.split(body, ("constraints", "validation"))
    return rest, list(found.get("constraints", ())), list(found.get("validation", ()))


def test_an_issue_without_sections_is_all_goal() -> None:
    assert data() == {
        "title": "Fix the login",
        "goal": "Accept a plus.",
        "repository": "../shop",
        "issue": ISSUE.url,
    }


def test_sections_become_lists_and_leave_the_goal() -> None:
    body = "Why.\r\n\r\n## Constraints\r\n- a\r\n- b\r\n\r\n## Validation\r\n1. c\r\n2) d\r\n\r\n## Notes\r\nMore.\r\n"
    assert data(body) == {
        "title": "Fix the login",
        "goal": "Why.\n\n## Notes\nMore.",
        "constraints": ["a", "b"],
        "validation": ["c", "d"],
        "repository": "../shop",
        "issue": ISSUE.url,
    }


@pytest.mark.parametrize("body", ["", " \n\t\n", "## Constraints\n- a\n", "<!-- say what you want -->\n", "\u202e\x00"])
def test_a_goal_that_nobody_wrote_is_the_title(body: str) -> None:
    assert data(body)["goal"] == "Fix the login"


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("  a\n b\t c ", "a b c"),
        ("", "Issue Team/Shop.js#12"),
        ("\u202e\u200d \x07", "Issue Team/Shop.js#12"),
        ("x" * 300, "x" * 197 + "..."),
        ("ev\u202eil\x1b[31m", "evil[31m"),
        ("---", "---"),
    ],
)
def test_a_title_is_one_line_of_something(title: str, expected: str) -> None:
    assert data(title=title)["title"] == expected


@pytest.mark.parametrize(
    "heading",
    [
        "# Constraints",
        "## constraints",
        "### CONSTRAINTS ###",
        "#### Constraints:",
        "   ## **Constraints**",
        "#\tConstraints",
    ],
)
def test_a_heading_of_any_level_to_four_begins_a_section(heading: str) -> None:
    assert split(f"a\n{heading}\n- b") == ("a", ["b"], [])


@pytest.mark.parametrize(
    "heading",
    [
        "##### Constraints",
        "##Constraints",
        "    ## Constraints",
        "Constraints",
        "## Constraints of old",
        "> ## Constraints",
    ],
)
def test_other_lines_begin_none(heading: str) -> None:
    body = f"a\n{heading}\n- b"
    assert split(body) == (body, [], [])


def test_a_section_ends_at_the_next_heading_of_its_level_or_above() -> None:
    body = "## Constraints\n- a\n### Speed\n- b\n##### Deep\nc\n## Rest\n- d\n### Validation\n- e\n# Top\nf"
    assert split(body) == ("## Rest\n- d\n# Top\nf", ["a", "Speed", "b", "Deep", "c"], ["e"])


def test_sections_of_one_name_are_one_list() -> None:
    assert split("## Validation\n- a\n## X\n## validation\n- b") == ("## X", [], ["a", "b"])


@pytest.mark.parametrize("fence", ["```", "~~~~", "````sh", "- ```", "  ```"])
def test_headings_in_fenced_code_do_not_count(fence: str) -> None:
    bare = re.sub(r"[^`~]", "", fence)
    body = f"{fence}\n## Constraints\n- a\n{bare[:2]}\n{bare}\n## Constraints\n- b"
    assert split(body)[1] == ["b"]
    assert split(f"{fence}\n## Constraints\n- a")[1] == []


def test_a_line_with_code_in_it_opens_no_fence() -> None:
    assert split("``` a ` b\n## Constraints\n- c")[1] == ["c"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a\n* b\n+ c", ["a", "b", "c"]),
        ("- [ ] a\n- [x] b\n* [X] c\n1. [ ] d", ["a", "b", "c", "d"]),
        ("1. a\n2) b\n10. c", ["a", "b", "c"]),
        ("a\nb\n\nc", ["a b", "c"]),
        ("- a\n  b\nc\n\n  d\n- e", ["a b c d", "e"]),
        ("- a\n  - b\n    * c\n- d", ["a\n- b\n* c", "d"]),
        (" - a\n - b", ["a", "b"]),
        ("- a\n\nb", ["a", "b"]),
        ("a\n- b", ["a", "b"]),
        ("- a\n  ```sh\n  make\n\n  test\n  ```\n- b", ["a\n  ```sh\n  make\n\n  test\n  ```", "b"]),
        ("```\n- x\n```\nthen", ["```\n- x\n```\nthen"]),
        ("- ```\n  x\n  ```\n- b", ["```\n  x\n  ```", "b"]),
        ("-\n- [ ]\n-  \n- a", ["a"]),
        ("---\n- a\n***\n- - -\n", ["a"]),
        ("_No response_", []),
        ("<!-- one\n- two -->\n- a <!-- b -->", ["a"]),
        ("-a\n-1", ["-a -1"]),
        ("2024 was\n**bold** b", ["2024 was **bold** b"]),
    ],
)
def test_points_of_any_kind_become_entries(text: str, expected: list[str]) -> None:
    assert split(f"## Constraints\n{text}\n## End")[1] == expected


def test_long_lists_and_texts_are_cut_and_say_where_the_rest_stands() -> None:
    many = data("## Constraints\n" + "\n".join(f"- point {number}" for number in range(51)))["constraints"]
    assert isinstance(many, list)
    assert (len(many), many[48]) == (50, "point 48")
    assert ISSUE.url in many[49]
    exactly = data("## Constraints\n" + "- a\n" * 50)["constraints"]
    assert exactly == ["a"] * 50
    long = data(f"## Validation\n- {'é' * 9000}")["validation"]
    assert isinstance(long, list)
    assert [len(one.encode()) < 5000 for one in long] == [True]
    big = data("## Validation\n" + f"- {'x' * 4000}\n" * 9)["validation"]
    assert isinstance(big, list)
    assert len(big) == 5
    assert ISSUE.url in big[-1]
    goal = data("é" * 100_000)["goal"]
    assert isinstance(goal, str)
    assert len(goal.encode()) < 70_000
    assert goal.endswith(f"the rest stands at {ISSUE.url}.)")
    lost = data("## Constraints\n- a\n" + "x\n" * 200_000)["goal"]
    assert isinstance(lost, str)
    assert ISSUE.url in lost


def test_what_cannot_be_seen_is_removed_and_what_can_stays() -> None:
    hidden = "a\x00b\x07\u202ec\u2066d\u200be\ufefff\ud800g\ufffeh\U000e0041i\u00adj"
    assert issues.clean(hidden) == "abcdefghij"
    seen = "a\tb\nクリーン 👩\u200d💻 é \u0301x \U0001d4b3"
    assert issues.clean(seen) == seen
    assert issues.clean("a\r\nb\rc\u2028d\x85e\n  \nf") == "a\nb\nc\nd\ne\n\nf"


@pytest.mark.parametrize(
    ("repository", "taken", "expected"),
    [
        ("Team/Shop.js", (), "shop-js-12"),
        ("Team/Shop.js", ("shop-js-12",), "team-shop-js-12"),
        ("Team/Shop.js", ("shop-js-12", "team-shop-js-12"), "team-shop-js-12-2"),
        ("Team/Shop.js", ("shop-js-12", "team-shop-js-12", "team-shop-js-12-2"), "team-shop-js-12-3"),
        ("team/クリーン", (), "task-12"),
        ("_/-_-", (), "task-12"),
        ("a/" + "b" * 100, (), "b" * 60 + "-12"),
    ],
)
def test_an_id_is_made_of_repository_and_number(repository: str, taken: tuple[str, ...], expected: str) -> None:
    assert issues.task_id(replace(ISSUE, repository=repository), taken) == expected


def test_urls_of_one_issue_are_the_same_however_they_are_written() -> None:
    one = "https://Forge.example.org/Team/Shop/issues/1"
    for other in (f"{one}/", f"{one}#issuecomment-3", one.lower(), f" {one} "):
        assert issues.same_url(other) == issues.same_url(one)
    assert issues.same_url(one) != issues.same_url(f"{one}2")


@pytest.mark.parametrize(
    ("title", "name"),
    [("Fix: the Login!", "fix-the-login"), ("  ", "task"), ("Ärger", "arger"), ("-x-", "x"), ("a" * 80, "a" * 50)],
)
def test_a_title_becomes_an_id(title: str, name: str) -> None:
    assert names.slug(title) == name


def test_a_free_id_is_counted_up() -> None:
    assert names.unused("a", {"b"}) == "a"
    assert names.unused("a", {"a", "a-2", "a-4"}) == "a-3"
