"""What a forge sends as JSON to values: pull requests, issues, reviews, inline comments; over REST and in webhooks.

It asks nobody, trusts no field to be there, and raises Unreadable for everything of another shape.
"""

import re
from collections.abc import Mapping
from typing import Literal

from reconciler.core.issues import Issue
from reconciler.core.observed import Comment, Review
from reconciler.core.pulls import Pull
from reconciler.core.terms import Verdict
from reconciler.forge.fields import MOST_LINE, MOST_NAME, Fields, Unreadable, fields

ForgeKind = Literal["forgejo", "gitea", "github"]

MOST_BODY_BYTES = 64 * 1024
MOST_HUNK_BYTES = 8 * 1024

NOBODY = "ghost"
"""The name that forges give to an account that is gone."""

AGIT = 1
"""The `flow` of a pull request without a branch; its label is whatever its author called it."""

_FULL_NAME = re.compile(r"[^/\s]+/[^/\s]+")
_OBJECT_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_UNFINISHED_TITLES = ("wip:", "[wip]")
_GITEA_VERDICTS = {
    "APPROVED": Verdict.APPROVED,
    "REQUEST_CHANGES": Verdict.CHANGES_REQUESTED,
    "COMMENT": Verdict.COMMENTED,
}
_GITHUB_VERDICTS = {
    "APPROVED": Verdict.APPROVED,
    "CHANGES_REQUESTED": Verdict.CHANGES_REQUESTED,
    "COMMENTED": Verdict.COMMENTED,
}
_VERDICTS: Mapping[ForgeKind, Mapping[str, Verdict]] = {
    "forgejo": _GITEA_VERDICTS,
    "gitea": _GITEA_VERDICTS,
    "github": _GITHUB_VERDICTS,
}


def pull(data: object, kind: ForgeKind, repository: str | None = None) -> Pull:
    """A pull request; `repository` is the one it belongs to, where the object itself may leave that out."""
    shown = fields(data, "pull_request")
    head, base = shown.inside("head"), shown.inside("base")
    title = shown.line("title")
    return Pull(
        repository=_repository_of(base, repository),
        number=shown.number("number"),
        url=shown.url("html_url"),
        title=title,
        state=_state(shown),
        branch=_branch(head),
        same_repository=shown.number_if_any("flow") != AGIT and _same_repository(head, base),
        draft=_draft(shown, title, kind),
        head_sha=object_id(head, "sha"),
        base=base.name("ref") or None,
        author=login(shown, "user"),
        updated_at=shown.moment("updated_at"),
    )


def issue(data: object, kind: ForgeKind, repository: str) -> Issue:
    """An issue of the repository; nothing vouches for it. A pull request among issues is Unreadable: see `is_pull`."""
    shown = fields(data, "issue")
    if is_pull(data):
        raise Unreadable(f"the issue from {kind} is a pull request")
    return Issue(
        repository=repository,
        number=shown.number("number"),
        url=shown.url("html_url"),
        title=shown.line("title"),
        body=shown.prose("body", MOST_BODY_BYTES),
        author=login(shown, "user"),
        labels=tuple(label.line("name") for label in shown.entries("labels")),
        open=_is_open(shown),
        updated_at=shown.moment("updated_at"),
    )


def is_pull(data: object) -> bool:
    """Whether an entry of a list of issues is a pull request: forges count both as one."""
    return fields(data, "issue").inside_if_any("pull_request") is not None


def review(data: object, kind: ForgeKind) -> Review | None:
    """A submitted review without its inline comments; `None` for one that says nothing, or no longer counts."""
    shown = fields(data, "review")
    verdict = _VERDICTS[kind].get(shown.line("state").upper())
    if verdict is None or shown.flag("dismissed"):
        return None
    body = shown.prose("body", MOST_BODY_BYTES)
    if verdict is Verdict.COMMENTED and not body.strip() and not _has_comments(shown, kind):
        return None
    submitted_at = shown.moment("submitted_at")
    if submitted_at is None:
        raise Unreadable("review.submitted_at is missing")
    return Review(
        id=str(shown.number("id")),
        reviewer=login(shown, "user"),
        verdict=verdict,
        submitted_at=submitted_at,
        body=body,
        head_sha=object_id(shown, "commit_id"),
    )


