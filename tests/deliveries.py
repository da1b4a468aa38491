"""Bodies as forges send them, built by hand: the keys that matter, and a few that are there to mislead."""

from typing import Any

REPOSITORY = "team/shop"
ONE = "1" * 40
TWO = "2" * 40
NONE = "0" * 40

Body = dict[str, Any]


def account(login: str) -> Body:
    return {"id": 7, "login": login, "full_name": "", "email": f"{login}@example.org"}


def repository(full_name: str = REPOSITORY, **changes: object) -> Body:
    return {
        "id": 1,
        "full_name": full_name,
        "default_branch": "main",
        "clone_url": f"https://git.example.org/{full_name}.git",
        "permissions": {"admin": False, "push": False, "pull": True},
        **changes,
    }


def pull(**changes: object) -> Body:
    """An open pull request as Forgejo shows it."""
    return {
        "number": 3,
        "html_url": "https://git.example.org/team/shop/pulls/3",
        "title": "Add a parser",
        "body": None,
        "state": "open",
        "draft": False,
        "merged": False,
        "merged_at": None,
        "merge_commit_sha": None,
        "labels": [],
        "user": account("bot"),
        "head": side("task/parser"),
        "base": side("main", sha=TWO),
        "created_at": "2026-11-22T15:00:00Z",
        "updated_at": "2026-11-22T16:19:17+01:00",
        **changes,
    }


def side(branch: str, **changes: object) -> Body:
    return {"label": branch, "ref": branch, "sha": ONE, "repo_id": 1, "repo": repository(), **changes}


def github_pull(**changes: object) -> Body:
    """An open pull request as GitHub shows it: a test merge, labels with an owner, no repo_id."""
    return pull(
        **{
            "html_url": "https://github.com/team/shop/pull/3",
            "merge_commit_sha": TWO,
            "head": github_side("task/parser"),
            "base": github_side("main", sha=TWO),
            **changes,
        }
    )


def github_side(branch: str, **changes: object) -> Body:
    return {"label": f"team:{branch}", "ref": branch, "sha": ONE, "repo": repository(), **changes}


def issue(**changes: object) -> Body:
    return {
        "number": 5,
        "url": "https://git.example.org/api/v1/repos/team/shop/issues/5",
        "html_url": "https://git.example.org/team/shop/issues/5",
        "title": "Add a parser",
        "body": "Please.\r\n\r\n## Validation\r\n- tests",
        "state": "open",
        "user": account("ada"),
        "labels": [{"id": 1, "name": "agent"}],
        "pull_request": None,
        "updated_at": "2026-11-22T15:00:00Z",
        **changes,
    }


def review(**changes: object) -> Body:
    """A review as Forgejo's REST shows it."""
    return {
        "id": 11,
        "user": account("grace"),
        "state": "REQUEST_CHANGES",
        "body": "Add tests.",
        "commit_id": ONE,
        "stale": False,
        "dismissed": False,
        "comments_count": 0,
        "submitted_at": "2026-11-22T15:19:28Z",
        **changes,
    }


def pull_event(action: str, by: str = "bot", **changes: object) -> Body:
    return {
        "action": action,
        "number": 3,
        "pull_request": pull(),
        "repository": repository(),
        "sender": account(by),
        "commit_id": "",
        "review": None,
        **changes,
    }


def review_event(what: str, content: str = "Add tests.", **changes: object) -> Body:
    """A review as Forgejo's webhook tells of it: neither id nor commit."""
    return pull_event("reviewed", "grace", **{"review": {"type": what, "content": content}, **changes})


def issue_event(action: str, by: str = "ada", **changes: object) -> Body:
    return {
        "action": action,
        "number": 5,
        "issue": issue(),
        "repository": repository(),
        "sender": account(by),
        **changes,
    }


def push(**changes: object) -> Body:
    return {
        "ref": "refs/heads/task/parser",
        "before": ONE,
        "after": TWO,
        "compare_url": "https://git.example.org/team/shop/compare/1...2",
        "commits": [],
        "total_commits": 0,
        "head_commit": None,
        "repository": repository(),
        "pusher": account("bot"),
        "sender": account("bot"),
        **changes,
    }
