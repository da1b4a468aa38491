"""Tells whether a request comes from this machine itself, and from nobody whom a proxy or a web page speaks for. Pure.

It looks up no name.
"""

import ipaddress
import re
from collections.abc import Iterable

FORWARDING = re.compile(r"forwarded|x-forwarded(-.*)?|x-real-ip|via")
"""The headers, in lower case, by which a proxy says that it speaks for somebody else."""

_HOST = re.compile(r"(?P<name>\[[^\]]*\]|[^:\[\]]*)(:[0-9]{1,5})?")


def is_own(*, listens: str | None, peer: str, host: str, headers: Iterable[str]) -> bool:
    """Whether the address that is listened on, the peer and the name in `Host` are this machine's alone.

    `headers` are the names of all of the request's.
    """
    name = _HOST.fullmatch(host)
    return (
        listens is not None
        and is_loopback(listens)
        and is_loopback(peer)
        and name is not None
        and _names_this(name["name"])
        and not any(FORWARDING.fullmatch(one.lower()) for one in headers)
    )


def is_loopback(address: str) -> bool:
    """Whether the number is one of this machine's alone."""
    try:
        place = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = place.ipv4_mapped if isinstance(place, ipaddress.IPv6Address) else None
    return (mapped or place).is_loopback


def _names_this(name: str) -> bool:
    plain = name.removeprefix("[").removesuffix("]").lower()
    return plain == "localhost" or is_loopback(plain)
