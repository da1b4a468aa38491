"""Runs commands on hosts by ssh: one connection per host, kept and shared, a channel or a long-lived shell for each.

It never decides whether a host is tried again, and never waits for one host on behalf of another.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import asyncssh

from reconciler.core.command import Command, Completed
from reconciler.core.desired import Host
from reconciler.transport import Unreachable, channel
from reconciler.transport.channel import Channels
from reconciler.transport.connection import Link, Means, open_link
from reconciler.transport.dial import Dialer
from reconciler.transport.options import Surroundings
from reconciler.transport.shells import Shell, Shells

CONNECT_TIMEOUT_S = 15.0
KEEPALIVE_INTERVAL_S = 15.0
KEEPALIVE_COUNT_MAX = 3
MAX_CHANNELS = 3
"""For commands; beside them are those of the long-lived shells. An sshd allows ten on a connection by default."""

PROBE_LIMIT_S = 5.0


class Ssh:
    """The transport for hosts with `transport: ssh`.

    `env` gives HOME and SSH_AUTH_SOCK. `find_host` looks up other hosts by id, for `jump`. Without `ssh_config` and
    `known_hosts` the user's own files count. Times are in seconds.
    """

    def __init__(  # noqa: PLR0913 - what comes from outside, by keyword only
        self,
        *,
        env: Mapping[str, str],
        find_host: Callable[[str], Host | None],
        ssh_config: Path | None = None,
        known_hosts: Path | None = None,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        keepalive_interval_s: float = KEEPALIVE_INTERVAL_S,
        keepalive_count_max: int = KEEPALIVE_COUNT_MAX,
        max_channels: int = MAX_CHANNELS,
    ) -> None:
        asyncssh.set_log_level(logging.WARNING)
        self._dialer = Dialer()
        self._means = Means(
            surroundings=Surroundings(env=env, ssh_config=ssh_config, known_hosts=known_hosts),
            dialer=self._dialer,
            find_host=find_host,
            connect_timeout_s=connect_timeout_s,
            keepalive_interval_s=keepalive_interval_s,
            keepalive_count_max=keepalive_count_max,
        )
        self._max_channels = max_channels
        self._kept: dict[str, _Kept] = {}
        self._lending: dict[str, asyncio.Semaphore] = {}
        self._retired: dict[_Kept, asyncio.Task[None]] = {}

    async def run(self, host_id: str, host: Host, command: Command) -> Completed:
        """How the command ended. Waiting for one of the channels does not count against the command's timeout."""
        if command.lends_agent and host.forward_agent:
            return await self._run_lending(host_id, host, command)
        kept = self._keep(host_id, host)
        try:
            return await kept.run(command)
        except channel.NoChannel as error:
            self._retire(kept)
            raise Unreachable(str(error)) from error
        except channel.NoAnswer as error:
            kept.probe()
            raise Unreachable(str(error)) from error

    async def forget(self, host_id: str) -> None:
        """Close what is kept for a host, and what leads over it: commands under way there end as `Unreachable`."""
        self._lending.pop(host_id, None)
        gone = [kept for kept in self._kept.values() if host_id in (kept.host_id, *kept.host.jump)]
        for kept in gone:
            del self._kept[kept.host_id]
        await asyncio.gather(*(kept.close() for kept in gone))

    async def close(self) -> None:
        """Close every connection. Detached runs on hosts live on."""
        gone = [*self._kept.values(), *self._retired]
        for closing in self._retired.values():
            closing.cancel()
        self._kept.clear()
        await asyncio.gather(*(kept.close() for kept in gone))
        self._dialer.close()

    def _keep(self, host_id: str, host: Host) -> "_Kept":
        """The kept connection; a new one where there is none, it is dead, or the host is elsewhere now."""
        kept = self._kept.get(host_id)
        if kept is not None and not kept.dead and _way(kept.host) == _way(host):
            return kept
        if kept is not None:
            self._retire(kept)
        kept = _Kept(host_id, host, self._means, self._max_channels)
        self._kept[host_id] = kept
        return kept

    def _retire(self, kept: "_Kept") -> None:
        """Use a connection for nothing new: it is closed once the commands on it have ended."""
        if self._kept.get(kept.host_id) is kept:
            del self._kept[kept.host_id]
        if kept not in self._retired:
            self._retired[kept] = asyncio.create_task(kept.close_when_idle())
            self._retired[kept].add_done_callback(lambda _: self._retired.pop(kept))

    async def _run_lending(self, host_id: str, host: Host, command: Command) -> Completed:
        async with self._lending.setdefault(host_id, asyncio.Semaphore(self._max_channels)):
            link = await open_link(host_id, host, self._means, lend_agent=True)
            try:
                return await Channels(host_id, link.connection).exchange(command)
            except (channel.NoChannel, channel.NoAnswer) as error:
                raise Unreachable(str(error)) from error
            finally:
                await link.close()


