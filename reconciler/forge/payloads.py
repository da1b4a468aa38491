"""What a webhook's delivery is about, from its event's name and its body: one table, the same for all forges.

It believes the signed body and no header: a body that does not fit its event is nothing. It never raises.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

from reconciler.core import twins
from reconciler.core.issues import Issue
from reconciler.core.observed import Review
from reconciler.core.pulls import Pull
from reconciler.core.terms import Verdict
from reconciler.forge import reading
from reconciler.forge.fields import MOST_LINE, Fields, Unreadable, fields
from reconciler.forge.reading import MOST_BODY_BYTES, ForgeKind


@dataclass(frozen=True, slots=True, kw_only=True)
class PullNews:
    """A pull request as it was when the delivery was made, and the review that caused it, where one did.

    `reopened`, `retitled`: a person did so, as the forge says in so many words.
    """

    repository: str
    pull: Pull
    by: str
    reopened: bool = False
    retitled: bool = False
    review: Review | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """A branch has a new head."""

    repository: str
    branch: str
    after: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueNews:
    """An issue as it was when the delivery was made."""

    issue: Issue
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """Nothing follows from the delivery; `why` is one line for the log."""

    why: str


Hint = PullNews | Pushed | IssueNews | Nothing


class Origin(NamedTuple):
    """What the headers say of a delivery; empty where they do not. None of it is signed."""

    kind: ForgeKind
    event: str
    event_type: str
    delivery: str


def detect(headers: Mapping[str, str]) -> Origin:
    """Which forge sent it, and what it calls it: each sends the names of those that it descends from, too."""
    lower = {name.lower(): value.strip()[:MOST_LINE] for name, value in headers.items()}
    for kind, prefix in _PREFIXES:
        if event := lower.get(f"x-{prefix}-event"):
            named = (lower.get(f"x-{prefix}-{what}", "") for what in ("event-type", "delivery"))
            return Origin(kind, event, *named)
    return Origin("forgejo", "", "", "")


def read(event: str, event_type: str, payload: object, kind: ForgeKind) -> Hint:
    """What the delivery is about."""
    actions = _EVENTS.get(event)
    if actions is None:
        return Nothing(why="no event that anything follows from")
    if event_type and _family(event_type) != _family(event):
        return Nothing(why=f"the headers disagree: {event} is of another type")
    try:
        body = fields(payload, "body")
        reader = actions.get(body.name("action"))
        return reader(body, kind) if reader is not None else Nothing(why=f"nothing follows from this action of {event}")
    except Unreadable as error:
        return Nothing(why=f"the body does not fit {event}: {error}")


def _pull_news(body: Fields, kind: ForgeKind) -> Hint:
    _without(body, "comment", "issue", "ref")
    repository = reading.full_name(body.inside("repository"))
    pull = reading.pull(body.inside("pull_request").data, kind, repository)
    _same_number(body, pull.number)
    changes = body.data.get("changes")
    return PullNews(
        repository=repository,
        pull=pull,
        by=reading.login(body, "sender"),
        reopened=body.name("action") == "reopened",
        retitled=isinstance(changes, dict) and "title" in changes,
    )


def _reviewed(body: Fields, kind: ForgeKind) -> Hint:
    """A review of Forgejo or Gitea, whatever the event is called: its type stands in the body."""
    said = body.inside("review")
    verdict = _REVIEW_TYPES.get(said.name("type"))
    if verdict is None:
        raise Unreadable("body.review.type is none that is known")
    news = _pull_news(body, kind)
    text = said.prose("content", MOST_BODY_BYTES)
    if not isinstance(news, PullNews) or (verdict is Verdict.COMMENTED and not text.strip()):
        return news
    pull = body.inside("pull_request")
    submitted_at = news.pull.updated_at or pull.moment("created_at") or _UNDATED
    known = (
        news.repository.casefold(),
        news.pull.number,
        news.by,
        verdict,
        text,
        news.pull.head_sha,
        str(submitted_at),
    )
    review = Review(
        id=f"{twins.MADE_UP}{hashlib.sha256(json.dumps(known).encode()).hexdigest()[:24]}",
        reviewer=news.by,
        verdict=verdict,
        submitted_at=submitted_at,
        body=text,
        head_sha=news.pull.head_sha,
    )
    return replace(news, review=review)


def _submitted(body: Fields, kind: ForgeKind) -> Hint:
    """A review of GitHub, with an id of its own; Forgejo and Gitea never send such an event."""
    if kind != "github":
        return Nothing(why=f"{kind} sends no reviews of this kind")
    news = _pull_news(body, kind)
    review = reading.review(body.inside("review").data, kind)
    return replace(news, review=review) if isinstance(news, PullNews) else news


def _issue_news(body: Fields, kind: ForgeKind) -> Hint:
    _without(body, "comment", "pull_request", "review", "ref")
    repository = body.inside("repository")
    inside = body.inside("issue")
    if reading.is_pull(inside.data):
        return Nothing(why="the issue is a pull request")
    issue = reading.issue(inside.data, kind, reading.full_name(repository))
    _same_number(body, issue.number)
    vouched = _may_write(repository) if kind != "github" else inside.name("author_association") in _INSIDERS
    return IssueNews(
        issue=replace(issue, clone_url=_clone_url(repository), vouched=vouched), by=reading.login(body, "sender")
    )


def _pushed(body: Fields, _kind: ForgeKind) -> Hint:
    _without(body, "issue", "pull_request", "comment", "review", "ref_type")
    ref, before, after = body.name("ref"), reading.object_id(body, "before"), reading.object_id(body, "after")
    if before is None or after is None:
        raise Unreadable("body.before or body.after is missing")
    if before == after:
        return Nothing(why="a test delivery, or a push of nothing")
    if body.flag("deleted") or not after.strip("0"):
        return Nothing(why="a branch or tag was deleted")
    if not ref.startswith(_BRANCHES):
        return Nothing(why="a push to no branch")
    by = reading.login(body, "sender" if body.inside_if_any("sender") else "pusher")
    repository = reading.full_name(body.inside("repository"))
    return Pushed(repository=repository, branch=ref.removeprefix(_BRANCHES), after=after, by=by)


def _without(body: Fields, *keys: str) -> None:
    """Refuse a body that is another event's."""
    for key in keys:
        if body.data.get(key) is not None:
            raise Unreadable(f"body.{key} belongs to another event")


