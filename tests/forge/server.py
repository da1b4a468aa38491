"""A forge for tests: real HTTP on loopback over state of its own, with what people do there as plain calls.

It can be taken down in three ways, and its webhooks can be lost, doubled, held back and turned around.
"""

import json
import re
import socket
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

from tests.forge import rest
from tests.forge.hub import Hub, NewHook
from tests.forge.rest import Answer
from tests.forge.state import Issue, Pull, Repository, Review

LOOK_EVERY_S = 0.03
HANG_AT_MOST_S = 60.0
EVENTS = ("push", "create", "delete", "pull_request", "issues", "issue_comment")
Down = Literal["refuses", "hangs", "unavailable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that was answered."""

    method: str
    path: str
    body: bytes
    status: int


@dataclass(kw_only=True)
class Trap:
    """What happens at the next requests that fit: an answer instead, or a call before the answer goes out."""

    method: str
    path: str
    times: int
    instead: Answer | None = None
    before_answer: Callable[[], None] | None = None
    after_answer: Callable[[], None] | None = None


class FakeForge(Hub):
    """A forge that answers at `url` from `start` to `stop`."""

    def __init__(self, folder: Path, *, kind: Literal["forgejo", "gitea"] = "forgejo", drafts: bool = True) -> None:
        super().__init__(folder, kind=kind, drafts=drafts)
        self.asked: list[Asked] = []
        self.overlay: Callable[[str, str], Answer | None] = lambda _method, _target: None
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._port = 0
        self._how_down: Down | None = None
        self._up = threading.Event()
        self._stopped = threading.Event()
        self._watch = threading.Thread(target=self._look, name="eyes of the test forge", daemon=True)
        self._traps: list[Trap] = []

    @classmethod
    @contextmanager
    def running(cls, folder: Path, full_name: str = "acme/widgets") -> Iterator["FakeForge"]:
        """A forge with one repository, where `bot` is an admin, `ada` and `rex` may write, and `eve` may not."""
        forge = cls(folder)
        forge.repository(full_name, bot="admin", ada="write", rex="write", eve="read")
        forge.start()
        try:
            yield forge
        finally:
            forge.stop()

    @property
    def only(self) -> Repository:
        """The repository, where there is one."""
        (found,) = self.repositories.values()
        return found

    @property
    def token(self) -> str:
        """The token of the account that the reconciler uses."""
        return self.user("bot").token

    def start(self) -> None:
        """Answer from now on."""
        self._listen()
        self.outbox.start()
        self._watch.start()

    def stop(self) -> None:
        """Answer no more, and send nothing."""
        self._stopped.set()
        self._up.set()
        self._watch.join()
        self._close()
        self.outbox.stop()

    def down(self, how: Down = "refuses") -> None:
        """Refuse connections, take requests and say nothing, or answer 503 to every one."""
        self._up.clear()
        self._how_down = how
        if how == "refuses":
            self._close()

    def up(self) -> None:
        """Be well again, at the same address."""
        refused, self._how_down = self._how_down == "refuses", None
        self._up.set()
        if refused:
            self._listen()

    def fails(self, status: int, method: str, path: str, *, times: int = 1, **headers: str) -> None:
        """Answer the next requests whose path ends as the pattern says with this status; nothing else happens."""
        document = {"message": "", "url": f"{self.url}/api/swagger"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        instead = Answer(status=status, document=document, headers=named)
        self._traps.append(Trap(method=method, path=path, times=times, instead=instead))

    def at(self, method: str, path: str, call: Callable[[], None], *, late: bool = False) -> None:
        """Call this once, when such a request was carried out: before its answer goes out, or right after it did."""
        before, after = (None, call) if late else (call, None)
        self._traps.append(Trap(method=method, path=path, times=1, before_answer=before, after_answer=after))

    def count(self, method: str, path: str) -> int:
        """How many such requests were answered well."""
        return sum(
            one.method == method and re.search(f"{path}$", one.path) is not None and one.status < 300
            for one in list(self.asked)
        )

    def hook(self, url: str, secret: str, *, events: Sequence[str] = EVENTS, repository: str | None = None) -> None:
        """Have webhooks sent there, where nobody has them sent yet."""
        with self.lock:
            there = self._find(repository)
            there.hooks = [hook for hook in there.hooks if hook.url != url]
            new = NewHook(type=self.kind, url=url, secret=secret, content_type="json", events=events, active=True)
            self.create_hook(there, new)

    def issue(self, title: str, body: str = "", *, by: str = "ada", labels: Sequence[str] = ()) -> int:
        """Open an issue; its number."""
        with self.lock:
            wanted = [self.label_of(self.only, name, make=True) for name in labels]
            return self.create_issue(self.only, self.user(by), title, body, wanted).number

    def label(self, number: int, *names: str, by: str = "ada") -> None:
        """Give an issue or pull request exactly these labels."""
        with self.lock:
            wanted = [self.label_of(self.only, name, make=True) for name in names]
            self.set_labels(self.only, number, self.user(by), wanted)

    def open(self, branch: str, title: str, *, by: str = "bot", base: str = "main", body: str = "") -> int:
        """Open a pull request; its number. `stranger:branch` is one from a fork."""
        with self.lock:
            self.notice()
            asked = {"head": branch, "base": base, "title": title, "body": body}
            return self.create_pull(self.only, self.user(by), asked).number

    def merge(self, number: int, *, by: str = "ada", how: str = "squash", delete: bool = False) -> None:
        """Merge a pull request."""
        with self.lock:
            self.notice()
            self.merge_pull(self.only, number, self.user(by), how, delete=delete)

    def close(self, number: int, *, by: str = "ada") -> None:
        """Close an issue or pull request."""
        with self.lock:
            self.notice()
            self.edit(self.only, number, self.user(by), {"state": "closed"})

    def reopen(self, number: int, *, by: str = "ada") -> None:
        """Reopen an issue or pull request."""
        with self.lock:
            self.notice()
            self.edit(self.only, number, self.user(by), {"state": "open"})

    def rename(self, number: int, title: str, *, by: str = "ada") -> None:
        """Give an issue or pull request another title."""
        with self.lock:
            self.edit(self.only, number, self.user(by), {"title": title})

    def request_changes(
        self, number: int, text: str, comments: Sequence[tuple[str, int, str]] = (), *, by: str = "rex"
    ) -> Review:
        """Ask for changes; comments are path, line and text."""
        return self._say(number, "REQUEST_CHANGES", text, comments, by)

    def approve(self, number: int, text: str = "", *, by: str = "rex") -> Review:
        """Approve a pull request."""
        return self._say(number, "APPROVED", text, (), by)

    def remark(self, number: int, text: str, *, by: str = "rex") -> Review:
        """Review a pull request without a verdict."""
        return self._say(number, "COMMENT", text, (), by)

    def _say(self, number: int, event: str, text: str, comments: Sequence[tuple[str, int, str]], by: str) -> Review:
        given = [{"path": path, "new_position": line, "body": body} for path, line, body in comments]
        with self.lock:
            self.notice()
            asked: Mapping[str, object] = {"event": event, "body": text, "comments": given}
            return self.write_review(self.only, number, self.user(by), asked)

    def push(self, branch: str, files: Mapping[str, str], message: str = "Change it", *, by: str = "ada") -> str:
        """Commit to a branch, which is made from `main` where it is not there; the commit."""
        with self.lock:
            self.notice()
            sha = self.only.bare.commit(branch, files, message, start=self.only.heads["main"])
            self._notice(self.only, self.user(by))
            return sha

    def delete(self, branch: str, *, by: str = "ada") -> None:
        """Delete a branch; its open pull requests are closed."""
        with self.lock:
            self.only.bare.delete(branch)
            self._notice(self.only, self.user(by))

    def pull(self, number: int) -> tuple[Issue, Pull]:
        """A pull request as it is."""
        with self.lock:
            self.notice()
            return self.only.pull(number)

    def pulls_of(self, branch: str) -> list[int]:
        """The numbers of all pull requests of a branch, oldest first."""
        with self.lock:
            return [issue.number for issue, pull in reversed(self.only.pulls()) if pull.branch == branch]

    def states(self, sha: str) -> list[str]:
        """The words of the statuses of a commit, oldest first."""
        with self.lock:
            return [status.state for status in self.only.statuses if status.sha == sha]

    def settle(self) -> None:
        """Return once everything that happened was seen, and what was to be delivered is delivered."""
        self.notice()
        self.outbox.settle()

    def _find(self, full_name: str | None) -> Repository:
        return self.only if full_name is None else self.repositories[full_name]

    def _look(self) -> None:
        while not self._stopped.wait(LOOK_EVERY_S):
            self.notice()

    def _listen(self) -> None:
        self._server = _Server(("127.0.0.1", self._port), self)
        self._port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="test forge", daemon=True
        )
        self._thread.start()

    def _close(self) -> None:
        server, self._server = self._server, None
        if server is not None and self._thread is not None:
            server.shutdown()
            self._thread.join()
            server.server_close()
            server.hang_up()

    def answer(
        self, method: str, target: str, authorization: str, body: bytes
    ) -> tuple[Answer | None, Callable[[], None] | None]:
        """What one request is answered with, `None`: with nothing at all; and what to call after that."""
        match self._how_down:
            case "refuses":
                return None, None
            case "hangs":
                self._up.wait(HANG_AT_MOST_S)
                return None, None
            case "unavailable":
                return Answer(status=503, document="Service Unavailable\n"), None
            case None:
                pass
        path = urllib.parse.urlsplit(target).path
        trap = self._trap(method, path)
        if trap is not None and trap.instead is not None:
            made = trap.instead
        else:
            with self.lock:
                self.notice()
                made = self.overlay(method, target) or rest.answer(self, method, target, authorization, body)
        self.asked.append(Asked(method=method, path=path, body=body, status=made.status))
        if trap is not None and trap.before_answer is not None:
            trap.before_answer()
        return made, trap.after_answer if trap is not None else None

    def _trap(self, method: str, path: str) -> Trap | None:
        with self.lock:
            for trap in self._traps:
                if trap.times and trap.method == method and re.search(f"{trap.path}$", path):
                    trap.times -= 1
                    return trap
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], forge: FakeForge) -> None:
        self.forge = forge
        self.open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def hang_up(self) -> None:
        """End the connections that clients keep."""
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that went away is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    timeout = HANG_AT_MOST_S

    def setup(self) -> None:
        super().setup()
        self.server.open.add(self.connection)

    def finish(self) -> None:
        self.server.open.discard(self.connection)
        super().finish()

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        made, afterwards = self.server.forge.answer(
            self.command, self.path, self.headers.get("Authorization", ""), body
        )
        if made is None:
            self.close_connection = True
            return
        is_text = isinstance(made.document, str)
        text = str(made.document) if is_text else json.dumps(made.document) + "\n"
        content = b"" if made.document is None else text.encode()
        self.send_response(made.status)
        if made.status not in (204, 304):
            self.send_header("Content-Length", str(len(content)))
        if content:
            kind = "text/plain; charset=utf-8" if is_text else "application/json;charset=utf-8"
            self.send_header("Content-Type", kind)
        for name, value in made.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        if afterwards is not None:
            self.wfile.flush()
            afterwards()

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _any  # noqa: N815 - the names that http.server looks for

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server gives it
        """Print nothing."""
