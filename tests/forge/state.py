"""What the test forge holds: accounts, repositories, issues, pull requests, reviews, statuses, hooks."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from tests.forge.bare import Bare

Permission = Literal["none", "read", "write", "admin", "owner"]
LEVELS: tuple[Permission, ...] = ("none", "read", "write", "admin", "owner")


class Refused(Exception):
    """What the forge answers instead of doing it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(kw_only=True)
class User:
    """An account; its token lets it in."""

    id: int
    login: str
    token: str
    admin: bool = False


@dataclass(kw_only=True)
class Label:
    id: int
    name: str


@dataclass(kw_only=True)
class Comment:
    id: int
    author: User
    body: str
    at: datetime


@dataclass(kw_only=True)
class Inline:
    """An inline comment of a review: `line` of the new file."""

    id: int
    path: str
    line: int
    body: str
    hunk: str


@dataclass(kw_only=True)
class Review:
    """One review; `state` is the forge's word."""

    id: int
    author: User
    state: str
    body: str
    commit: str
    at: datetime
    comments: list[Inline] = field(default_factory=list)
    dismissed: bool = False


@dataclass(kw_only=True)
class Issue:
    """An issue or, with `pull`, the conversation of a pull request: both share one counter."""

    id: int
    number: int
    title: str
    body: str
    author: User
    created_at: datetime
    updated_at: datetime
    labels: list[Label] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    state: Literal["open", "closed"] = "open"
    closed_at: datetime | None = None
    pull: "Pull | None" = None


@dataclass(kw_only=True)
class Pull:
    """What a pull request has beyond its conversation. `from_fork`: its head is in a fork, `fork_gone` or not."""

    id: int
    branch: str
    base: str
    head_sha: str
    from_fork: bool = False
    fork_gone: bool = False
    merged_by: User | None = None
    merged_at: datetime | None = None
    merge_commit: str | None = None
    merge_base: str = ""
    reviews: list[Review] = field(default_factory=list)

    @property
    def merged(self) -> bool:
        return self.merged_at is not None


@dataclass(kw_only=True)
class Status:
    id: int
    sha: str
    state: str
    context: str
    description: str
    target_url: str
    author: User
    at: datetime


@dataclass(kw_only=True)
class Hook:
    """A webhook; `events` as they were asked for."""

    id: int
    type: str
    url: str
    secret: str
    content_type: str
    events: list[str]
    active: bool
    branch_filter: str
    authorization: str
    at: datetime


@dataclass(kw_only=True)
class Repository:
    """A repository with its bare git repository; `heads` is what the forge saw of its branches last."""

    id: int
    owner: User
    name: str
    bare: Bare
    private: bool
    created_at: datetime
    permissions: dict[str, Permission] = field(default_factory=dict)
    issues: dict[int, Issue] = field(default_factory=dict)
    labels: list[Label] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    hooks: list[Hook] = field(default_factory=list)
    heads: dict[str, str] = field(default_factory=dict)
    archived: bool = False

    @property
    def full_name(self) -> str:
        return f"{self.owner.login}/{self.name}"

    @property
    def default_branch(self) -> str:
        return "main"

    def permission(self, user: User | None) -> Permission:
        """What somebody may do here."""
        if user is None:
            return "none" if self.private else "read"
        if user.admin or user is self.owner:
            return "owner" if user is self.owner else "admin"
        return self.permissions.get(user.login, "none" if self.private else "read")

    def may(self, user: User | None, level: Permission) -> bool:
        return LEVELS.index(self.permission(user)) >= LEVELS.index(level)

    def conversation(self, number: int) -> Issue:
        """An issue or pull request by its number."""
        found = self.issues.get(number)
        if found is None:
            raise Refused(404, "The target couldn't be found.")
        return found

    def pull(self, number: int) -> tuple[Issue, Pull]:
        """A pull request by its number."""
        found = self.conversation(number)
        if found.pull is None:
            raise Refused(404, "The target couldn't be found.")
        return found, found.pull

    def pulls(self) -> list[tuple[Issue, Pull]]:
        """All pull requests, newest first."""
        return [(issue, issue.pull) for _, issue in sorted(self.issues.items(), reverse=True) if issue.pull is not None]

    def review(self, number: int, review_id: int) -> Review:
        _, pull = self.pull(number)
        for review in pull.reviews:
            if review.id == review_id:
                return review
        raise Refused(404, "The target couldn't be found.")
