"""The channels by which people are notified, as frozen values: where a message goes, of what, and when it may go.

A channel holds no secret, only the names of the environment variables that do; nothing here sends anything.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, assert_never

from reconciler.core.terms import Occasion

EVERYTHING = tuple(Occasion)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """Hours of each day in which nothing is sent, by the clocks of a zone; over midnight where `end` is earlier."""

    start: str
    end: str
    zone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A URL that takes JSON by POST. It stands in `url`, or in the variable `url_env` where it is a secret itself."""

    url: str | None = None
    url_env: str | None = None
    token_env: str | None = None
    secret_env: str | None = None
    on: tuple[Occasion, ...] = EVERYTHING
    quiet: Quiet | None = None
    template: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Email:
    """A server for e-mail, and who writes to whom. `starttls`: it begins in the clear and must go over to TLS."""

    host: str
    sender: str
    to: tuple[str, ...]
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str | None = None
    password_env: str | None = None
    on: tuple[Occasion, ...] = EVERYTHING
    quiet: Quiet | None = None
    template: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """A room on a Matrix server."""

    server: str
    room: str
    token_env: str
    on: tuple[Occasion, ...] = EVERYTHING
    quiet: Quiet | None = None
    template: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ntfy:
    """A topic on an ntfy server."""

    topic: str
    server: str = "https://ntfy.sh"
    token_env: str | None = None
    on: tuple[Occasion, ...] = EVERYTHING
    quiet: Quiet | None = None
    template: str | None = None


Channel = Webhook | Email | Matrix | Ntfy


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """Every channel of the fleet, by its kind and the name that people gave it."""

    webhook: Mapping[str, Webhook] = field(default_factory=dict)
    email: Mapping[str, Email] = field(default_factory=dict)
    matrix: Mapping[str, Matrix] = field(default_factory=dict)
    ntfy: Mapping[str, Ntfy] = field(default_factory=dict)


def named(notify: Notify) -> dict[str, Channel]:
    """Every channel by its whole name: `matrix/team`."""
    kinds: tuple[tuple[str, Mapping[str, Channel]], ...] = (
        ("webhook", notify.webhook),
        ("email", notify.email),
        ("matrix", notify.matrix),
        ("ntfy", notify.ntfy),
    )
    return {f"{kind}/{name}": channel for kind, some in kinds for name, channel in sorted(some.items())}


def secrets(channel: Channel) -> Iterator[str]:
    """The names of the variables that the channel cannot do without."""
    names: tuple[str | None, ...]
    match channel:
        case Webhook():
            names = (channel.url_env, channel.token_env, channel.secret_env)
        case Email():
            names = (channel.password_env,)
        case Matrix() | Ntfy():
            names = (channel.token_env,)
        case _:
            assert_never(channel)
    return (name for name in names if name is not None)


def all_secrets(notify: Notify) -> Iterator[str]:
    """The names of the variables of all channels."""
    for channel in named(notify).values():
        yield from secrets(channel)
