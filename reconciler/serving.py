"""The server under the web application: waitress, within bounds, with refusals in our own words. The only door to it.

It knows no path of the application.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from wsgiref.types import WSGIApplication

import waitress
from waitress import wasyncore
from waitress.buffers import OverflowableBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import ErrorTask, WSGITask

from reconciler.web import problems
from reconciler.web.address import Address
from reconciler.web.bodies import MAX_BODY
from reconciler.web.bounded import Bounded

log = logging.getLogger(__name__)

THREADS = 64
"""Requests at a time: a shared commit is as large as the number of those who wait for it.

By `invoke bench --name threads`, for 64 clients: with 16 an update takes a third more CPU, with 4 three times as much,
with 128 no less.
"""
CONNECTIONS = 256
"""Beyond that, whoever has kept a connection without a whole request for longest makes room for who comes."""
CROWDED = 2 * CONNECTIONS
"""Beyond that, who comes is not let in until somebody was answered."""
SILENT_S = 30
"""How long a connection may be idle, and how long a request may take to arrive, counted from its first byte."""
MAX_HEADERS = 64 * 1024
MAX_READ = 64 * MAX_BODY
"""How much of a body that is too large is read, and thrown away, so that its sender sees the answer."""
BACKLOG = 1024
STOP_S = 0.5
"""How long a stop waits for answers under way."""


class Served:
    """A server that listens."""

    def __init__(self, application: WSGIApplication, listener: socket.socket) -> None:
        """Answer what comes to a socket that listens."""
        host, port = listener.getsockname()[:2]
        self.address = Address(host=host, port=port)
        self._dispatchers: dict[int, wasyncore.dispatcher] = {}
        self._server = waitress.create_server(
            application,
            map=self._dispatchers,
            sockets=[listener],
            threads=THREADS,
            connection_limit=CROWDED,
            channel_timeout=SILENT_S,
            cleanup_interval=SILENT_S // 3,
            max_request_header_size=MAX_HEADERS,
            max_request_body_size=MAX_READ,
            backlog=BACKLOG,
            ident="reconciler",
            asyncore_use_poll=True,
            clear_untrusted_proxy_headers=False,  # who reads them must see that a proxy stands between
            log_socket_errors=False,
        )
        self._server.channel_class = _Channel
        self._server.refused = Bounded(log.warning, time.monotonic)
        self._woken = False
        self._server.pull_trigger = self._wake
        self._thread = threading.Thread(target=self._server.run, name="web", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Answer what is being answered, then nothing more; the port is free when this returns."""
        self._server.task_dispatcher.shutdown(timeout=STOP_S)
        self._server.trigger.pull_trigger(self._let_go)
        self._thread.join()
        if not self._server.task_dispatcher.threads:  # else an answer that comes late writes to whatever has its number
            self._server.trigger.close()

    def _wake(self) -> None:
        """Have the server's own thread look at its connections, once for all who ask for that before it does."""
        if not self._woken:
            self._woken = True
            self._server.trigger.pull_trigger(self._looks)

    def _looks(self) -> None:
        self._woken = False

    def _let_go(self) -> None:
        """In the server's own thread: close everything but the pipe by which other threads still wake it."""
        for one in list(self._dispatchers.values()):
            if one is not self._server.trigger:
                wasyncore.dispatcher.close(one)
        self._server.trigger.del_channel()