class _Kept:
    """One host's connection: being opened, open, or dead. Everybody who asks while it is opened shares the attempt."""

    def __init__(self, host_id: str, host: Host, means: Means, max_channels: int) -> None:
        self.host_id = host_id
        self.host = host
        self._free = asyncio.Semaphore(max_channels)
        self._shells = Shells(self._begin)
        self._max_channels = max_channels
        self._opening = asyncio.create_task(open_link(host_id, host, means))
        self._opening.add_done_callback(_look_at_failure)
        self._probing: asyncio.Task[None] | None = None

    @property
    def dead(self) -> bool:
        """Whether the attempt failed, or the connection that it brought is closed."""
        if not self._opening.done():
            return False
        failed = self._opening.cancelled() or self._opening.exception() is not None
        return failed or self._opening.result().connection.is_closed()

    async def run(self, command: Command) -> Completed:
        """How the command ended. Raises `Unreachable`, `Misconfigured`, `NoChannel` and `NoAnswer`."""
        channels = await self._channels()
        if command.brief:
            with channels.told(command):
                return channels.whole(command, await self._shells.run(command))
        async with self._free:
            return await channels.exchange(command)

    async def _begin(self, shell: Shell) -> None:
        await (await self._channels()).begin(shell)

    async def _channels(self) -> Channels:
        return Channels(self.host_id, (await self._link()).connection, self._shells.rest)

    async def _link(self) -> Link:
        """The open connection. Raises `Unreachable` or `Misconfigured` as the attempt did."""
        await asyncio.wait([self._opening])
        if self._opening.cancelled():
            message = f"{self.host_id}: the connection was given up, because the host's file changed or we are closing"
            raise Unreachable(message)
        return self._opening.result()

    def probe(self) -> None:
        """Ask whether the other side still lives; drop the connection if it does not say."""
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._probe())

    async def close_when_idle(self) -> None:
        """Close once no command is on it."""
        for _ in range(self._max_channels):
            await self._free.acquire()
        await self._shells.idle()
        await self.close()

    async def close(self) -> None:
        """Close now."""
        await self._shells.close()
        self._opening.cancel()
        await asyncio.wait([self._opening])
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait([self._probing])
        if not self._opening.cancelled() and self._opening.exception() is None:
            await self._opening.result().close()

    async def _probe(self) -> None:
        link = self._opening.result()
        if not await channel.answers(link.connection, limit_s=PROBE_LIMIT_S):
            link.abort()


def _look_at_failure(opening: asyncio.Task[Link]) -> None:
    """Mark the failure as seen: it is raised to those who wait, and nobody may be waiting any more."""
    if not opening.cancelled():
        opening.exception()


def _way(host: Host) -> Host:
    """The keys of a host's file that decide where its connection leads, and nothing else."""
    return Host(
        transport=host.transport,
        address=host.address,
        port=host.port,
        user=host.user,
        identity_file=host.identity_file,
        host_keys=host.host_keys,
        jump=host.jump,
    )
