"""The way to the fleet's forge, as the settings name it now, and what this process knows of how it fares.

It asks the forge nothing by itself, and it decides nothing.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from reconciler.core.desired import Forge, Settings
from reconciler.core.observed import ForgeSeen, Held
from reconciler.forge.client import Client
from reconciler.repo.published import Published

HELD_FIRST = timedelta(minutes=1)
HELD_MOST = timedelta(minutes=10)
"""How long something that the forge refused is left alone: longer each time, up to the most."""


class ForgeLink:
    """One forge at a time; called from the loop's thread, but for what says otherwise."""

    def __init__(
        self,
        published: Published,
        *,
        secret: Callable[[str], str | None],
        now: Callable[[], datetime],
        changed: Callable[[], None],
        connect: Callable[[Forge, str], Client] = Client,
    ) -> None:
        """Know no forge yet; `use` names it. `connect` makes the client for a forge and a token."""
        self._published = published
        self._secret = secret
        self._now = now
        self._changed = changed
        self._connect = connect
        self._forge: Forge | None = None
        self._token: str | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._refusals: dict[str, int] = {}
        self.client: Client | None = None

    def use(self, settings: Settings) -> None:
        """Speak to the forge that the settings name from now on; to none where there is no token for it."""
        forge = settings.forge
        token = self._secret(forge.token_env) if forge is not None and forge.token_env is not None else None
        if (forge, token) == (self._forge, self._token):
            return
        moved = forge is None or self._forge is None or forge.url != self._forge.url
        self._forge, self._token = forge, token
        self._drop()
        if moved:
            self._published.answered()
        self.client = self._connect(forge, token) if forge is not None and token else None

    @property
    def named(self) -> Forge | None:
        """The forge that the settings in force name."""
        return self._forge

    def webhook_secrets(self) -> tuple[str, ...]:
        """Those that a webhook may be signed with now: the ones that are named and set. From any thread."""
        forge = self._forge
        values = (self._secret(name) for name in forge.webhook_secret_env) if forge is not None else ()
        return tuple(value for value in values if value)

    def secrets(self) -> tuple[str, ...]:
        """The token and the secrets of the forge: an agent on this machine may have found them. From any thread."""
        token = self._token
        return (*((token,) if token else ()), *self.webhook_secrets())

    def seen(self) -> ForgeSeen | None:
        """What is known of the forge, for the planner; `None` where it cannot be asked."""
        if self.client is None:
            return None
        silence = self._published.silence()
        return ForgeSeen(
            silent_since=silence.since if silence is not None else None,
            reason=silence.reason if silence is not None else None,
            done=self._published.done(),
            held=self._published.all_held(),
        )

    def answered(self) -> None:
        """It answered: whatever waits for it may go on."""
        if self._published.silence() is not None:
            self._published.answered()
            self._changed()

    def fell_silent(self, reason: str) -> None:
        """It does not answer; since when is kept over a restart."""
        if self._published.silence() is None:
            self._published.fell_silent(self._now(), reason)
            self._changed()

    def did(self, key: str) -> None:
        """This stands on the forge."""
        self._refusals.pop(key, None)
        self._published.did(key)
        self._changed()

    def refused(self, key: str, why: str) -> None:
        """It refused this; it is tried again after a while, longer each time."""
        times = self._refusals[key] = self._refusals.get(key, 0) + 1
        pause = min(HELD_FIRST * 2 ** (times - 1), HELD_MOST)
        self._published.held(key, Held(why=why, until=self._now() + pause))
        self._changed()

    async def close(self) -> None:
        """Let go of the connections."""
        self._drop()
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _drop(self) -> None:
        client, self.client = self.client, None
        if client is not None:
            closing = asyncio.create_task(client.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
