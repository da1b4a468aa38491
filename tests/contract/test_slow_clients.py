"""Clients that hold connections and give nothing for them: others are answered all the same."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from reconciler import serving
from tests.contract.web import Running, running
from tests.waiting import until

SOON_S = 1.0
HEAD = b"POST /webhooks/forgejo HTTP/1.1\r\nHost: here\r\n"
BODY = HEAD + b"Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path) as web:
        yield web


def connected(web: Running, stack: ExitStack, number: int, says: bytes) -> list[socket.socket]:
    held = [stack.enter_context(socket.create_connection(("127.0.0.1", web.port), timeout=10)) for _ in range(number)]
    for connection in held:
        connection.sendall(says)
    return held


def answered(web: Running, number: int) -> float:
    """How long it took to have a delivery kept, in seconds."""
    began = time.monotonic()
    assert web.post(f'{{"number": {number}}}'.encode()).status == 202
    return time.monotonic() - began


@pytest.mark.parametrize(
    "says",
    [b"", HEAD, BODY, b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"],
    ids=["nothing", "heads", "bodies", "kept"],
)
def test_connections_that_wait_make_room_for_deliveries(web: Running, says: bytes) -> None:
    with ExitStack() as stack:
        held = connected(web, stack, serving.CONNECTIONS + 100, says)
        assert max(answered(web, number) for number in range(20)) < SOON_S
        first, last = held[0], held[-1]
        first.settimeout(5)
        until(lambda: is_closed(first))
        assert not is_closed(last)
    assert len(web.kept()) == 20


def is_closed(connection: socket.socket) -> bool:
    connection.settimeout(0)
    try:
        while connection.recv(65536):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return True


def test_a_request_that_comes_in_drops_is_ended_although_it_never_rests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "SILENT_S", 3)
    ended = threading.Event()
    with running(tmp_path) as web, socket.create_connection(("127.0.0.1", web.port), timeout=10) as connection:

        def drip() -> None:
            try:
                connection.sendall(HEAD)
                while not ended.wait(0.1):
                    connection.sendall(b"X: y\r\n")
            except OSError:
                ended.set()

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            assert ended.wait(10)
        finally:
            ended.set()
            dripping.join()
        assert answered(web, 1) < SOON_S


def test_answers_that_nobody_reads_hold_up_no_other(web: Running) -> None:
    asked = b"GET /openapi.json HTTP/1.1\r\nHost: here\r\n\r\n" * 5
    with ExitStack() as stack:
        connected(web, stack, 2 * serving.THREADS, asked)
        assert max(answered(web, number) for number in range(20)) < SOON_S
