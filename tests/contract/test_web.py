"""The web application as clients see it, honest ones and others, over real HTTP with its real server."""

import base64
import contextlib
import json
import socket
import sqlite3
import struct
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import cast
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from reconciler import serving
from reconciler.core import notifications
from reconciler.core.channels import Notify, Ntfy
from reconciler.core.desired import Desired, Settings
from reconciler.core.notifications import Met, Notified, Pace
from reconciler.core.observed import Observed
from reconciler.core.standing import Standing
from reconciler.edges.forgelink import ForgeLink
from reconciler.edges.reads import Reads
from reconciler.edges.view import Picture, View
from reconciler.repo.fleet import Fleet
from reconciler.repo.journal import JournalFailed
from reconciler.repo.notified import Channels
from reconciler.repo.published import Published
from reconciler.web import address
from reconciler.web.address import Address, BadAddress
from reconciler.web.bodies import MAX_BODY
from reconciler.web.bounded import MOST, WITHIN_S, Bounded
from reconciler.web.documents import DEEPEST
from reconciler.web.readiness import PROOF_S, TURN_MOST_S, Readiness
from reconciler.web.site import Check
from tests.contract.web import Answer, Running, raw, running, signed
from tests.recording import NOW
from tests.waiting import until

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "fixtures" / "forge"
BODY = b'{\n  "action": "opened"\n}'


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path) as made:
        yield made


def problem(answer: Answer, status: int) -> str:
    """The detail of a problem, after a look at its form."""
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json"), answer
    document = answer.json
    assert set(document) == {"type", "title", "status", "detail"}
    assert document["status"] == status
    return str(document["detail"])


@pytest.mark.parametrize("path", ["/webhooks/forgejo", "/webhooks/gitea", "/webhooks/github"])
def test_a_signed_delivery_is_on_disk_when_it_is_answered(web: Running, path: str) -> None:
    answer = web.post(BODY, path=path)
    assert (answer.status, answer.json) == (202, {"status": "stored"})
    (kept,) = web.kept()
    assert (kept.kind, kept.event, kept.event_type, kept.body) == ("forgejo", "push", "push", BODY)
    assert (kept.id, kept.received_at) == ("1bff3038-a37e-45b1-ae44-2deb7e896837", NOW)
    assert web.arrived == [1]
    assert web.refused == []


def test_the_same_again_is_known_and_wakes_nobody(web: Running) -> None:
    web.post(BODY)
    again = web.post(BODY, {**signed(BODY), "X-Forgejo-Delivery": "another"})
    assert (again.status, again.json) == (202, {"status": "known"})
    assert (len(web.kept()), web.arrived) == (1, [1])


def test_an_unknown_event_is_taken_and_one_without_a_name_too(web: Running) -> None:
    assert web.post(BODY, {**signed(BODY), "X-Forgejo-Event": "earthquake"}).status == 202
    nameless = {name: value for name, value in signed(BODY).items() if "Event" not in name and "Deliv" not in name}
    assert web.post(BODY, nameless).status == 202
    assert [one.event for one in web.kept()] == ["earthquake", ""]


def test_without_a_secret_the_endpoint_does_not_exist_and_a_secret_counts_at_once(web: Running) -> None:
    web.secrets.clear()
    assert "settings.forge.webhook_secret_env" in problem(web.post(BODY), 404)
    assert web.kept() == []
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        assert "webhooks are off" in problem(web.ask(method, "/webhooks/forgejo"), 404), method
    assert web.ask("HEAD", "/webhooks/github").status == 404
    web.secrets += ["new", "old"]
    problem(web.ask("GET", "/webhooks/forgejo"), 405)
    assert [web.post(BODY, signed(BODY, one)).status for one in ("old", "new", "other")] == [202, 202, 401]


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": ""}, 415),
        ({"Content-Type": None}, 415),
        ({"Content-Type": "application/json; charset=utf-8"}, 202),
        ({"Content-Type": "APPLICATION/JSON"}, 202),
        ({"X-Forgejo-Signature": "0" * 64}, 202),
        ({"X-Forgejo-Signature": "0" * 64, "X-Hub-Signature-256": "sha256=" + "0" * 64}, 401),
        ({"X-Forgejo-Signature": "", "X-Hub-Signature-256": "sha256="}, 401),
        ({"X-Forgejo-Signature": None, "X-Hub-Signature-256": None}, 401),
    ],
)
def test_a_delivery_is_json_and_signed(web: Running, changed: dict[str, str | None], status: int) -> None:
    headers = {name: value for name, value in {**signed(BODY), **changed}.items() if value is not None}
    answer = web.post(BODY, headers)
    assert answer.status == status
    assert len(web.kept()) == len(web.arrived) == (status == 202)
    assert len(web.refused) == (status != 202)
    if status != 202:
        problem(answer, status)
        assert "127.0.0.1" in web.refused[0]
        assert "opened" not in web.refused[0]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"text"',
        b"7",
        b"null",
        b"not json",
        b'{"half": ',
        b'{"a": NaN}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": "\xff"}',
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        b"payload=%7B%7D",
        b'{"a":' * (DEEPEST + 1) + b"1" + b"}" * (DEEPEST + 1),
        b"[" * 200_000,
        b'{"a":' * 150_000,
        b'{"' + b'\\"' * 400_000,
    ],
    ids=lambda body: repr(body[:12]) if isinstance(body, bytes) else None,
)
def test_what_is_signed_must_still_be_a_json_object_of_bounded_depth(web: Running, body: bytes) -> None:
    began = time.monotonic()
    problem(web.post(body), 400)
    assert time.monotonic() - began < 2
    assert (web.kept(), web.arrived, len(web.refused)) == ([], [], 1)


