"""Opens TCP connections that answer at once: no Nagle, and acknowledgements that are not delayed.

It never speaks a protocol over them. Names are resolved in threads of its own, so that a dead resolver delays nobody.
"""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

RESOLVER_THREADS = 32
MOST_RECEIVED = 64 * 1024
"""How many bytes are taken from a socket at once, whatever is asked for."""

Address = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where to connect to; `source` is the local address to use, where one is asked for."""

    host: str
    port: int
    family: int = socket.AF_UNSPEC
    source: str | None = None


class Dialer:
    """Connects sockets. It holds the threads that resolve names."""

    def __init__(self) -> None:
        self._resolvers = ThreadPoolExecutor(RESOLVER_THREADS, thread_name_prefix="resolve")

    def close(self) -> None:
        """Start no look-up any more; those under way end by themselves."""
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    async def connect(self, destination: Destination, *, limit_s: float) -> socket.socket:
        """A connected socket to the first address that answers, each within its share of `limit_s`. Raises OSError."""
        found = await self._resolve(destination)
        failure: OSError = OSError(f"{destination.host} has no address")
        for family, address in found:
            try:
                async with asyncio.timeout(limit_s / len(found)):
                    return await _connect(family, address, destination.source)
            except TimeoutError:
                failure = TimeoutError(f"{address[0]!s} port {destination.port} did not answer")
            except OSError as error:
                failure = error
        raise failure

    async def _resolve(self, destination: Destination) -> list[tuple[int, Address]]:
        def look_up(flags: int) -> list[tuple[int, Address]]:
            found = socket.getaddrinfo(
                destination.host, destination.port, destination.family, socket.SOCK_STREAM, flags=flags
            )
            return [(family, address) for family, _, _, _, address in found]

        try:
            return look_up(socket.AI_NUMERICHOST)
        except socket.gaierror:
            return await asyncio.get_running_loop().run_in_executor(self._resolvers, look_up, 0)


async def _connect(family: int, address: Address, source: str | None) -> socket.socket:
    plain = _PromptSocket(family, socket.SOCK_STREAM)
    try:
        plain.setblocking(False)  # noqa: FBT003 - the standard library's signature
        if source is not None:
            plain.bind((source, 0))
        await asyncio.get_running_loop().sock_connect(plain, address)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        plain.close()
        raise
    return plain


class _PromptSocket(socket.socket):
    """Acknowledges whatever it receives at once, and takes little at a time.

    The kernel falls back to delayed acknowledgements by itself, and sshd waits for them before it sends the next small
    packet: 40 ms. So the wish is repeated at every receive. asyncio asks for 256 KB, and asyncssh copies what is left
    of them twice for each packet of 32 KB that it takes out.
    """

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        data = super().recv(min(bufsize, MOST_RECEIVED), flags)
        if hasattr(socket, "TCP_QUICKACK"):
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return data
