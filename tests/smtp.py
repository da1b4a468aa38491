"""A small SMTP server on loopback that keeps what it takes, and can refuse, demand a login, or say nothing more."""

import base64
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP

from tests.contract.scripted import serving


@dataclass(kw_only=True)
class Taken:
    """One message as it came over the wire, and for whom."""

    sender: str
    to: tuple[str, ...]
    raw: bytes

    @property
    def mail(self) -> EmailMessage:
        return message_from_bytes(self.raw, policy=SMTP)


@dataclass
class Ways:
    """How it behaves. `refuses` maps the beginning of a line to its answer; at `silent_at` it says nothing more."""

    tls: ssl.SSLContext | None = None
    starttls: bool = False
    login: tuple[str, str] | None = None
    refuses: dict[str, str] = field(default_factory=dict)
    silent_at: str | None = None


class SmtpServer:
    """The server; `taken` are the messages, `said` all lines of its clients in order."""

    def __init__(self, ways: Ways | None = None) -> None:
        self.ways = ways or Ways()
        self.taken: list[Taken] = []
        self.said: list[str] = []
        self.released = threading.Event()
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                conversation = _Conversation(outer, self)
                try:
                    conversation.hold()
                finally:
                    conversation.end()

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, request: object, client_address: object) -> None:
                """A client may leave in the middle, and refuse a certificate."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.02)

    def stop(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


class _Conversation:
    def __init__(self, server: SmtpServer, handler: socketserver.StreamRequestHandler) -> None:
        self._server, self._ways = server, server.ways
        self._socket = handler.connection
        self._lines = handler.rfile
        self._sender, self._to = "", [""]

    def hold(self) -> None:
        if self._ways.tls is not None and not self._ways.starttls:
            self._encrypt(self._ways.tls)
        self._say("220 here")
        while line := self._lines.readline():
            said = line.decode().rstrip("\r\n")
            self._server.said.append(said)
            if self._ways.silent_at is not None and said.upper().startswith(self._ways.silent_at):
                self._server.released.wait(30)
                return
            refusal = next(
                (answer for start, answer in self._ways.refuses.items() if said.upper().startswith(start.upper())), None
            )
            if refusal is not None:
                self._say(refusal)
            elif not self._answer(said):
                return

    def end(self) -> None:
        self._lines.close()
        self._socket.close()

    def _encrypt(self, tls: ssl.SSLContext) -> None:
        self._lines.close()
        self._socket = tls.wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
        self._socket.do_handshake()
        self._lines = self._socket.makefile("rb")

    def _answer(self, said: str) -> bool:
        word, _, rest = said.partition(" ")
        match word.upper():
            case "EHLO":
                self._say(*self._offers())
            case "STARTTLS":
                self._say("220 go on")
                assert self._ways.tls is not None
                self._encrypt(self._ways.tls)
            case "AUTH":
                user, password = base64.b64decode(rest.partition(" ")[2]).decode().split("\0")[1:]
                self._say("235 welcome" if (user, password) == self._ways.login else f"535 not with {password}")
            case "MAIL":
                self._sender, self._to = rest, []
                self._say("250 ok")
            case "RCPT":
                self._to.append(rest.partition("<")[2].rstrip(">"))
                self._say("250 ok")
            case "DATA":
                self._say("354 go on")
                self._take()
            case "QUIT":
                self._say("221 bye")
                return False
            case _:
                self._say("250 ok")
        return True

    def _offers(self) -> list[str]:
        offers = ["250-here"]
        if self._ways.starttls and not isinstance(self._socket, ssl.SSLSocket):
            offers.append("250-STARTTLS")
        if self._ways.login is not None:
            offers.append("250-AUTH PLAIN")
        return [*offers, "250 8BITMIME"]

    def _take(self) -> None:
        lines: list[bytes] = []
        while (line := self._lines.readline()) != b".\r\n":
            assert line, "the client left in the middle"
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        self._server.taken.append(Taken(sender=self._sender, to=tuple(self._to), raw=b"".join(lines)))
        self._say("250 taken")

    def _say(self, *lines: str) -> None:
        self._socket.sendall("".join(f"{line}\r\n" for line in lines).encode())


@contextmanager
def smtp(ways: Ways | None = None) -> Iterator[SmtpServer]:
    """A server until the block ends."""
    with serving(SmtpServer(ways)) as server:
        yield server
