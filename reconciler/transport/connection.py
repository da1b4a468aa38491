"""Opens one ssh connection to a host, over its jump hosts, and says why it cannot.

It never keeps a connection, and never tries twice.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import asyncssh

from reconciler.core.desired import Host
from reconciler.transport import Misconfigured, Unreachable, dial, hostkeys, identities, options

MAX_JUMPS = 8
CLOSE_LIMIT_S = 2.0

_REFUSALS = (asyncssh.PermissionDenied, asyncssh.IllegalUserName)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What every connection is opened with. Times are in seconds; the connect limit counts for each hop."""

    surroundings: options.Surroundings
    dialer: dial.Dialer
    find_host: Callable[[str], Host | None]
    connect_timeout_s: float
    keepalive_interval_s: float
    keepalive_count_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An open connection and the ones to jump hosts that carry it, the outermost first."""

    connection: asyncssh.SSHClientConnection
    carriers: tuple[asyncssh.SSHClientConnection, ...] = ()

    async def close(self) -> None:
        """Close it and its carriers; a peer that does not take part is left after `CLOSE_LIMIT_S`."""
        for connection in (self.connection, *reversed(self.carriers)):
            await _close(connection)

    def abort(self) -> None:
        """Drop it and its carriers at once."""
        for connection in (self.connection, *reversed(self.carriers)):
            connection.abort()


async def open_link(host_id: str, host: Host, means: Means, *, lend_agent: bool = False) -> Link:
    """A connection that has authenticated both sides. Raises `Unreachable` or `Misconfigured`, naming the hop."""
    opened: list[asyncssh.SSHClientConnection] = []
    try:
        for name, hop in await _hops(host_id, host, means):
            last = name == host_id
            attempt = _Attempt(host_id=host_id, name=name, host=hop, means=means, lend_agent=lend_agent and last)
            opened.append(await attempt.connect(opened[-1] if opened else None))
    except BaseException:
        for connection in reversed(opened):
            connection.abort()
        raise
    return Link(connection=opened[-1], carriers=tuple(opened[:-1]))


async def _hops(host_id: str, host: Host, means: Means) -> list[tuple[str, Host]]:
    """The way to a host, hop by hop, the host itself last. A jump host may have jump hosts of its own."""
    hops = [(host_id, host)]
    # Only the first hop's own way counts: the later ones are reached from their predecessor.
    while True:
        name, first = hops[0]
        way = await options.route(_title(host_id, name), first, means.surroundings)
        if not way.jump:
            return hops
        hops = [*(_jump(host_id, text, means) for text in way.jump), *hops]
        if len(hops) > MAX_JUMPS + 1:
            message = f"{host_id}: more than {MAX_JUMPS} jump hosts, or they lead in a circle: mend jump"
            raise Misconfigured(message)


def _jump(host_id: str, text: str, means: Means) -> tuple[str, Host]:
    """One item of `jump`: the id of a host, else `[user@]address[:port]` with IPv6 addresses in brackets."""
    other = means.find_host(text)
    if other is not None:
        return text, other
    user, _, place = text.rpartition("@")
    address, _, port = place.rpartition(":") if _names_port(place) else (place, "", "22")
    if not address.strip("[]") or not port.isdecimal():
        message = f"{host_id}: the jump host {text!r} is neither user@address:port nor the id of a host: mend jump"
        raise Misconfigured(message)
    return text, Host(transport="ssh", address=address.strip("[]"), port=int(port), user=user or None)


def _names_port(place: str) -> bool:
    return "]:" in place if place.startswith("[") else place.count(":") == 1


def _title(host_id: str, name: str) -> str:
    return host_id if name == host_id else f"{host_id}: jump host {name}"


class _Observer(asyncssh.SSHClient):
    """Remembers a host key that was not trusted, so that the refusal can name it."""

    def __init__(self) -> None:
        self.refused: asyncssh.SSHKey | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        self.refused = key
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """One attempt to connect to one hop."""

    host_id: str
    name: str
    host: Host
    means: Means
    lend_agent: bool

    @property
    def title(self) -> str:
        return _title(self.host_id, self.name)

    async def connect(self, over: asyncssh.SSHClientConnection | None) -> asyncssh.SSHClientConnection:
        observer = _Observer()
        surroundings = self.means.surroundings
        way = await options.route(self.title, self.host, surroundings)
        trusted = options.trust(self.title, self.host, way, surroundings)
        try:
            async with (
                asyncio.timeout(self.means.connect_timeout_s),
                identities.offered(self.title, self.host, way, surroundings) as keys,
            ):
                arguments = options.connection_options(self.host, surroundings) | {
                    "known_hosts": trusted,
                    "client_keys": list(keys) or None,
                    "client_factory": lambda: observer,
                    **self._lasting(),
                    **self._lent(way),
                }
                return await self._open(way, over, arguments)
        except (Misconfigured, Unreachable):
            raise
        except TimeoutError as error:
            message = f"{self.title}: {self._place(way)} did not answer in {self.means.connect_timeout_s:g} s"
            raise Unreachable(message) from error
        except (asyncssh.Error, OSError, ValueError) as error:
            raise self._failure(error, observer, way) from error

    def _lasting(self) -> dict[str, object]:
        return {
            "connect_timeout": None,
            "login_timeout": self.means.connect_timeout_s,
            "keepalive_interval": self.means.keepalive_interval_s,
            "keepalive_count_max": self.means.keepalive_count_max,
        }

    def _lent(self, way: options.Route) -> dict[str, object]:
        if not self.lend_agent:
            return {}
        if way.agent is None:
            message = (
                f"{self.title}: forward_agent is set, but there is no ssh agent to lend: "
                f"start the reconciler with SSH_AUTH_SOCK, or use deploy keys and drop forward_agent"
            )
            raise Misconfigured(message)
        return {"agent_forwarding": way.agent}

    async def _open(
        self, way: options.Route, over: asyncssh.SSHClientConnection | None, arguments: dict[str, object]
    ) -> asyncssh.SSHClientConnection:
        """Over the connection before, over a socket of ours, or as the ssh config wants it (ProxyCommand)."""
        if over is not None:
            return await asyncssh.connect(**{**arguments, "tunnel": over})
        if not way.direct:
            return await asyncssh.connect(**{**arguments, "tunnel": None})
        limit_s = self.means.connect_timeout_s
        connected = await self.means.dialer.connect(_destination(way), limit_s=limit_s)
        try:
            return await asyncssh.connect(**{**arguments, "tunnel": None, "sock": connected})
        except BaseException:
            connected.close()
            raise

    def _failure(self, error: Exception, observer: _Observer, way: options.Route) -> Exception:
        place, said = self._place(way), " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed)):
            return Misconfigured(f"{self.title}: {self._distrust(said, observer, place)}")
        if isinstance(error, _REFUSALS) or "too many authentication failures" in said.lower():
            return Misconfigured(
                f"{self.title}: {place} refuses user {way.config.username} with every key that was offered ({said}): "
                "add our public key to authorized_keys there, or set user and identity_file in the host's file"
            )
        if isinstance(error, ValueError):
            return Misconfigured(f"{self.title}: {said}: mend the host's file or the ssh config")
        return Unreachable(f"{self.title}: {place} cannot be reached: {said}")

    def _distrust(self, said: str, observer: _Observer, place: str) -> str:
        wanted = "pinned in host_keys" if self.host.host_keys else "in known_hosts"
        if observer.refused is None:
            return (
                f"{place} shows no host key that can be trusted ({said}): "
                f"compare its keys (ssh-keyscan) with those {wanted}, and mend these"
            )
        return (
            f"{place} shows the host key {hostkeys.fingerprint(observer.refused)}, which is not one {wanted} "
            f"({said}): compare it on the host (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub), then add the key that "
            "ssh-keyscan prints to host_keys in the host's file or to known_hosts"
        )

    def _place(self, way: options.Route) -> str:
        return f"{way.config.host} port {way.config.port}"


def _destination(way: options.Route) -> dial.Destination:
    source = way.config.config.get("BindAddress")
    return dial.Destination(
        host=way.config.host,
        port=way.config.port,
        family=int(way.config.family or 0),
        source=source if isinstance(source, str) else None,
    )


async def _close(connection: asyncssh.SSHClientConnection) -> None:
    connection.close()
    try:
        async with asyncio.timeout(CLOSE_LIMIT_S):
            await connection.wait_closed()
    except TimeoutError:
        connection.abort()
