import base64
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.issues import Issue
from reconciler.core.observed import Comment, Review
from reconciler.core.pulls import Pull
from reconciler.core.terms import Verdict
from reconciler.forge import reading
from reconciler.forge.fields import Unreadable
from tests import deliveries
from tests.deliveries import ONE, REPOSITORY, TWO

FIXTURES = Path(__file__).parents[3] / "shared" / "fixtures" / "forge"
KINDS: tuple[reading.ForgeKind, ...] = ("forgejo", "gitea", "github")


def test_a_pull_request_of_forgejo() -> None:
    expected = Pull(
        repository=REPOSITORY,
        number=3,
        url="https://git.example.org/team/shop/pulls/3",
        title="Add a parser",
        state="open",
        branch="task/parser",
        same_repository=True,
        head_sha=ONE,
        base="main",
        author="bot",
        updated_at=datetime(2026, 11, 22, 15, 19, 17, tzinfo=UTC),
    )
    assert expected == reading.pull(deliveries.pull(), "forgejo")
    assert expected == reading.pull(deliveries.pull(), "gitea", "Team/Shop")


def test_a_pull_request_of_github() -> None:
    shown = reading.pull(deliveries.github_pull(), "github")
    assert (shown.branch, shown.same_repository, shown.state) == ("task/parser", True, "open")


@pytest.mark.parametrize(
    ("label", "ref", "expected"),
    [
        ("task/a", "refs/pull/3/head", "task/a"),
        ("", "task/a", "task/a"),
        (None, "task/a", "task/a"),
        ("someone:task/a", "task/a", "task/a"),
        ("refs/heads/task/a", "task/a", "task/a"),
        ("", "refs/pull/3/head", ""),
        ("tâche/深い/枝", "x", "tâche/深い/枝"),
    ],
)
def test_the_branch_is_the_label_without_an_owner_before_it(label: str | None, ref: str, expected: str) -> None:
    body = deliveries.pull(head=deliveries.side("x", label=label, ref=ref))
    assert reading.pull(body, "forgejo").branch == expected


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ({"repo_id": 1}, True),
        ({"repo_id": 2, "repo": deliveries.repository("else/shop", id=2)}, False),
        ({"repo_id": -1, "repo": None}, False),
        ({"repo_id": 1, "repo": None}, True),
        ({"repo_id": None, "repo": None}, False),
        ({"repo_id": None, "repo": deliveries.repository("else/shop", id=2)}, False),
        ({"repo_id": None, "repo": {"full_name": "Team/Shop"}}, True),
        ({"repo_id": None, "repo": {"full_name": "else/shop"}}, False),
    ],
)
def test_a_fork_is_told_by_its_repository(head: dict[str, object], *, expected: bool) -> None:
    body = deliveries.pull(head=deliveries.side("task/parser", **head))
    assert reading.pull(body, "forgejo").same_repository is expected


def test_two_repositories_that_are_gone_are_not_the_same() -> None:
    gone = {"repo_id": -1, "repo": None}
    body = deliveries.pull(head=deliveries.side("a", **gone), base=deliveries.side("main", **gone))
    assert not reading.pull(body, "forgejo", REPOSITORY).same_repository


def test_a_pull_request_without_a_branch_is_in_no_repository_whatever_its_author_calls_it() -> None:
    assert not reading.pull(deliveries.pull(flow=1), "forgejo").same_repository
    assert reading.pull(deliveries.pull(flow=0), "forgejo").same_repository


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"merged": True, "state": "closed"}, "merged"),
        ({"merged": False, "state": "closed", "merge_commit_sha": TWO}, "closed"),
        ({"merged": None, "state": "closed", "merged_at": "2026-11-22T15:00:00Z"}, "merged"),
        ({"merged": None, "state": "closed", "merge_commit_sha": TWO}, "closed"),
        ({"merged": None, "merged_at": "0001-01-01T00:00:00Z"}, "open"),
    ],
)
def test_only_the_forges_own_word_says_that_it_is_merged(changes: dict[str, object], expected: str) -> None:
    assert reading.pull(deliveries.pull(**changes), "github").state == expected


