"""Speaks REST with one forge: Forgejo, Gitea or GitHub. The only door to it.

It decides nothing and keeps nothing; its token stands in no message.
"""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from reconciler.core.desired import Forge
from reconciler.core.issues import Issue
from reconciler.core.observed import Review
from reconciler.core.pulls import Pull
from reconciler.forge import hooks, paging, reading
from reconciler.forge.answers import Answer, ForgeRefused, ForgeUnreachable
from reconciler.forge.fields import Unreadable, fields
from reconciler.forge.hooks import Hook
from reconciler.forge.pullrequests import PullRequests, place
from reconciler.forge.rest import Call, Patience, Rest

__all__ = ["Client", "ForgeRefused", "ForgeUnreachable", "Hook", "NewPull", "Status"]

CONTEXT = "reconciler"
"""Under this name the status of a commit stands; the newest of one name counts."""

MOST_DESCRIPTION = 140
MOST_TITLE = 250
MOST_TEXT = 60_000
"""Characters that every forge takes of a status, a title, a text."""

WRITING = frozenset({"write", "maintain", "admin", "owner"})

_GONE = frozenset({404, 410})
_TAKEN = frozenset({409, 422})
"""How forges say that there is an open pull request for the branch already, among other things."""

_MARK = re.compile(r"<!--(?=\s*reconciler:)", re.IGNORECASE)
_BRANCH_ADVICE = (
    "see that the branch and its base are pushed and differ, that the token has the scope write:repository, "
    "and that its account may write there"
)
_PERMISSION_ADVICE = (
    "only an administrator of the repository may ask that: make the token's account one, or list whose issues count "
    "in forge.authors"
)
_STATUS_ADVICE = "see that the commit is pushed, and that the token has the scope write:repository"


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


