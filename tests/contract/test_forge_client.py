"""The forge's client against real HTTP on loopback: what it asks, what it makes of answers, and what it never tells."""

import asyncio
import ipaddress
import json
import logging
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from reconciler.core.desired import Forge
from reconciler.forge import hooks
from reconciler.forge.client import Client, ForgeRefused, ForgeUnreachable, Hook, NewPull, Status
from reconciler.forge.rest import MOST_BYTES, Patience
from tests.contract.scripted import Asked, Reply, Scripted, scripted

T = TypeVar("T")

TOKEN = "t0ken-that-nobody-may-see"  # noqa: S105 - of no forge
QUICK = Patience(connect_s=0.5, whole_s=2.0, pauses_s=(0.0, 0.0))
RECORDED = Path(__file__).resolve().parents[2].parent / "shared" / "fixtures" / "forge" / "rest_examples.json"
SHA = "a" * 40
REPO = "/api/v1/repos/team/shop"
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted() as one:
        yield one


def ask(
    server: Scripted,
    does: Callable[[Client], Awaitable[T]],
    *,
    kind: Any = "forgejo",  # noqa: ANN401 - one of the kinds of a forge
    patience: Patience = QUICK,
    url: str | None = None,
) -> T:
    """What the client makes of what the server says."""

    async def run() -> T:
        client = Client(forge(url or server.url, kind), TOKEN, patience=patience)
        try:
            return await does(client)
        finally:
            await client.close()

    return asyncio.run(run())


def forge(url: str, kind: Any = "forgejo") -> Forge:  # noqa: ANN401 - one of the kinds of a forge
    return Forge(kind=kind, url=url, token_env="FORGE_TOKEN")  # noqa: S106 - the name of a variable


def login_with(server: Scripted, token: str) -> str:
    async def run() -> str:
        client = Client(forge(server.url), token)
        try:
            return await client.login()
        finally:
            await client.close()

    return asyncio.run(run())