@pytest.mark.parametrize(
    ("kind", "draft", "title", "expected"),
    [
        ("forgejo", True, "Add", True),
        ("forgejo", None, "WIP: add", True),
        ("gitea", None, "[wip] add", True),
        ("gitea", False, "wip: add", True),
        ("gitea", False, "Wipe the table", False),
        ("github", False, "WIP: add", False),
        ("github", None, "WIP: add", True),
        ("github", True, "Add", True),
    ],
)
def test_a_draft_is_told_by_its_field_or_its_title(
    kind: reading.ForgeKind,
    draft: bool | None,  # noqa: FBT001  a table's column
    title: str,
    *,
    expected: bool,
) -> None:
    assert reading.pull(deliveries.pull(draft=draft, title=title), kind).draft is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22T17:00:00Z", datetime(2026, 11, 22, 17, tzinfo=UTC)),
        ("2026-11-22T17:00:00.987654321-02:30", datetime(2026, 11, 22, 19, 30, tzinfo=UTC)),
        ("2026-11-22t17:00:00z", datetime(2026, 11, 22, 17, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+09:00", None),
        ("", None),
        (None, None),
    ],
)
def test_times_are_in_utc_and_in_whole_seconds(text: str | None, expected: datetime | None) -> None:
    assert reading.pull(deliveries.pull(updated_at=text), "gitea").updated_at == expected


def test_texts_are_cut_and_cleaned_to_what_a_file_can_hold() -> None:
    body = deliveries.issue(title="a\0\x1b[31m\r\nb\u2028c" + "x" * 300, body="\ud800é\0\r\n\tz\x07" + "é" * 64 * 1024)
    shown = reading.issue(body, "forgejo", REPOSITORY)
    assert shown.title == ("a[31m b c" + "x" * 300)[:255]
    assert shown.body.startswith("é\n\tzéé")
    assert len(shown.body.encode()) == 64 * 1024 - 1
    shown_comment = reading.comment({"path": "a\nb.py", "body": None, "diff_hunk": "é" * 8 * 1024 + "!"})
    assert (shown_comment.path, shown_comment.body) == ("a b.py", "")
    assert shown_comment.hunk == "é" * (4 * 1024 - 1) + "!"


def test_an_issue() -> None:
    expected = Issue(
        repository=REPOSITORY,
        number=5,
        url="https://git.example.org/team/shop/issues/5",
        title="Add a parser",
        body="Please.\n\n## Validation\n- tests",
        author="ada",
        labels=("agent",),
        updated_at=datetime(2026, 11, 22, 15, tzinfo=UTC),
    )
    assert expected == reading.issue(deliveries.issue(), "forgejo", REPOSITORY)
    bare = reading.issue(deliveries.issue(labels=None, body=None, user=None, state="closed"), "github", REPOSITORY)
    assert (bare.labels, bare.body, bare.author, bare.open) == ((), "", "ghost", False)


def test_a_pull_request_among_issues_is_none() -> None:
    body = deliveries.issue(pull_request={"merged": False})
    assert reading.is_pull(body)
    assert not reading.is_pull(deliveries.issue())
    with pytest.raises(Unreadable, match="pull request"):
        reading.issue(body, "github", REPOSITORY)


def test_a_review_of_forgejo() -> None:
    expected = Review(
        id="11",
        reviewer="grace",
        verdict=Verdict.CHANGES_REQUESTED,
        submitted_at=datetime(2026, 11, 22, 15, 19, 28, tzinfo=UTC),
        body="Add tests.",
        head_sha=ONE,
    )
    assert expected == reading.review(deliveries.review(), "forgejo")


