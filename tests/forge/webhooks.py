"""Sends the test forge's webhooks as Forgejo does: once, in order, in five seconds; or worse, if asked."""

import hashlib
import hmac
import http.client
import json
import queue
import threading
import urllib.parse
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.forge.state import Hook

TIMEOUT_S = 5.0
PULL_TYPES = (
    "pull_request",
    "pull_request_assign",
    "pull_request_label",
    "pull_request_milestone",
    "pull_request_comment",
    "pull_request_review_approved",
    "pull_request_review_rejected",
    "pull_request_review_comment",
    "pull_request_sync",
    "pull_request_review_request",
)
ISSUE_TYPES = ("issues", "issue_assign", "issue_label", "issue_milestone", "issue_comment")
EXPANDED: Mapping[str, tuple[str, ...]] = {
    "pull_request": PULL_TYPES,
    "pull_request_only": ("pull_request",),
    "pull_request_review": ("pull_request_review_approved", "pull_request_review_rejected"),
    "pull_request_comment": ("pull_request_comment", "pull_request_review_comment"),
    "issues": ISSUE_TYPES,
    "issues_only": ("issues",),
}
EVENTS: Mapping[str, str] = {
    "pull_request_sync": "pull_request",
    "pull_request_label": "pull_request",
    "pull_request_review_request": "pull_request",
    "pull_request_review_approved": "pull_request_approved",
    "pull_request_review_rejected": "pull_request_rejected",
    "pull_request_review_comment": "pull_request_comment",
    "pull_request_comment": "issue_comment",
    "issue_label": "issues",
}


def types(events: Sequence[str]) -> list[str]:
    """What a hook's list of events comes to: the fine names."""
    found = {name for event in events for name in EXPANDED.get(event, (event,))}
    return sorted(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One POST as it was made, or is to be made."""

    url: str
    event: str
    event_type: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found


def delivery(hook: Hook, event_type: str, body: Mapping[str, object], *, kind: str) -> Delivery:
    """A hook's delivery: the body as Go prints it, and every header of the forge."""
    text = json.dumps(body, indent=2, ensure_ascii=False)
    for character, escaped in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(character, escaped)
    return signed(hook.url, hook.secret, EVENTS.get(event_type, event_type), event_type, text.encode(), kind=kind)


def signed(url: str, secret: str, event: str, event_type: str, body: bytes, *, kind: str = "forgejo") -> Delivery:  # noqa: PLR0913 - a delivery has no fewer parts
    """A delivery with the headers that a forge of this kind sends; without a secret the signatures are empty."""
    sha256 = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest() if secret else ""
    sha1 = hmac.new(secret.encode(), body, hashlib.sha1).hexdigest() if secret else ""
    headers = {"Content-Type": "application/json", "User-Agent": "Go-http-client/1.1"}
    named = ("GitHub",) if kind == "github" else ("Gitea", "Gogs", "GitHub")
    named = ("Forgejo", *named) if kind == "forgejo" else named
    name = str(uuid.uuid4())
    for forge in named:
        headers[f"X-{forge}-Delivery"] = name
        headers[f"X-{forge}-Event"] = event
        if kind != "github":
            headers[f"X-{forge}-Event-Type"] = event_type
        if forge != "GitHub":
            headers[f"X-{forge}-Signature"] = sha256
    headers["X-Hub-Signature"] = f"sha1={sha1}"
    headers["X-Hub-Signature-256"] = f"sha256={sha256}"
    return Delivery(url=url, event=event, event_type=event_type, headers=headers, body=body)


def post(made: Delivery) -> int:
    """Make the POST; its status, 0 where nobody answered in time."""
    target = urllib.parse.urlsplit(made.url)
    connection = http.client.HTTPConnection(target.hostname or "", target.port or 80, timeout=TIMEOUT_S)
    try:
        connection.request("POST", target.path or "/", body=made.body, headers=dict(made.headers))
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        return 0
    else:
        return answer.status
    finally:
        connection.close()


@dataclass
class Outbox:
    """The deliveries of a forge. `lose`: none is made. `twice`: each is. `hold`: they wait for `release`."""

    lose: bool = False
    twice: bool = False
    hold: bool = False
    made: list[Delivery] = field(default_factory=list)
    held: list[Delivery] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    _queue: "queue.Queue[Delivery | None]" = field(default_factory=queue.Queue)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="webhooks of the test forge", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(TIMEOUT_S + 1)

    def send(self, made: Delivery) -> None:
        """Deliver in the order of the calls, from a thread of its own."""
        self.made.append(made)
        if self.hold:
            self.held.append(made)
        elif not self.lose:
            for _ in range(2 if self.twice else 1):
                self._queue.put(made)

    def release(self, order: Callable[[list[Delivery]], Sequence[Delivery]] = list) -> None:
        """Deliver what was held, in this order, and go on holding."""
        held, self.held = self.held, []
        for made in order(held):
            self._queue.put(made)

    def settle(self) -> None:
        """Return once everything that is not held was delivered."""
        self._queue.join()

    def _work(self) -> None:
        while (made := self._queue.get()) is not None:
            self.answers.append(post(made))
            self._queue.task_done()