class Client:
    """One forge and one account on it. Raises ForgeUnreachable and ForgeRefused, nothing else."""

    def __init__(self, forge: Forge, token: str, *, patience: Patience | None = None) -> None:
        """Connect when first asked."""
        self._forge = forge
        self._rest = Rest(forge, token, patience or Patience())
        self._pulls = PullRequests(forge, self._rest)

    async def login(self) -> str:
        """The account that the token belongs to."""
        doing = "say whose token this is"
        answer = self._rest.must(await self._rest.ask(Call(path=("user",))), doing)
        name = answer.fields.get("login")
        if not isinstance(name, str) or not name:
            raise self._rest.unreadable(doing, "it names no account")
        return name

    async def pull(self, repository: str, number: int) -> Pull | None:
        """One pull request; `None` where there is none with this number."""
        doing = f"show pull request {number} of {repository}"
        answer = await self._rest.ask(Call(path=(*place(repository), "pulls", number)))
        return None if self._gone(answer, doing) else self._pulls.read(answer, repository, doing)

    async def pulls(self, repository: str, *, since: datetime | None = None) -> list[Pull]:
        """The pull requests of a repository in every state, last updated first, none updated before `since`."""
        return await self._pulls.since(repository, since)

    async def open_pull(self, new: NewPull) -> Pull:
        """Open a pull request, or take the open one that there is for the same branch."""
        doing = f"open a pull request for {new.branch} in {new.repository}"
        found = await self._pulls.open_one(new.repository, new.branch)
        if found is not None:
            return found
        base = new.base or await self._told(new.repository, "default_branch")
        body = {"head": new.branch, "base": base, "title": new.title[:MOST_TITLE], "body": new.body[:MOST_TEXT]}
        answer = await self._rest.ask(Call(method="POST", path=(*place(new.repository), "pulls"), body=body))
        if answer.status in _TAKEN:
            found = await self._pulls.open_one(new.repository, new.branch)
            if found is not None:
                return found
        advice = _BRANCH_ADVICE if answer.status in {403, 404, *_TAKEN} else ""
        return self._pulls.read(self._rest.must(answer, doing, advice), new.repository, doing)

    async def reviews(self, repository: str, number: int) -> tuple[Review, ...]:
        """The submitted reviews of a pull request, oldest first, with inline comments; dismissed ones left out."""
        return await self._pulls.reviews(repository, number)

    async def comment(self, repository: str, number: int, *, marker: str, text: str) -> None:
        """Comment on a pull request or issue, unless a comment of our own with this hidden marker stands there."""
        doing = f"comment on {repository}#{number}"
        path = (*place(repository), "issues", number, "comments")
        mark = f"<!-- reconciler: {marker} -->"
        entries = await paging.listed(self._rest, Call(path=path), f"list the comments of {repository}#{number}")
        marked = [author for entry in entries if (author := _marked(entry, mark)) is not None]
        if marked and await self.login() in marked:
            return
        body = f"{_MARK.sub('<!-- not', text[:MOST_TEXT])}\n\n{mark}"
        self._rest.must(await self._rest.ask(Call(method="POST", path=path, body={"body": body})), doing)

    async def set_status(self, repository: str, sha: str, status: Status) -> None:
        """Say how a commit stands."""
        doing = f"set the status of commit {sha[:12]} in {repository}"
        body = {"state": status.state, "context": CONTEXT, "description": status.description[:MOST_DESCRIPTION]}
        if status.target_url is not None:
            body["target_url"] = status.target_url
        path = (*place(repository), "statuses", sha)
        answer = await self._rest.ask(Call(method="POST", path=path, body=body, takes=frozenset({500})))
        if answer.status == 500:  # noqa: PLR2004 - what older servers say of a commit that they do not have
            self._rest.must(await self._rest.ask(Call(path=place(repository))), doing)
        unauthorized = answer.status == 401  # noqa: PLR2004 - that is about the token alone
        self._rest.must(answer, doing, "" if unauthorized else _STATUS_ADVICE)

    async def issue(self, repository: str, number: int) -> Issue | None:
        """One issue; `None` where there is none with this number."""
        doing = f"show issue {number} of {repository}"
        answer = await self._rest.ask(Call(path=(*place(repository), "issues", number)))
        if self._gone(answer, doing):
            return None
        try:
            return None if reading.is_pull(answer.data) else reading.issue(answer.data, self._forge.kind, repository)
        except Unreadable as error:
            raise self._rest.unreadable(doing, str(error)) from error

    async def issues(self, repository: str, label: str) -> list[Issue]:
        """The open issues with a label, pull requests left out."""
        named = {"labels": label} if "," not in label else {}
        call = Call(path=(*place(repository), "issues"), query={"state": "open", "type": "issues", **named})
        entries = await paging.listed(self._rest, call, f"list the issues of {repository}")
        found = paging.readable(entries, lambda one: reading.issue(one, self._forge.kind, repository))
        return [one for one in found if one.open and label in one.labels]

    async def may_write(self, repository: str, login: str) -> bool:
        """Whether an account may write to a repository."""
        owner = repository.partition("/")[0]
        if not login or login.casefold() == owner.casefold():
            return bool(login)
        path = (*place(repository), "collaborators", login)
        answer = await self._rest.ask(Call(path=(*path, "permission")))
        if answer.status == 404:  # noqa: PLR2004 - said by a server that knows the question, or does not
            if answer.spoken:
                return False
            return (await self._rest.ask(Call(path=path))).good
        advice = _PERMISSION_ADVICE if answer.status == 403 else ""  # noqa: PLR2004 - Forbidden
        said = self._rest.must(answer, f"say what {login} may do in {repository}", advice).fields
        return any(isinstance(role := said.get(key), str) and role in WRITING for key in ("permission", "role_name"))

    async def clone_url(self, repository: str) -> str:
        """The URL that the forge gives for cloning a repository over HTTP."""
        return await self._told(repository, "clone_url")

    async def hooks(self, repository: str) -> list[Hook]:
        """The webhooks of a repository."""
        call = Call(path=(*place(repository), "hooks"))
        entries = await paging.listed(self._rest, call, f"list the webhooks of {repository}")
        return paging.readable(entries, hooks.read)

    async def create_hook(self, repository: str, url: str, secret: str) -> Hook:
        """Make a webhook that tells this program all that it wants to know."""
        doing = f"make a webhook in {repository}"
        call = Call(method="POST", path=(*place(repository), "hooks"), body=hooks.new(self._forge, url, secret))
        answer = await self._rest.ask(call)
        if answer.status == 422 and self._forge.kind == "forgejo":  # noqa: PLR2004 - older ones know gitea's name only
            older = hooks.new(self._forge, url, secret, named="gitea")
            answer = await self._rest.ask(replace(call, body=older))
        return self._hook(self._rest.must(answer, doing), doing)

    async def repair_hook(self, repository: str, hook: Hook) -> Hook:
        """Give a webhook the events, content type and activity that it lacks; its secret stays what it is."""
        doing = f"mend webhook {hook.id} of {repository}"
        path = (*place(repository), "hooks", hook.id)
        shown = self._rest.must(await self._rest.ask(Call(path=path)), doing)
        if self._forge.kind == "github" and hook.content_type != "json":
            config = Call(method="PATCH", path=(*path, "config"), body={"content_type": "json"})
            self._rest.must(await self._rest.ask(config), doing)
        body = hooks.repaired(self._forge, hook, shown.fields)
        return self._hook(
            self._rest.must(await self._rest.ask(Call(method="PATCH", path=path, body=body)), doing), doing
        )

    async def delete_hook(self, repository: str, hook: Hook) -> None:
        """Delete a webhook."""
        doing = f"delete webhook {hook.id} of {repository}"
        answer = await self._rest.ask(Call(method="DELETE", path=(*place(repository), "hooks", hook.id)))
        if not self._gone(answer, doing):
            self._rest.must(answer, doing)

    async def test_hook(self, repository: str, hook: Hook) -> None:
        """Have the forge send a test delivery."""
        path = (*place(repository), "hooks", hook.id, "tests")
        self._rest.must(await self._rest.ask(Call(method="POST", path=path)), f"test webhook {hook.id} of {repository}")

    async def close(self) -> None:
        """Let go of the connections."""
        await self._rest.close()

    def _gone(self, answer: Answer, doing: str) -> bool:
        """Whether the forge says that there is none; the 404 of something before it says nothing."""
        if answer.status in _GONE and not answer.spoken:
            raise self._rest.unreadable(doing, f"{answer.status}, and not in a forge's words")
        if answer.status not in _GONE:
            self._rest.must(answer, doing)
        return answer.status in _GONE

    def _hook(self, answer: Answer, doing: str) -> Hook:
        try:
            return hooks.read(answer.data)
        except Unreadable as error:
            raise self._rest.unreadable(doing, str(error)) from error

    async def _told(self, repository: str, key: str) -> str:
        """One text that the forge tells of a repository."""
        doing = f"show the repository {repository}"
        answer = self._rest.must(await self._rest.ask(Call(path=place(repository))), doing)
        try:
            text = fields(answer.data, "repository").name(key)
        except Unreadable as error:
            raise self._rest.unreadable(doing, str(error)) from error
        if not text:
            raise self._rest.unreadable(doing, f"repository.{key} is missing")
        return text


def _marked(entry: object, mark: str) -> str | None:
    """Whose comment it is, where it has the mark on a line of its own."""
    body = entry.get("body") if isinstance(entry, dict) else None
    user = entry.get("user") if isinstance(entry, dict) else None
    if not isinstance(body, str) or not isinstance(user, dict) or mark not in map(str.strip, body.splitlines()):
        return None
    login = user.get("login")
    return login if isinstance(login, str) else None