@pytest.mark.parametrize(
    ("kind", "changes", "expected"),
    [
        ("gitea", {"state": "APPROVED", "body": ""}, Verdict.APPROVED),
        ("gitea", {"state": "COMMENT"}, Verdict.COMMENTED),
        ("gitea", {"state": "COMMENT", "body": "", "comments_count": 1}, Verdict.COMMENTED),
        ("gitea", {"state": "COMMENT", "body": " \n"}, None),
        ("gitea", {"state": "REQUEST_CHANGES", "body": ""}, Verdict.CHANGES_REQUESTED),
        ("gitea", {"state": "REQUEST_CHANGES", "dismissed": True}, None),
        ("gitea", {"state": "PENDING", "submitted_at": None}, None),
        ("gitea", {"state": "REQUEST_REVIEW", "user": None}, None),
        ("gitea", {"state": ""}, None),
        ("github", {"state": "APPROVED"}, Verdict.APPROVED),
        ("github", {"state": "CHANGES_REQUESTED"}, Verdict.CHANGES_REQUESTED),
        ("github", {"state": "changes_requested"}, Verdict.CHANGES_REQUESTED),
        ("github", {"state": "COMMENTED", "body": None}, Verdict.COMMENTED),
        ("github", {"state": "DISMISSED"}, None),
        ("github", {"state": "PENDING", "submitted_at": None}, None),
    ],
)
def test_what_each_forge_calls_a_verdict(
    kind: reading.ForgeKind, changes: dict[str, object], expected: Verdict | None
) -> None:
    shown = reading.review(deliveries.review(**changes), kind)
    assert (shown.verdict if shown else None) == expected


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ({"position": 4, "original_position": 0}, 4),
        ({"position": 0, "original_position": 9}, 9),
        ({"position": 0, "original_position": 0}, None),
        ({"position": 77, "line": 4, "original_line": 2}, 4),
        ({"position": None, "line": None, "original_line": 2}, 2),
        ({"position": 1, "line": None, "original_line": None}, None),
    ],
)
def test_an_inline_comment_stands_at_its_line(data: dict[str, object], line: int | None) -> None:
    expected = Comment(path="a.py", body="Why?", line=line, hunk="@@ -1 +1 @@")
    assert expected == reading.comment({"path": "a.py", "body": "Why?", "diff_hunk": "@@ -1 +1 @@", **data})


BROKEN_PULLS: list[dict[str, object]] = [
    {"number": None},
    {"number": True},
    {"number": 3.0},
    {"number": "3"},
    {"number": 0},
    {"number": 10**400},
    {"title": None},
    {"title": 3},
    {"html_url": "javascript:alert(1)"},
    {"html_url": "https://a b"},
    {"html_url": "https://" + "a" * 4096},
    {"state": "lost"},
    {"state": None},
    {"merged": "yes"},
    {"draft": 1},
    {"head": None},
    {"head": []},
    {"head": deliveries.side("a\0b")},
    {"head": deliveries.side("a\ud800")},
    {"head": deliveries.side("a\nb")},
    {"head": deliveries.side("a" * 4096)},
    {"head": deliveries.side("a", label=7)},
    {"head": deliveries.side("a", sha="zz")},
    {"head": deliveries.side("a", repo_id="1")},
    {"head": deliveries.side("a", repo_id=None, repo={"full_name": "../.."[:2]})},
    {"base": deliveries.side("main", repo=None)},
    {"base": deliveries.side("main", repo={"full_name": "a/b/c"})},
    {"user": "bot"},
    {"user": {"login": "ad\0min"}},
    {"updated_at": 1700000000},
    {"updated_at": "yesterday"},
    {"updated_at": "2026-13-40T00:00:00Z"},
    {"updated_at": "2026-11-22T17:00:00"},
    {"updated_at": "9999-12-31T23:59:59-10:00"},
]


@pytest.mark.parametrize("changes", BROKEN_PULLS)
@pytest.mark.parametrize("kind", KINDS)
def test_anything_of_another_shape_is_unreadable_in_one_line(
    changes: dict[str, object], kind: reading.ForgeKind
) -> None:
    with pytest.raises(Unreadable) as caught:
        reading.pull(deliveries.pull(**changes), kind)
    assert re.fullmatch(r"[ -~]{1,120}", str(caught.value))