def test_depth_is_not_counted_in_texts(web: Running) -> None:
    assert web.post(json.dumps({"title": '"\\[' * 1000 + "[" * 1000}).encode()).status == 202
    assert web.post(b'{"a":' * DEEPEST + b"1" + b"}" * DEEPEST).status == 202


@pytest.mark.parametrize("more", [1, 3 * MAX_BODY])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_bound_is_refused_and_its_sender_sees_it(web: Running, more: int, *, chunked: bool) -> None:
    body = b'{"a": "' + b"x" * (MAX_BODY + more)
    if not chunked:
        problem(web.post(body), 413)
    else:
        head = b"POST /webhooks/forgejo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        answer = raw(web.port, head + b"Transfer-Encoding: chunked\r\n\r\n", chunk)
        assert answer.startswith(b"HTTP/1.1 413 "), answer
    assert (web.kept(), len(web.refused)) == ([], 1)


def test_a_body_of_just_the_bound_is_taken(web: Running) -> None:
    body = b'{"a": "' + b"x" * (MAX_BODY - 9) + b'"}'
    assert len(body) == MAX_BODY
    assert web.post(body).status == 202
    assert web.kept()[0].body == body


def test_a_chunked_delivery_is_taken(web: Running) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in signed(BODY).items())
    head = (
        f"POST /webhooks/forgejo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n{lines}\r\n"
    )
    chunks = b"".join(b"1\r\n%b\r\n" % BODY[at : at + 1] for at in range(len(BODY))) + b"0\r\n\r\n"
    assert raw(web.port, head.encode(), chunks, end=False).startswith(b"HTTP/1.1 202 ")
    assert [one.body for one in web.kept()] == [BODY]


def heads(*more: str, path: str = "/webhooks/forgejo") -> bytes:
    lines = [f"{name}: {value}" for name, value in signed(BODY).items()]
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", *lines, *more, "", ""]).encode()


