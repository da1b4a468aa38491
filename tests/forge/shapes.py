"""How the test forge shows what it holds: the JSON documents of its REST answers and webhooks."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.forge.state import Comment, Hook, Inline, Issue, Label, Pull, Repository, Review, Status, User

Json = dict[str, object]
NEVER = "0001-01-01T00:00:00Z"
DRAFTS = ("wip:", "[wip]")


def stamp(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_draft(title: str) -> bool:
    return title.lower().startswith(DRAFTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """The documents of one forge at `url`; `drafts`: it is new enough to say which pull requests are drafts."""

    url: str
    drafts: bool = True

    def user(self, user: User) -> Json:
        return {
            "id": user.id,
            "login": user.login,
            "login_name": "",
            "full_name": "",
            "email": f"{user.login}@example.org",
            "avatar_url": f"{self.url}/avatars/{user.id}",
            "language": "",
            "is_admin": False,
            "last_login": NEVER,
            "created": NEVER,
            "restricted": False,
            "active": False,
            "prohibit_login": False,
            "location": "",
            "pronouns": "",
            "website": "",
            "description": "",
            "visibility": "public",
            "followers_count": 0,
            "following_count": 0,
            "starred_repos_count": 0,
            "username": user.login,
        }

    def repository(self, repository: Repository, asks: User | None = None) -> Json:
        home = f"{self.url}/{repository.full_name}"
        conversations = repository.issues.values()
        return {
            "id": repository.id,
            "owner": self.user(repository.owner),
            "name": repository.name,
            "full_name": repository.full_name,
            "description": "",
            "empty": False,
            "private": repository.private,
            "fork": False,
            "template": False,
            "parent": None,
            "mirror": False,
            "size": 25,
            "html_url": home,
            "url": f"{self.url}/api/v1/repos/{repository.full_name}",
            "ssh_url": f"git@localhost:{repository.full_name}.git",
            "clone_url": str(repository.bare.path),
            "original_url": "",
            "website": "",
            "stars_count": 0,
            "forks_count": 0,
            "watchers_count": 1,
            "open_issues_count": sum(one.pull is None and one.state == "open" for one in conversations),
            "open_pr_counter": sum(one.pull is not None and one.state == "open" for one in conversations),
            "release_counter": 0,
            "default_branch": repository.default_branch,
            "archived": repository.archived,
            "created_at": stamp(repository.created_at),
            "updated_at": stamp(repository.created_at),
            "permissions": {
                "admin": repository.may(asks, "admin"),
                "push": repository.may(asks, "write"),
                "pull": repository.may(asks, "read"),
            },
            "has_issues": True,
            "has_pull_requests": True,
            "object_format_name": "sha1",
        }

    def label(self, repository: Repository, label: Label) -> Json:
        return {
            "id": label.id,
            "name": label.name,
            "exclusive": False,
            "is_archived": False,
            "color": "00aabb",
            "description": "",
            "url": f"{self.url}/api/v1/repos/{repository.full_name}/labels/{label.id}",
        }

    def issue(self, repository: Repository, issue: Issue) -> Json:
        pull = issue.pull
        kind = "issues" if pull is None else "pulls"
        return {
            "id": issue.id,
            "url": f"{self.url}/api/v1/repos/{repository.full_name}/issues/{issue.number}",
            "html_url": f"{self.url}/{repository.full_name}/{kind}/{issue.number}",
            "number": issue.number,
            "user": self.user(issue.author),
            "original_author": "",
            "original_author_id": 0,
            "title": issue.title,
            "body": issue.body,
            "ref": "",
            "assets": [],
            "labels": [self.label(repository, label) for label in issue.labels],
            "milestone": None,
            "assignee": None,
            "assignees": None,
            "state": issue.state,
            "is_locked": False,
            "comments": len(issue.comments),
            "created_at": stamp(issue.created_at),
            "updated_at": stamp(issue.updated_at),
            "closed_at": stamp(issue.closed_at),
            "due_date": None,
            "pull_request": None if pull is None else {"merged": pull.merged, "merged_at": stamp(pull.merged_at)},
            "repository": {
                "id": repository.id,
                "name": repository.name,
                "owner": repository.owner.login,
                "full_name": repository.full_name,
            },
            "pin_order": 0,
        }

    def pull(self, repository: Repository, issue: Issue, pull: Pull) -> Json:
        home = f"{self.url}/{repository.full_name}/pulls/{issue.number}"
        gone = pull.from_fork or pull.branch not in repository.heads
        base = repository.heads.get(pull.base, "")
        head_repo: Json | None = self.repository(repository)
        head_id = repository.id
        if pull.from_fork:
            head_id = -1 if pull.fork_gone else 1000 + repository.id
            forked = {**self.repository(repository), "id": head_id, "fork": True, "full_name": f"stranger/{issue.id}"}
            head_repo = None if pull.fork_gone else forked
        shown: Json = {
            "id": pull.id,
            "url": home,
            "number": issue.number,
            "user": self.user(issue.author),
            "title": issue.title,
            "body": issue.body,
            "labels": [self.label(repository, label) for label in issue.labels],
            "milestone": None,
            "assignee": None,
            "assignees": None,
            "requested_reviewers": None,
            "state": issue.state,
            "is_locked": False,
            "comments": len(issue.comments),
            "html_url": home,
            "diff_url": f"{home}.diff",
            "patch_url": f"{home}.patch",
            "mergeable": not is_draft(issue.title),
            "merged": pull.merged,
            "merged_at": stamp(pull.merged_at),
            "merge_commit_sha": pull.merge_commit,
            "merged_by": None if pull.merged_by is None else self.user(pull.merged_by),
            "allow_maintainer_edit": False,
            "base": {
                "label": pull.base,
                "ref": pull.base,
                "sha": base,
                "repo_id": repository.id,
                "repo": self.repository(repository),
            },
            "head": {
                "label": pull.branch,
                "ref": f"refs/pull/{issue.number}/head" if gone else pull.branch,
                "sha": pull.head_sha,
                "repo_id": head_id,
                "repo": head_repo,
            },
            "merge_base": pull.merge_base,
            "due_date": None,
            "created_at": stamp(issue.created_at),
            "updated_at": stamp(issue.updated_at),
            "closed_at": stamp(issue.closed_at),
            "pin_order": 0,
            "flow": 0,
        }
        return {**shown, "draft": is_draft(issue.title)} if self.drafts else shown

    def review(self, repository: Repository, number: int, pull: Pull, review: Review) -> Json:
        home = f"{self.url}/{repository.full_name}/pulls/{number}"
        return {
            "id": review.id,
            "user": self.user(review.author),
            "team": None,
            "state": review.state,
            "body": review.body,
            "commit_id": review.commit,
            "stale": review.commit != pull.head_sha,
            "official": repository.may(review.author, "write"),
            "dismissed": review.dismissed,
            "comments_count": len(review.comments),
            "submitted_at": stamp(review.at),
            "updated_at": stamp(review.at),
            "html_url": f"{home}#issuecomment-{review.id}",
            "pull_request_url": home,
        }

    def inline(self, repository: Repository, number: int, review: Review, inline: Inline) -> Json:
        home = f"{self.url}/{repository.full_name}/pulls/{number}"
        return {
            "id": inline.id,
            "body": inline.body,
            "user": self.user(review.author),
            "resolver": None,
            "pull_request_review_id": review.id,
            "created_at": stamp(review.at),
            "updated_at": stamp(review.at),
            "path": inline.path,
            "commit_id": review.commit,
            "original_commit_id": "",
            "diff_hunk": inline.hunk,
            "position": inline.line,
            "original_position": 0,
            "html_url": f"{home}#issuecomment-{inline.id}",
            "pull_request_url": home,
        }

    def comment(self, repository: Repository, issue: Issue, comment: Comment) -> Json:
        kind = "issues" if issue.pull is None else "pulls"
        home = f"{self.url}/{repository.full_name}/{kind}/{issue.number}"
        return {
            "id": comment.id,
            "html_url": f"{home}#issuecomment-{comment.id}",
            "pull_request_url": home if issue.pull is not None else "",
            "issue_url": home if issue.pull is None else "",
            "user": self.user(comment.author),
            "original_author": "",
            "original_author_id": 0,
            "body": comment.body,
            "assets": [],
            "created_at": stamp(comment.at),
            "updated_at": stamp(comment.at),
        }

    def status(self, repository: Repository, status: Status) -> Json:
        return {
            "id": status.id,
            "status": status.state,
            "target_url": status.target_url,
            "description": status.description,
            "url": f"{self.url}/api/v1/repos/{repository.full_name}/statuses/{status.sha}",
            "context": status.context,
            "creator": self.user(status.author),
            "created_at": stamp(status.at),
            "updated_at": stamp(status.at),
        }

    def hook(self, hook: Hook, types: list[str]) -> Json:
        return {
            "id": hook.id,
            "type": hook.type,
            "branch_filter": hook.branch_filter,
            "config": {"content_type": hook.content_type, "url": hook.url},
            "events": types,
            "authorization_header": hook.authorization,
            "active": hook.active,
            "updated_at": stamp(hook.at),
            "created_at": stamp(hook.at),
        }

    def commit(self, repository: Repository, sha: str, by: User) -> Json:
        person: Mapping[str, str] = {"name": by.login, "email": f"{by.login}@example.org", "username": by.login}
        return {
            "id": sha,
            "message": repository.bare.message(sha),
            "url": f"{self.url}/{repository.full_name}/commit/{sha}",
            "author": person,
            "committer": person,
            "verification": None,
            "timestamp": NEVER,
            "added": [],
            "removed": [],
            "modified": [],
        }
