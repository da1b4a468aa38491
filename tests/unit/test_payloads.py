import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.observed import Review
from reconciler.core.terms import Verdict
from reconciler.forge import payloads, reading
from reconciler.forge.payloads import Hint, IssueNews, Nothing, Origin, PullNews, Pushed
from reconciler.forge.reading import ForgeKind
from tests import deliveries
from tests.deliveries import NONE, ONE, REPOSITORY, TWO, Body

FIXTURES = Path(__file__).parents[3] / "shared" / "fixtures" / "forge"
REJECTED, APPROVED, COMMENTED = (f"pull_request_review_{verdict}" for verdict in ("rejected", "approved", "comment"))


def read(event: str, body: object, *, event_type: str = "", kind: ForgeKind = "forgejo") -> Hint:
    return payloads.read(event, event_type, body, kind)


def news(event: str, body: object, *, event_type: str = "", kind: ForgeKind = "forgejo") -> PullNews:
    hint = read(event, body, event_type=event_type, kind=kind)
    assert isinstance(hint, PullNews), hint
    return hint


@pytest.mark.parametrize(
    ("action", "event_type"),
    [
        ("opened", "pull_request"),
        ("closed", "pull_request"),
        ("edited", "pull_request"),
        ("synchronized", "pull_request_sync"),
        ("synchronize", ""),
        ("label_updated", "pull_request_label"),
        ("label_cleared", "pull_request_label"),
        ("labeled", ""),
        ("assigned", "pull_request_assign"),
        ("milestoned", "pull_request_milestone"),
        ("review_requested", "pull_request_review_request"),
        ("converted_to_draft", ""),
        ("ready_for_review", ""),
    ],
)
def test_every_event_of_a_pull_request_shows_it_as_it_is(action: str, event_type: str) -> None:
    expected = PullNews(repository=REPOSITORY, pull=reading.pull(deliveries.pull(), "forgejo"), by="bot")
    assert expected == read("pull_request", deliveries.pull_event(action), event_type=event_type)


def test_that_it_was_reopened_is_kept() -> None:
    assert news("pull_request", deliveries.pull_event("reopened")).reopened