def _same_number(body: Fields, number: int) -> None:
    if body.number_if_any("number") not in {None, number}:
        raise Unreadable("body.number is that of something else")


def _clone_url(repository: Fields) -> str | None:
    """The URL for cloning over HTTP; none where the forge shows another one: the issue is the same without it."""
    try:
        return repository.url("clone_url") if repository.name("clone_url") else None
    except Unreadable:
        return None


def _may_write(repository: Fields) -> bool:
    """Whether the forge says so of the one who caused the delivery."""
    permissions = repository.inside_if_any("permissions")
    return permissions is not None and bool(permissions.flag("push") or permissions.flag("admin"))


def _family(name: str) -> str:
    """What an event or its type is about: on a pull request a comment's type says so and its event does not."""
    if name == "issue_comment" or name.startswith("pull_request"):
        return "pull_request"
    return name.partition("_")[0].removesuffix("s")


Reader = Callable[[Fields, ForgeKind], Hint]

_PREFIXES: tuple[tuple[ForgeKind, str], ...] = (
    ("forgejo", "forgejo"),
    ("gitea", "gitea"),
    ("gitea", "gogs"),
    ("github", "github"),
)
_BRANCHES = "refs/heads/"
_UNDATED = datetime(1970, 1, 1, tzinfo=UTC)
_INSIDERS = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
_REVIEW_TYPES = {
    "pull_request_review_approved": Verdict.APPROVED,
    "pull_request_review_rejected": Verdict.CHANGES_REQUESTED,
    "pull_request_review_comment": Verdict.COMMENTED,
    "pull_request_comment": Verdict.COMMENTED,
}
_PULL_ACTIONS = (
    *("opened", "reopened", "closed", "edited", "synchronized", "synchronize"),
    *("label_updated", "label_cleared", "labeled", "unlabeled", "converted_to_draft", "ready_for_review"),
    *("assigned", "unassigned", "milestoned", "demilestoned", "review_requested", "review_request_removed"),
)
_ISSUE_ACTIONS = (
    *("opened", "reopened", "closed", "edited", "label_updated", "label_cleared", "labeled", "unlabeled"),
    *("assigned", "unassigned", "milestoned", "demilestoned"),
)
_EVENTS: Mapping[str, Mapping[str, Reader]] = {
    "pull_request": {**dict.fromkeys(_PULL_ACTIONS, _pull_news), "reviewed": _reviewed},
    "pull_request_approved": {"reviewed": _reviewed},
    "pull_request_rejected": {"reviewed": _reviewed},
    "pull_request_comment": {"reviewed": _reviewed},
    "pull_request_review": {"submitted": _submitted, "edited": _pull_news, "dismissed": _pull_news},
    "issue_comment": {"reviewed": _reviewed},
    "issues": dict.fromkeys(_ISSUE_ACTIONS, _issue_news),
    "push": {"": _pushed},
}
"""Every event and action that something follows from. A review of Forgejo or Gitea may come under any name of a pull
request's events, and on a server of before 2023 as a comment: its verdict stands in the body.
"""
