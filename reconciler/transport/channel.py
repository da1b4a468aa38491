"""Runs commands, and starts long-lived shells, on channels of an open ssh connection.

It never opens or closes connections.
"""

import asyncio
import contextlib
import functools
from collections.abc import Callable, Iterator

import asyncssh

from reconciler.core.command import Command, Completed, command_line, stdin
from reconciler.core.script import serve
from reconciler.transport import Unreachable
from reconciler.transport.gathering import Gathered, Sink, exit_of_signal_name
from reconciler.transport.shells import Shell

OPEN_ATTEMPTS = 4
OPEN_DELAY_S = 0.1


class NoChannel(Exception):
    """The other side lives but opens no channel: its limit of sessions is used up, perhaps by commands given up."""


class NoAnswer(Exception):
    """The command did not end in its time; the connection may be dead as well."""


class Channels:
    """The channels of one open connection to a host. `relieve` ends others that may be ended, where one is refused."""

    def __init__(
        self, host_id: str, connection: asyncssh.SSHClientConnection, relieve: Callable[[], None] = lambda: None
    ) -> None:
        """Open none yet."""
        self._host_id = host_id
        self._connection = connection
        self._relieve = relieve

    async def exchange(self, command: Command) -> Completed:
        """How the command ended, on a channel of its own. Raises `Unreachable`, `NoChannel` or `NoAnswer`.

        Whatever was begun is killed then.
        """
        gathered = Gathered()
        session = _Session(gathered)
        try:
            with self.told(command):
                async with asyncio.timeout(command.timeout_s):
                    session = await self._open(command, gathered)
                    session.send(stdin(command))
                    session.finish()
                    await gathered.ended
        finally:
            session.kill()
        return self.whole(command, gathered.completed())

    async def begin(self, shell: Shell) -> None:
        """Start a long-lived shell on a channel of its own. Raises `Unreachable`, `NoChannel` or `NoAnswer`."""
        order = serve.serve()
        with self.told(order):
            async with asyncio.timeout(order.timeout_s):
                shell.lifeline = session = await self._open(order, shell)
            session.send(stdin(order))

    def whole(self, command: Command, completed: Completed | None) -> Completed:
        """What came of a command; raises `Unreachable` where that is not known."""
        if completed is None:
            raise self._lost(command, OSError("the channel was closed without an exit status"))
        return completed

    @contextlib.contextmanager
    def told(self, command: Command) -> Iterator[None]:
        """Say what goes wrong with a command in the words of this program."""
        try:
            yield
        except TimeoutError as error:
            message = f"{self._host_id}: {command.name} did not answer in {command.timeout_s:g} s"
            raise NoAnswer(message) from error
        except asyncssh.ChannelOpenError as error:
            if self._connection.is_closed():
                raise self._lost(command, error) from error
            message = f"{self._host_id}: {command.name} got no channel in {OPEN_ATTEMPTS} attempts: {error}"
            raise NoChannel(message) from error
        except ValueError as error:
            message = f"{self._host_id}: {command.name} was stopped: {error}"
            raise Unreachable(message) from error
        except (asyncssh.Error, OSError) as error:
            raise self._lost(command, error) from error

    async def _open(self, command: Command, sink: Sink) -> "_Session":
        """A channel that runs it. A refusal is tried again shortly: a session that just ended may still count."""
        for attempt in range(OPEN_ATTEMPTS):
            session = _Session(sink)
            begun = functools.partial(_the, session)
            try:
                await self._connection.create_session(begun, command_line(command), encoding=None)
            except asyncssh.ChannelOpenError:
                if self._connection.is_closed() or attempt == OPEN_ATTEMPTS - 1:
                    raise
                self._relieve()
                await asyncio.sleep(OPEN_DELAY_S * 2**attempt)
            except BaseException:
                session.kill()
                raise
            else:
                return session
        raise AssertionError(OPEN_ATTEMPTS)

    def _lost(self, command: Command, error: Exception) -> Unreachable:
        said = " ".join(str(error).split()) or type(error).__name__
        return Unreachable(f"{self._host_id}: the connection was lost during {command.name}: {said}")


async def answers(connection: asyncssh.SSHClientConnection, *, limit_s: float) -> bool:
    """Whether the other side says anything at all in time, be it a refusal."""
    session = _Session(Gathered())
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
    """One channel, and where what comes over it goes."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        self._sink.add(data, to_stderr=datatype == asyncssh.EXTENDED_DATA_STDERR)

    def exit_status_received(self, status: int) -> None:
        self._sink.exit = status

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:  # noqa: ARG002, FBT001 - asyncssh's
        self._sink.exit = exit_of_signal_name(signal)

    def connection_lost(self, exc: Exception | None) -> None:
        self._channel = None
        self._sink.end(exc)

    def send(self, data: bytes) -> None:
        """Give it more of its stdin. Raises OSError when the channel is closed."""
        if self._channel is not None:
            self._channel.write(data)

    def finish(self) -> None:
        """Tell it that this was all of its stdin. Raises OSError when the channel is closed."""
        if self._channel is not None:
            self._channel.write_eof()

    def kill(self) -> None:
        """Kill what still runs there, as far as the other side takes part, and let the channel go."""
        if self._channel is not None and not self._channel.is_closing():
            self._channel.kill()
        self.let_go()

    def let_go(self) -> None:
        """Close the channel, whatever it was doing."""
        if self._channel is not None:
            self._channel.abort()


def _the(session: _Session) -> _Session:
    return session
