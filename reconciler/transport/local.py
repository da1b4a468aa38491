"""Runs commands on this machine, by the same scripts as on any host.

It never hands one of the program's file descriptors or environment variables to a child by accident.
"""

import asyncio
import contextlib
import os
import shlex
import signal
from collections.abc import Coroutine, Mapping

from reconciler.core.command import Command, Completed, command_line, stdin
from reconciler.core.desired import Host
from reconciler.core.script import serve
from reconciler.transport import Misconfigured, Unreachable
from reconciler.transport.gathering import Gathered, Sink, exit_of_signal
from reconciler.transport.shells import Shell, Shells

REAP_LIMIT_S = 2.0
_STDIN, _STDERR = 0, 2


class Local:
    """The transport for hosts with `transport: local`. `env` is the whole environment of every child."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = dict(env)
        self._shells = Shells(self._begin)

    async def run(self, host_id: str, host: Host, command: Command) -> Completed:  # noqa: ARG002 - the protocol's
        """How the command ended. At the timeout its process group is killed and `Unreachable` raised."""
        try:
            completed = await (self._shells.run(command) if command.brief else self._alone(command))
        except TimeoutError:
            message = f"{host_id}: {command.name} did not answer in {command.timeout_s:g} s"
            raise Unreachable(message) from None
        except ValueError as error:
            message = f"{host_id}: {command.name} was stopped: {error}"
            raise Unreachable(message) from None
        except FileNotFoundError as error:
            message = f"{host_id}: there is no sh on this machine's PATH ({error}): install it or mend PATH"
            raise Misconfigured(message) from error
        except OSError as error:
            message = f"{host_id}: {command.name} could not be started: {error}"
            raise Unreachable(message) from error
        if completed is None:
            message = f"{host_id}: the shell of {command.name} was lost"
            raise Unreachable(message)
        return completed

    async def forget(self, host_id: str) -> None:
        """Nothing is kept for one local host alone."""

    async def close(self) -> None:
        """End the shells that are kept."""
        await self._shells.close()

    async def _alone(self, command: Command) -> Completed | None:
        gathered = Gathered()
        child = await self._start(command, gathered)
        child.send(stdin(command))
        child.finish()
        try:
            async with asyncio.timeout(command.timeout_s):
                await gathered.ended
        finally:
            child.kill()
            await child.reaped()
        return gathered.completed()

    async def _begin(self, shell: Shell) -> None:
        order = serve.serve()
        shell.lifeline = child = await self._start(order, shell)
        child.send(stdin(order))

    async def _start(self, command: Command, sink: Sink) -> "_Child":
        home = self._env.get("HOME", "/")
        return await _started(
            asyncio.get_running_loop().subprocess_exec(
                lambda: _Child(sink),
                *shlex.split(command_line(command)),
                env=self._env,
                cwd=home if os.access(home, os.X_OK) else "/",
                start_new_session=True,
                close_fds=True,
            )
        )


async def _started(start: "Coroutine[None, None, tuple[asyncio.SubprocessTransport, _Child]]") -> "_Child":
    """The child. Who is cancelled meanwhile leaves none behind.

    asyncio, where it is cancelled at this, kills the child alone, and waits for ever for what that one has begun.
    """
    starting = asyncio.ensure_future(start)
    try:
        await asyncio.wait([starting])
    except asyncio.CancelledError:
        await asyncio.wait([starting])
        if starting.exception() is None:
            starting.result()[1].kill()
            await starting.result()[1].reaped()
        raise
    return starting.result()[1]


class _Child(asyncio.SubprocessProtocol):
    """One child: its stdin, and where its output goes. `connection_lost` comes after the reaping and all output."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._transport: asyncio.SubprocessTransport | None = None
        self._killed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.SubprocessTransport):
            raise TypeError(transport)
        self._transport = transport

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        if isinstance(data, bytes):
            self._sink.add(data, to_stderr=fd == _STDERR)

    def process_exited(self) -> None:
        code = None if self._transport is None else self._transport.get_returncode()
        if code is not None:
            self._sink.exit = exit_of_signal(-code) if code < 0 else code
        if not self._sink.exited.done():
            self._sink.exited.set_result(None)
        if self._killed and self._transport is not None:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._sink.end(exc)

    def send(self, data: bytes) -> None:
        """Give it more of its stdin."""
        self._stdin().write(data)

    def finish(self) -> None:
        """Tell it that this was all."""
        self._stdin().write_eof()

    def kill(self) -> None:
        """Leave nothing behind: one that still runs takes its process group with it; a reaped one's id is not used."""
        if self._transport is None:
            return
        self._killed = True
        if self._transport.get_returncode() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._transport.get_pid(), signal.SIGKILL)
        else:
            self._transport.close()

    async def reaped(self) -> None:
        """Return once it is gone, or was given time enough for that."""
        await asyncio.wait([self._sink.exited], timeout=REAP_LIMIT_S)
        if self._transport is not None:
            self._transport.close()

    def _stdin(self) -> asyncio.WriteTransport:
        pipe = self._transport.get_pipe_transport(_STDIN) if self._transport is not None else None
        if not isinstance(pipe, asyncio.WriteTransport):
            raise TypeError(pipe)
        return pipe