@pytest.mark.parametrize(
    ("changes", "retitled"), [({"title": {"from": "x"}}, True), ({"body": {}}, False), ("x", False)]
)
def test_that_it_was_given_another_title_is_kept(changes: object, retitled: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert news("pull_request", {**deliveries.pull_event("edited"), "changes": changes}).retitled is retitled


def test_a_merge_is_a_close_that_the_forge_calls_a_merge() -> None:
    merged = deliveries.pull(state="closed", merged=True, merge_commit_sha=TWO)
    assert news("pull_request", deliveries.pull_event("closed", pull_request=merged)).pull.state == "merged"
    test_merge = deliveries.github_pull(state="closed", merge_commit_sha=TWO)
    body = deliveries.pull_event("closed", pull_request=test_merge)
    assert news("pull_request", body, kind="github").pull.state == "closed"


def test_forks_and_other_branches_are_read_as_well() -> None:
    fork = deliveries.side("task/parser", repo_id=2, repo=deliveries.repository("else/shop", id=2))
    shown = news("pull_request", deliveries.pull_event("opened", pull_request=deliveries.pull(head=fork)))
    assert (shown.repository, shown.pull.branch, shown.pull.same_repository) == (REPOSITORY, "task/parser", False)


@pytest.mark.parametrize(
    ("event", "event_type", "said", "verdict"),
    [
        ("pull_request_rejected", REJECTED, REJECTED, Verdict.CHANGES_REQUESTED),
        ("pull_request_approved", APPROVED, APPROVED, Verdict.APPROVED),
        ("pull_request_comment", COMMENTED, COMMENTED, Verdict.COMMENTED),
        ("issue_comment", "pull_request_comment", "pull_request_comment", Verdict.COMMENTED),
        ("pull_request_comment", "pull_request_comment", REJECTED, Verdict.CHANGES_REQUESTED),
        ("pull_request_approved", "", REJECTED, Verdict.CHANGES_REQUESTED),
        ("pull_request", "", REJECTED, Verdict.CHANGES_REQUESTED),
    ],
)
def test_a_review_is_what_its_body_calls_it(event: str, event_type: str, said: str, verdict: Verdict) -> None:
    shown = news(event, deliveries.review_event(said), event_type=event_type)
    assert shown.review is not None
    expected = Review(
        id=shown.review.id,
        reviewer="grace",
        verdict=verdict,
        submitted_at=datetime(2026, 11, 22, 15, 19, 17, tzinfo=UTC),
        body="Add tests.",
        head_sha=ONE,
    )
    assert (expected, "grace", False) == (shown.review, shown.by, shown.reopened)


def made_up_id(said: str = REJECTED, content: str = "Add tests.", **changes: object) -> str:
    review = news("pull_request_rejected", deliveries.review_event(said, content, **changes)).review
    assert review is not None
    return review.id


def test_the_same_review_told_twice_has_one_made_up_id() -> None:
    alike = [
        made_up_id(),
        made_up_id(requested_reviewer=deliveries.account("grace")),
        made_up_id(pull_request=deliveries.pull(title="Another", updated_at="2026-11-22T15:19:17Z")),
    ]
    other = [
        made_up_id(content="Add more tests."),
        made_up_id(said=APPROVED),
        made_up_id(sender=deliveries.account("ada")),
        made_up_id(pull_request=deliveries.pull(updated_at="2026-11-22T15:19:18Z")),
        made_up_id(pull_request=deliveries.pull(head=deliveries.side("task/parser", sha=TWO))),
        made_up_id(number=4, pull_request=deliveries.pull(number=4)),
    ]
    assert len(set(alike)) == 1
    assert len({*alike, *other}) == 1 + len(other)


def test_a_rejection_without_a_word_counts_and_a_comment_without_one_is_none() -> None:
    empty = news("pull_request_rejected", deliveries.review_event(REJECTED, ""))
    assert empty.review is not None
    assert empty.review.body == ""
    assert news("pull_request_comment", deliveries.review_event(COMMENTED, "\n")).review is None


def test_a_review_without_any_time_is_as_old_as_can_be() -> None:
    undated = deliveries.pull(updated_at=None, created_at=None)
    review = news("pull_request_rejected", deliveries.review_event(REJECTED, pull_request=undated)).review
    assert review is not None
    assert review.submitted_at == datetime(1970, 1, 1, tzinfo=UTC)


def github_review(action: str = "submitted", **changes: object) -> Body:
    said = deliveries.review(id=99, state="changes_requested", submitted_at="2026-11-22T16:00:00Z", **changes)
    short = {key: value for key, value in deliveries.github_pull().items() if key != "merged"}
    body = deliveries.pull_event(action, "grace", pull_request=short, review=said)
    return {key: value for key, value in body.items() if key != "number"}


def test_a_review_of_github_has_an_id_a_commit_and_a_time() -> None:
    review = news("pull_request_review", github_review(commit_id=TWO), kind="github").review
    expected = Review(
        id="99",
        reviewer="grace",
        verdict=Verdict.CHANGES_REQUESTED,
        submitted_at=datetime(2026, 11, 22, 16, tzinfo=UTC),
        body="Add tests.",
        head_sha=TWO,
    )
    assert expected == review


@pytest.mark.parametrize("action", ["dismissed", "edited"])
def test_a_review_of_github_that_was_changed_says_only_where_to_look(action: str) -> None:
    assert news("pull_request_review", github_review(action), kind="github").review is None


@pytest.mark.parametrize(
    ("event", "event_type", "action", "kind"),
    [
        ("issues", "issues", "opened", "forgejo"),
        ("issues", "issues", "edited", "gitea"),
        ("issues", "issues", "closed", "gitea"),
        ("issues", "issue_label", "label_updated", "forgejo"),
        ("issues", "issue_label", "label_cleared", "forgejo"),
        ("issues", "", "labeled", "github"),
        ("issues", "", "unlabeled", "github"),
    ],
)
def test_an_issue_is_shown_as_it_is(event: str, event_type: str, action: str, kind: ForgeKind) -> None:
    shown = reading.issue(deliveries.issue(), kind, REPOSITORY)
    expected = IssueNews(issue=replace(shown, clone_url="https://git.example.org/team/shop.git"), by="ada")
    assert expected == read(event, deliveries.issue_event(action), event_type=event_type, kind=kind)


@pytest.mark.parametrize(
    ("kind", "permissions", "association", "expected"),
    [
        ("forgejo", {"push": True, "admin": False}, None, True),
        ("gitea", {"push": False, "admin": True}, None, True),
        ("forgejo", {"push": False, "admin": False, "pull": True}, "OWNER", False),
        ("forgejo", None, None, False),
        ("github", None, "OWNER", True),
        ("github", None, "MEMBER", True),
        ("github", None, "COLLABORATOR", True),
        ("github", {"push": True}, "CONTRIBUTOR", False),
        ("github", None, None, False),
    ],
)
def test_the_signed_body_vouches_for_who_may_write(
    kind: ForgeKind, permissions: object, association: str | None, *, expected: bool
) -> None:
    body = deliveries.issue_event(
        "opened",
        issue=deliveries.issue(author_association=association),
        repository=deliveries.repository(permissions=permissions),
    )
    hint = read("issues", body, kind=kind)
    assert isinstance(hint, IssueNews)
    assert hint.issue.vouched is expected


def test_a_push_to_a_branch() -> None:
    expected = Pushed(repository=REPOSITORY, branch="task/parser", after=TWO, by="bot")
    assert expected == read("push", deliveries.push(), event_type="push")
    new = deliveries.push(before=NONE, ref="refs/heads/tâche/深い", sender=None, pusher={"name": "x"})
    assert read("push", new) == Pushed(repository=REPOSITORY, branch="tâche/深い", after=TWO, by="ghost")
    long_ids = deliveries.push(before="0" * 64, after="a" * 64)
    assert read("push", long_ids) == replace(expected, after="a" * 64)


PULL, ISSUE, PUSH = deliveries.pull_event("opened"), deliveries.issue_event("opened"), deliveries.push()
COMMENT = {
    "action": "created",
    "issue": deliveries.issue(pull_request={"merged": False}),
    "pull_request": deliveries.pull(),
    "comment": {"id": 1, "body": "hello", "user": deliveries.account("ada")},
    "repository": deliveries.repository(),
    "sender": deliveries.account("ada"),
    "is_pull": True,
}
CREATED = {"sha": ONE, "ref": "refs/heads/task/parser", "ref_type": "branch", "repository": deliveries.repository()}


@pytest.mark.parametrize(
    ("event", "event_type", "body"),
    [
        ("push", "push", deliveries.push(before=TWO, after=TWO)),
        ("push", "push", deliveries.push(ref="refs/tags/v1")),
        ("push", "push", deliveries.push(ref="refs/tags/v1", after=NONE)),
        ("push", "push", deliveries.push(after=NONE)),
        ("push", "push", deliveries.push(deleted=True)),
        ("push", "push", deliveries.push(ref="task/parser")),
        ("push", "push", {**CREATED, "before": ONE, "after": TWO}),
        ("push", "push", PULL),
        ("push", "push", ISSUE),
        ("push", "issues", PUSH),
        ("push", "push", deliveries.push(after=None)),
        ("push", "push", deliveries.push(after="HEAD")),
        ("push", "push", deliveries.push(repository=None)),
        ("create", "create", CREATED),
        ("delete", "delete", {**CREATED, "pusher_type": "user"}),
        ("issue_comment", "pull_request_comment", COMMENT),
        ("issue_comment", "issue_comment", {**COMMENT, "action": "edited"}),
        ("pull_request", "pull_request_comment", {**COMMENT, "action": "edited"}),
        ("pull_request_comment", "pull_request_comment", COMMENT),
        ("pull_request_comment", "pull_request_comment", {**COMMENT, "action": "reviewed"}),
        ("issues", "issue_comment", {**COMMENT, "action": "edited"}),
        ("issues", "issues", {**COMMENT, "action": "edited", "pull_request": None}),
        ("issues", "issues", PULL),
        ("issues", "issues", PUSH),
        ("issues", "issues", deliveries.issue_event("deleted")),
        ("issues", "issues", deliveries.issue_event("opened", number=6)),
        ("issues", "issues", deliveries.issue_event("opened", issue=deliveries.issue(pull_request={}))),
        ("pull_request", "pull_request", ISSUE),
        ("pull_request", "pull_request", PUSH),
        ("pull_request", "push", PULL),
        ("pull_request", "pull_request", deliveries.pull_event("invented")),
        ("pull_request", "pull_request", deliveries.pull_event("opened", number=4)),
        ("pull_request", "pull_request", deliveries.pull_event("opened", repository=deliveries.repository("a/b"))),
        ("pull_request", "pull_request", deliveries.pull_event("opened", pull_request=None)),
        ("pull_request_rejected", REJECTED, PULL),
        ("pull_request_rejected", REJECTED, deliveries.review_event("invented")),
        ("pull_request_rejected", REJECTED, deliveries.review_event(REJECTED, review=None)),
        ("pull_request_review", "", github_review()),
        ("pull_request_review_comment", "", {**COMMENT, "action": "created"}),
        ("ping", "", {"zen": "Keep it logically awesome."}),
        ("", "", PULL),
        ("pull_request", "pull_request", None),
        ("pull_request", "pull_request", []),
        ("pull_request", "pull_request", {}),
        ("push", "push", "ref"),
    ],
)
def test_nothing_follows_from_anything_else(event: str, event_type: str, body: object) -> None:
    hint = read(event, body, event_type=event_type)
    assert isinstance(hint, Nothing)
    assert hint.why.isprintable()


def headers(*prefixes: str, event: str = "pull_request", event_type: str = "pull_request_sync") -> dict[str, str]:
    both = {f"X-{prefix}-Event-Type": event_type for prefix in prefixes if prefix != "GitHub"}
    return {
        f"X-{prefix}-{what}": value for prefix in prefixes for what, value in (("Delivery", "1-2"), ("Event", event))
    } | both


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (headers("GitHub", "Gogs", "Gitea", "Forgejo"), Origin("forgejo", "pull_request", "pull_request_sync", "1-2")),
        (headers("GitHub", "Gogs", "Gitea"), Origin("gitea", "pull_request", "pull_request_sync", "1-2")),
        (headers("Gogs"), Origin("gitea", "pull_request", "pull_request_sync", "1-2")),
        (headers("GitHub"), Origin("github", "pull_request", "", "1-2")),
        ({"X-GITEA-EVENT": " push ", "x-gitea-event-type": "push"}, Origin("gitea", "push", "push", "")),
        ({"X-Forgejo-Event": "", "X-Gitea-Event": "push"}, Origin("gitea", "push", "", "")),
        ({"X-Forgejo-Delivery": "1-2", "Content-Type": "application/json"}, Origin("forgejo", "", "", "")),
        ({}, Origin("forgejo", "", "", "")),
    ],
)
def test_the_forge_is_told_by_its_own_header_first(sent: dict[str, str], expected: Origin) -> None:
    assert expected == payloads.detect(sent)
    assert expected == payloads.detect({name.upper(): value for name, value in sent.items()})


