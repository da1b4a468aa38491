"""An HTTP server on loopback whose every answer a test writes down, and which notes what it was asked."""

import json
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qsl


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request as it came over the wire: `path` as it was encoded, names of headers in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any = None

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer. Bytes are sent as they are, anything else as JSON; `cut` says so many bytes and breaks off."""

    status: int = 200
    data: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    hang: threading.Event | None = None

    def body(self) -> bytes:
        if self.status == 204:
            return b""
        return self.data if isinstance(self.data, bytes) else json.dumps(self.data).encode()


Script = Reply | list[Reply] | Callable[[Asked], Reply]
UNKNOWN = Reply(status=404, data={"errors": None, "message": "The target couldn't be found."})


class _Server(ThreadingHTTPServer):
    """One whose callers may leave in the middle: they do when a test has them refuse a certificate."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as http.server has it
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Scripted:
    """The server: `script` maps `METHOD /path` to one reply, replies in turn (the last stays), or a function."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.script: dict[str, Script] = {}
        self.asked: list[Asked] = []
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do(self) -> None:
                server.handle(self)

            do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = do  # noqa: N815 - names of http.server

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - name of http.server
                """Say nothing."""

        self._http = _Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        self._scheme = "http" if tls is None else "https"
        self.port = self._http.server_address[1]

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def lines(self) -> list[str]:
        return [one.line for one in self.asked]

    def of(self, line: str) -> list[Asked]:
        return [one for one in self.asked if one.line == line]

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        asked = _read(handler)
        with self._lock:
            self.asked.append(asked)
            told = self.script.get(asked.line, UNKNOWN)
            if isinstance(told, list):
                told = told.pop(0) if len(told) > 1 else told[0]
        reply = told if isinstance(told, Reply) else told(asked)
        if reply.hang is not None:
            reply.hang.wait(10)
        body = reply.body()
        if reply.cut == 0:
            handler.close_connection = True
            return
        handler.send_response_only(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            handler.send_header(name, value)
        if reply.status != 204:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: reply.cut] if reply.cut is not None else body)
        if reply.cut is not None:
            handler.close_connection = True

    def serve(self) -> None:
        self._http.serve_forever(poll_interval=0.02)

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def _read(handler: BaseHTTPRequestHandler) -> Asked:
    path, _, query = handler.path.partition("?")
    raw = handler.rfile.read(int(handler.headers.get("Content-Length", "0")))
    return Asked(
        method=handler.command,
        path=path,
        query=dict(parse_qsl(query, keep_blank_values=True)),
        headers={name.lower(): value for name, value in handler.headers.items()},
        body=json.loads(raw) if raw else None,
    )


@contextmanager
def scripted(tls: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    """A server until the block ends."""
    with serving(Scripted(tls)) as server:
        yield server


class Server(Protocol):
    def serve(self) -> None: ...
    def stop(self) -> None: ...


S = TypeVar("S", bound=Server)


@contextmanager
def serving(server: S) -> Iterator[S]:
    """The server, in a thread of its own until the block ends."""
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()
