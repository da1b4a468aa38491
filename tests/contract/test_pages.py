"""The pages as a browser without a script gets them: who may read, what is shown, and that all of it is only text."""

import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import urlencode

import pytest

from reconciler.core.desired import Board, Problem
from reconciler.core.observed import ObservedTask, PullRequest
from reconciler.core.standing import Standing
from reconciler.core.terms import Failure, Outcome, Phase
from reconciler.web.pages import texts
from reconciler.web.pages.access import COOKIE
from reconciler.web.pages.columns import PAGE, SHOWN
from reconciler.web.tokens import MOST_FAILURES
from tests.contract.web import Answer, request
from tests.pages import Painted, many, paint, past, run, settings, task
from tests.painted import painted, port
from tests.recording import NOW

__all__ = ["painted", "port"]

TOKEN = "a-token-for-the-team"  # noqa: S105 - of nobody
DIGEST = hashlib.sha256(TOKEN.encode()).hexdigest()
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'\x1b[2J\x07\u202egnp.exe\u2066"


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text that is shown."""

    def __init__(self, page: Answer) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page.body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.text += " "

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - whichever it is
        self.text += " "

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def cards(self) -> list[str]:
        return [str(one["id"]).removeprefix("t-") for one in self.of("article")]


def get(port: int, path: str = "/", **headers: str) -> Answer:
    return request(port, "GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def page(port: int, path: str = "/") -> Elements:
    answer = get(port, path)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    return Elements(answer)


def test_every_task_stands_in_its_column_with_what_a_person_needs_to_know(painted: Painted, port: int) -> None:
    paint(painted)
    board = page(port)
    assert board.cards() == [
        "rotate-api-keys", "retry-webhooks", "document-search", "export-csv", "speed-up-checkout",
        "fix-flaky-cart-test", "upgrade-django", "dark-mode", "old-migrations", "remove-jquery", "typed-settings",
    ]  # fmt: skip
    said = " ".join(board.text.split())
    for words in (
        "Author must act waiting_input the agent asks for something: answer in the task file",
        "Which of the two accounts is production?",
        "its file says desired: hold author",
        "it depends on upgrade-django, which is running",
        "attempt 2 of 3",
        "1 of 3 review rounds 141k tokens $0.82",
        'state/tasks/speed-up-checkout.yaml:4:1 "validaton" is no key of a task',
        "attic draining 0 of 8 takes no new runs: new disks on Friday",
        "cloud unreachable 0 of 24 connection refused",
    ):
        assert words in said
    labels = [one.get("aria-label") for one in board.of("span")]
    assert "2 of 4 slots in use" in labels
    assert {"href": "https://git.example.org/team/shop/pulls/41", "rel": "noreferrer", "class": "pull pull-open"} in (
        board.of("a")
    )


def test_a_fleet_without_tasks_says_what_to_do_next(painted: Painted, port: int) -> None:
    painted.hosts.clear()
    painted.show()
    said = page(port).text
    assert 'reconciler new "Fix the flaky test"' in said
    assert "hosts/localhost.yaml" in said


ASKED = {
    "phase=blocked": ["rotate-api-keys"],
    "phase=blocked&phase=failed": ["rotate-api-keys", "old-migrations"],
    "host=laptop": ["dark-mode", "old-migrations", "remove-jquery"],
    "adapter=claude-code": ["rotate-api-keys", "upgrade-django"],
    "q=DJANGO": ["upgrade-django"],
    "q=jquery&host=builder": [],
    "phase=nonsense&q=jquery": ["remove-jquery"],
    "phase=running&page=99999999999999999999": ["fix-flaky-cart-test", "upgrade-django"],
    "phase=running&page=-1&host=": ["fix-flaky-cart-test", "upgrade-django"],
    "q=%00%ff%ed%a0%80": [],
}


def test_the_address_says_which_tasks_are_shown(painted: Painted, port: int) -> None:
    paint(painted)
    assert {asked: page(port, f"/?{asked}").cards() for asked in ASKED} == ASKED


def test_thousands_of_tasks_are_counted_and_shown_in_part_a_page_at_a_time(painted: Painted, port: int) -> None:
    many(painted, 5000)
    board = page(port)
    assert len(board.cards()) == 5 * SHOWN
    assert "Show all 1,875" in board.text
    first, second, last = (page(port, f"/?phase=completed&page={number}") for number in (1, 2, 99))
    assert [len(one.cards()) for one in (first, second, last)] == [PAGE, PAGE, 625 % PAGE]
    assert not set(first.cards()) & set(second.cards())
    assert "101 to 200 of 625" in second.text


def test_what_was_put_away_is_not_shown(painted: Painted, port: int) -> None:
    painted.seen = {"old": ObservedTask(phase=Phase.COMPLETED), "odd": ObservedTask(phase=Phase.COMPLETED)}
    painted.archived = frozenset({"old"})
    painted.show()
    assert page(port).cards() == ["odd"]


def test_whatever_others_wrote_is_text_and_can_be_seen(painted: Painted, port: int) -> None:
    painted.problems = (Problem(file=HOSTILE, line=1, column=1, message=HOSTILE),)
    painted.tasks = {"odd": task(HOSTILE + "x" * 1_000_000), "spoken": task("t")}
    bad = run(1, painted.now, finished_at=painted.now, outcome=Outcome.FAILED, failure=Failure.AUTH, error=HOSTILE)
    where = PullRequest(number=1, url="javascript:alert(3)", state="open")
    seen = ObservedTask(phase=Phase.BLOCKED, reason="auth", owner="operator", needs=HOSTILE, runs=(bad,), pr=where)
    painted.seen = {"spoken": seen}
    painted.show()
    for path in ("/", f"/?{urlencode({'q': HOSTILE, 'host': HOSTILE, 'adapter': HOSTILE})}"):
        answer = get(port, path)
        found = Elements(answer)
        assert [one.get("src") for one in found.of("script")] == ["/static/pages.js"]
        assert {one.get("src") for one in found.of("img")} == {"/static/icon.svg"}
        assert [name for _, one in found.elements for name in one if name.startswith("on") or name == "style"] == []
        assert all(str(one["href"]).startswith(("/", "#")) for one in found.of("a"))
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", answer.body.decode())
        assert len(answer.body) < 50_000
    assert "<script>alert(1)</script>" in page(port).text
    assert "␛[2J␇�gnp.exe�" in page(port).text


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://git.example.org/a/b/pulls/1", True),
        ("HTTP://127.0.0.1:3000/x?y=1#z", True),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("//git.example.org/1", False),
        ("https://user:pass@git.example.org/1", False),
        ("https://git.example.org/\u202e1", False),
        ("https://git.example.org/ 1", False),
        ("https://[::1/1", False),
        ("https://git.example.org:99999/1", False),
        ("https:///1", False),
        ("https://" + "x" * 5000, False),
        (None, False),
    ],
)
def test_a_link_leads_where_people_go(url: str | None, good: bool) -> None:  # noqa: FBT001 - a row of a table
    assert (texts.link(url) == url) is (good or url is None)


def test_nothing_but_our_own_style_and_script_may_be_used(port: int) -> None:
    for path in ("/", "/static/pages.js", "/static/pages.css", "/static/icon.svg"):
        headers = get(port, path).headers
        policy = dict(one.strip().split(" ", 1) for one in headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert (policy["base-uri"], policy["frame-ancestors"]) == ("'none'", "'none'")
        assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == ("nosniff", "no-referrer")
    assert get(port, "/static/../routes.py").status == 404
    assert get(port, "/static/pages.html").status == 404


def test_whoever_has_the_newest_page_is_only_told_so(painted: Painted, port: int) -> None:
    paint(painted)
    first = get(port)
    tag = first.headers["Etag"]
    again = get(port, If_None_Match=tag)
    assert (again.status, again.body) == (304, b"")
    painted.seen["remove-jquery"] = replace(painted.seen["remove-jquery"], phase=Phase.FAILED)
    painted.show()
    news = get(port, If_None_Match=tag)
    assert (news.status, news.headers["Etag"] != tag) == (200, True)


def test_from_elsewhere_there_is_nothing_until_a_token_is_named(painted: Painted, port: int) -> None:
    paint(painted)
    for elsewhere in ({"Host": "evil.example.org"}, {"X_Forwarded_For": "10.0.0.1"}):
        closed = get(port, "/?q=x", **elsewhere)
        assert closed.status == 404
        assert b"board.token_sha256" in closed.body
        assert b"jQuery" not in closed.body
    painted.settings = settings(board=Board(token_sha256=("0" * 64, DIGEST)))
    painted.listens = "0.0.0.0"  # noqa: S104 - nobody listens there
    painted.show()
    asked = get(port, "/?phase=failed&q=%22x")
    assert (asked.status, asked.headers["Www-Authenticate"]) == (401, 'Bearer realm="reconciler"')
    assert ("after", "/?phase=failed&q=%22x") in {
        (one.get("name"), one.get("value")) for one in Elements(asked).of("input")
    }
    assert get(port, Authorization=f"Bearer {TOKEN}").status == 200
    assert get(port, Authorization=f"Bearer {TOKEN}x").status == 401
    assert get(port, Cookie=f"{COOKIE}={DIGEST}").status == 401


def test_a_token_becomes_a_cookie_that_no_script_and_no_other_site_can_use(painted: Painted, port: int) -> None:
    painted.settings = settings(board=Board(token_sha256=(DIGEST,)), public_url="https://agents.example.org")
    painted.listens = "::"
    painted.show()

    def log_in(**fields: str) -> Answer:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return request(port, "POST", "/login", urlencode(fields).encode(), headers)

    good = log_in(token=TOKEN, after="/?phase=failed")
    assert (good.status, good.headers["Location"]) == (303, "/?phase=failed")
    cookie = good.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Secure", "Path=/"} <= {one.strip() for one in cookie.split(";")}
    pair = cookie.partition(";")[0]
    opened = get(port, Cookie=pair)
    assert opened.status == 200
    assert b'action="/logout"' in opened.body
    assert TOKEN.encode() not in opened.body
    for after in ("//evil.example.org", "https://evil.example.org", "/\\evil.example.org", "/\r\nX: y", "/\u202e"):
        assert log_in(token=TOKEN, after=after).headers["Location"] == "/"
    left = request(port, "POST", "/logout", b"", {"Cookie": pair})
    assert (left.status, f"{COOKIE}=;" in left.headers["Set-Cookie"].replace('""', "")) == (303, True)
    painted.settings = settings(board=Board(token_sha256=("0" * 64,)))
    painted.show()
    assert get(port, Cookie=pair).status == 401
    assert request(port, "POST", "/login", b"{}", {"Content-Type": "application/json"}).status == 415
    assert (get(port, "/login").status, get(port, "/login").headers["Location"]) == (303, "/")


def test_guesses_are_limited_and_the_right_token_never_is(painted: Painted, port: int) -> None:
    painted.settings = settings(board=Board(token_sha256=(DIGEST,)))
    painted.listens = "::"
    painted.show()
    statuses = [get(port, Authorization="Bearer wrong").status for _ in range(MOST_FAILURES + 1)]
    assert statuses == [401] * MOST_FAILURES + [429]
    assert get(port).status == 401
    assert get(port, Authorization=f"Bearer {TOKEN}").status == 200
    assert "wrong" not in "".join(painted.refused)


def test_nothing_on_the_board_can_be_changed(port: int) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert request(port, method, "/").status == 405
    assert request(port, "HEAD", "/").status == 200


def test_a_standby_shows_who_leads(painted: Painted, port: int) -> None:
    painted.standing = Standing(role="standby", remote="origin", term=7, leader="host-b in <b>/srv</b>")
    painted.show()
    said = " ".join(page(port).text.split())
    assert "standing by host-b in <b>/srv</b> leads" in said


def test_the_numbers_are_drawn_on_the_server_and_stand_in_a_table_as_well(painted: Painted, port: int) -> None:
    nothing = page(port, "/numbers")
    assert "No task has ended in these days." in nothing.text
    painted.now = NOW
    past(painted)
    found = page(port, "/numbers?days=7")
    said = " ".join(found.text.split())
    assert "completed 20 failed 2 runs that went well 91%" in said
    days = [one for one in found.of("rect") if one["class"] == "q-completed"]
    assert len(days) == len({one["x"] for one in days}) == 7
    assert all(0 <= float(str(one["y"])) <= 100 - float(str(one["height"])) + 0.01 for one in days)
    assert page(port, "/numbers?days=x'%22").text.count("today") == 2
    assert get(port, "/numbers", Host="evil.example.org").status == 404
