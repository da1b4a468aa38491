"""What a notification is as a request to a webhook, to Matrix, to ntfy: JSON, so that no word of others is a header.

It sends nothing.
"""

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import asdict
from urllib.parse import quote

from reconciler.core import phrasing
from reconciler.core.channels import Matrix, Ntfy, Webhook
from reconciler.core.notices import Notice
from reconciler.core.notifications import Notification
from reconciler.core.terms import Occasion
from reconciler.notify.posting import Post

TEXT_BYTES = 30_000
"""Matrix takes 65,536 bytes in all, and escapes in JSON may double a text."""
NTFY_BYTES = 3_800
"""ntfy makes an attachment of a message of more than 4,096."""

_URGENT = frozenset({Occasion.BREAKER, Occasion.PUSH_LAG})

Secret = Callable[[str | None], str]
"""The value of the variable with that name, empty for no name. Raises ChannelRefused where it is not set."""


def webhook(channel: Webhook, notification: Notification, secret: Secret) -> Post:
    """The notification as data, with the text that people read in chats; signed where there is a secret."""
    url, token = channel.url or secret(channel.url_env), secret(channel.token_env)
    said = {
        "id": notification.id,
        "fleet": notification.fleet,
        "at": notification.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "subject": phrasing.subject(notification),
        "text": phrasing.text(notification, channel.template, TEXT_BYTES),
        "notices": [_plain(one) for one in notification.notices],
    }
    body = json.dumps(said).encode()
    headers = {"X-Reconciler-Notification": notification.id}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    key = secret(channel.secret_env)
    if key:
        headers["X-Reconciler-Signature-256"] = f"sha256={hmac.new(key.encode(), body, hashlib.sha256).hexdigest()}"
    hidden = tuple(one for one in (token, secret(channel.url_env)) if one)
    return Post(url=url, body=body, headers=headers, secrets=hidden)


def matrix(channel: Matrix, notification: Notification, secret: Secret) -> Post:
    """A message of plain text that mentions nobody; with the same transaction a server takes it once."""
    token = secret(channel.token_env)
    text = f"{phrasing.subject(notification)}\n\n{phrasing.text(notification, channel.template, TEXT_BYTES)}"
    body = {"msgtype": "m.text", "body": text, "m.mentions": {}}
    room = quote(channel.room, safe="")
    path = f"_matrix/client/v3/rooms/{room}/send/m.room.message/{notification.id}"
    return Post(
        url=f"{channel.server.rstrip('/')}/{path}",
        body=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}"},
        secrets=(token,),
        method="PUT",
    )


def ntfy(channel: Ntfy, notification: Notification, secret: Secret) -> Post:
    """A message published as JSON; what is about the whole fleet has a high priority."""
    token = secret(channel.token_env)
    urgent = any(one.occasion in _URGENT and not one.over for one in notification.notices)
    body: dict[str, object] = {
        "topic": channel.topic,
        "title": phrasing.subject(notification),
        "message": phrasing.text(notification, channel.template, NTFY_BYTES),
        "priority": 4 if urgent else 3,
    }
    links = {one.link for one in notification.notices if one.link}
    link = links.pop() if len(links) == 1 else notification.link
    if link:
        body["click"] = link
    return Post(
        url=channel.server,
        body=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}"} if token else {},
        secrets=(token,) if token else (),
    )


def _plain(notice: Notice) -> dict[str, object]:
    at = notice.at.strftime("%Y-%m-%dT%H:%M:%SZ") if notice.at is not None else None
    return {**asdict(notice), "occasion": notice.occasion.value, "at": at}