@pytest.mark.parametrize("data", [None, [], "x", 3, True, {}])
def test_what_is_no_object_or_an_empty_one_is_unreadable(data: object) -> None:
    for read in (
        lambda: reading.pull(data, "forgejo"),
        lambda: reading.issue(data, "forgejo", REPOSITORY),
        lambda: reading.review(data, "forgejo"),
        lambda: reading.comment(data),
    ):
        with pytest.raises(Unreadable):
            read()


def test_a_submitted_review_without_its_time_or_id_is_unreadable() -> None:
    for changes in ({"submitted_at": None}, {"id": None}, {"commit_id": "HEAD"}, {"state": None}, {"state": 1}):
        with pytest.raises(Unreadable):
            reading.review(deliveries.review(**changes), "forgejo")


def test_the_repository_that_speaks_is_the_one_it_speaks_of() -> None:
    body = deliveries.pull(base=deliveries.side("main", repo=None))
    assert reading.pull(body, "forgejo", "Team/Shop").repository == "Team/Shop"
    with pytest.raises(Unreadable, match="another repository"):
        reading.pull(deliveries.pull(), "forgejo", "else/shop")


def recorded(name: str) -> bytes:
    if not FIXTURES.is_dir():
        pytest.skip("the recorded deliveries are not here")
    return (FIXTURES / name).read_bytes()


def test_every_recorded_pull_request_and_issue_says_what_its_manifest_says() -> None:
    for entry in json.loads(recorded("manifest.json"))["entries"]:
        body = json.loads(recorded(entry["file"]))
        says = entry["expected"]["identity"]
        if "pull_request" in body and "state" not in says:
            with pytest.raises(Unreadable, match="state"):
                reading.pull(body["pull_request"], entry["forge"])
        elif "pull_request" in body:
            shown = reading.pull(body["pull_request"], entry["forge"], says["repository"])
            assert agreed(shown) == {key: says.get(key, False) for key in agreed(shown)}
        elif "issue" in body and not reading.is_pull(body["issue"]):
            seen = reading.issue(body["issue"], entry["forge"], says["repository"])
            assert (seen.number, list(seen.labels)) == (says["issue_number"], says["issue_labels"])


def agreed(shown: Pull) -> dict[str, object]:
    return {
        "repository": shown.repository,
        "pr_number": shown.number,
        "head_branch": shown.branch,
        "base_branch": shown.base,
        "head_sha": shown.head_sha,
        "same_repo": shown.same_repository,
        "merged": shown.state == "merged",
        "state": "open" if shown.state == "open" else "closed",
        "html_url": shown.url,
    }


def test_every_recorded_answer_and_delivery_is_readable() -> None:
    bodies = [exchange.get("response") for exchange in json.loads(recorded("rest_examples.json"))["exchanges"]]
    lines = [json.loads(line) for line in recorded("sequence_full_pr_lifecycle.jsonl").splitlines()]
    raw = [base64.b64decode(line["body_b64"]) for line in lines]
    bodies += [json.loads(body) for body in raw if not body.startswith(b"payload=")]
    pulls = [reading.pull(one, "gitea", REPOSITORY if "repo" not in one["base"] else None) for one in objects(bodies)]
    assert len(pulls) > 20
    assert {one.branch for one in pulls if one.number == 3} == {"task/1-add-json-parser"}
    assert [one.same_repository for one in pulls if one.number == 10] == [False] * 2


def objects(data: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401  any JSON
    """Every pull request anywhere inside."""
    if isinstance(data, list):
        for one in data:
            yield from objects(one)
    elif isinstance(data, dict):
        if "head" in data and "base" in data and "html_url" in data:
            yield data
        else:
            yield from objects(list(data.values()))
