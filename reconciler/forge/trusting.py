"""Which certificates count, where a URL really leads, and that no proxy stands before this machine itself.

It connects to nothing.
"""

import ssl
from pathlib import Path
from urllib.parse import urlsplit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""No proxy stands between this machine and itself, whatever the environment says."""


def certificates() -> ssl.SSLContext | bool:
    """The certificates that this machine trusts, as git does here; httpx's own where the machine has none."""
    places = ssl.get_default_verify_paths()
    some = bool(places.cafile) or (bool(places.capath) and any(Path(places.capath).iterdir()))
    return ssl.create_default_context() if some else True


def is_loopback(url: str) -> bool:
    """Whether the host of a URL is this machine, by name or address."""
    return urlsplit(url).hostname in LOOPBACK


def origin(url: str) -> str:
    """Scheme, host and port of a URL; empty where it is none."""
    try:
        split = urlsplit(url)
        port = split.port or (443 if split.scheme == "https" else 80)
    except ValueError:
        return ""
    return f"{split.scheme}://{split.hostname}:{port}"
