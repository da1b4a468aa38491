"""Exchanges HTTP with one forge, within bounds of time, size, connections and retries. The only door to httpx.

It knows nothing of pull requests, and the token stands in none of its messages.
"""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, urlencode, urljoin, urlsplit

import httpx

from reconciler.core import printable
from reconciler.core.desired import Forge
from reconciler.forge import answers, trusting
from reconciler.forge.answers import Answer, ForgeRefused, ForgeUnreachable

MOST_BYTES = 16 * 1024 * 1024
MOST_CONNECTIONS = 4
MOST_REDIRECTS = 3
MOST_WORDS = 300
RETRIED = frozenset({502, 503, 504})
"""What a proxy answers while the forge behind it restarts."""

_PLAIN = frozenset({"", "identity"})
"""Nothing is unpacked: of what is packed nobody knows how large it is."""

_NO_SEGMENT = frozenset({"", ".", ".."})
"""Names that would make a path another path."""

_ADVICE = {
    401: "make a new token for the API",
    403: "give the token its scopes (docs/forge.md lists them) and its account the right to do that",
    404: "see that it is there, and that the token's account may see it",
    423: "the repository is archived or locked; unlock it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long is waited, in seconds: for a connection, for a whole exchange, and before each repetition of a GET."""

    connect_s: float = 5.0
    whole_s: float = 20.0
    pauses_s: tuple[float, ...] = (0.2, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. `path` are segments, encoded one by one. `takes` are 5xx statuses that count as an answer here."""

    path: Sequence[str | int]
    method: Literal["GET", "POST", "PATCH", "DELETE"] = "GET"
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, object] | None = None
    takes: frozenset[int] = frozenset()


class Rest:
    """One forge and one token. Raises ForgeUnreachable and ForgeRefused, nothing else."""

    def __init__(self, forge: Forge, token: str, patience: Patience) -> None:
        """Connect when first asked."""
        self._forge = forge
        self._token = token.strip()
        self._patience = patience
        self._slots = asyncio.Semaphore(MOST_CONNECTIONS)
        self._http: httpx.AsyncClient | None = None
        self._base = ""
        self._name: str = forge.kind
        self._closed = False
        for library in ("httpx", "httpcore"):
            logging.getLogger(library).setLevel(logging.WARNING)

    async def ask(self, call: Call) -> Answer:
        """The forge's answer, be it good or 4xx; who must wait for a connection is not yet on the clock."""
        async with self._slots:
            http = self._opened()
            try:
                async with asyncio.timeout(self._patience.whole_s):
                    answer = await self._tried(http, call)
            except TimeoutError as error:
                waited = f"{self._patience.whole_s:g} s"
                raise ForgeUnreachable(f"{self._name} did not answer within {waited}; it is asked again") from error
        return self._judged(answer, call)

    def must(self, answer: Answer, doing: str, advice: str = "") -> Answer:
        """The answer, where it is good; else ForgeRefused with the forge's words and what to do."""
        if answer.good:
            return answer
        words = f": {answer.words}" if answer.words else ""
        then = advice or _ADVICE.get(answer.status, "")
        if answer.status == 401:  # noqa: PLR2004 - Unauthorized is about the token alone
            then = f"{_ADVICE[401]} and put it into {self._forge.token_env or 'the variable of forge.token_env'}"
        line = printable.short(f"{self._name} refused to {doing} ({answer.status}{words})", 2 * MOST_WORDS)
        raise ForgeRefused(f"{line}; {then}" if then else line, answer.status)

    def unreadable(self, doing: str, why: str) -> ForgeUnreachable:
        """What came back is not what a forge says."""
        return ForgeUnreachable(
            printable.short(
                f"{self._name} gave an answer that cannot be read when asked to {doing}: {why}; "
                "see that forge.url is right and that nothing stands between",
                2 * MOST_WORDS,
            )
        )

    def page(self, number: int, size: int) -> Mapping[str, str]:
        """How a page of a list is asked for here."""
        return {"page": str(number), "per_page" if self._forge.kind == "github" else "limit": str(size)}

    async def close(self) -> None:
        """Let go of the connections."""
        self._closed = True
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    def _opened(self) -> httpx.AsyncClient:
        if self._closed:
            raise ForgeUnreachable(f"the connection to {self._name} was closed")
        if self._http is None:
            self._base, self._name = _base(self._forge)
            self._http = httpx.AsyncClient(
                headers=self._headers(),
                timeout=httpx.Timeout(None, connect=self._patience.connect_s),
                limits=httpx.Limits(max_connections=MOST_CONNECTIONS, max_keepalive_connections=MOST_CONNECTIONS),
                verify=trusting.certificates(),
                trust_env=not trusting.is_loopback(self._base),
            )
        return self._http

    def _headers(self) -> dict[str, str]:
        if not self._token.isascii() or not self._token.isprintable():
            where = self._forge.token_env or "forge.token_env"
            raise ForgeRefused(f"the token in {where} is not one line of plain characters; put it there again", 0)
        github = self._forge.kind == "github"
        return {
            "Authorization": f"{'Bearer' if github else 'token'} {self._token}",
            "Accept": "application/vnd.github+json" if github else "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "reconciler",
        } | ({"X-GitHub-Api-Version": "2022-11-28"} if github else {})

    async def _tried(self, http: httpx.AsyncClient, call: Call) -> Answer:
        """Try a GET again after a connection that broke, or a proxy's word that the forge is away; nothing else."""
        pauses = list(self._patience.pauses_s) if call.method == "GET" else []
        while True:
            try:
                answer = await self._followed(http, call)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                if not pauses or not isinstance(error, httpx.TransportError):
                    raise ForgeUnreachable(self._broken(error)) from error
            else:
                if answer.status not in RETRIED or not pauses or "retry-after" in answer.headers:
                    return answer
            await asyncio.sleep(pauses.pop(0))

    async def _followed(self, http: httpx.AsyncClient, call: Call) -> Answer:
        """Follow where a GET is sent, within the same origin: no token goes anywhere else."""
        path = "/".join(_segment(one) for one in call.path)
        url = f"{self._base}/{path}" + (f"?{urlencode(call.query, errors='replace')}" if call.query else "")
        body = json.dumps(call.body).encode() if call.body is not None else None
        for _ in range(MOST_REDIRECTS):
            answer = await self._exchanged(http, call.method, url, body)
            there = urljoin(url, answer.headers.get("location", ""))
            if call.method != "GET" or not _redirects(answer) or trusting.origin(there) != trusting.origin(url):
                break
            url = there
        return answer

    async def _exchanged(self, http: httpx.AsyncClient, method: str, url: str, body: bytes | None) -> Answer:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        read = bytearray()
        async with http.stream(method, url, content=body, headers=headers) as response:
            if response.headers.get("content-encoding", "identity").strip().lower() not in _PLAIN:
                raise self.unreadable(method, "it is compressed, which it was asked not to be")
            async for chunk in response.aiter_raw():
                read += chunk
                if len(read) > MOST_BYTES:
                    raise ForgeUnreachable(f"{self._name} gave an answer of more than {MOST_BYTES >> 20} MiB")
            said = {name.lower(): value for name, value in response.headers.items()}
            return self._answer(response.status_code, said, bytes(read))

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> Answer:
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            return Answer(status=status, headers=headers)
        message = data.get("message") if isinstance(data, dict) else None
        words = _all_words(message, data.get("errors")) if isinstance(message, str) else ""
        masked = words.replace(self._token, "***") if self._token else words
        line = printable.short(masked, MOST_WORDS)
        return Answer(status=status, headers=headers, spoken=True, data=data, words=line)

    def _judged(self, answer: Answer, call: Call) -> Answer:
        """Raise what is no answer to the question: not now, not well, not there, not a forge."""
        if answers.asks_for_patience(answer):
            wanted = answers.patience(answer.headers)
            long = f" for {wanted.total_seconds():.0f} s" if wanted is not None else ""
            raise ForgeUnreachable(f"{self._name} wants to be left alone{long} ({answer.status})", wanted)
        if answer.status in call.takes:
            return answer
        if answer.status >= 500 or answer.status == 408:  # noqa: PLR2004 - HTTP's statuses of a server in trouble
            words = f": {answer.words}" if answer.words else ""
            raise ForgeUnreachable(f"{self._name} is in trouble ({answer.status}{words}); it is asked again")
        if _redirects(answer):
            there = trusting.origin(urljoin(f"{self._base}/", answer.headers["location"]))
            raise ForgeRefused(
                printable.short(f"{self._name} sends us on to {there}; write that into forge.url if it is right", 500),
                answer.status,
            )
        if answer.good and answer.status != 204 and not answer.spoken:  # noqa: PLR2004 - No Content
            kind = answer.headers.get("content-type", "no content type")
            raise self.unreadable(f"{call.method} {call.path[-1]}", f"it is {kind}, not JSON")
        return answer

    def _broken(self, error: Exception) -> str:
        """Why there is no connection, in one line; the request itself is not told."""
        match error:
            case httpx.ConnectTimeout():
                why = f"no connection within {self._patience.connect_s:g} s"
            case httpx.ConnectError() | httpx.ProxyError():
                why = f"no connection: {error}"
            case httpx.ReadError() | httpx.WriteError() | httpx.RemoteProtocolError():
                why = "the connection broke before the answer was whole"
            case _:
                why = type(error).__name__
        return printable.short(f"{self._name} cannot be reached: {why}", MOST_WORDS)


def _base(forge: Forge) -> tuple[str, str]:
    """Where the API is, without what a URL may hold of names and passwords, and what to call the forge in messages."""
    try:
        split = urlsplit(forge.url)
        host, port = split.hostname or "", split.port
        httpx.URL(f"{split.scheme}://{split.netloc}")
    except (ValueError, httpx.InvalidURL) as error:
        raise ForgeRefused("forge.url is no URL; write it like https://git.example.org", 0) from error
    at = (f"[{host}]" if ":" in host else host) + (f":{port}" if port is not None else "")
    version = "/api/v3" if forge.kind == "github" else "/api/v1"
    if forge.kind == "github" and host in {"github.com", "www.github.com", "api.github.com"}:
        return "https://api.github.com", "github.com"
    path = split.path.rstrip("/").removesuffix(version)
    return f"{split.scheme}://{at}{path}{version}", at


def _segment(one: str | int) -> str:
    text = str(one)
    if text in _NO_SEGMENT:
        raise ForgeRefused(f'"{text}" names nothing on a forge; see the names in forge.repositories and the tasks', 0)
    return quote(text, safe="", errors="replace")


def _redirects(answer: Answer) -> bool:
    return 300 <= answer.status < 400 and "location" in answer.headers  # noqa: PLR2004 - the range is HTTP's


def _all_words(message: str, errors: object) -> str:
    """GitHub says what is wrong in `errors`, beside a message that says only that something is."""
    parts = errors if isinstance(errors, list) else []
    more = [one["message"] for one in parts if isinstance(one, dict) and isinstance(one.get("message"), str)]
    return ", ".join([message, *more])
