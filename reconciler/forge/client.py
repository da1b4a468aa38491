"""Speaks REST with one forge: Forgejo, Gitea or GitHub. The only door to it, and to httpx.

It decides nothing and keeps nothing; its token stands in no message.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from reconciler.core.desired import Forge
from reconciler.core.issues import Issue
from reconciler.core.observed import Review
from reconciler.core.pulls import Pull


class ForgeUnreachable(Exception):
    """The forge gave no answer in time, or asked for patience (5xx, 429): nothing is known; to be asked again."""

    def __init__(self, message: str, retry_after: timedelta | None = None) -> None:
        """Keep how long the forge wants to be left alone, where it said so."""
        super().__init__(message)
        self.retry_after = retry_after


class ForgeRefused(Exception):
    """The forge answered that it will not (4xx); `status` is the HTTP status, the message says what to do."""

    def __init__(self, message: str, status: int) -> None:
        """Keep the status beside the sentence."""
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPull:
    """A pull request to open; `base` is `None` where the repository's default branch is meant."""

    repository: str
    branch: str
    title: str
    body: str
    base: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The status of a commit, under the context `reconciler`."""

    state: Literal["pending", "success", "failure"]
    description: str
    target_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A webhook as the forge lists it; its secret is never shown."""

    id: int
    url: str
    active: bool
    events: frozenset[str]
    content_type: str


class Client:
    """One forge and one account on it. Raises ForgeUnreachable and ForgeRefused, nothing else."""

    def __init__(self, forge: Forge, token: str) -> None:
        """Connect when first asked."""
        raise NotImplementedError

    async def login(self) -> str:
        """The account that the token belongs to."""
        raise NotImplementedError

    async def pull(self, repository: str, number: int) -> Pull | None:
        """One pull request; `None` where there is none with this number."""
        raise NotImplementedError

    async def pulls(self, repository: str, *, since: datetime | None = None) -> list[Pull]:
        """The pull requests of a repository in every state, last updated first, none updated before `since`."""
        raise NotImplementedError

    async def open_pull(self, new: NewPull) -> Pull:
        """Open a pull request, or take the open one that there is for the same branch."""
        raise NotImplementedError

    async def reviews(self, repository: str, number: int) -> tuple[Review, ...]:
        """The submitted reviews of a pull request, oldest first, with inline comments; dismissed ones left out."""
        raise NotImplementedError

    async def comment(self, repository: str, number: int, *, marker: str, text: str) -> None:
        """Comment on a pull request or issue, unless a comment with this hidden marker stands there already."""
        raise NotImplementedError

    async def set_status(self, repository: str, sha: str, status: Status) -> None:
        """Say how a commit stands."""
        raise NotImplementedError

    async def issue(self, repository: str, number: int) -> Issue | None:
        """One issue; `None` where there is none with this number."""
        raise NotImplementedError

    async def issues(self, repository: str, label: str) -> list[Issue]:
        """The open issues with a label, pull requests left out."""
        raise NotImplementedError

    async def may_write(self, repository: str, login: str) -> bool:
        """Whether an account may write to a repository."""
        raise NotImplementedError

    async def clone_url(self, repository: str) -> str:
        """The URL that the forge gives for cloning a repository over HTTP."""
        raise NotImplementedError

    async def hooks(self, repository: str) -> list[Hook]:
        """The webhooks of a repository."""
        raise NotImplementedError

    async def create_hook(self, repository: str, url: str, secret: str) -> Hook:
        """Make a webhook that tells this program all that it wants to know."""
        raise NotImplementedError

    async def repair_hook(self, repository: str, hook: Hook) -> Hook:
        """Give a webhook the events, content type and activity that it lacks; its secret stays what it is."""
        raise NotImplementedError

    async def delete_hook(self, repository: str, hook: Hook) -> None:
        """Delete a webhook."""
        raise NotImplementedError

    async def test_hook(self, repository: str, hook: Hook) -> None:
        """Have the forge send a test delivery."""
        raise NotImplementedError

    async def close(self) -> None:
        """Let go of the connections."""
        raise NotImplementedError
