"""A forge that means harm, or broke: what it sends is read within bounds, and what it must not get it does not get."""

import asyncio
import gzip
import itertools
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from typing import TypeVar

import pytest

from reconciler.core.desired import Forge
from reconciler.forge.client import Client, ForgeRefused, ForgeUnreachable
from reconciler.forge.paging import MOST_ENTRIES, MOST_PAGES
from reconciler.forge.rest import Patience
from tests.contract.scripted import serving

T = TypeVar("T")
TOKEN = "t0ken-that-nobody-may-see"  # noqa: S105 - of no forge
MANY = MOST_ENTRIES // 4
ONCE = Patience(connect_s=0.5, whole_s=1.0, pauses_s=())


class Raw:
    """A server that answers each request with bytes as they are, for as long as its client listens."""

    def __init__(self, answers: Callable[[bytes], Iterable[bytes]]) -> None:
        self._answers = answers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.asked: list[bytes] = []
        self.sent = 0
        self.gone = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def stop(self) -> None:
        self.gone.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(65536)
            self.asked.append(head)
            for part in self._answers(head):
                if self.gone.is_set():
                    return
                connection.sendall(part)
                self.sent += len(part)


def raw(answers: Callable[[bytes], Iterable[bytes]]) -> AbstractContextManager[Raw]:
    return serving(Raw(answers))


def ask(server: Raw, does: Callable[[Client], Awaitable[T]], patience: Patience = ONCE) -> T:
    async def run() -> T:
        client = Client(Forge(kind="forgejo", url=server.url, token_env="FORGE_TOKEN"), TOKEN, patience=patience)  # noqa: S106 - the name of a variable
        try:
            return await does(client)
        finally:
            await client.close()

    return asyncio.run(run())


def whole(body: bytes, *more: str) -> list[bytes]:
    head = ["HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(body)}", *more]
    return ["\r\n".join([*head, "Connection: close", "", ""]).encode(), body]


@pytest.mark.parametrize("times", [1, 2])
def test_what_comes_packed_is_not_unpacked(times: int) -> None:
    body = json.dumps({"login": "bot", "more": " " * 10_000_000}).encode()
    for _ in range(times):
        body = gzip.compress(body)
    packed = ", ".join(["gzip"] * times)
    with (
        raw(lambda _: whole(body, f"Content-Encoding: {packed}")) as server,
        pytest.raises(ForgeUnreachable, match="it is compressed"),
    ):
        ask(server, lambda client: client.login())


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: ", id="a header"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", id="a body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", id="chunks"),
    ],
)
def test_an_answer_that_comes_in_drops_is_given_up_in_time(first: bytes) -> None:
    def drops(_: bytes) -> Iterator[bytes]:
        yield first
        drop = b"1\r\n \r\n" if b"chunked" in first else b"x"
        while not server.gone.wait(0.05):
            yield drop

    with raw(drops) as server, pytest.raises(ForgeUnreachable, match="did not answer within 1 s"):
        ask(server, lambda client: client.login())


@pytest.mark.parametrize(
    "endless",
    [
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", id="that it may go on"),
        pytest.param(b"X-More: " + b"x" * 1000 + b"\r\n", id="headers"),
        pytest.param(b"x" * 1000, id="one header"),
    ],
)
def test_a_head_without_end_is_given_up(endless: bytes) -> None:
    start = [] if endless.startswith(b"HTTP") else [b"HTTP/1.1 200 OK\r\nX: "]
    with (
        raw(lambda _: itertools.chain(start, itertools.repeat(endless))) as server,
        pytest.raises(ForgeUnreachable),
    ):
        ask(server, lambda client: client.login())


@pytest.mark.parametrize(
    "there",
    [
        "//evil.example/api/v1/user",
        "http://127.0.0.1:1/api/v1/user",
        "https://127.0.0.1/api/v1/user",
        "http://127.0.0.1@evil.example/",
        "\\\\evil.example/",
        "file:///etc/passwd",
        "http://[::1",
        "",
    ],
)
def test_the_token_is_sent_nowhere_else(there: str) -> None:
    head = f"HTTP/1.1 302 Found\r\nLocation: {there}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with raw(lambda _: [head.encode()]) as server, pytest.raises((ForgeRefused, ForgeUnreachable)) as told:
        ask(server, lambda client: client.login())
    assert TOKEN not in str(told.value)
    assert str(told.value).isprintable()
    assert all(one.startswith(b"GET /") for one in server.asked)
    assert len(server.asked) <= 3


def test_pages_of_any_length_come_to_an_end() -> None:
    counter = itertools.count()

    def page(_: bytes) -> list[bytes]:
        return whole(json.dumps([{"id": next(counter)} for _ in range(MANY)]).encode())

    with raw(page) as server:
        assert ask(server, lambda client: client.issues("team/shop", "agent"), Patience()) == []
        assert len(server.asked) == MOST_ENTRIES // MANY < MOST_PAGES


def test_words_of_a_refusal_neither_move_the_cursor_nor_repeat_the_token() -> None:
    words = json.dumps({"message": f"\x1b[2J\x1b]0;own\x07{TOKEN}\r\n\u202etxt\u2066\x9b31m"}).encode()
    head = f"HTTP/1.1 403 No\r\nContent-Length: {len(words)}\r\nConnection: close\r\n\r\n"
    with raw(lambda _: [head.encode(), words]) as server, pytest.raises(ForgeRefused) as told:
        ask(server, lambda client: client.login())
    assert str(told.value).isprintable()
    assert TOKEN not in str(told.value)