def comment(data: object) -> Comment:
    """An inline comment at its line in the new text, else in the old one; without a line where it is on the whole file.

    Of a long hunk the end is kept: there the comment stands. GitHub says `line`, and means something else by
    `position`; the others have `position` alone.
    """
    shown = fields(data, "comment")
    keys = ("line", "original_line")
    if not shown.data.keys() & set(keys):
        keys = ("position", "original_position")
    lines = [shown.number_if_any(key) or 0 for key in keys]
    return Comment(
        path=shown.line("path", most=MOST_NAME),
        body=shown.prose("body", MOST_BODY_BYTES),
        line=next((line for line in lines if line > 0), None),
        hunk=shown.ending("diff_hunk", MOST_HUNK_BYTES) or None,
    )


def full_name(shown: Fields) -> str:
    """A repository's `owner/name`."""
    name = shown.name("full_name")
    if not _FULL_NAME.fullmatch(name):
        raise Unreadable(f"{shown.where}.full_name is not owner/name")
    return name


def login(shown: Fields, key: str) -> str:
    """The name of the account under a key."""
    account = shown.inside_if_any(key)
    name = account.name("login") if account is not None else ""
    return name[:MOST_LINE] or NOBODY


def object_id(shown: Fields, key: str) -> str | None:
    """A commit's id; `None` where it is missing."""
    text = shown.name(key).lower()
    if text and not _OBJECT_ID.fullmatch(text):
        raise Unreadable(f"{shown.where}.{key} is no object id of 40 or 64 hexadecimal digits")
    return text or None


def _repository_of(base: Fields, repository: str | None) -> str:
    inside = base.inside_if_any("repo")
    name = full_name(inside) if inside is not None else repository
    if name is None:
        raise Unreadable("pull_request.base.repo is missing")
    if repository is not None and repository.casefold() != name.casefold():
        raise Unreadable("pull_request.base.repo is another repository than the one that speaks")
    return name


def _state(shown: Fields) -> Literal["open", "closed", "merged"]:
    """Merged is what the forge calls so: the list of pull requests of GitHub has the time alone."""
    merged = shown.flag("merged")
    if merged or (merged is None and shown.moment("merged_at") is not None):
        return "merged"
    return "open" if _is_open(shown) else "closed"


def _is_open(shown: Fields) -> bool:
    state = shown.name("state")
    if state not in {"open", "closed"}:
        raise Unreadable(f"{shown.where}.state is neither open nor closed")
    return state == "open"


def _branch(head: Fields) -> str:
    """The name without an owner before it; empty where the forge knows none any more: no branch is called so."""
    name = (head.name("label") or head.name("ref")).rpartition(":")[2].removeprefix("refs/heads/")
    return "" if name.startswith("refs/") else name


def _same_repository(head: Fields, base: Fields) -> bool:
    """An id of 0 or less is that of no repository: the head's is gone."""
    one, other = _repository_id(head), _repository_id(base)
    if one is not None and other is not None:
        return one == other and one > 0
    names = [where.inside_if_any("repo") for where in (head, base)]
    first, second = (full_name(name).casefold() if name is not None else None for name in names)
    return first is not None and first == second


def _repository_id(side: Fields) -> int | None:
    stated = side.number_if_any("repo_id")
    repository = side.inside_if_any("repo")
    return stated if stated is not None or repository is None else repository.number_if_any("id")


def _draft(shown: Fields, title: str, kind: ForgeKind) -> bool:
    """Older servers have no such field; a title that says so stops the merge there, whatever the field."""
    stated = shown.flag("draft")
    if stated is not None and (stated or kind == "github"):
        return stated
    return title.casefold().startswith(_UNFINISHED_TITLES)


def _has_comments(shown: Fields, kind: ForgeKind) -> bool:
    """GitHub does not count them, and makes no comment review without one."""
    return kind == "github" or bool(shown.number_if_any("comments_count"))
