"""Rules of the channels in the settings that no schema can say: what goes together, templates, time zones, addresses.

Never looks at an environment variable, and sends nothing.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

from reconciler.core import channels
from reconciler.core.channels import Channel, Email, Matrix, Notify, Ntfy, Quiet, Webhook
from reconciler.repo.yaml.yamlnodes import Path, shown

Found = Iterator[tuple[Path, str]]
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def found(notify: Notify) -> Found:
    """Everything that is wrong with the channels."""
    for name, channel in channels.named(notify).items():
        kind, _, own = name.partition("/")
        place: Path = ("notify", kind, own)
        yield from ((place + path, f'"notify.{kind}.{own}{key}" {why}') for path, key, why in _of(channel))


Wrong = Iterator[tuple[Path, str, str]]
"""The place below the channel, the same as people write it, and the end of the sentence."""


def _of(channel: Channel) -> Wrong:
    match channel:
        case Webhook():
            yield from _webhook(channel)
        case Email():
            yield from _email(channel)
        case Matrix() | Ntfy():
            yield from _address("server", channel.server)
    if channel.template is not None:
        from reconciler.core import phrasing  # noqa: PLC0415 - Jinja2 is loaded where somebody wrote a template

        if why := phrasing.problem(channel.template):
            yield ("template",), ".template", why
    if channel.quiet is not None:
        yield from _quiet(channel.quiet)


def _webhook(webhook: Webhook) -> Wrong:
    if (webhook.url is None) == (webhook.url_env is None):
        yield (), "", 'needs either "url" or "url_env", the name of the variable that holds it'
    if webhook.url is not None:
        yield from _address("url", webhook.url)


def _address(key: str, url: str) -> Wrong:
    try:
        split = urlsplit(url)
        well = bool(split.hostname) and split.port != 0
    except ValueError:
        well = False
    if not well:
        yield (key,), f".{key}", f"is no URL: {shown(url)}"
    elif "@" in split.netloc:
        yield (key,), f".{key}", "holds a user or password: name a variable that holds it, never the value"


def _email(email: Email) -> Wrong:
    if (email.user is None) != (email.password_env is None):
        missing = "user" if email.user is None else "password_env"
        yield (), "", f'needs "{missing}" as well: who logs in has a user and a password'
    if email.security == "none" and email.host not in LOOPBACK:
        yield ("security",), ".security", "may be none only for a server on this machine: use starttls or tls"


def _quiet(quiet: Quiet) -> Wrong:
    if quiet.start == quiet.end:
        yield ("quiet",), ".quiet", "never ends: start and end are the same"
    import zoneinfo  # noqa: PLC0415 - it asks for the paths of this Python, and most fleets have no quiet hours

    try:
        zoneinfo.ZoneInfo(quiet.zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        why = f"is no time zone that this machine knows: {shown(quiet.zone)}, write one such as Europe/Berlin"
        yield ("quiet", "zone"), ".quiet.zone", why