@pytest.mark.parametrize("more", [["Content-Length: 100"], ["Transfer-Encoding: chunked"]], ids=["length", "chunked"])
def test_a_body_that_breaks_off_is_refused(web: Running, more: list[str]) -> None:
    sent = b"100\r\n" + BODY if "chunked" in more[0] else BODY
    answer = raw(web.port, heads(*more), sent)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert b"application/problem+json" in answer
    assert (web.kept(), len(web.refused)) == ([], 1)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"POST\x00 / HTTP/1.1\r\n\r\n", 400),
        (b"get / HTTP/1.1\r\n\r\n", 400),
        (b"BREW /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
        (b"GET http://[/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
        (b"GET /%00%ff%2e%2e HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        (b"GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n", 200),
        (heads("Content-Length: -1") + BODY, 400),
        (heads("Content-Length: x") + BODY, 400),
        (heads("Content-Length: " + "9" * 5000) + BODY, 400),
        (heads("Content-Length: 24", "Content-Length: 25") + BODY, 400),
        (heads("Content-Length: 99999999999999") + BODY, 413),
        (heads("Transfer-Encoding: gzip") + BODY, 400),
        (heads("Transfer-Encoding: chunked") + b"zz\r\n", 400),
        (heads("Transfer-Encoding: chunked", "Content-Length: 5") + b"0\r\n\r\n", 400),
        (heads("Transfer-Encoding: chunked").replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n", 400),
        (heads("Transfer-Encoding : chunked", "Content-Length: 24") + BODY, 400),
        (heads("Transfer-Encoding: \x0bchunked", "Content-Length: 24") + BODY, 400),
        (heads("X: a\rTransfer-Encoding: chunked", "Content-Length: 24") + BODY, 400),
        (heads("Content-Length: +24") + BODY, 400),
        (heads("Transfer-Encoding: chunked") + b"0x18\r\n" + BODY + b"\r\n0\r\n\r\n", 400),
        (heads("Transfer-Encoding: chunked") + b"18;a\nb\r\n" + BODY + b"\r\n0\r\n\r\n", 400),
        (heads("X-Long: " + "x" * 100_000) + BODY, 431),
        (heads(f"Content-Length: {len(BODY)}", "X-Forgejo-Signature: x", "Connection: close") + BODY, 202),
        (heads(f"Content-Length: {len(BODY)}", "Content-Type: application/json", "Connection: close") + BODY, 415),
    ],
)
def test_what_is_hardly_http_is_the_sender_s_mistake(
    web: Running, request_bytes: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    answer = raw(web.port, request_bytes, end=False)
    first, _, rest = answer.partition(b"\r\n")
    assert first.split()[1] == str(status).encode(), answer
    if status >= 400:
        assert b"Content-Type: application/problem+json" in rest
        assert json.loads(rest.partition(b"\r\n\r\n")[2])["status"] == status
    assert b"waitress" not in answer
    lines = [*web.refused, *caplog.messages]
    assert len(lines) <= 1
    assert all("127.0.0.1" in line and "opened" not in line for line in lines)
    assert web.ask("GET", "/healthz").status == 200


def test_every_refusal_is_a_problem(web: Running) -> None:
    assert "nothing at this path" in problem(web.ask("GET", "/nowhere"), 404)
    assert problem(web.ask("DELETE", "/healthz"), 405)
    refused = web.ask("GET", "/webhooks/forgejo")
    problem(refused, 405)
    assert "POST" in refused.headers["Allow"]
    head = web.ask("HEAD", "/nowhere")
    assert (head.status, head.headers["Content-Type"], head.body) == (404, "application/problem+json", b"")
    options = web.ask("OPTIONS", "/webhooks/forgejo")
    assert (options.status, options.headers["Allow"]) == (200, "POST")
    assert web.ask("OPTIONS", "/nowhere").status == 404


def test_a_journal_that_cannot_be_written_is_not_the_forge_s_mistake(web: Running, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "journal.sqlite3") as other:
        other.execute("CREATE TRIGGER full BEFORE INSERT ON deliveries BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    other.close()
    answer = web.post(BODY)
    problem(answer, 503)
    assert int(answer.headers["Retry-After"]) > 0
    assert b"disk is full" not in answer.body
    assert "disk is full" in web.refused[0]
    assert web.arrived == []


def test_a_defect_shows_nothing_of_the_inside(web: Running, caplog: pytest.LogCaptureFixture) -> None:
    web.checks["loop"] = cast("Check", "no check at all")
    answer = web.ask("GET", "/readyz")
    assert problem(answer, 500) == "the program met a defect; its log says more"
    assert "GET /readyz met a defect of this program" in caplog.text


def test_health_and_readiness(web: Running) -> None:
    alive = web.ask("GET", "/healthz")
    assert [web.ask("HEAD", path).status for path in ("/healthz", "/readyz")] == [200, 200]
    assert (alive.status, alive.json, alive.headers["Cache-Control"]) == (200, {"status": "ok"}, "no-store")
    web.checks["loop"] = Check(good=True, status="ok")
    ready = web.ask("GET", "/readyz")
    assert (ready.status, ready.json) == (200, {"status": "ready", "checks": {"loop": {"status": "ok"}}})
    web.checks["forge"] = Check(good=False, status="silent", since=NOW + timedelta(microseconds=9), detail="no answer")
    unready = web.ask("GET", "/readyz")
    assert (unready.status, unready.json["status"]) == (503, "not ready")
    assert unready.json["checks"]["forge"] == {
        "status": "silent",
        "since": "2026-11-22T10:00:00Z",
        "detail": "no answer",
    }
    assert unready.headers["Cache-Control"] == "no-store"


def test_readiness_is_turns_that_go_round_and_a_disk_that_takes_what_is_written(web: Running, tmp_path: Path) -> None:
    clock = [1000.0]
    link = ForgeLink(Published(web.journal), secret=lambda _: None, now=lambda: NOW, changed=lambda: None)
    view = View(dict)
    fleet = Fleet(root=tmp_path, top=tmp_path, common=tmp_path)
    reads = Reads(fleet=fleet, view=view, journal=web.journal, now=lambda: NOW, standing=lambda: standing[0])
    standing: list[Standing | None] = [None]
    readiness = Readiness(reads, link, lambda: clock[0])

    def words() -> list[tuple[bool, str]]:
        return [(check.good, check.status) for check in readiness.checks().values()]

    assert words() == [(False, "starting"), (True, "ok"), (True, "not configured")]
    readiness.turned()
    clock[0] += TURN_MOST_S
    assert words()[0] == (True, "ok")
    clock[0] += 1
    assert words()[0] == (False, "late")
    assert readiness.checks()["loop"].since == NOW
    readiness.turned()
    with sqlite3.connect(tmp_path / "journal.sqlite3") as other:
        other.execute("CREATE TRIGGER full BEFORE INSERT ON proof BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    other.close()
    assert words() == [(True, "ok"), (True, "ok"), (True, "not configured")]
    clock[0] += PROOF_S
    assert words()[1] == (False, "failed")
    assert "disk is full" in str(readiness.checks()["journal"].detail)


def test_a_channel_that_takes_nothing_is_named_and_makes_nothing_unready(web: Running, tmp_path: Path) -> None:
    view = View(dict)
    fleet = Fleet(root=tmp_path, top=tmp_path, common=tmp_path)
    reads = Reads(fleet=fleet, view=view, journal=web.journal, now=lambda: NOW, standing=lambda: None)
    readiness = Readiness(reads, None, lambda: 0.0)
    assert "notify" not in readiness.checks()
    notify = Notify(ntfy={"a": Ntfy(topic="t"), "b": Ntfy(topic="t")})
    view.show(Picture(desired=Desired(settings=Settings(notify=notify)), observed=Observed(fleet="")))
    assert readiness.checks()["notify"] == Check(good=True, status="ok")
    refused = notifications.failed(Notified(since=NOW), Met(why="not with you", refused=True), NOW, Pace())
    Channels(web.journal).keep("ntfy/b", None, refused)
    failing = Check(good=True, status="failing", detail="ntfy/b: see reconciler status")
    assert readiness.checks()["notify"] == failing


def test_many_at_once_are_all_kept(web: Running) -> None:
    bodies = [json.dumps({"number": number}).encode() for number in range(64)]
    answers: list[int] = []
    threads = [threading.Thread(target=lambda one=one: answers.append(web.post(one).status)) for one in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [202] * 64
    assert {one.body for one in web.kept()} == set(bodies)


@pytest.mark.parametrize("abruptly", [False, True])
def test_an_answer_under_way_can_be_told_that_nobody_waits_for_it(*, abruptly: bool) -> None:
    asked, gone = threading.Event(), threading.Event()

    def answering(environ: WSGIEnvironment, start: StartResponse) -> list[bytes]:
        has_left = environ["waitress.client_disconnected"]
        if not has_left():
            asked.set()
        with contextlib.suppress(AssertionError):
            until(has_left, seconds=5, every=0.01)
            gone.set()
        start("204 No Content", [])
        return []

    server = serving.serve(answering, Address(host="127.0.0.1", port=0))
    try:
        with socket.create_connection(("127.0.0.1", server.address.port)) as connection:
            if abruptly:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert asked.wait(10)
            assert not gone.is_set()
        assert gone.wait(10)
    finally:
        server.stop()


def test_a_second_request_that_comes_early_is_answered_after_the_first(web: Running) -> None:
    one = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
    answer = raw(web.port, one + b"\r\n" + one + b"Connection: close\r\n\r\n", end=False)
    assert answer.count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize(
    "more",
    [["Transfer-Encoding: chunked", "Content-Length: 5"], ["Transfer-Encoding : chunked"], ["Content-Length: 5, 5"]],
    ids=["both", "space", "twice"],
)
def test_what_follows_a_request_of_doubtful_length_is_no_second_request(web: Running, more: list[str]) -> None:
    second = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = raw(web.port, heads(*more) + b"0\r\n\r\n" + second)
    assert answer.count(b"HTTP/1.") == 1
    assert answer.split()[1] == b"400"
    assert b"Connection: close" in answer


def test_a_stop_frees_the_port_at_once_whoever_is_connected(tmp_path: Path) -> None:
    with running(tmp_path) as web:
        where = web.server.address
        connections = [socket.create_connection((where.host, where.port)) for _ in range(5)]
        connections[0].sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connections[0].recv(1000).startswith(b"HTTP/1.1 200")
        connections[1].sendall(b"POST /webhooks/forgejo HTTP/1.1\r\nContent-Length: 5\r\n\r\n")
        began = time.monotonic()
    assert time.monotonic() - began < 1
    for one in connections:
        one.close()
    again = socket.create_server((where.host, where.port))
    again.close()


@pytest.mark.parametrize("host", ["localhost", "::1"])
def test_names_and_both_kinds_of_addresses_are_listened_on(host: str) -> None:
    try:
        server = serving.serve(lambda _, __: [], Address(host=host, port=0))
    except OSError as error:
        pytest.skip(f"this machine has no {host}: {error}")
    socket.create_connection((server.address.host, server.address.port)).close()
    assert server.address.host == ("127.0.0.1" if host == "localhost" else host)
    server.stop()


def test_an_address_in_use_is_an_error_of_the_system(web: Running) -> None:
    with pytest.raises(OSError, match="in use"):
        serving.serve(lambda _, __: [], web.server.address)


def test_recorded_deliveries_are_answered_as_recorded(web: Running) -> None:
    if not RECORDED.exists():
        pytest.skip("the recorded deliveries are not here")
    for one in json.loads((RECORDED / "signature_vectors.json").read_text()):
        web.secrets[:] = [one["secret"]]
        body = base64.b64decode(one["body_b64"])
        answer = web.post(body, {**one["headers"], "Content-Type": one["content_type"]})
        is_json = one["content_type"] == "application/json"
        assert answer.status == ((202 if one["valid"] else 401) if is_json else 415), one["name"]
    for entry in json.loads((RECORDED / "manifest.json").read_text())["entries"]:
        if "secret" in entry:
            web.secrets[:] = [entry["secret"]]
            body = (RECORDED / entry["file"]).read_bytes()
            assert web.post(body, entry["request_headers"], f"/webhooks/{entry['forge']}").status == 202, entry["file"]


@pytest.mark.parametrize(
    ("text", "host", "port", "shown"),
    [
        ("127.0.0.1:8732", "127.0.0.1", 8732, "127.0.0.1:8732"),
        (":0", "127.0.0.1", 0, "127.0.0.1:0"),
        ("[::1]:80", "::1", 80, "[::1]:80"),
        ("0.0.0.0:65535", "0.0.0.0", 65535, "0.0.0.0:65535"),  # noqa: S104 - anybody may ask for all interfaces
        ("localhost:1", "localhost", 1, "localhost:1"),
    ],
)
def test_addresses_are_read_as_people_write_them(text: str, host: str, port: int, shown: str) -> None:
    assert address.parse(text) == Address(host=host, port=port)
    assert str(address.parse(text)) == shown


@pytest.mark.parametrize("text", ["", "8732", "a:b", "a:", "::1:80", "a:65536", "http://a:1", "a b:1", "a:1 ", "[a]:1"])
def test_anything_else_is_no_address(text: str) -> None:
    with pytest.raises(BadAddress, match=r"127\.0\.0\.1:8732"):
        address.parse(text)


def test_a_flood_of_refusals_is_ten_lines_a_minute_and_a_count() -> None:
    lines: list[str] = []
    clock = [0.0]
    refused = Bounded(lines.append, lambda: clock[0])
    for number in range(25):
        refused(str(number))
    assert lines == [str(number) for number in range(MOST)]
    clock[0] += WITHIN_S
    refused("later")
    assert lines[MOST:] == ["15 more requests were refused meanwhile", "later"]
    refused.close()
    assert len(lines) == MOST + 2


def test_what_the_journal_cannot_prove_is_said(web: Running, tmp_path: Path) -> None:
    web.journal.prove()
    web.journal.prove()
    assert web.journal.rows("SELECT count(*) FROM proof") == [(1,)]
    with sqlite3.connect(tmp_path / "journal.sqlite3") as other:
        other.execute("CREATE TRIGGER full BEFORE INSERT ON proof BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    other.close()
    with pytest.raises(JournalFailed, match="disk is full"):
        web.journal.prove()
