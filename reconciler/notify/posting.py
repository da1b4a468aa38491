"""Sends one request to a channel over HTTP, within bounds. A door to httpx.

It follows no redirect, so that neither a token nor what is told goes anywhere else, and shows no path of a URL.
"""

import asyncio
import json
import logging
import ssl
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urljoin, urlsplit

import httpx

from reconciler.core import mask, printable
from reconciler.forge import answers, trusting
from reconciler.notify.outcomes import ChannelRefused, ChannelUnreachable

CONNECT_S = 5.0
WHOLE_S = 20.0
MOST_READ = 64 * 1024
MOST_WORDS = 200
LATER = frozenset({408, 425, 429})
"""The statuses below 500 that say "not now"."""

_ADVICE = {
    401: "see that the token is right",
    403: "see that the token is right and may write there",
    404: "see that its address is right",
    413: "it takes less than other servers do",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One request. `secrets` are those that stand in its URL or headers."""

    url: str
    body: bytes
    headers: dict[str, str]
    secrets: tuple[str, ...] = ()
    method: Literal["POST", "PUT"] = "POST"


async def send(post: Post) -> None:
    """Have it taken. Raises ChannelUnreachable and ChannelRefused, nothing else."""
    for library in ("httpx", "httpcore"):
        logging.getLogger(library).setLevel(logging.WARNING)
    try:
        trust = await asyncio.to_thread(_trust, post.url)
        async with (
            asyncio.timeout(WHOLE_S),
            httpx.AsyncClient(
                timeout=httpx.Timeout(None, connect=CONNECT_S),
                verify=trust,
                trust_env=not trusting.is_loopback(post.url),
            ) as http,
        ):
            await _exchange(http, post)
    except TimeoutError as error:
        raise ChannelUnreachable(f"{_place(post)} did not answer within {WHOLE_S:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
        raise _broken(error, post) from error


async def _exchange(http: httpx.AsyncClient, post: Post) -> None:
    headers = {"Content-Type": "application/json", "User-Agent": "reconciler", "Accept-Encoding": "identity"}
    request = http.build_request(post.method, post.url, content=post.body, headers=headers | post.headers)
    response = await http.send(request, stream=True, follow_redirects=False)
    try:
        if not response.is_success:
            raise await _judged(response, post)
    finally:
        await response.aclose()


async def _judged(response: httpx.Response, post: Post) -> Exception:
    status, place = response.status_code, _place(post)
    if response.has_redirect_location:
        there = trusting.origin(urljoin(post.url, response.headers["location"]))
        return ChannelRefused(f"{place} sends us on to {printable.short(there, MOST_WORDS)}; write that if it is right")
    said = _words(await _start(response), post.secrets)
    words = f": {said}" if said else ""
    if status in LATER or status >= 500:  # noqa: PLR2004 - HTTP's statuses of a server in trouble
        named = {name.lower(): value for name, value in response.headers.items()}
        patience = answers.patience(named)
        wanted = {} if patience is None else {"retry_after": patience}
        return ChannelUnreachable(f"{place} does not take it now ({status}{words})", **wanted)
    advice = f"; {_ADVICE[status]}" if status in _ADVICE else ""
    return ChannelRefused(f"{place} refused it ({status}{words}){advice}")


async def _start(response: httpx.Response) -> bytes:
    read = bytearray()
    async for chunk in response.aiter_raw():
        read += chunk
        if len(read) >= MOST_READ:
            break
    return bytes(read[:MOST_READ])


def _words(body: bytes, secrets: Collection[str]) -> str:
    """What the server says in `error` or `message`, as Matrix and ntfy do; of anything else nothing."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    found = (data.get(key) for key in ("error", "message")) if isinstance(data, dict) else ()
    said = next((one for one in found if isinstance(one, str)), "")
    return mask.mask(printable.short(said, MOST_WORDS), secrets)


def _trust(url: str) -> ssl.SSLContext | bool:
    """The certificates that count; none without TLS, for they are many and read anew each time."""
    return trusting.certificates() if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _place(post: Post) -> str:
    """The server, without the path: that may be a secret."""
    try:
        return printable.short(urlsplit(post.url).netloc.rpartition("@")[2], MOST_WORDS) or "the channel"
    except ValueError:
        return "the channel"


def _broken(error: Exception, post: Post) -> ChannelRefused | ChannelUnreachable:
    """Why nothing was exchanged, in one line; the request itself is not told."""
    place = _place(post)
    match error:
        case httpx.InvalidURL() | httpx.UnsupportedProtocol() | httpx.LocalProtocolError() | ValueError():
            return ChannelRefused(
                "what it is to be sent to is no URL, or its token is not one line of plain characters"
            )
        case httpx.ConnectError() if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return ChannelRefused(
                f"the certificate of {place} is not trusted here; add its authority to this machine's"
            )
        case httpx.ConnectTimeout():
            return ChannelUnreachable(f"no connection to {place} within {CONNECT_S:g} s")
        case httpx.ConnectError() | httpx.ProxyError():
            return ChannelUnreachable(printable.short(f"no connection to {place}: {error}", MOST_WORDS))
        case _:
            return ChannelUnreachable(f"the connection to {place} broke ({type(error).__name__})")
