"""Long-lived `sh` processes of one host that run brief commands one after the other, each in a subshell of its own.

It never lets a script read what is not its own, and never uses a shell again that was given up in the middle of one.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from reconciler.core.command import Command, Completed
from reconciler.core.script import serve
from reconciler.transport.gathering import Gathered

MOST = 3
RENEW_AFTER_S = 60.0
"""A shell has the environment of the login that began it: after this time a new login is asked for."""

TOKEN_BYTES = 8
END_LIMIT_S = 2.0


class Lifeline(Protocol):
    """The way to a started `sh`: its stdin, and its end."""

    def send(self, data: bytes) -> None:
        """Give it more of its stdin."""
        ...

    def kill(self) -> None:
        """End it, with everything in its process group."""
        ...


class Shell:
    """One shell, and what comes back from it. Whatever carries its output calls `add`, `exit` and `end`."""

    def __init__(self) -> None:
        """Not begun yet: `lifeline` is set by whoever starts it."""
        self.lifeline: Lifeline | None = None
        self.exit: int | None = None
        self.exited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.over = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._born_s = time.monotonic()
        self._known: dict[str, int] = {}
        self._exchange: _Exchange | None = None

    @property
    def is_stale(self) -> bool:
        """Whether its environment is old enough to ask for a new one."""
        return time.monotonic() - self._born_s > RENEW_AFTER_S

    def add(self, data: bytes, *, to_stderr: bool) -> None:
        """What it printed; between two commands nothing is expected, and nothing kept."""
        if self._exchange is not None:
            self._exchange.add(data, to_stderr=to_stderr)

    def end(self, error: Exception | None = None) -> None:
        """It is gone, and with it the command that it was running."""
        self.over = True
        if not self.ended.done():
            self.ended.set_result(None)
        if self._exchange is not None:
            self._exchange.gathered.exit = self.exit
            self._exchange.gathered.end(error)

    async def run(self, command: Command) -> Completed | None:
        """How the command ended; `None` where the shell was lost. Raises what the way to it fails with, ValueError."""
        exchange = self._exchange = _Exchange(token=secrets.token_hex(TOKEN_BYTES), gathered=Gathered())
        if self.lifeline is None or self.over:
            return None
        self.lifeline.send(self._order(command, exchange.token))
        await exchange.gathered.ended
        self._exchange = None
        return exchange.gathered.completed()

    def kill(self) -> None:
        """Use it no more, whatever it is doing."""
        self.over = True
        if self.lifeline is not None:
            self.lifeline.kill()

    def _order(self, command: Command, token: str) -> bytes:
        number, learnt = self._known.get(command.script), b""
        if number is None:
            number = self._known[command.script] = len(self._known)
            learnt = serve.learn(number, command)
        return learnt + serve.run(number, token, command)


@dataclass(slots=True)
class _Exchange:
    """One command on a shell: its output, until the token says on both streams that it has ended."""

    token: str
    gathered: Gathered
    open_streams: int = 2

    def add(self, data: bytes, *, to_stderr: bool) -> None:
        self.gathered.add(data, to_stderr=to_stderr)
        ending = serve.ending(self.token, self.gathered.tail(to_stderr=to_stderr))
        if ending is None:
            return
        self.gathered.cut(ending.size, to_stderr=to_stderr)
        if not to_stderr:
            self.gathered.exit = ending.exit
        self.open_streams -= 1
        if self.open_streams == 0:
            self.gathered.end()


class Shells:
    """The shells of one host. `begin` starts one more; it raises what reaching the host fails with."""

    def __init__(self, begin: Callable[[Shell], Awaitable[None]], most: int = MOST) -> None:
        """Have none yet; `most` may be open at a time."""
        self._begin = begin
        self._most = most
        self._free = asyncio.Semaphore(most)
        self._idle: list[Shell] = []
        self._living: set[Shell] = set()
        self._leaving: set[Shell] = set()
        self._renewing: set[asyncio.Task[None]] = set()

    async def run(self, command: Command) -> Completed | None:
        """How the command ended; `None` where its shell was lost meanwhile.

        Waiting for a shell does not count against the command's time. Raises TimeoutError, ValueError for more output
        than there may be, and what beginning a shell fails with.
        """
        async with self._free:
            shell = self._taken() or await self._begun()
            try:
                async with asyncio.timeout(command.timeout_s):
                    completed = await shell.run(command)
            except BaseException:
                self._drop(shell)
                raise
            if shell.over:
                self._drop(shell)
            else:
                self._keep(shell)
            return completed

    async def idle(self) -> None:
        """Return once none of them runs a command, and have none run from now on."""
        for _ in range(self._most):
            await self._free.acquire()

    def rest(self) -> None:
        """End those that have nothing to do: the host may count them."""
        while self._idle:
            self._drop(self._idle.pop())

    async def close(self) -> None:
        """End all of them, and what they run; returns when they are gone, or had time enough for that."""
        for renewing in self._renewing:
            renewing.cancel()
        self._idle.clear()
        going = [shell.ended for shell in {*self._living, *self._leaving}]
        for shell in [*self._living]:
            self._drop(shell)
        if going:
            await asyncio.wait(going, timeout=END_LIMIT_S)

    def _taken(self) -> Shell | None:
        while self._idle:
            shell = self._idle.pop()
            if not shell.over:
                return shell
            self._drop(shell)
        return None

    async def _begun(self) -> Shell:
        shell = Shell()
        await self._begin(shell)
        self._living.add(shell)
        return shell

    def _keep(self, shell: Shell) -> None:
        if not shell.is_stale:
            self._idle.append(shell)
            return
        self._drop(shell)
        if not self._idle and not self._renewing:
            renewing = asyncio.create_task(self._renew())
            self._renewing.add(renewing)
            renewing.add_done_callback(self._renewed)

    async def _renew(self) -> None:
        """Have one ready again, so that the next command need not wait for a login."""
        async with self._free:
            self._idle.append(await self._begun())

    def _renewed(self, renewing: asyncio.Task[None]) -> None:
        self._renewing.discard(renewing)
        if not renewing.cancelled():
            renewing.exception()  # looked at: the next command meets the same, and says it

    def _drop(self, shell: Shell) -> None:
        self._living.discard(shell)
        self._leaving.add(shell)
        shell.ended.add_done_callback(lambda _: self._leaving.discard(shell))
        shell.kill()
