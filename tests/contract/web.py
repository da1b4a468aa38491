"""The web application under its real server, on a port of its own, over a real inbox; and clients that may lie."""

import contextlib
import hashlib
import hmac
import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler import serving
from reconciler.repo.inbox import Delivery, Inbox
from reconciler.repo.journal import Journal
from reconciler.serving import Served
from reconciler.web.address import Address
from reconciler.web.app import app
from reconciler.web.meters import Counted
from reconciler.web.site import Check, Site
from tests.recording import NOW

KEY = "correct horse"
TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a client gets."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - a JSON document has whatever shape it has
        return json.loads(self.body)


def signed(body: bytes, key: str = KEY) -> dict[str, str]:
    """The headers of a delivery from Forgejo."""
    signature = hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-Forgejo-Event": "push",
        "X-Forgejo-Event-Type": "push",
        "X-Forgejo-Delivery": "1bff3038-a37e-45b1-ae44-2deb7e896837",
        "X-Forgejo-Signature": signature,
        "X-Hub-Signature-256": f"sha256={signature}",
    }


def request(
    port: int, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """One request over a connection of its own."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)) as connection:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        said = connection.getresponse()
        return Answer(status=said.status, headers=dict(said.getheaders()), body=said.read())


def raw(port: int, *parts: bytes, end: bool = True) -> bytes:
    """What is answered to these bytes; with `end` nothing more is sent, and the server is told so."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as connection:
        with contextlib.suppress(OSError):
            for part in parts:
                connection.sendall(part)
            if end:
                connection.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                answer += piece
        return answer


@dataclass(kw_only=True)
class Running:
    """The application while it is served."""

    server: Served
    inbox: Inbox
    journal: Journal
    arrived: list[int] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=lambda: [KEY])
    checks: dict[str, Check] = field(default_factory=dict)
    meters: Counted = field(default_factory=Counted)

    @property
    def port(self) -> int:
        return self.server.address.port

    def kept(self) -> list[Delivery]:
        return self.inbox.waiting(1000)

    def ask(self, method: str, path: str) -> Answer:
        return request(self.port, method, path)

    def post(self, body: bytes, headers: Mapping[str, str] | None = None, path: str = "/webhooks/forgejo") -> Answer:
        """Send a delivery, well signed unless `headers` says otherwise."""
        return request(self.port, "POST", path, body, signed(body) if headers is None else headers)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Running]:
    """Serve the application until the block ends."""
    journal = Journal(folder / "journal.sqlite3")
    inbox = Inbox(journal)
    parts: list[Running] = []
    refused: list[str] = []
    site = Site(
        secrets=lambda: tuple(parts[0].secrets),
        keep=inbox.keep,
        arrived=lambda: parts[0].arrived.append(1),
        readiness=lambda: parts[0].checks,
        now=lambda: NOW,
        refused=refused.append,
    )
    server = serving.serve(app(site), Address(host="127.0.0.1", port=0))
    parts.append(Running(server=server, inbox=inbox, journal=journal, refused=refused, meters=site.meters))
    try:
        yield parts[0]
    finally:
        server.stop()
        journal.close()