def serve(application: WSGIApplication, address: Address) -> Served:
    """Listen there. Raises OSError."""
    logging.getLogger("waitress").setLevel(logging.ERROR)  # a request that waits, or comes during a stop, is no news
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, place = min(found, key=lambda one: one[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(BACKLOG)
        return Served(application, listener)
    except BaseException:
        listener.close()
        raise


class _Body(OverflowableBuffer):
    """A body as it comes in. What is beyond the bound is counted and thrown away."""

    def __init__(self, overflow: int) -> None:
        super().__init__(overflow)
        self._received = 0

    def __len__(self) -> int:
        return self._received

    def append(self, data: bytes) -> None:
        room = max(MAX_BODY + 1 - self._received, 0)
        self._received += len(data)
        if room:
            super().append(data[:room])


class _Parser(HTTPRequestParser):
    """Reads a request; whatever is wrong with its head is the sender's mistake."""

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except ValueError as error:
            raise ParsingError("a number or an address in it cannot be read") from error
        if (self.chunked and "CONTENT_LENGTH" in self.headers) or "TRANSFER_ENCODING" in self.headers:
            raise ParsingError("where its body ends is said in two ways")
        if self.body_rcv is not None:
            self.body_rcv.buf = _Body(self.adj.inbuf_overflow)


class _Refusal(ErrorTask):
    """The answer to a request that the application never sees."""

    def execute(self) -> None:
        error = self.request.error
        status = HTTPStatus.BAD_REQUEST if error.code == HTTPStatus.NOT_IMPLEMENTED else HTTPStatus(error.code)
        body = problems.document(status, " ".join(str(error.body).split()))
        self.channel.server.refused(f"a request from {self.channel.addr[0]} was refused: {status.phrase}")
        self.status = f"{status.value} {status.phrase}"
        self.response_headers.append(("Content-Type", problems.MEDIA_TYPE))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Answer(WSGITask):
    """An answer of the application, its head sent along with the beginning of its body.

    A thread that sends lets the interpreter go, and waits for it again: each time it sends, and each time for long.
    """

    def write(self, data: bytes) -> None:
        if self.wrote_header:
            super().write(data)
        else:
            self.channel.write_together(lambda: super(_Answer, self).write(data))


class _Channel(HTTPChannel):
    """A connection. A body that its sender breaks off goes to the application as it is, and is refused there."""

    error_task_class = _Refusal
    task_class = _Answer
    parser_class = _Parser
    request: _Parser | None

    def __init__(self, server: object, *args: object, **named: object) -> None:
        super().__init__(server, *args, **named)
        self._since = self._began = self.creation_time
        self._sends = False
        self._held: list[bytes] | None = None
        self._make_room()

    def write_together(self, write: Callable[[], None]) -> None:
        """Send all that is written by this as one."""
        held: list[bytes] = []
        self._held = held
        try:
            write()
        finally:
            self._held = None
        self.write_soon(b"".join(held))

    def write_soon(self, data: bytes) -> int:
        if self._held is None:
            return int(super().write_soon(data))
        self._held.append(data)
        return len(data)

    def _flush_some(self, do_close: bool = True) -> bool:  # noqa: FBT001, FBT002 - waitress calls it so
        self._sends = True
        try:
            return bool(super()._flush_some(do_close=do_close))
        finally:
            self._sends = False

    def writable(self) -> bool:
        """Whether the server's own thread is to send: not while another does, it would only look again and again."""
        return bool((self.total_outbufs_len and not self._sends) or self.will_close or self.close_when_flushed)

    def _make_room(self) -> None:
        """Have the one closed that occupies a connection for longest; requests that came whole are all answered."""
        others = [one for one in self.server.active_channels.values() if not one.will_close]
        if len(others) <= CONNECTIONS:
            return
        idle = [one for one in others if one is not self and not one.requests and not one.total_outbufs_len]
        if idle:
            min(idle, key=lambda one: one._since).will_close = True  # noqa: SLF001 - of its own class

    def service(self) -> None:
        super().service()
        self._since = time.time()

    def check_client_disconnected(self) -> bool:
        """Whether the sender has hung up while it is being answered, or at least sends nothing more."""
        try:
            return not self.connected or not self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def handle_read(self) -> None:
        before = self.request
        self._read()
        if self.request is not None:
            if self.request is not before:
                self._began = time.time()
            self.last_activity = self._began

    def _read(self) -> None:
        request = self.request
        if request is not None and request.body_rcv is not None and self._has_ended():
            with self.requests_lock:
                request.completed = True
                request.headers["CONTENT_LENGTH"] = str(len(request.body_rcv) + 1)
                request.headers["CONNECTION"] = "close"
                self.request = None
                self.requests.append(request)
                self.server.add_task(self)
            return
        super().handle_read()

    def _has_ended(self) -> bool:
        try:
            return not self.socket.recv(1, socket.MSG_PEEK)
        except OSError:
            return False
