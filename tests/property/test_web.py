"""Whatever a stranger sends, the answer is a 4xx and nothing is kept; whatever the forge signs is kept once."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.web import Running, raw, running, signed

FUZZ = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
PATHS = st.sampled_from(["/webhooks/forgejo", "/webhooks/gitea", "/webhooks/github"])
BODIES = st.one_of(
    st.binary(max_size=200),
    st.text(st.characters(codec="utf-8"), max_size=100).map(str.encode),
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=10)).map(
        lambda one: json.dumps(one).encode()
    ),
    st.integers(1, 3000).map(lambda deep: b'{"a":' * deep + b"1" + b"}" * deep),
)
HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
SIGNATURES = st.one_of(st.just(""), st.just("sha256="), st.just("sha1="), HEX, HEX.map("sha256=".__add__))
NAMES = st.sampled_from(
    ["X-Forgejo-Signature", "X-Gitea-Signature", "X-Gogs-Signature", "X-Hub-Signature-256", "X-Hub-Signature"]
)
LINES = st.binary(max_size=60).map(lambda one: one.replace(b"\r", b"").replace(b"\n", b""))


@pytest.fixture(scope="module")
def web() -> Iterator[Running]:
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as made:
        yield made


@FUZZ
@given(path=PATHS, body=BODIES, forged=st.lists(st.tuples(NAMES, SIGNATURES), max_size=4))
def test_nothing_unsigned_is_kept(web: Running, path: str, body: bytes, forged: list[tuple[str, str]]) -> None:
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Connection: close", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in forged), "", ""]
    answer = raw(web.port, "\r\n".join(lines).encode() + body, end=False)
    assert answer.startswith(b"HTTP/1.1 401 "), answer
    assert b"application/problem+json" in answer
    assert (web.kept(), web.arrived) == ([], [])


@FUZZ
@given(path=PATHS, head=st.lists(LINES, max_size=6), body=BODIES, lie=st.integers(-3, 3) | st.none())
def test_no_bytes_make_the_server_fail(
    web: Running, path: str, head: list[bytes], body: bytes, lie: int | None
) -> None:
    about = b"Transfer-Encoding: chunked" if lie is None else b"Content-Length: %d" % (len(body) + lie)
    first = b"POST %b HTTP/1.1" % path.encode()
    sent = b"\r\n".join([first, b"Content-Type: application/json", b"Connection: close", about, *head, b"", body])
    answer = raw(web.port, sent)
    statuses = [line.split()[1] for line in answer.splitlines() if line.startswith(b"HTTP/1.")]
    assert all(status.startswith(b"4") for status in statuses), answer
    assert (web.kept(), web.arrived) == ([], [])


@FUZZ
@given(sent=st.lists(st.binary(max_size=300), max_size=4))
def test_no_rubbish_at_all_makes_it_fail(web: Running, sent: list[bytes]) -> None:
    answer = raw(web.port, *sent)
    assert not answer.startswith((b"HTTP/1.0 5", b"HTTP/1.1 5")), answer
    assert web.ask("GET", "/healthz").status == 200


@settings(FUZZ, max_examples=40)
@given(body=BODIES)
def test_what_is_signed_is_kept_if_it_is_an_object_and_refused_if_not(body: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as fresh:
        answers = [fresh.post(body, signed(body)).status for _ in range(2)]
        kept = [one.body for one in fresh.kept()]
        assert (answers, kept) in (([202, 202], [body]), ([400, 400], []))
        if answers[0] == 202:
            assert isinstance(json.loads(body), dict)