def certificate(folder: Path) -> Path:
    """A key and a certificate of this machine that nobody has signed, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a forge of a test")])
    today = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "certificate.pem"
    path.write_bytes(encoded + made.public_bytes(serialization.Encoding.PEM))
    return path


def shown(number: int, branch: str = "task/a", *, at: datetime = NOON, **more: object) -> dict[str, object]:
    """A pull request as a forge shows it."""
    side = {"repo_id": 1, "repo": {"id": 1, "full_name": "team/shop"}, "sha": SHA}
    return {
        "id": 1000 + number,
        "number": number,
        "html_url": f"http://forge.example/team/shop/pulls/{number}",
        "title": f"Change {number}",
        "state": "open",
        "merged": False,
        "draft": False,
        "head": {**side, "label": branch, "ref": branch},
        "base": {**side, "label": "main", "ref": "main"},
        "user": {"login": "bot"},
        "updated_at": at.isoformat().replace("+00:00", "Z"),
        **more,
    }


def review(number: int, *, at: datetime = NOON, **more: object) -> dict[str, object]:
    return {
        "id": number,
        "user": {"login": "ada"},
        "state": "REQUEST_CHANGES",
        "body": "Please test it.",
        "commit_id": SHA,
        "dismissed": False,
        "comments_count": 0,
        "submitted_at": at.isoformat(),
        **more,
    }


def hook(number: int, **more: object) -> dict[str, object]:
    events = ["push", "issues", "issue_label", "pull_request", "pull_request_sync", "pull_request_comment"]
    return {
        "id": number,
        "type": "forgejo",
        "active": True,
        "events": [*events, "pull_request_review_approved", "pull_request_review_rejected"],
        "config": {"url": "https://here.example/webhooks/forgejo", "content_type": "json"},
        **more,
    }


def pages(entries: Sequence[Any], most: int = 50, *, total: bool = True) -> Callable[[Asked], Reply]:
    """A list as a server with pages gives it, at most so many at a time, last updated first when asked so."""

    def reply(asked: Asked) -> Reply:
        wanted = entries
        if asked.query.get("sort") in {"recentupdate", "leastupdate"}:
            newest = asked.query["sort"] == "recentupdate"
            wanted = sorted(entries, key=lambda one: str(one["updated_at"]), reverse=newest)
        size = min(int(asked.query.get("limit", "30")), most)
        start = (int(asked.query.get("page", "1")) - 1) * size
        headers = {"X-Total-Count": str(len(entries))} if total else {}
        return Reply(data=wanted[start : start + size], headers=headers)

    return reply


class TestExchanges:
    def test_each_forge_gets_its_own_address_and_credentials(self, server: Scripted) -> None:
        server.script = {
            "GET /api/v1/user": Reply(data={"login": "bot"}),
            "GET /api/v3/user": Reply(data={"login": "hub"}),
            "GET /under/a/path/api/v1/user": Reply(data={"login": "deep"}),
        }
        assert ask(server, lambda client: client.login()) == "bot"
        assert ask(server, lambda client: client.login(), kind="github") == "hub"
        assert ask(server, lambda client: client.login(), url=f"{server.url}/under/a/path/") == "deep"
        assert ask(server, lambda client: client.login(), url=f"{server.url}/api/v1") == "bot"
        with_password = server.url.replace("http://", "http://somebody:else@")
        assert ask(server, lambda client: client.login(), url=with_password) == "bot"
        sent = [one.headers["authorization"] for one in server.asked]
        assert sent == [f"token {TOKEN}", f"Bearer {TOKEN}", *[f"token {TOKEN}"] * 3]
        assert server.asked[1].headers["accept"] == "application/vnd.github+json"

    def test_odd_names_stay_in_their_segment_of_the_path(self, server: Scripted) -> None:
        expected = "GET /api/v1/repos/tea%20m%3F/sh%C3%B6p%23%2Fx/pulls/3"
        server.script = {expected: Reply(data=shown(3))}
        found = ask(server, lambda client: client.pull("tea m?/shöp#/x", 3))
        assert found is not None
        assert server.lines() == [expected]
        for repository in ("../..", "team/..", "team", "/shop", "team/."):
            with pytest.raises(ForgeRefused, match="names nothing"):
                ask(server, lambda client, name=repository: client.pull(name, 3))  # type: ignore[misc]  # bound now
        assert server.lines() == [expected]

    @pytest.mark.parametrize("status", [502, 503, 504])
    def test_a_get_is_asked_again_while_the_forge_restarts(self, server: Scripted, status: int) -> None:
        away = Reply(status=status, data=b"<html>", headers={"Content-Type": "text/html"})
        server.script = {"GET /api/v1/user": [away, away, Reply(data={"login": "bot"})]}
        assert ask(server, lambda client: client.login()) == "bot"
        server.script = {"GET /api/v1/user": away}
        server.asked.clear()
        with pytest.raises(ForgeUnreachable, match=str(status)):
            ask(server, lambda client: client.login())
        assert len(server.asked) == 3

    def test_a_get_is_asked_again_after_a_cut_connection(self, server: Scripted) -> None:
        whole = Reply(data={"login": "bot", "more": "x" * 100})
        for at in (0, 20):
            server.script = {"GET /api/v1/user": [Reply(data=whole.data, cut=at), whole]}
            assert ask(server, lambda client: client.login()) == "bot"
        server.script = {"GET /api/v1/user": Reply(cut=0)}
        server.asked.clear()
        with pytest.raises(ForgeUnreachable, match="cannot be reached"):
            ask(server, lambda client: client.login())
        assert len(server.asked) == 3

    @pytest.mark.parametrize("reply", [Reply(status=502), Reply(status=500), Reply(cut=0)])
    def test_what_changes_something_is_never_sent_twice(self, server: Scripted, reply: Reply) -> None:
        server.script = {f"GET {REPO}/issues/3/comments": Reply(data=[]), f"POST {REPO}/issues/3/comments": reply}
        with pytest.raises(ForgeUnreachable):
            ask(server, lambda client: client.comment("team/shop", 3, marker="m", text="hello"))
        assert len(server.of(f"POST {REPO}/issues/3/comments")) == 1

    def test_a_forge_that_says_nothing_is_given_up_in_time(self, server: Scripted) -> None:
        hang = threading.Event()
        server.script = {"GET /api/v1/user": Reply(data={"login": "bot"}, hang=hang)}
        try:
            with pytest.raises(ForgeUnreachable, match=r"did not answer within 0.3 s"):
                ask(server, lambda client: client.login(), patience=Patience(whole_s=0.3))
        finally:
            hang.set()
        assert len(server.asked) == 1

    def test_nobody_at_the_address_is_told_in_one_line(self, server: Scripted) -> None:
        with scripted() as other:
            closed = other.url
        with pytest.raises(ForgeUnreachable, match="cannot be reached: no connection") as told:
            ask(server, lambda client: client.login(), url=closed)
        assert "\n" not in str(told.value)

    @pytest.mark.parametrize(
        ("status", "headers", "wanted"),
        [
            (429, {"Retry-After": "17"}, 17),
            (429, {}, None),
            (503, {"Retry-After": "5"}, 5),
            (403, {"Retry-After": "60"}, 60),
            (429, {"Retry-After": "9" * 40}, None),
            (429, {"Retry-After": "999999"}, 3600),
            (429, {"Retry-After": "Sun, 22 Nov 2026 12:01:30 GMT", "Date": "Sun, 22 Nov 2026 12:00:00 GMT"}, 90),
            (429, {"Retry-After": "Sun, 22 Nov 2026 11:01:30 GMT", "Date": "Sun, 22 Nov 2026 12:00:00 GMT"}, 0),
            (
                403,
                {
                    "X-RateLimit-Remaining": "0",
                    "X-RateLimit-Reset": str(int(NOON.timestamp()) + 40),
                    "Date": "Sun, 22 Nov 2026 12:00:00 GMT",
                },
                40,
            ),
        ],
    )
    def test_a_forge_that_asks_for_patience_says_how_long(
        self, server: Scripted, status: int, headers: Mapping[str, str], wanted: float | None
    ) -> None:
        server.script = {"GET /api/v1/user": Reply(status=status, data={"message": "slow down"}, headers=headers)}
        with pytest.raises(ForgeUnreachable, match="left alone") as told:
            ask(server, lambda client: client.login())
        assert told.value.retry_after == (None if wanted is None else timedelta(seconds=wanted))
        assert len(server.asked) == 1

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (b"<html>please log in</html>", "text/html"),
            (b"", "application/json"),
            (b"[" * 100_000, "application/json"),
            (b'{"login": ', "application/json"),
            (b'{"number": ' + b"9" * 5000 + b"}", "application/json"),
            (b"\xff\xfe\x00", "application/json"),
            (b"[]", "application/json"),
            (b"null", "application/json"),
            (b'{"login": 5}', "application/json"),
            (b'{"login": ""}', "application/json"),
        ],
    )
    def test_an_answer_of_another_shape_is_no_answer(self, server: Scripted, body: bytes, kind: str) -> None:
        server.script = {"GET /api/v1/user": Reply(data=body, headers={"Content-Type": kind})}
        with pytest.raises(ForgeUnreachable, match=r"cannot be read.*see that forge.url is right"):
            ask(server, lambda client: client.login())

    def test_an_answer_without_end_is_not_read_to_its_end(self, server: Scripted) -> None:
        server.script = {"GET /api/v1/user": Reply(data=b" " * (MOST_BYTES + 1))}
        with pytest.raises(ForgeUnreachable, match="more than 16 MiB"):
            ask(server, lambda client: client.login(), patience=Patience(whole_s=10))
        assert len(server.asked) == 1

    def test_a_get_is_followed_within_the_origin_and_nowhere_else(self, server: Scripted) -> None:
        side = {"repo_id": 1, "repo": {"id": 1, "full_name": "team/store"}, "sha": SHA}
        renamed = shown(3, head={**side, "label": "task/a"}, base={**side, "label": "main"})
        server.script = {
            f"GET {REPO}/pulls/3": Reply(status=307, headers={"Location": "/api/v1/repos/team/store/pulls/3"}),
            "GET /api/v1/repos/team/store/pulls/3": Reply(data=renamed),
            f"GET {REPO}/pulls/4": Reply(status=302, headers={"Location": "http://evil.example:1/steal"}),
            f"GET {REPO}/pulls/5": Reply(status=301, headers={"Location": f"{REPO}/pulls/5"}),
            f"POST {REPO}/statuses/{SHA}": Reply(status=301, headers={"Location": f"{REPO}/elsewhere"}),
        }
        found = ask(server, lambda client: client.pull("team/shop", 3))
        assert found is not None
        assert found.repository == "team/shop"
        with pytest.raises(ForgeRefused, match=r"sends us on to http://evil\.example:1;") as told:
            ask(server, lambda client: client.pull("team/shop", 4))
        assert told.value.status == 302
        with pytest.raises(ForgeRefused, match="sends us on"):
            ask(server, lambda client: client.pull("team/shop", 5))
        status = Status(state="success", description="done")
        with pytest.raises(ForgeRefused, match="sends us on"):
            ask(server, lambda client: client.set_status("team/shop", SHA, status))
        assert f"GET {REPO}/elsewhere" not in server.lines()

    def test_no_more_than_four_connections_are_open_at_once(self, server: Scripted) -> None:
        there, most = threading.Semaphore(0), [0, 0]
        lock = threading.Lock()

        def count(_: Asked) -> Reply:
            with lock:
                most[0] += 1
                most[1] = max(most)
            there.acquire(timeout=0.1)
            with lock:
                most[0] -= 1
            return Reply(data={"login": "bot"})

        async def many(client: Client) -> list[str]:
            return await asyncio.gather(*(client.login() for _ in range(12)))

        server.script = {"GET /api/v1/user": count}
        assert ask(server, many) == ["bot"] * 12
        assert 2 <= most[1] <= 4

    def test_no_proxy_is_asked_for_a_forge_on_this_machine(
        self, server: Scripted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with scripted() as proxy:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, proxy.url)
            server.script = {"GET /api/v1/user": Reply(data={"login": "bot"})}
            assert ask(server, lambda client: client.login()) == "bot"
            proxy.script = {"GET http://forge.invalid/api/v1/user": Reply(data={"login": "proxied"})}
            assert ask(server, lambda client: client.login(), url="http://forge.invalid") == "proxied"

    def test_certificates_are_those_that_the_machine_trusts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = certificate(tmp_path)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(made)
        with scripted(tls) as server:
            server.script = {"GET /api/v1/user": Reply(data={"login": "bot"})}
            with pytest.raises(ForgeUnreachable, match="certificate verify failed"):
                ask(server, lambda client: client.login())
            assert server.asked == []
            monkeypatch.setenv("SSL_CERT_FILE", str(made))
            assert ask(server, lambda client: client.login()) == "bot"

    def test_a_closed_client_asks_nobody(self, server: Scripted) -> None:
        async def closed(client: Client) -> None:
            await client.close()
            await client.login()

        with pytest.raises(ForgeUnreachable, match="closed"):
            ask(server, closed)
        assert server.asked == []

    def test_a_url_that_is_none_is_refused(self, server: Scripted) -> None:
        for url in ("http://[::1", "http://host:port", "http://" + "a" * 70_000):
            with pytest.raises((ForgeRefused, ForgeUnreachable)):
                ask(server, lambda client: client.login(), url=url)

    def test_the_token_is_told_to_the_forge_alone(self, server: Scripted, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        said = []
        for status in (401, 403, 404, 409, 422, 429, 500, 302):
            headers = {"Location": f"http://other.example/{TOKEN}"} if status == 302 else {}
            server.script = {"GET /api/v1/user": Reply(status=status, data={"message": f"no {TOKEN}"}, headers=headers)}
            with pytest.raises((ForgeRefused, ForgeUnreachable)) as told:
                ask(server, lambda client: client.login())
            said.append(f"{told.value!r} {told.value}")
        for token in (f"{TOKEN}\nInjected: yes", f"{TOKEN}é"):
            with pytest.raises(ForgeRefused, match="FORGE_TOKEN") as refused:
                login_with(server, token)
            said.append(str(refused.value))
        client = Client(forge(server.url), TOKEN)
        said += [repr(client), str(vars(client)), str(vars(client._rest) | {"_token": ""})]  # noqa: SLF001 - to be seen through
        assert TOKEN not in " ".join(said)
        assert TOKEN not in caplog.text
        assert "HTTP Request" not in caplog.text

    def test_a_token_with_a_newline_at_its_end_is_one(self, server: Scripted) -> None:
        server.script = {"GET /api/v1/user": Reply(data={"login": "bot"})}
        assert login_with(server, f"{TOKEN}\n") == "bot"

    def test_a_refusal_says_what_to_do_in_one_line(self, server: Scripted) -> None:
        words = "token does not have\nat least one of required scope(s): [read:user]"
        server.script = {"GET /api/v1/user": Reply(status=403, data={"message": words})}
        with pytest.raises(
            ForgeRefused, match=r"403: token does not have at least.*; give the token its scopes"
        ) as told:
            ask(server, lambda client: client.login())
        assert "\n" not in str(told.value)
        server.script = {"GET /api/v1/user": Reply(status=401, data={"message": "invalid username, password or token"})}
        with pytest.raises(ForgeRefused, match=r"make a new token for the API and put it into FORGE_TOKEN"):
            ask(server, lambda client: client.login())


class TestPullRequests:
    def test_one_is_read_and_one_that_is_not_there_is_none(self, server: Scripted) -> None:
        server.script = {f"GET {REPO}/pulls/3": Reply(data=shown(3, "task/7/sub-é"))}
        found = ask(server, lambda client: client.pull("team/shop", 3))
        assert found is not None
        assert (found.number, found.branch, found.state, found.same_repository) == (3, "task/7/sub-é", "open", True)
        assert ask(server, lambda client: client.pull("team/shop", 4)) is None

    def test_the_404_of_something_before_the_forge_says_nothing(self, server: Scripted) -> None:
        page = Reply(status=404, data=b"404 page not found\n", headers={"Content-Type": "text/plain"})
        server.script = {f"GET {REPO}/pulls/3": page}
        with pytest.raises(ForgeUnreachable, match="not in a forge's words"):
            ask(server, lambda client: client.pull("team/shop", 3))

    def test_a_pull_request_of_another_shape_is_no_answer(self, server: Scripted) -> None:
        server.script = {f"GET {REPO}/pulls/3": Reply(data={"number": "three"})}
        with pytest.raises(ForgeUnreachable, match="cannot be read"):
            ask(server, lambda client: client.pull("team/shop", 3))

    @pytest.mark.parametrize(("most", "total"), [(50, True), (50, False), (20, True)])
    def test_all_pages_are_read_whatever_their_length(self, server: Scripted, most: int, total: bool) -> None:  # noqa: FBT001 - a parameter of the test
        entries = [shown(number, at=NOON + timedelta(minutes=number)) for number in range(1, 121)]
        server.script = {f"GET {REPO}/pulls": pages(entries, most, total=total)}
        found = ask(server, lambda client: client.pulls("team/shop"))
        assert [one.number for one in found] == list(range(120, 0, -1))

    def test_entries_of_one_id_are_several_where_their_numbers_differ(self, server: Scripted) -> None:
        server.script = {f"GET {REPO}/pulls": Reply(data=[shown(2, id=7), shown(1, id=7), shown(2, id=7)])}
        assert [one.number for one in ask(server, lambda client: client.pulls("team/shop"))] == [2, 1]

    def test_a_server_without_pages_is_asked_once_more_at_most(self, server: Scripted) -> None:
        entries = [shown(number) for number in range(1, 81)]
        server.script = {f"GET {REPO}/pulls": Reply(data=entries)}
        assert len(ask(server, lambda client: client.pulls("team/shop"))) == 80
        assert len(server.asked) == 2

    def test_a_list_without_end_is_given_up_after_forty_pages(self, server: Scripted) -> None:
        def endless(asked: Asked) -> Reply:
            first = 50 * int(asked.query["page"])
            return Reply(data=[shown(first + one) for one in range(50)])

        server.script = {f"GET {REPO}/pulls": endless}
        assert len(ask(server, lambda client: client.pulls("team/shop"), patience=Patience())) == 2000
        assert len(server.asked) == 40

    def test_old_ones_are_left_out_and_not_paged_through(self, server: Scripted) -> None:
        entries = [shown(number, at=NOON + timedelta(minutes=number)) for number in range(1, 301)]
        server.script = {f"GET {REPO}/pulls": pages(entries)}
        since = NOON + timedelta(minutes=260)
        found = ask(server, lambda client: client.pulls("team/shop", since=since))
        assert [one.number for one in found] == list(range(300, 259, -1))
        assert len([one for one in server.asked if one.query["sort"] == "recentupdate"]) == 1

    def test_a_server_that_does_not_sort_is_read_to_the_end(self, server: Scripted) -> None:
        entries = [shown(number, at=NOON - timedelta(days=1, minutes=300 - number)) for number in range(300, 0, -1)]
        entries[260] = shown(40, at=NOON)

        def unsorted(asked: Asked) -> Reply:
            start = 50 * (int(asked.query["page"]) - 1)
            return Reply(data=entries[start : start + 50])

        server.script = {f"GET {REPO}/pulls": unsorted}
        found = ask(server, lambda client: client.pulls("team/shop", since=NOON - timedelta(hours=1)))
        assert [one.number for one in found] == [40]

    def test_a_server_that_sorts_by_something_else_is_read_to_the_end(self, server: Scripted) -> None:
        entries = [shown(number, at=NOON - timedelta(minutes=number)) for number in range(200, 0, -1)]

        def by_number(asked: Asked) -> Reply:
            wanted = entries if asked.query["sort"] == "recentupdate" else entries[::-1]
            start = 50 * (int(asked.query["page"]) - 1)
            return Reply(data=wanted[start : start + 50])

        entries[49] = shown(151, at=NOON - timedelta(days=1))
        server.script = {f"GET {REPO}/pulls": by_number}
        found = ask(server, lambda client: client.pulls("team/shop", since=NOON - timedelta(minutes=3)))
        assert [one.number for one in found] == [1, 2, 3]

    def test_what_cannot_be_read_hides_nothing_else(self, server: Scripted) -> None:
        broken: list[Any] = [None, 5, {"number": 1}, shown(2, head=None), shown(3), shown(4, state="odd"), shown(5)]
        server.script = {f"GET {REPO}/pulls": Reply(data=broken)}
        assert sorted(one.number for one in ask(server, lambda client: client.pulls("team/shop"))) == [3, 5]
        server.script = {f"GET {REPO}/pulls": Reply(data=None)}
        assert ask(server, lambda client: client.pulls("team/shop")) == []
        server.script = {f"GET {REPO}/pulls": Reply(data={"pulls": []})}
        with pytest.raises(ForgeUnreachable, match="it is no list"):
            ask(server, lambda client: client.pulls("team/shop"))

    def test_github_is_asked_in_its_own_words(self, server: Scripted) -> None:
        server.script = {"GET /api/v3/repos/team/shop/pulls": Reply(data=[])}
        ask(server, lambda client: client.pulls("team/shop"), kind="github")
        assert dict(server.asked[0].query) == {
            "state": "all",
            "sort": "updated",
            "direction": "desc",
            "page": "1",
            "per_page": "50",
        }

    def test_a_further_page_is_announced_by_a_link_too(self, server: Scripted) -> None:
        link = {"Link": '<http://x.example/?page=2>; rel="next", <http://x.example/?page=2>; rel="last"'}
        listing = [Reply(data=[shown(1)], headers=link), Reply(data=[shown(2)])]
        server.script = {f"GET {REPO}/pulls": listing}
        assert len(ask(server, lambda client: client.pulls("team/shop"))) == 2


NEW = NewPull(repository="team/shop", branch="task/a", title="Do a", body="It does a.", base="main")


class TestOpening:
    def test_one_is_opened_where_there_is_none(self, server: Scripted) -> None:
        server.script = {
            f"GET {REPO}/pulls": Reply(data=[]),
            f"GET {REPO}": Reply(data={"default_branch": "trunk"}),
            f"POST {REPO}/pulls": Reply(status=201, data=shown(7)),
        }
        assert ask(server, lambda client: client.open_pull(NEW)).number == 7
        (sent,) = server.of(f"POST {REPO}/pulls")
        assert sent.body == {"head": "task/a", "base": "main", "title": "Do a", "body": "It does a."}
        long = NewPull(repository="team/shop", branch="task/a", title="t" * 400, body="b" * 100_000)
        ask(server, lambda client: client.open_pull(long))
        sent = server.of(f"POST {REPO}/pulls")[-1]
        assert sent.body["base"] == "trunk"
        assert (len(sent.body["title"]), len(sent.body["body"])) == (250, 60_000)

    def test_the_open_one_on_the_branch_is_taken(self, server: Scripted) -> None:
        fork = shown(9)
        fork["head"] = {"label": "task/a", "ref": "task/a", "sha": SHA, "repo_id": 2, "repo": None}
        others = [
            shown(3, "task/b"),
            fork,
            shown(4, state="closed"),
            shown(5),
            shown(6),
            shown(8, draft=True),
            shown(10, "task/ab"),
        ]
        server.script = {f"GET {REPO}/pulls": pages(others, 2)}
        assert ask(server, lambda client: client.open_pull(NEW)).number == 6
        assert {one.method for one in server.asked} == {"GET"}

    @pytest.mark.parametrize("status", [409, 422])
    def test_one_that_somebody_else_has_just_opened_is_taken(self, server: Scripted, status: int) -> None:
        server.script = {
            f"GET {REPO}/pulls": [Reply(data=[]), Reply(data=[shown(5)])],
            f"POST {REPO}/pulls": Reply(status=status, data={"message": "already exists [id: 1, issue_id: 5]"}),
        }
        assert ask(server, lambda client: client.open_pull(NEW)).number == 5

    @pytest.mark.parametrize("status", [403, 404, 409, 422])
    def test_a_refusal_has_the_forges_words_and_what_to_see_to(self, server: Scripted, status: int) -> None:
        server.script = {
            f"GET {REPO}/pulls": Reply(data=[]),
            f"POST {REPO}/pulls": Reply(
                status=status, data={"message": "Validation Failed", "errors": [{"message": "no commits between"}]}
            ),
        }
        with pytest.raises(ForgeRefused, match=r"no commits between.*see that the branch") as told:
            ask(server, lambda client: client.open_pull(NEW))
        assert told.value.status == status

    def test_an_opened_one_that_cannot_be_read_is_found_the_next_time(self, server: Scripted) -> None:
        server.script = {
            f"GET {REPO}/pulls": [Reply(data=[]), Reply(data=[shown(7)])],
            f"POST {REPO}/pulls": Reply(status=201, data=b"<html>"),
        }
        with pytest.raises(ForgeUnreachable):
            ask(server, lambda client: client.open_pull(NEW))
        assert ask(server, lambda client: client.open_pull(NEW)).number == 7
        assert len(server.of(f"POST {REPO}/pulls")) == 1


class TestReviews:
    def test_they_come_oldest_first_with_their_comments(self, server: Scripted) -> None:
        listed = [
            review(12, at=NOON + timedelta(hours=1), state="APPROVED", body=""),
            review(11, comments_count=1),
            review(13, dismissed=True),
            review(14, state="PENDING"),
            {"id": "odd"},
            review(9, comments_count=None),
        ]
        inline = {"path": "a.py", "body": "why?", "position": 4, "diff_hunk": "@@ -1 +1 @@"}
        server.script = {
            f"GET {REPO}/pulls/3/reviews": pages(listed, 2),
            f"GET {REPO}/pulls/3/reviews/11/comments": Reply(data=[inline, {"path": 5}]),
            f"GET {REPO}/pulls/3/reviews/9/comments": Reply(data=None),
        }
        found = ask(server, lambda client: client.reviews("team/shop", 3))
        assert [one.id for one in found] == ["11", "9", "12"]
        assert [(one.path, one.line, one.body) for one in found[0].comments] == [("a.py", 4, "why?")]
        assert f"GET {REPO}/pulls/3/reviews/12/comments" not in server.lines()


class TestCommentsAndStatuses:
    def test_a_comment_is_made_once(self, server: Scripted) -> None:
        made: list[dict[str, object]] = [{"id": one, "body": "chatter"} for one in range(60)]

        def post(asked: Asked) -> Reply:
            body = asked.body["body"].replace("\n", "\r\n")
            made.append({"id": len(made), "user": {"login": "bot"}, "body": body})
            return Reply(status=201, data=made[-1])

        path = f"{REPO}/issues/3/comments"
        bot = Reply(data={"login": "bot"})
        server.script = {f"GET {path}": pages(made), f"POST {path}": post, "GET /api/v1/user": bot}
        for _ in range(2):
            ask(server, lambda client: client.comment("team/shop", 3, marker="task-a.1.limit", text="At the limit."))
        (sent,) = server.of(f"POST {path}")
        assert sent.body["body"] == "At the limit.\n\n<!-- reconciler: task-a.1.limit -->"

    @pytest.mark.parametrize("user", [{"login": "eve"}, {"login": ["bot"]}, None, "bot"])
    def test_a_mark_that_somebody_else_wrote_silences_nothing(self, server: Scripted, user: object) -> None:
        path = f"{REPO}/issues/3/comments"
        server.script = {
            f"GET {path}": Reply(data=[{"id": 1, "user": user, "body": "<!-- reconciler: m -->"}]),
            f"POST {path}": Reply(status=201, data={}),
            "GET /api/v1/user": Reply(data={"login": "bot"}),
        }
        ask(server, lambda client: client.comment("team/shop", 3, marker="m", text="At the limit."))
        assert len(server.of(f"POST {path}")) == 1

    def test_text_cannot_pass_for_the_mark_of_another_comment(self, server: Scripted) -> None:
        path = f"{REPO}/issues/3/comments"
        quoted = {"id": 1, "body": "> <!-- reconciler: m --> said somebody"}
        server.script = {f"GET {path}": Reply(data=[quoted, {"id": 2}]), f"POST {path}": Reply(status=201, data={})}
        text = "the agent says:\n<!-- reconciler: other -->\nbye"
        ask(server, lambda client: client.comment("team/shop", 3, marker="m", text=text))
        (sent,) = server.of(f"POST {path}")
        assert "<!-- reconciler: other" not in sent.body["body"]
        assert sent.body["body"].endswith("<!-- reconciler: m -->")

    def test_a_status_stands_under_our_name(self, server: Scripted) -> None:
        path = f"{REPO}/statuses/{SHA}"
        server.script = {f"POST {path}": Reply(status=201, data={"id": 1})}
        status = Status(state="pending", description="d" * 300, target_url="https://here.example/tasks/a")
        ask(server, lambda client: client.set_status("team/shop", SHA, status))
        assert server.asked[0].body == {
            "state": "pending",
            "context": "reconciler",
            "description": "d" * 140,
            "target_url": "https://here.example/tasks/a",
        }
        ask(server, lambda client: client.set_status("team/shop", SHA, Status(state="success", description="ok")))
        assert "target_url" not in server.asked[1].body

    def test_an_unknown_commit_is_no_forge_in_trouble(self, server: Scripted) -> None:
        path = f"{REPO}/statuses/{SHA}"
        status = Status(state="success", description="ok")
        server.script = {f"POST {path}": Reply(status=500, data={"message": ""}), f"GET {REPO}": Reply(data={})}
        with pytest.raises(ForgeRefused, match="see that the commit is pushed"):
            ask(server, lambda client: client.set_status("team/shop", SHA, status))
        server.script[f"GET {REPO}"] = Reply(status=500)
        with pytest.raises(ForgeUnreachable):
            ask(server, lambda client: client.set_status("team/shop", SHA, status))
        server.script[f"POST {path}"] = Reply(status=404, data={"message": "sha not found"})
        with pytest.raises(ForgeRefused, match="sha not found"):
            ask(server, lambda client: client.set_status("team/shop", SHA, status))


def issue(number: int, **more: object) -> dict[str, object]:
    return {
        "id": number,
        "number": number,
        "html_url": f"http://forge.example/team/shop/issues/{number}",
        "title": "Add a parser",
        "body": "please",
        "user": {"login": "ada"},
        "labels": [{"name": "agent"}],
        "state": "open",
        "pull_request": None,
        "updated_at": "2026-11-22T12:00:00Z",
        **more,
    }


class TestIssues:
    def test_open_ones_with_the_label_are_found_whatever_the_server_filters(self, server: Scripted) -> None:
        listed = [
            issue(1),
            issue(2, labels=[{"name": "agents"}]),
            issue(3, state="closed"),
            issue(4, pull_request={"merged": False}),
            issue(5, labels=None),
            {"number": 6},
            issue(7),
        ]
        server.script = {f"GET {REPO}/issues": pages(listed, 3)}
        assert [one.number for one in ask(server, lambda client: client.issues("team/shop", "agent"))] == [1, 7]
        query = server.asked[0].query
        assert (query["type"], query["labels"], query["state"]) == ("issues", "agent", "open")
        ask(server, lambda client: client.issues("team/shop", "a,b"))
        assert "labels" not in server.asked[-1].query

    def test_one_is_read_and_a_pull_request_is_none(self, server: Scripted) -> None:
        server.script = {
            f"GET {REPO}/issues/1": Reply(data=issue(1)),
            f"GET {REPO}/issues/4": Reply(data=issue(4, pull_request={"merged": False})),
            f"GET {REPO}/issues/5": Reply(status=410, data={"message": "This issue was deleted"}),
            f"GET {REPO}/issues/6": Reply(data=[]),
            f"GET {REPO}/issues/7": Reply(status=403, data={"message": "no"}),
        }
        found = ask(server, lambda client: client.issue("team/shop", 1))
        assert found is not None
        assert (found.repository, found.title, found.labels) == ("team/shop", "Add a parser", ("agent",))
        for number in (4, 5, 99):
            assert ask(server, lambda client, one=number: client.issue("team/shop", one)) is None  # type: ignore[misc]  # bound now
        with pytest.raises(ForgeUnreachable):
            ask(server, lambda client: client.issue("team/shop", 6))
        with pytest.raises(ForgeRefused):
            ask(server, lambda client: client.issue("team/shop", 7))


class TestPeople:
    @pytest.mark.parametrize(
        ("said", "may"),
        [
            ({"permission": "admin"}, True),
            ({"permission": "owner"}, True),
            ({"permission": "write"}, True),
            ({"permission": "read", "role_name": "maintain"}, True),
            ({"permission": "read", "role_name": "triage"}, False),
            ({"permission": "none"}, False),
            ({"permission": ["write"]}, False),
            ([], False),
        ],
    )
    def test_who_may_write_is_what_the_forge_says(self, server: Scripted, said: object, may: bool) -> None:  # noqa: FBT001 - a parameter of the test
        server.script = {f"GET {REPO}/collaborators/ada/permission": Reply(data=said)}
        assert ask(server, lambda client: client.may_write("team/shop", "ada")) is may

    def test_strangers_may_not_and_owners_may(self, server: Scripted) -> None:
        assert not ask(server, lambda client: client.may_write("team/shop", "nobody"))
        assert not ask(server, lambda client: client.may_write("team/shop", ""))
        assert ask(server, lambda client: client.may_write("team/shop", "Team"))
        assert not ask(server, lambda client: client.may_write("team/shop", "a/../../b"))
        assert server.lines()[-1] == f"GET {REPO}/collaborators/a%2F..%2F..%2Fb/permission"

    def test_an_old_server_is_asked_in_the_old_way(self, server: Scripted) -> None:
        unknown = Reply(status=404, data=b"404 page not found\n", headers={"Content-Type": "text/plain"})
        server.script = {
            f"GET {REPO}/collaborators/ada/permission": unknown,
            f"GET {REPO}/collaborators/ada": Reply(status=204),
            f"GET {REPO}/collaborators/eve/permission": unknown,
        }
        assert ask(server, lambda client: client.may_write("team/shop", "ada"))
        assert not ask(server, lambda client: client.may_write("team/shop", "eve"))

    def test_whoever_may_not_ask_is_told_another_way(self, server: Scripted) -> None:
        refused = Reply(status=403, data={"message": "Only admins can query all permissions"})
        server.script = {f"GET {REPO}/collaborators/ada/permission": refused}
        with pytest.raises(ForgeRefused, match=r"forge\.authors"):
            ask(server, lambda client: client.may_write("team/shop", "ada"))

    def test_the_clone_url_is_the_forges(self, server: Scripted) -> None:
        server.script = {f"GET {REPO}": Reply(data={"clone_url": "https://forge.example/team/shop.git"})}
        assert ask(server, lambda client: client.clone_url("team/shop")) == "https://forge.example/team/shop.git"
        server.script = {f"GET {REPO}": Reply(data={"clone_url": None})}
        with pytest.raises(ForgeUnreachable):
            ask(server, lambda client: client.clone_url("team/shop"))


HERE = "https://here.example/webhooks/forgejo"


class TestHooks:
    def test_they_are_listed_and_judged(self, server: Scripted) -> None:
        listed = [
            hook(1),
            hook(2, active=False, events=["push"], config={"url": HERE, "content_type": "form"}),
            {"id": 3},
        ]
        server.script = {f"GET {REPO}/hooks": pages(listed, 1)}
        good, bad = ask(server, lambda client: client.hooks("team/shop"))
        assert hooks.lacks(good, "forgejo") == ()
        assert len(hooks.lacks(bad, "forgejo")) == 3

    def test_one_is_made_with_all_that_is_to_be_known(self, server: Scripted) -> None:
        server.script = {f"POST {REPO}/hooks": lambda asked: Reply(status=201, data={"id": 4, **asked.body})}
        made = ask(server, lambda client: client.create_hook("team/shop", HERE, "s3cret"))
        assert (made.id, made.url, made.active, made.content_type) == (4, HERE, True, "json")
        body = server.asked[0].body
        assert (body["type"], body["branch_filter"], body["config"]["secret"]) == ("forgejo", "*", "s3cret")
        assert {"push", "issues", "pull_request"} <= set(body["events"])
        assert hooks.lacks(made, "forgejo") == ()

    def test_an_older_forgejo_is_told_the_older_name(self, server: Scripted) -> None:
        old = Reply(status=422, data={"message": "Invalid hook type: forgejo"})
        server.script = {f"POST {REPO}/hooks": [old, Reply(status=201, data=hook(4))]}
        ask(server, lambda client: client.create_hook("team/shop", HERE, "s3cret"))
        assert [one.body["type"] for one in server.asked] == ["forgejo", "gitea"]

    def test_github_is_told_in_its_own_words(self, server: Scripted) -> None:
        path = "/api/v3/repos/team/shop/hooks"
        listed = hook(4, active=False, config={"url": HERE, "content_type": "form"})
        server.script = {
            f"POST {path}": lambda asked: Reply(status=201, data={"id": 4, **asked.body}),
            f"GET {path}/4": Reply(data=listed),
            f"PATCH {path}/4": lambda asked: Reply(data={**listed, **asked.body}),
            f"PATCH {path}/4/config": Reply(data={}),
        }
        made = ask(server, lambda client: client.create_hook("team/shop", HERE, "s3cret"), kind="github")
        assert server.asked[0].body["name"] == "web"
        assert hooks.lacks(made, "github") == ()
        assert "pull_request_sync" not in made.events
        broken = hooks.read(listed)
        ask(server, lambda client: client.repair_hook("team/shop", broken), kind="github")
        changes = [one.body for one in server.asked if one.method == "PATCH"]
        assert changes[0] == {"content_type": "json"}
        assert "config" not in changes[1]

    def test_a_repair_says_everything_because_the_rest_would_be_reset(self, server: Scripted) -> None:
        listed = hook(4, active=False, events=["push"], authorization_header="Bearer for-the-proxy")
        server.script = {
            f"GET {REPO}/hooks/4": Reply(data=listed),
            f"PATCH {REPO}/hooks/4": lambda asked: Reply(data={**listed, **asked.body}),
        }
        mended = ask(server, lambda client: client.repair_hook("team/shop", hooks.read(listed)))
        assert hooks.lacks(mended, "forgejo") == ()
        sent = server.asked[-1].body
        assert sent["authorization_header"] == "Bearer for-the-proxy"
        assert sent["config"] == {"url": HERE, "content_type": "json"}

    def test_one_is_deleted_and_tested(self, server: Scripted) -> None:
        one = Hook(id=4, url=HERE, active=True, events=frozenset(), content_type="json")
        server.script = {f"DELETE {REPO}/hooks/4": Reply(status=204), f"POST {REPO}/hooks/4/tests": Reply(status=204)}
        ask(server, lambda client: client.delete_hook("team/shop", one))
        ask(server, lambda client: client.test_hook("team/shop", one))
        assert server.lines() == [f"DELETE {REPO}/hooks/4", f"POST {REPO}/hooks/4/tests"]
        server.script = {}
        ask(server, lambda client: client.delete_hook("team/shop", one))
        with pytest.raises(ForgeRefused):
            ask(server, lambda client: client.test_hook("team/shop", one))

    def test_whoever_is_no_administrator_is_told(self, server: Scripted) -> None:
        server.script = {f"GET {REPO}/hooks": Reply(status=403, data={"message": "must have admin rights"})}
        with pytest.raises(ForgeRefused, match="must have admin rights"):
            ask(server, lambda client: client.hooks("team/shop"))


@pytest.fixture(scope="module")
def exchanges() -> list[dict[str, Any]]:
    if not RECORDED.exists():
        pytest.skip("the recorded exchanges are not here")
    found: list[dict[str, Any]] = json.loads(RECORDED.read_text())["exchanges"]
    return found


def replay(server: Scripted, exchanges: list[dict[str, Any]], *notes: str) -> None:
    """Have the server say what the recorded one said; of several the last stays."""
    for one in exchanges:
        if one["note"] in notes:
            said = one["response"]
            data = said.encode() if isinstance(said, str) else said
            reply = Reply(status=one["status"], data=data, headers=one["response_headers"])
            line = f"{one['method']} {urlsplit(one['path']).path}"
            before = server.script.get(line)
            server.script[line] = [*before, reply] if isinstance(before, list) else [reply]


class TestRecorded:
    def test_a_pull_requests_life_is_read(self, server: Scripted, exchanges: list[dict[str, Any]]) -> None:
        replay(
            server,
            exchanges,
            "list PRs with head filter (ignored by old versions)",
            "list reviews",
            "review comments of REQUEST_CHANGES",
            "get merged PR after its branch was deleted",
            "PR whose head repo was deleted",
            "PR whose branch was deleted unmerged",
        )
        new = NewPull(repository="maintainer/widgets", branch="task/1-add-json-parser", title="t", body="b")
        assert ask(server, lambda client: client.open_pull(new), kind="gitea").number == 3
        comment, changes = ask(server, lambda client: client.reviews("maintainer/widgets", 3), kind="gitea")
        assert (comment.verdict, comment.comments) == ("commented", ())
        assert (changes.verdict, changes.reviewer, changes.body) == (
            "changes_requested",
            "reviewer",
            "Please add tests.",
        )
        assert [(one.path, one.line) for one in changes.comments] == [("parser.py", 1)]
        merged = ask(server, lambda client: client.pull("maintainer/widgets", 3), kind="gitea")
        assert merged is not None
        assert (merged.state, merged.branch) == ("merged", "task/1-add-json-parser")
        forked = ask(server, lambda client: client.pull("maintainer/widgets", 10), kind="gitea")
        assert forked is not None
        assert not forked.same_repository
        gone = ask(server, lambda client: client.pull("maintainer/widgets", 4), kind="gitea")
        assert gone is not None
        assert gone.branch == "task/2-flaky-clock"

    def test_a_duplicate_is_taken_and_refusals_are_told(
        self, server: Scripted, exchanges: list[dict[str, Any]]
    ) -> None:
        path = "/api/v1/repos/maintainer/widgets/pulls"
        replay(server, exchanges, "list PRs with head filter (ignored by old versions)")
        found = server.script[f"GET {path}"]
        assert isinstance(found, list)
        replay(server, exchanges, "create PR again (duplicate)")
        server.script[f"GET {path}"] = [Reply(data=[]), *found]
        new = NewPull(
            repository="maintainer/widgets", branch="task/1-add-json-parser", title="t", body="b", base="main"
        )
        assert ask(server, lambda client: client.open_pull(new), kind="gitea").number == 3
        for note, words in (
            ("create PR head==base", "no changes between"),
            ("create PR unknown head", "target couldn't be found"),
            ("create PR without title", "Required"),
        ):
            server.script = {f"GET {path}": Reply(data=[])}
            replay(server, exchanges, note)
            with pytest.raises(ForgeRefused, match=words):
                ask(server, lambda client: client.open_pull(new), kind="gitea")

    def test_webhooks_are_read_and_what_a_bare_edit_takes_away_is_seen(
        self, server: Scripted, exchanges: list[dict[str, Any]]
    ) -> None:
        replay(server, exchanges, "list webhooks (secret not echoed)", "PATCH hook with only new secret")
        (listed,) = ask(server, lambda client: client.hooks("maintainer/widgets"), kind="gitea")
        assert hooks.lacks(listed, "gitea") == ()
        edited = next(one["response"] for one in exchanges if one["note"] == "PATCH hook with only new secret")
        (said,) = hooks.lacks(hooks.read(edited), "gitea")
        assert "pull requests" in said

    def test_an_old_server_says_500_of_a_commit_that_it_has_not(
        self, server: Scripted, exchanges: list[dict[str, Any]]
    ) -> None:
        replay(server, exchanges, "commit status unknown sha", "Bearer form accepted")
        server.script["GET /api/v1/repos/maintainer/widgets"] = Reply(data={})
        status = Status(state="success", description="ok")
        with pytest.raises(ForgeRefused):
            ask(server, lambda client: client.set_status("maintainer/widgets", "0" * 40, status), kind="gitea")
        assert ask(server, lambda client: client.login(), kind="gitea") == "bot"
