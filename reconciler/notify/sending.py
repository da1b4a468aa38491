"""Sends one notification to one channel, whatever its kind, with the secrets that it needs.

It keeps nothing and tries nothing again: who asks decides that.
"""

from collections.abc import Callable
from typing import assert_never

from reconciler.core.channels import Channel, Email, Matrix, Ntfy, Webhook
from reconciler.core.notifications import Notification
from reconciler.notify import mailing, posting, posts
from reconciler.notify.outcomes import ChannelRefused


async def send(channel: Channel, notification: Notification, env: Callable[[str], str | None]) -> str | None:
    """Have the channel take it; what is to be known of it though it did. `env` gives the value of a variable.

    Raises ChannelUnreachable and ChannelRefused.
    """

    def secret(name: str | None) -> str:
        if name is None:
            return ""
        value = (env(name) or "").strip()
        if not value:
            raise ChannelRefused(f"{name} is not set where the reconciler runs")
        return value

    match channel:
        case Webhook():
            await posting.send(posts.webhook(channel, notification, secret))
        case Matrix():
            await posting.send(posts.matrix(channel, notification, secret))
        case Ntfy():
            await posting.send(posts.ntfy(channel, notification, secret))
        case Email():
            return await mailing.send(channel, notification, secret(channel.password_env))
        case _:
            assert_never(channel)
    return None
