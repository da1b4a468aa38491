"""Webhooks of a repository: what one of ours must be, what one lacks, and how a forge is told so.

It never sees a secret that a forge keeps, and it changes nothing that it was not asked to.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.core.desired import Forge
from reconciler.forge.fields import Unreadable, fields

_WANTED: Mapping[str, tuple[str, ...]] = {
    "github": ("push", "issues", "pull_request", "pull_request_review"),
    "gitea": (
        "push",
        "issues",
        "issue_label",
        "pull_request",
        "pull_request_sync",
        "pull_request_review",
        "pull_request_comment",
    ),
}
"""On Forgejo and Gitea the broad names bring the narrow ones along; those are for servers that forget that."""

_ALSO: Mapping[str, frozenset[str]] = {
    "pull_request_review": frozenset({"pull_request_review_approved", "pull_request_review_rejected"}),
    "pull_request_comment": frozenset({"pull_request_review_comment"}),
}
"""What some versions list in place of a name that they were given."""

_WHAT: Mapping[str, str] = {
    "push": "pushes",
    "issues": "issues",
    "issue_label": "labels of issues",
    "pull_request": "pull requests",
    "pull_request_sync": "new commits of pull requests",
    "pull_request_review": "reviews",
    "pull_request_comment": "comments of reviews",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A webhook as the forge lists it; its secret is never shown."""

    id: int
    url: str
    active: bool
    events: frozenset[str]
    content_type: str


def read(data: object) -> Hook:
    """A webhook from what a forge shows of it; raises Unreadable."""
    shown = fields(data, "hook")
    config = shown.inside("config")
    events = shown.data.get("events")
    if events is not None and not isinstance(events, list):
        raise Unreadable("hook.events is no list")
    return Hook(
        id=shown.number("id"),
        url=config.name("url"),
        active=shown.flag("active") is True,
        events=frozenset(one for one in events or () if isinstance(one, str)),
        content_type=config.name("content_type"),
    )


def lacks(hook: Hook, kind: str) -> tuple[str, ...]:
    """What keeps a webhook from telling all that is to be known, each in a few words; nothing where it is right."""
    missing = [_WHAT[name] for name in _wanted(kind) if not _has(hook.events, name)]
    return (
        *(() if hook.active else ("it is not active",)),
        *(() if hook.content_type == "json" else (f"it sends {hook.content_type or 'no content type'}, not json",)),
        *((f"it does not tell of {', '.join(missing)}",) if missing else ()),
    )


def new(forge: Forge, url: str, secret: str, *, named: str | None = None) -> Mapping[str, object]:
    """The body that makes a webhook; `named` is a type for servers that do not know their own."""
    config = {"url": url, "content_type": "json", "secret": secret}
    if forge.kind == "github":
        more = {"name": "web", "config": {**config, "insecure_ssl": "0"}}
    else:
        more = {"type": named or forge.kind, "branch_filter": "*", "config": config}
    return {**more, "active": True, "events": list(_wanted(forge.kind))}


def repaired(forge: Forge, hook: Hook, shown: Mapping[str, object]) -> Mapping[str, object]:
    """The body that mends a webhook: everything is said, since what is left out is reset or cleared.

    `shown` is the webhook as the forge shows it now. GitHub drops a secret when told a `config`: it gets none here.
    """
    body: dict[str, object] = {"active": True, "events": list(_wanted(forge.kind))}
    if forge.kind == "github":
        return body
    header = shown.get("authorization_header")
    kept = {"authorization_header": header} if isinstance(header, str) and header else {}
    return {**body, **kept, "branch_filter": "*", "config": {"url": hook.url, "content_type": "json"}}


def _wanted(kind: str) -> tuple[str, ...]:
    return _WANTED["github" if kind == "github" else "gitea"]


def _has(events: frozenset[str], name: str) -> bool:
    return name in events or "*" in events or (name in _ALSO and _ALSO[name] <= events)
