"""What can be done on the test forge, by people at its pages or over REST: all of it tells hooks."""

import itertools
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from tests.forge.bare import Bare
from tests.forge.shapes import Json, Shapes, is_draft
from tests.forge.state import (
    Comment,
    Hook,
    Inline,
    Issue,
    Label,
    Permission,
    Pull,
    Refused,
    Repository,
    Review,
    Status,
    User,
)
from tests.forge.webhooks import Outbox, delivery, types

HUNK_OF = "@@ -0,0 +{line} @@\n+line {line} of {path}"
MAX_COMMITS = 15
REVIEW_TYPES = {
    "APPROVED": "pull_request_review_approved",
    "REQUEST_CHANGES": "pull_request_review_rejected",
    "COMMENT": "pull_request_review_comment",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewHook:
    """A webhook that somebody asks for."""

    type: str
    url: str
    secret: str
    content_type: str
    events: Sequence[str]
    active: bool = False
    branch_filter: str = ""
    authorization: str = ""


class Hub:
    """All state of one forge, guarded by one lock; `url` is where it answers."""

    def __init__(self, folder: Path, *, kind: Literal["forgejo", "gitea"] = "forgejo", drafts: bool = True) -> None:
        self.folder = folder
        self.kind = kind
        self.drafts = drafts
        self.url = ""
        self.lock = threading.RLock()
        self.outbox = Outbox()
        self.users: dict[str, User] = {}
        self.repositories: dict[str, Repository] = {}
        self.ahead = timedelta(0)
        self.pusher = "bot"
        self._ids = itertools.count(1)
        self._reviews = itertools.count(1)

    @property
    def shapes(self) -> Shapes:
        return Shapes(url=self.url, drafts=self.drafts)

    def now(self) -> datetime:
        """The forge's own clock: whole seconds, moved by the test."""
        return datetime.now(UTC).replace(microsecond=0) + self.ahead

    def advance(self, seconds: float) -> None:
        """Move the forge's clock."""
        self.ahead += timedelta(seconds=seconds)

    def user(self, login: str, *, admin: bool = False) -> User:
        """An account, made where there is none; its token is made of its name."""
        with self.lock:
            if login not in self.users:
                token = f"token-of-{login}-{'0' * 20}"
                self.users[login] = User(id=next(self._ids), login=login, token=token, admin=admin)
            return self.users[login]

    def repository(self, full_name: str, *, private: bool = False, **permissions: Permission) -> Repository:
        """A repository, made with one commit on `main` where there is none; more permissions for these accounts."""
        with self.lock:
            owner, _, name = full_name.partition("/")
            if full_name not in self.repositories:
                bare = Bare.make(self.folder / owner / f"{name}.git")
                self.repositories[full_name] = Repository(
                    id=next(self._ids),
                    owner=self.user(owner),
                    name=name,
                    bare=bare,
                    private=private,
                    created_at=self.now(),
                    heads=bare.heads(),
                )
            found = self.repositories[full_name]
            for login, permission in permissions.items():
                self.user(login)
                found.permissions[login] = permission
            return found

    def notice(self) -> None:
        """See what was pushed since the last look."""
        with self.lock:
            for repository in self.repositories.values():
                self._notice(repository, self.user(self.pusher))

    def _notice(self, repository: Repository, by: User) -> None:
        before, after = repository.heads, repository.bare.heads()
        repository.heads = after
        for branch in sorted(before.keys() | after.keys()):
            old, new = before.get(branch), after.get(branch)
            if new is None:
                self._deleted(repository, branch, by)
            elif new != old:
                self._pushed(repository, branch, old, by)

    def _pushed(self, repository: Repository, branch: str, old: str | None, by: User) -> None:
        new = repository.heads[branch]
        if old is None:
            ref = f"refs/heads/{branch}" if self.kind == "forgejo" else branch
            self._tell(repository, "create", by, {"sha": new, "ref": ref, "ref_type": "branch"})
        came = repository.bare.between(old, new)
        commits = [self.shapes.commit(repository, sha, by) for sha in came[:MAX_COMMITS]]
        push: Json = {
            "ref": f"refs/heads/{branch}",
            "before": old or "0" * 40,
            "after": new,
            "compare_url": f"{self.url}/{repository.full_name}/compare/{old}...{new}",
            "commits": commits,
            "total_commits": len(came),
            "head_commit": commits[0] if commits else None,
            "pusher": self.shapes.user(by),
        }
        self._tell(repository, "push", by, push)
        for issue, pull in repository.pulls():
            if pull.branch == branch and not pull.from_fork and issue.state == "open":
                pull.head_sha = new
                self._tell_pull(repository, issue, by, "synchronized", "pull_request_sync")
                issue.updated_at = self.now()

    def _deleted(self, repository: Repository, branch: str, by: User) -> None:
        ref = f"refs/heads/{branch}" if self.kind == "forgejo" else branch
        self._tell(repository, "delete", by, {"ref": ref, "ref_type": "branch", "pusher_type": "user"})
        for issue, pull in repository.pulls():
            if pull.branch == branch and not pull.from_fork and issue.state == "open":
                self._end(repository, issue, by)

    def create_pull(self, repository: Repository, by: User, asked: Mapping[str, str]) -> Issue:
        """Open a pull request as POST does: 409 for one that is open already, 404 without the branch."""
        head, base, title = asked.get("head", ""), asked.get("base", ""), asked.get("title", "")
        if not title:
            raise Refused(422, "[Title]: Required")
        if repository.archived:
            raise Refused(423, "Repository is archived")
        owner, _, branch = head.rpartition(":")
        from_fork = bool(owner) and owner != repository.owner.login
        if head == base:
            raise Refused(422, "Invalid PullRequest: There are no changes between the head and the base")
        if base not in repository.heads or (not from_fork and branch not in repository.heads):
            raise Refused(404, "The target couldn't be found.")
        for issue, pull in repository.pulls():
            if issue.state == "open" and (pull.branch, pull.base, pull.from_fork) == (branch, base, from_fork):
                numbers = f"id: {pull.id}, issue_id: {issue.number}, head_repo_id: 1, base_repo_id: 1"
                message = f"pull request already exists for these targets [{numbers}, head_branch: {branch}]"
                raise Refused(409, message)
        issue = self._conversation(repository, by, title, asked.get("body", ""))
        head_sha = repository.heads.get(branch) or repository.heads[base]
        issue.pull = Pull(
            id=next(self._ids),
            branch=branch,
            base=base,
            head_sha=head_sha,
            from_fork=from_fork,
            merge_base=repository.heads[base],
        )
        self._tell_pull(repository, issue, by, "opened")
        return issue

    def create_issue(
        self, repository: Repository, by: User, title: str, body: str, labels: Sequence[Label] = ()
    ) -> Issue:
        """Open an issue; with labels it is told twice, as the forge does."""
        issue = self._conversation(repository, by, title, body)
        issue.labels = list(labels)
        self._tell_issue(repository, issue, by, "opened", "issues")
        if labels:
            self._tell_issue(repository, issue, by, "label_updated", "issue_label")
        return issue

    def _conversation(self, repository: Repository, by: User, title: str, body: str) -> Issue:
        now, number = self.now(), len(repository.issues) + 1
        issue = Issue(
            id=next(self._ids), number=number, title=title, body=body, author=by, created_at=now, updated_at=now
        )
        repository.issues[number] = issue
        return issue

    def edit(self, repository: Repository, number: int, by: User, asked: Mapping[str, object]) -> Issue:
        """Give a conversation another title, body or state."""
        issue = repository.conversation(number)
        changes: Json = {}
        for key in ("title", "body"):
            new, old = asked.get(key), issue.title if key == "title" else issue.body
            if isinstance(new, str) and new != old:
                changes[key] = {"from": old}
        issue.title, issue.body = str(asked.get("title") or issue.title), str(asked.get("body", issue.body))
        if changes:
            issue.updated_at = self.now()
            if issue.pull is not None:
                self._tell_pull(repository, issue, by, "edited", changes=changes)
            else:
                self._tell_issue(repository, issue, by, "edited", "issues", changes=changes)
        state = asked.get("state", issue.state)
        if issue.pull is not None and issue.pull.merged and state == "open":
            raise Refused(412, "cannot change state of this pull request, it was already merged")
        if state == "closed" and issue.state == "open":
            self._end(repository, issue, by)
        elif state == "open" and issue.state == "closed":
            issue.state, issue.closed_at, issue.updated_at = "open", None, self.now()
            self._tell_state(repository, issue, by, "reopened")
        return issue

    def _end(self, repository: Repository, issue: Issue, by: User) -> None:
        issue.state, issue.closed_at, issue.updated_at = "closed", self.now(), self.now()
        self._tell_state(repository, issue, by, "closed")

    def merge_pull(self, repository: Repository, number: int, by: User, how: str = "merge", *, delete: bool) -> None:
        """Press the merge button."""
        issue, pull = repository.pull(number)
        if issue.state == "closed":
            raise Refused(404 if pull.merged else 405, "The target couldn't be found.")
        if is_draft(issue.title):
            raise Refused(405, "Work in progress PRs cannot be merged")
        message = f"{issue.title} (#{number})"
        pull.merge_commit = repository.bare.merge(pull.head_sha, pull.base, how, message)
        pull.merged_at, pull.merged_by = self.now(), by
        issue.state, issue.closed_at, issue.updated_at = "closed", self.now(), self.now()
        self._tell_pull(repository, issue, by, "closed")
        self._notice(repository, by)
        if delete and pull.branch in repository.heads:
            repository.bare.delete(pull.branch)
            self._notice(repository, by)

    def write_review(self, repository: Repository, number: int, by: User, asked: Mapping[str, object]) -> Review:
        """Submit a review: `event`, `body`, `comments` of path, body, new_position."""
        issue, pull = repository.pull(number)
        state, body = str(asked.get("event", "")), str(asked.get("body") or "")
        given = asked.get("comments")
        comments = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
        if state not in (*REVIEW_TYPES, "PENDING"):
            raise Refused(422, f"unknown review event: {state}")
        if by is issue.author and state in {"APPROVED", "REQUEST_CHANGES"}:
            word = "approve" if state == "APPROVED" else "reject"
            raise Refused(422, f"{word} your own pull is not allowed")
        if state in {"REQUEST_CHANGES", "COMMENT"} and not body.strip() and not comments:
            raise Refused(422, f"review event {state} requires a body or a comment")
        review = Review(id=next(self._reviews), author=by, state=state, body=body, commit=pull.head_sha, at=self.now())
        for one in comments:
            line, path = int(one.get("new_position", 0)), str(one.get("path", ""))
            hunk = HUNK_OF.format(line=line, path=path)
            inline = Inline(id=next(self._ids), path=path, line=line, body=str(one.get("body", "")), hunk=hunk)
            review.comments.append(inline)
        pull.reviews.append(review)
        issue.updated_at = self.now()
        if state in REVIEW_TYPES:
            told: Json = {"type": REVIEW_TYPES[state], "content": body}
            asked_of = self.shapes.user(by)
            body_of: Json = {"review": told, "requested_reviewer": asked_of}
            self._tell_pull(repository, issue, by, "reviewed", REVIEW_TYPES[state], **body_of)
        return review

    def comment_on(self, repository: Repository, number: int, by: User, text: str) -> Comment:
        """Say something in a conversation."""
        issue = repository.conversation(number)
        if not text:
            raise Refused(422, "[Body]: Required")
        comment = Comment(id=next(self._ids), author=by, body=text, at=self.now())
        issue.comments.append(comment)
        issue.updated_at = self.now()
        body: Json = {
            "action": "created",
            "issue": self.shapes.issue(repository, issue),
            "comment": self.shapes.comment(repository, issue, comment),
            "is_pull": issue.pull is not None,
            "pull_request": self.shapes.pull(repository, issue, issue.pull) if issue.pull is not None else None,
        }
        self._tell(repository, "pull_request_comment" if issue.pull is not None else "issue_comment", by, body)
        return comment

    def set_labels(self, repository: Repository, number: int, by: User, labels: Sequence[Label]) -> Issue:
        """Give a conversation exactly these labels."""
        issue = repository.conversation(number)
        issue.labels = list(labels)
        issue.updated_at = self.now()
        action = "label_updated" if labels else "label_cleared"
        if issue.pull is not None:
            self._tell_pull(repository, issue, by, action, "pull_request_label")
        else:
            self._tell_issue(repository, issue, by, action, "issue_label")
        return issue

    def label_of(self, repository: Repository, wanted: object, *, make: bool = False) -> Label:
        """A label by its id or name."""
        for label in repository.labels:
            if wanted in (label.id, label.name):
                return label
        if not make:
            raise Refused(404, "The target couldn't be found.")
        label = Label(id=next(self._ids), name=str(wanted))
        repository.labels.append(label)
        return label

    def set_status(self, repository: Repository, sha: str, by: User, asked: Mapping[str, object]) -> Status:
        """Append a commit status; any word is taken for its state."""
        if not re.fullmatch("[0-9a-f]{40}", sha) or not repository.bare.has(sha):
            raise Refused(404, "The target couldn't be found.")
        texts = {key: str(asked.get(key) or "") for key in ("state", "context", "description", "target_url")}
        status = Status(id=next(self._ids), sha=sha, author=by, at=self.now(), **texts)
        repository.statuses.append(status)
        return status

    def create_hook(self, repository: Repository, asked: NewHook) -> Hook:
        """Make a webhook, whether there is one like it or not."""
        if asked.type not in {"forgejo", "gitea", "gogs", "slack"}:
            raise Refused(422, f"Invalid hook type: {asked.type}")
        for key, value in (("url", asked.url), ("content_type", asked.content_type)):
            if not value:
                raise Refused(422, f"Missing config option: {key}")
        if asked.content_type not in {"json", "form"}:
            raise Refused(422, "Invalid content type")
        hook = Hook(
            id=next(self._ids),
            type=asked.type,
            url=asked.url,
            secret=asked.secret,
            content_type=asked.content_type,
            events=list(asked.events) or ["push"],
            active=asked.active,
            branch_filter=asked.branch_filter,
            authorization=asked.authorization,
            at=self.now(),
        )
        repository.hooks.append(hook)
        return hook

    def try_hook(self, repository: Repository, hook: Hook, by: User) -> None:
        """Send a test delivery: a push that pushes nothing."""
        head = repository.heads[repository.default_branch]
        commit = self.shapes.commit(repository, head, by)
        body: Json = {
            "ref": f"refs/heads/{repository.default_branch}",
            "before": head,
            "after": head,
            "compare_url": "",
            "commits": [commit],
            "total_commits": 1,
            "head_commit": commit,
            "repository": self.shapes.repository(repository),
            "pusher": self.shapes.user(by),
            "sender": self.shapes.user(by),
        }
        self.outbox.send(delivery(hook, "push", body, kind=self.kind))

    def _tell_state(self, repository: Repository, issue: Issue, by: User, action: str) -> None:
        if issue.pull is not None:
            self._tell_pull(repository, issue, by, action)
        else:
            self._tell_issue(repository, issue, by, action, "issues")

    def _tell_issue(
        self, repository: Repository, issue: Issue, by: User, action: str, event: str, **more: object
    ) -> None:
        body: Json = {
            "action": action,
            "number": issue.number,
            "issue": self.shapes.issue(repository, issue),
            "commit_id": "",
            **more,
        }
        self._tell(repository, event, by, body)

    def _tell_pull(
        self, repository: Repository, issue: Issue, by: User, action: str, event: str = "pull_request", **more: object
    ) -> None:
        assert issue.pull is not None
        body: Json = {
            "action": action,
            "number": issue.number,
            "pull_request": self.shapes.pull(repository, issue, issue.pull),
            "requested_reviewer": None,
            "commit_id": "",
            "review": None,
            **more,
        }
        self._tell(repository, event, by, body)

    def _tell(self, repository: Repository, event: str, by: User, body: Json) -> None:
        whole = {**body, "repository": self.shapes.repository(repository), "sender": self.shapes.user(by)}
        for hook in repository.hooks:
            if hook.active and event in types(hook.events):
                self.outbox.send(delivery(hook, event, whole, kind=self.kind))
