"""Finds out which agent a request comes from, by its token alone; who guesses too often is told to wait.

It never says what is wrong with a token, looks up digests only, and neither keeps nor logs a token.
"""

import hashlib
import hmac
import ipaddress
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import ceil

import falcon

from reconciler.core.desired import Desired

MOST_FAILURES = 20
WITHIN_S = 60.0
MOST_ADDRESSES = 4096
"""How many addresses are remembered; the one that failed longest ago is forgotten first."""
CHALLENGE = 'Bearer realm="reconciler"'
SAID = "no token, or one that nobody has; send Authorization: Bearer TOKEN with one that `reconciler token HOST` made"

_FORM = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +(?P<token>[A-Za-z0-9._~+/-]{1,512}=*) *")
_NETWORK_BITS = 64
"""Whoever has one address of the sixth version has so large a network of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """Who asks: the id of the host, and whether its file is gone or broken, so that it takes nothing new."""

    host_id: str
    token: str
    retired: bool = False


class Failures:
    """How often wrong tokens came from an address lately. Safe for many threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` counts seconds, and never backwards."""
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def note(self, address: str) -> int | None:
        """One more from there; for how many seconds to wait where there were too many."""
        now, name = self._clock(), _neighbourhood(address)
        with self._lock:
            began, count = self._known.pop(name, (now, 0))
            if now - began >= WITHIN_S:
                began, count = now, 0
            self._known[name] = (began, min(count + 1, MOST_FAILURES + 1))
            if len(self._known) > MOST_ADDRESSES:
                self._known.popitem(last=False)
            return max(ceil(began + WITHIN_S - now), 1) if count >= MOST_FAILURES else None


class Tokens:
    """The tokens of the fleet's pull agents, as their files say now. Safe for many threads."""

    def __init__(
        self, desired: Callable[[], Desired], clock: Callable[[], float], refused: Callable[[str], None]
    ) -> None:
        """`desired` gives the files in force; `refused` is told in one line what was not let in, and from where."""
        self._desired = desired
        self._failures = Failures(clock)
        self._refused = refused
        self._owners: tuple[object, Mapping[str, str]] = (None, {})
        """The hosts that were looked at last, and whose each digest among theirs is."""

    def agent(self, req: falcon.Request, *, fresh: bool = False) -> Agent:
        """Who asks; with `fresh` only one that may take something new. Raises HTTPError 401, and 429."""
        given = req.get_header("Authorization")
        found = self._find(given)
        if found is not None and not (fresh and found.retired):
            return found
        peer = str(req.env.get("REMOTE_ADDR", ""))
        self._refused(f"{req.method} from {peer} was refused: no token that is known")
        wait_s = self._failures.note(peer) if given is not None and found is None else None
        if wait_s is not None:
            said = "too many wrong tokens came from this address; wait, or send a right one"
            raise falcon.HTTPTooManyRequests(description=said, retry_after=wait_s)
        raise falcon.HTTPUnauthorized(description=SAID, challenges=[CHALLENGE])

    def _find(self, given: str | None) -> Agent | None:
        """The agent whose token this is, by the token's digest: nobody can choose how much of that fits."""
        token = bearer(given)
        desired = self._desired()
        hosts, owners = self._owners
        if hosts is not desired.hosts:
            owners = _owners(desired)
            self._owners = desired.hosts, owners
        found = owners.get(_digest(token))
        if found is None or not token:
            return None
        return Agent(host_id=found, token=token, retired=found in desired.retired_hosts)


def _owners(desired: Desired) -> dict[str, str]:
    """Which agent each digest of a token is of."""
    return {
        digest: host_id
        for host_id, document in desired.hosts.items()
        if document.value.transport == "pull"
        for digest in document.value.token_sha256
    }


def bearer(given: str | None) -> str:
    """The token in the header `Authorization`; empty where there is none."""
    form = _FORM.fullmatch(given or "")
    return form["token"] if form is not None else ""


def fits(token: str, digests: Iterable[str]) -> bool:
    """Whether it is the token of one of these digests; each of them is compared, and as long as any other."""
    digest = _digest(token).encode()
    return sum(hmac.compare_digest(known.encode(), digest) for known in digests) > 0


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


def _neighbourhood(address: str) -> str:
    """The address, or the network of one person."""
    try:
        place = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(place, ipaddress.IPv6Address) and place.ipv4_mapped is None:
        return str(ipaddress.ip_network((place, _NETWORK_BITS), strict=False))
    return str(place)
