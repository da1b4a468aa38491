"""The life of one issue on a real forge, in a throw-away repository; runs where FORGE_URL and FORGE_TOKEN are set.

The token's account must be allowed to make repositories. Nobody reviews their own pull request: FORGE_REVIEWER_TOKEN is
a second account's; without it the first one must be an admin, and makes one for the test.
"""

import base64
import json
import os
import secrets
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.fleets import git
from tests.forge.server import FakeForge
from tests.forge.team import Team

TIMEOUT_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account of the real forge, over REST."""

    url: str
    authorization: str

    def ask(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON has whatever shape it has
        """One request; its document, an AssertionError where it is refused."""
        headers = {"Authorization": self.authorization, "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/api/v1{path}", data=data, headers=headers, method=method)  # noqa: S310 - the URL is the person's own
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - likewise
                text = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{method} {path}: {error.code} {error.read()[:300]!r}") from None
        return json.loads(text) if text else None

    @property
    def login(self) -> str:
        return str(self.ask("GET", "/user")["login"])


def set_in_environment(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        pytest.skip(f"{name} is not set: there is no real forge to test with")
    return value


@pytest.fixture
def owner() -> Account:
    url = set_in_environment("FORGE_URL").rstrip("/")
    return Account(url=url, authorization=f"token {set_in_environment('FORGE_TOKEN')}")


@pytest.fixture
def reviewer(owner: Account) -> Iterator[Account]:
    token = os.environ.get("FORGE_REVIEWER_TOKEN", "")
    if token:
        yield Account(url=owner.url, authorization=f"token {token}")
        return
    with made_for_the_test(owner) as made:
        yield made


@contextmanager
def made_for_the_test(owner: Account) -> Iterator[Account]:
    """An account that an admin makes, and deletes again."""
    login, password = f"reviewer-{secrets.token_hex(4)}", secrets.token_urlsafe(24)
    person = {"username": login, "email": f"{login}@example.org", "password": password, "must_change_password": False}
    owner.ask("POST", "/admin/users", person)
    try:
        words = base64.b64encode(f"{login}:{password}".encode()).decode()
        yield Account(url=owner.url, authorization=f"Basic {words}")
    finally:
        owner.ask("DELETE", f"/admin/users/{login}?purge=true")


@pytest.fixture
def repository(owner: Account) -> Iterator[dict[str, Any]]:
    """A repository of the test's own."""
    new = {"name": f"throw-away-{secrets.token_hex(4)}", "auto_init": True, "default_branch": "main", "private": False}
    made = owner.ask("POST", "/user/repos", new)
    yield made
    owner.ask("DELETE", f"/repos/{made['full_name']}")


@pytest.fixture
def team(tmp_path: Path, owner: Account, repository: dict[str, Any]) -> Iterator[Team]:
    """A fleet that works on the repository; git finds the token in a file that is deleted with the test."""
    stand_in = FakeForge(tmp_path / "none")
    stand_in.url = owner.url
    stand_in.user("bot").token = set_in_environment("FORGE_TOKEN")
    netrc = tmp_path / ".netrc"
    netrc.touch(mode=0o600)
    host = urllib.parse.urlsplit(str(repository["clone_url"])).hostname
    netrc.write_text(f"machine {host} login {owner.login} password {stand_in.token}\n")
    made = Team.make(tmp_path, stand_in, webhooks=False, repositories=[repository["full_name"]])
    try:
        yield made
    finally:
        made.end()
        netrc.unlink()


def test_an_issue_is_done_reviewed_and_merged_on_a_real_forge(
    team: Team, owner: Account, reviewer: Account, repository: dict[str, Any]
) -> None:
    home = f"/repos/{repository['full_name']}"
    label = owner.ask("POST", f"{home}/labels", {"name": "agent", "color": "#00aabb"})
    issue = owner.ask("POST", f"{home}/issues", {"title": "Add a file", "body": "Any.", "labels": [label["id"]]})
    task_id = f"{repository['name']}-{issue['number']}"
    team.start()
    team.until_phase(task_id, "review_pending")
    number = team.until(lambda: team.seen(task_id).get("pr", {}).get("number"), "no pull request was opened")
    comments = [{"path": "work.txt", "new_position": 1, "body": "Why here?"}]
    asks = {"event": "REQUEST_CHANGES", "body": "Once more, please.", "comments": comments}
    reviewer.ask("POST", f"{home}/pulls/{number}/reviews", asks)
    team.restart()
    seen = team.until_phase(task_id, "review_pending", review_count=1)
    assert [run["kind"] for run in seen["runs"]] == ["implement", "address_review"]
    for part in ("Once more, please.", "work.txt", "Why here?"):
        assert part in team.prompt(f"{task_id}.2")
    pull = owner.ask("GET", f"{home}/pulls/{number}")
    assert pull["head"]["sha"] == seen["runs"][1]["head_sha"]
    shown = owner.ask("GET", f"{home}/commits/{pull['head']['sha']}/status")
    assert "reconciler" in {status["context"] for status in shown["statuses"]}
    reviewer.ask("POST", f"{home}/pulls/{number}/reviews", {"event": "APPROVED", "body": "Fine"})
    owner.ask("POST", f"{home}/pulls/{number}/merge", {"Do": "squash"})
    team.restart()
    seen = team.until_phase(task_id, "completed")
    assert (seen["epoch"], seen["pr"]["state"]) == (2, "merged")
    found = owner.ask("GET", f"{home}/pulls?state=all")
    assert [one["number"] for one in found] == [number]
    team.stop()
    assert set_in_environment("FORGE_TOKEN") not in team.said()
    assert set_in_environment("FORGE_TOKEN") not in git(team.fleet.root, "log", "--all", "-p")
