"""Runs one command on one channel of an open ssh connection.

It never opens or closes connections.
"""

import asyncio
import functools

import asyncssh

from reconciler.core.command import Command, Completed, command_line, stdin
from reconciler.transport import Unreachable
from reconciler.transport.gathering import Gathered, exit_of_signal_name

OPEN_ATTEMPTS = 4
OPEN_DELAY_S = 0.1


class NoChannel(Exception):
    """The other side lives but opens no channel: its limit of sessions is used up, perhaps by commands given up."""


class NoAnswer(Exception):
    """The command did not end in its time; the connection may be dead as well."""


async def exchange(host_id: str, connection: asyncssh.SSHClientConnection, command: Command) -> Completed:
    """How the command ended. Raises `Unreachable`, `NoChannel` or `NoAnswer`; whatever was begun is killed then."""
    session = _Session()
    try:
        async with asyncio.timeout(command.timeout_s):
            session = await _open(connection, command_line(command))
            session.send(stdin(command))
            await session.gathered.ended
    except TimeoutError as error:
        message = f"{host_id}: {command.name} did not answer in {command.timeout_s:g} s"
        raise NoAnswer(message) from error
    except asyncssh.ChannelOpenError as error:
        if connection.is_closed():
            raise _lost(host_id, command, error) from error
        message = f"{host_id}: {command.name} got no channel in {OPEN_ATTEMPTS} attempts: {error}"
        raise NoChannel(message) from error
    except ValueError as error:
        message = f"{host_id}: {command.name} was stopped: {error}"
        raise Unreachable(message) from error
    except (asyncssh.Error, OSError) as error:
        raise _lost(host_id, command, error) from error
    finally:
        session.give_up()
    completed = session.gathered.completed()
    if completed is None:
        raise _lost(host_id, command, OSError("the channel was closed without an exit status"))
    return completed


async def answers(connection: asyncssh.SSHClientConnection, *, limit_s: float) -> bool:
    """Whether the other side says anything at all in time, be it a refusal."""
    session = _Session()
    try:
        async with asyncio.timeout(limit_s):
            await connection.create_session(lambda: session, "true", encoding=None)
    except TimeoutError:
        return False
    except (asyncssh.Error, OSError):
        return not connection.is_closed()
    finally:
        session.let_go()
    return True


class _Session(asyncssh.SSHClientSession[bytes]):
    """One command's channel, and what comes over it."""

    def __init__(self) -> None:
        self.gathered = Gathered()
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        self.gathered.add(data, to_stderr=datatype == asyncssh.EXTENDED_DATA_STDERR)

    def exit_status_received(self, status: int) -> None:
        self.gathered.exit = status

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:  # noqa: ARG002, FBT001 - asyncssh's
        self.gathered.exit = exit_of_signal_name(signal)

    def connection_lost(self, exc: Exception | None) -> None:
        self._channel = None
        self.gathered.end(exc)

    def send(self, data: bytes) -> None:
        """Give the command all of its stdin. Raises OSError when the channel is closed."""
        if self._channel is not None:
            self._channel.write(data)
            self._channel.write_eof()

    def give_up(self) -> None:
        """Kill what still runs there, as far as the other side takes part, and let the channel go."""
        if self._channel is not None and not self._channel.is_closing():
            self._channel.kill()
        self.let_go()

    def let_go(self) -> None:
        """Close the channel, whatever it was doing."""
        if self._channel is not None:
            self._channel.abort()


async def _open(connection: asyncssh.SSHClientConnection, line: str) -> _Session:
    """A channel that runs the line. A refusal is tried again shortly: a session that just ended may still count."""
    for attempt in range(OPEN_ATTEMPTS):
        session = _Session()
        try:
            await connection.create_session(functools.partial(_the, session), line, encoding=None)
        except asyncssh.ChannelOpenError:
            if connection.is_closed() or attempt == OPEN_ATTEMPTS - 1:
                raise
            await asyncio.sleep(OPEN_DELAY_S * 2**attempt)
        except BaseException:
            session.give_up()
            raise
        else:
            return session
    raise AssertionError(OPEN_ATTEMPTS)


def _the(session: _Session) -> _Session:
    return session


def _lost(host_id: str, command: Command, error: Exception) -> Unreachable:
    said = " ".join(str(error).split()) or type(error).__name__
    return Unreachable(f"{host_id}: the connection was lost during {command.name}: {said}")
