"""The test forge answers and sends as the facts say; where recordings are at hand, with the shapes that are in them."""

import hashlib
import hmac
import json
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.forge.bare import Bare
from tests.forge.recorded import recordings
from tests.forge.server import FakeForge
from tests.waiting import until

REPOSITORY = "/api/v1/repos/acme/widgets"
SECRET = "a secret"  # noqa: S105 - of a test's own forge


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[FakeForge]:
    with FakeForge.running(tmp_path / "forge") as made:
        yield made


def ask(
    forge: FakeForge, method: str, path: str, body: object = None, *, token: str | None = None
) -> tuple[int, Any, Mapping[str, str]]:
    """One request as `bot`, or with another token; an empty one is none."""
    used = forge.token if token is None else token
    headers = {"Authorization": f"token {used}"} if used else {}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{forge.url}{path}", data=data, headers=headers, method=method)  # noqa: S310 - a loopback address
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - a loopback address
            status, text, named = answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            status, text, named = error.code, error.read(), dict(error.headers)
    is_json = text and "json" in named.get("Content-Type", "")
    return status, json.loads(text) if is_json else text.decode(), named


@contextmanager
def receiver() -> Iterator[tuple[str, "queue.Queue[tuple[Mapping[str, str], bytes]]"]]:
    """An address that takes webhooks, and what it got."""
    got: queue.Queue[tuple[Mapping[str, str], bytes]] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.put((dict(self.headers), body))
            self.send_response(202)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server gives it
            """Print nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_pull_request_is_opened_once_per_pair_of_branches(forge: FakeForge) -> None:
    new = {"head": "task/one", "base": "main", "title": "One"}
    assert ask(forge, "POST", f"{REPOSITORY}/pulls", new)[0] == 404
    sha = forge.push("task/one", {"one": "1\n"})
    status, made, _ = ask(forge, "POST", f"{REPOSITORY}/pulls", new)
    assert (status, made["number"], made["head"]["sha"], made["head"]["label"]) == (201, 1, sha, "task/one")
    status, refused, _ = ask(forge, "POST", f"{REPOSITORY}/pulls", new)
    assert (status, "issue_id: 1" in refused["message"]) == (409, True)
    assert ask(forge, "POST", f"{REPOSITORY}/pulls", {**new, "head": "main"})[0] == 422
    assert ask(forge, "POST", f"{REPOSITORY}/pulls", {**new, "title": ""})[0] == 422
    assert ask(forge, "PATCH", f"{REPOSITORY}/pulls/1", {"state": "closed"})[0] == 201
    assert ask(forge, "POST", f"{REPOSITORY}/pulls", new)[1]["number"] == 2
    assert ask(forge, "PATCH", f"{REPOSITORY}/pulls/1", {"state": "open"})[1]["state"] == "open"
    assert forge.pulls_of("task/one") == [1, 2]


def test_lists_ignore_the_branch_and_come_in_pages(forge: FakeForge) -> None:
    for number in range(3):
        forge.push(f"task/{number}", {"file": f"{number}\n"})
        forge.open(f"task/{number}", f"Number {number}")
    forge.issue("No pull request")
    status, page, headers = ask(forge, "GET", f"{REPOSITORY}/pulls?state=open&head=task/0&limit=2")
    assert (status, [one["number"] for one in page], headers["X-Total-Count"]) == (200, [3, 2], "3")
    assert 'rel="next"' in headers["Link"]
    following = headers["Link"].partition(";")[0].strip("<>").removeprefix(forge.url)
    assert [one["number"] for one in ask(forge, "GET", following)[1]] == [1]
    forge.advance(60)
    forge.remark(1, "hm")
    assert ask(forge, "GET", f"{REPOSITORY}/pulls?state=all&sort=recentupdate")[1][0]["number"] == 1
    assert [one["number"] for one in ask(forge, "GET", f"{REPOSITORY}/issues?type=issues")[1]] == [4]
    assert len(ask(forge, "GET", f"{REPOSITORY}/issues")[1]) == 4


def test_a_push_of_somebody_moves_the_head_and_a_deletion_closes(forge: FakeForge) -> None:
    first = forge.push("task/one", {"one": "1\n"})
    number = forge.open("task/one", "One")
    before = forge.pull(number)[0].updated_at
    forge.advance(5)
    second = Bare(path=forge.only.bare.path).commit("task/one", {"one": "2\n"}, "Again")
    shown = ask(forge, "GET", f"{REPOSITORY}/pulls/{number}")[1]
    assert (shown["head"]["sha"], first != second, shown["head"]["ref"]) == (second, True, "task/one")
    assert forge.pull(number)[0].updated_at > before
    forge.delete("task/one")
    shown = ask(forge, "GET", f"{REPOSITORY}/pulls/{number}")[1]
    expected = ("closed", False, f"refs/pull/{number}/head", "task/one", second)
    head = shown["head"]
    assert (shown["state"], shown["merged"], head["ref"], head["label"], head["sha"]) == expected


def test_a_merge_changes_main_and_is_told_by_merged_alone(forge: FakeForge) -> None:
    sha = forge.push("task/one", {"one": "1\n"})
    number = forge.open("task/one", "One")
    assert ask(forge, "GET", f"{REPOSITORY}/pulls/{number}/merge")[0] == 404
    assert (
        ask(forge, "POST", f"{REPOSITORY}/pulls/{number}/merge", {"Do": "squash", "head_commit_id": "0" * 40})[0] == 409
    )
    assert ask(forge, "POST", f"{REPOSITORY}/pulls/{number}/merge", {"Do": "squash"})[0] == 200
    shown = ask(forge, "GET", f"{REPOSITORY}/pulls/{number}")[1]
    assert (shown["state"], shown["merged"], shown["head"]["sha"]) == ("closed", True, sha)
    assert forge.only.bare.files("main") == {"readme": "a project", "one": "1"}
    assert ask(forge, "GET", f"{REPOSITORY}/pulls/{number}/merge")[0] == 204
    assert ask(forge, "PATCH", f"{REPOSITORY}/pulls/{number}", {"state": "open"})[0] == 412


def test_reviews_have_ids_comments_and_dismissals_and_nobody_approves_their_own(forge: FakeForge) -> None:
    sha = forge.push("task/one", {"one": "1\n"})
    number = forge.open("task/one", "One")
    pull = f"{REPOSITORY}/pulls/{number}"
    assert ask(forge, "POST", f"{pull}/reviews", {"event": "APPROVED", "body": ""})[0] == 422
    review = forge.request_changes(number, "Please", [("one", 1, "Why?")])
    (shown,) = ask(forge, "GET", f"{pull}/reviews")[1]
    seen = (shown["id"], shown["state"], shown["commit_id"], shown["stale"], shown["comments_count"])
    assert seen == (review.id, "REQUEST_CHANGES", sha, False, 1)
    (inline,) = ask(forge, "GET", f"{pull}/reviews/{review.id}/comments")[1]
    assert (inline["path"], inline["position"], inline["body"]) == ("one", 1, "Why?")
    assert inline["diff_hunk"].startswith("@@")
    forge.push("task/one", {"one": "2\n"})
    assert ask(forge, "GET", f"{pull}/reviews")[1][0]["stale"] is True
    assert ask(forge, "POST", f"{pull}/reviews/{review.id}/dismissals", {"message": "no"})[1]["dismissed"] is True


def test_who_may_what(forge: FakeForge) -> None:
    sha = forge.only.heads["main"]
    status = {"state": "bogus", "context": "x"}
    assert ask(forge, "GET", "/api/v1/user")[1]["login"] == "bot"
    assert ask(forge, "GET", "/api/v1/user", token="wrong")[0] == 401  # noqa: S106 - not a secret
    assert ask(forge, "GET", REPOSITORY, token="")[0] == 200
    assert ask(forge, "POST", f"{REPOSITORY}/statuses/{sha}", status, token="")[0] == 401
    assert ask(forge, "POST", f"{REPOSITORY}/statuses/{sha}", status, token=forge.user("eve").token)[0] == 403
    assert ask(forge, "POST", f"{REPOSITORY}/statuses/{sha}", status)[1]["status"] == "bogus"
    assert ask(forge, "POST", f"{REPOSITORY}/statuses/{'0' * 40}", status)[0] == 404
    levels = {
        who: ask(forge, "GET", f"{REPOSITORY}/collaborators/{who}/permission")[1] for who in ("ada", "eve", "acme")
    }
    assert {who: shown["permission"] for who, shown in levels.items()} == {
        "ada": "write",
        "eve": "read",
        "acme": "owner",
    }
    assert ask(forge, "GET", f"{REPOSITORY}/collaborators/nobody/permission")[0] == 404
    assert ask(forge, "GET", f"{REPOSITORY}/hooks", token=forge.user("ada").token)[0] == 403
    assert ask(forge, "GET", "/api/v1/nothing")[1] == "404 page not found\n"


def test_an_edited_hook_forgets_its_events_and_keeps_its_secret(forge: FakeForge) -> None:
    config = {"url": "http://127.0.0.1:9/hook", "content_type": "json", "secret": "old"}
    status, made, _ = ask(
        forge, "POST", f"{REPOSITORY}/hooks", {"type": "forgejo", "events": ["issues"], "config": config}
    )
    assert (status, made["active"], "secret" in made["config"]) == (201, False, False)
    assert set(made["events"]) >= {"issues", "issue_label", "issue_comment"}
    hook = f"{REPOSITORY}/hooks/{made['id']}"
    assert ask(forge, "PATCH", hook, {"active": True, "config": {"secret": "new"}})[1]["events"] == ["push"]
    assert (forge.only.hooks[0].secret, forge.only.hooks[0].active) == ("old", True)
    assert ask(forge, "POST", f"{REPOSITORY}/hooks", {"type": "forgejo", "config": {"url": "x"}})[0] == 422
    assert ask(forge, "DELETE", hook)[0] == 204
    assert ask(forge, "GET", hook)[0] == 404


def test_webhooks_are_signed_and_named_as_forgejo_names_them(forge: FakeForge) -> None:
    with receiver() as (url, got):
        forge.hook(url, SECRET)
        forge.push("task/one", {"one": "1\n"})
        number = forge.open("task/one", "One")
        forge.request_changes(number, "Please <b>")
        forge.merge(number)
        forge.issue("Do it", labels=["agent"])
        forge.settle()
        deliveries = [got.get(timeout=5) for _ in range(8)]
    names = [(headers["X-Forgejo-Event"], headers["X-Forgejo-Event-Type"]) for headers, _ in deliveries]
    assert names == [
        ("create", "create"),
        ("push", "push"),
        ("pull_request", "pull_request"),
        ("pull_request_rejected", "pull_request_review_rejected"),
        ("pull_request", "pull_request"),
        ("push", "push"),
        ("issues", "issues"),
        ("issues", "issue_label"),
    ]
    for headers, body in deliveries:
        expected = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        assert headers["X-Forgejo-Signature"] == expected
        assert headers["X-Hub-Signature-256"] == f"sha256={expected}"
        assert body.startswith(b'{\n  "')
    assert b"\\u003cb\\u003e" in deliveries[3][1]
    assert json.loads(deliveries[3][1])["review"] == {"type": "pull_request_review_rejected", "content": "Please <b>"}
    assert json.loads(deliveries[4][1])["pull_request"]["merged"] is True


def test_webhooks_are_lost_doubled_and_turned_around_where_a_test_asks(forge: FakeForge) -> None:
    with receiver() as (url, got):
        forge.hook(url, SECRET, events=["issues_only"])
        forge.outbox.lose = True
        forge.issue("Lost")
        forge.outbox.lose, forge.outbox.twice = False, True
        forge.issue("Twice")
        forge.settle()
        assert got.get(timeout=5)[1] == got.get(timeout=5)[1]
        forge.outbox.twice, forge.outbox.hold = False, True
        forge.issue("First")
        forge.issue("Second")
        forge.outbox.release(lambda held: held[::-1])
        forge.settle()
        titles = [json.loads(got.get(timeout=5)[1])["issue"]["title"] for _ in range(2)]
    assert titles == ["Second", "First"]
    assert got.empty()


def test_it_goes_down_and_comes_up_at_the_same_address(forge: FakeForge) -> None:
    url = forge.url
    forge.down("refuses")
    with pytest.raises(urllib.error.URLError):
        ask(forge, "GET", "/api/v1/user")
    forge.up()
    assert (forge.url, ask(forge, "GET", "/api/v1/user")[0]) == (url, 200)
    forge.down("unavailable")
    assert ask(forge, "GET", "/api/v1/user")[0] == 503
    forge.up()
    forge.fails(429, "GET", "/user", Retry_After="3")
    status, _, headers = ask(forge, "GET", "/api/v1/user")
    assert (status, headers["Retry-After"], ask(forge, "GET", "/api/v1/user")[0]) == (429, "3", 200)
    called = threading.Event()
    forge.at("GET", "/user", called.set)
    ask(forge, "GET", "/api/v1/user")
    assert until(called.is_set)
    assert forge.count("GET", "/user") == 3


def test_its_documents_have_the_keys_that_were_recorded(forge: FakeForge) -> None:
    sha = forge.push("task/one", {"one": "1\n"})
    number = forge.open("task/one", "One")
    forge.request_changes(number, "Please", [("one", 1, "Why?")])
    issue = forge.issue("Do it", labels=["agent"])
    mine = {
        "create PR": ask(forge, "GET", f"{REPOSITORY}/pulls/{number}")[1],
        "request changes with body": ask(forge, "GET", f"{REPOSITORY}/pulls/{number}/reviews")[1][0],
        "create issue WITH label": ask(forge, "GET", f"{REPOSITORY}/issues/{issue}")[1],
        "commit status pending": ask(forge, "POST", f"{REPOSITORY}/statuses/{sha}", {"state": "pending"})[1],
        "comment on PR": ask(forge, "POST", f"{REPOSITORY}/issues/{number}/comments", {"body": "hi"})[1],
    }
    for exchange in recordings():
        if exchange.note in mine:
            assert isinstance(exchange.response, dict)
            assert exchange.response.keys() - {"team"} <= mine[exchange.note].keys(), exchange.note