KINDS_OF_HINTS = {
    "issue_opened": IssueNews,
    "issue_label_updated": IssueNews,
    "push_branch": Pushed,
    "comment": Nothing,
    "pr_other": Nothing,
    "branch_deleted": Nothing,
}
VERDICTS = {REJECTED: Verdict.CHANGES_REQUESTED, APPROVED: Verdict.APPROVED}


def recorded() -> Iterator[tuple[dict[str, Any], object]]:
    if not FIXTURES.is_dir():
        pytest.skip("the recorded deliveries are not here")
    for entry in json.loads((FIXTURES / "manifest.json").read_bytes())["entries"]:
        yield entry, json.loads((FIXTURES / entry["file"]).read_bytes())


def test_every_recorded_delivery_is_what_its_manifest_says() -> None:
    for entry, body in recorded():
        hint = payloads.read(entry["event"], entry["event_type"] or "", body, entry["forge"])
        expected, says = entry["expected"]["kind"], entry["expected"]["identity"]
        match hint:
            case PullNews():
                assert (hint.repository, hint.by) == (says["repository"], says["sender"])
                assert (hint.review.verdict if hint.review else None) == VERDICTS.get(says.get("review_type"))
            case Pushed():
                told = (hint.repository, f"refs/heads/{hint.branch}", hint.after, hint.by)
                assert told == (says["repository"], says["ref"], says["after"], says["sender"])
            case IssueNews():
                assert (hint.issue.repository, hint.by) == (says["repository"], says["sender"])
        assert isinstance(hint, KINDS_OF_HINTS.get(expected, PullNews)), entry["file"]


def test_the_recorded_life_of_a_pull_request_is_read_from_its_headers_and_bodies() -> None:
    if not FIXTURES.is_dir():
        pytest.skip("the recorded deliveries are not here")
    told = []
    for line in (FIXTURES / "sequence_full_pr_lifecycle.jsonl").read_bytes().splitlines():
        sent = json.loads(line)
        raw = base64.b64decode(sent["body_b64"])
        if raw.startswith(b"{"):
            origin = payloads.detect(sent["headers"])
            told.append(payloads.read(origin.event, origin.event_type, json.loads(raw), origin.kind))
    pulls = [hint for hint in told if isinstance(hint, PullNews) and hint.pull.number == 3]
    assert {hint.pull.branch for hint in pulls} == {"task/1-add-json-parser"}
    said = [hint.review.verdict for hint in pulls if hint.review]
    assert said == [Verdict.COMMENTED, Verdict.CHANGES_REQUESTED, Verdict.APPROVED]
    assert pulls[-1].pull.state == "merged"
