"""Runs commands on this machine, by the same scripts as on any host.

It never hands one of the program's file descriptors or environment variables to a child by accident.
"""

import asyncio
import contextlib
import os
import shlex
import signal
from collections.abc import Mapping

from reconciler.core.command import Command, Completed, command_line, stdin
from reconciler.core.desired import Host
from reconciler.transport import Misconfigured, Unreachable
from reconciler.transport.gathering import Gathered, exit_of_signal

REAP_LIMIT_S = 2.0
_STDIN, _STDERR = 0, 2


class Local:
    """The transport for hosts with `transport: local`. `env` is the whole environment of every child."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = dict(env)

    async def run(self, host_id: str, host: Host, command: Command) -> Completed:  # noqa: ARG002 - the protocol's
        """How the command ended. At the timeout its process group is killed and `Unreachable` raised."""
        gathered = Gathered()
        child = await self._start(host_id, command, gathered)
        try:
            async with asyncio.timeout(command.timeout_s):
                await gathered.ended
        except TimeoutError:
            message = f"{host_id}: {command.name} did not answer in {command.timeout_s:g} s"
            raise Unreachable(message) from None
        except ValueError as error:
            message = f"{host_id}: {command.name} was stopped: {error}"
            raise Unreachable(message) from None
        finally:
            await _end(child, gathered)
        completed = gathered.completed()
        assert completed is not None, "a child of this process always has an exit status"  # noqa: S101 - invariant
        return completed

    async def forget(self, host_id: str) -> None:
        """Nothing is kept for a local host."""

    async def close(self) -> None:
        """Nothing is kept."""

    async def _start(self, host_id: str, command: Command, gathered: Gathered) -> asyncio.SubprocessTransport:
        home = self._env.get("HOME", "/")
        try:
            child, _ = await asyncio.get_running_loop().subprocess_exec(
                lambda: _Child(gathered, stdin(command)),
                *shlex.split(command_line(command)),
                env=self._env,
                cwd=home if os.access(home, os.X_OK) else "/",
                start_new_session=True,
                close_fds=True,
            )
        except FileNotFoundError as error:
            message = f"{host_id}: there is no sh on this machine's PATH ({error}): install it or mend PATH"
            raise Misconfigured(message) from error
        except OSError as error:
            message = f"{host_id}: {command.name} could not be started: {error}"
            raise Unreachable(message) from error
        return child


class _Child(asyncio.SubprocessProtocol):
    """Feeds stdin and gathers output. `connection_lost` comes after the reaping and the ends of the pipes."""

    def __init__(self, gathered: Gathered, data: bytes) -> None:
        self._gathered = gathered
        self._data = data
        self._transport: asyncio.SubprocessTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.SubprocessTransport):
            raise TypeError(transport)
        self._transport = transport
        pipe = transport.get_pipe_transport(_STDIN)
        if not isinstance(pipe, asyncio.WriteTransport):
            raise TypeError(pipe)
        pipe.write(self._data)
        pipe.write_eof()

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        if isinstance(data, bytes):
            self._gathered.add(data, to_stderr=fd == _STDERR)

    def process_exited(self) -> None:
        code = None if self._transport is None else self._transport.get_returncode()
        if code is not None:
            self._gathered.exit = exit_of_signal(-code) if code < 0 else code
        if not self._gathered.exited.done():
            self._gathered.exited.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._gathered.end(exc)


async def _end(child: asyncio.SubprocessTransport, gathered: Gathered) -> None:
    """Leave nothing behind: a child that still runs takes its process group with it; a reaped one's id is not used."""
    if child.get_returncode() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.get_pid(), signal.SIGKILL)
        await asyncio.wait([gathered.exited], timeout=REAP_LIMIT_S)
    child.close()
